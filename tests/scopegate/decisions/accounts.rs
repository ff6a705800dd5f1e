//! Whose data a request touches, and whether the caller may.

use http::HeaderName;
use scopegate::policy::{Account, AccountSource, AccountWhenAbsent, ApiSpec, Caller, ClientSpec, Reach, ScopeSpec};

use super::world::{accounts, api, caller, check, client, policy, scope};

#[test]
fn own_reach_is_the_callers_accounts_and_any_reach_every_account() {
    let mut data = api(
        "data",
        "/data",
        [
            scope("own", ["/data/{account}/**"]),
            ScopeSpec { reach: Reach::Any, ..scope("any", ["GET /data/{account}/**", "GET /data"]) },
        ],
    );
    data.account = vec![AccountSource::Path("account".into())];
    let spec = policy([data]);
    check(
        &spec,
        &caller(["own"]),
        &[
            ("GET /data/acme/x", "data: own acme"),
            ("GET /data/%61cme", "data: own acme"),
            ("GET /data/beta/x", "account_forbidden"),
            ("GET /data/ACME/x", "account_forbidden"),
            ("GET /data/acme./x", "account_forbidden"),
            ("GET /data/acme%20/x", "account_forbidden"),
            ("GET /data/acme+/x", "account_forbidden"),
        ],
    );
    // The narrower reach is what a permit rests on where both would do.
    check(
        &spec,
        &caller(["any", "own"]),
        &[
            ("GET /data/acme/x", "data: own acme"),
            ("GET /data/beta/x", "data: any beta"),
            ("POST /data/beta/x", "account_forbidden"),
            ("GET /data", "data: any"),
        ],
    );
    let nobody = Caller { accounts: [].into(), ..caller(["own"]) };
    check(&spec, &nobody, &[("GET /data/acme/x", "account_forbidden")]);
}

#[test]
fn all_places_that_name_the_account_must_agree() {
    let spec = policy([everywhere(AccountWhenAbsent::Deny)]);
    check(
        &spec,
        &caller(["own"]),
        &[
            ("GET /data/acme", "data: own acme"),
            ("GET /data/acme?q=acme | x-account: acme", "data: own acme"),
            ("GET /data/acme?q=%61cme", "data: own acme"),
            ("GET /data/acme?q=beta", "account_ambiguous"),
            ("GET /data/acme | x-account: beta", "account_ambiguous"),
            ("GET /data/acme | x-account: %61cme", "account_ambiguous"),
            ("GET /reports?q=acme", "data: own acme"),
            ("GET /reports?q=beta", "account_forbidden"),
            ("GET /reports?q=acme | x-account: beta", "account_ambiguous"),
            ("GET /reports", "account_missing"),
            ("GET /reports?q=acme&q=acme", "header_ambiguous"),
            ("GET /reports | x-account: acme | x-account: acme", "header_ambiguous"),
        ],
    );
    check(
        &spec,
        &caller(["any"]),
        &[
            ("GET /data/acme?q=beta", "account_ambiguous"),
            ("GET /reports", "data: any"),
            ("GET /reports?q=beta", "data: any beta"),
            ("GET /reports?q=acme&Q=beta", "header_ambiguous"),
        ],
    );
}

#[test]
fn the_callers_single_account_is_written_in_where_none_is_named() {
    let spec = policy([everywhere(AccountWhenAbsent::Inject)]);
    check(
        &spec,
        &caller(["own"]),
        &[
            ("GET /reports", "data: own +q=acme"),
            ("GET /reports?x=q", "data: own +q=acme"),
            ("GET /reports | x-account: acme", "data: own acme"),
            ("GET /reports?q=beta", "account_forbidden"),
            ("GET /data/acme", "data: own acme"),
        ],
    );
    check(&spec, &caller(["any"]), &[("GET /reports", "data: any")]);
    let two = Caller { accounts: accounts(["acme", "beta"]), ..caller(["own"]) };
    check(&spec, &two, &[("GET /reports", "account_missing"), ("GET /reports?q=beta", "data: own beta")]);
}

#[test]
fn a_clients_account_is_its_own_where_the_token_names_none_and_must_not_contradict_it() {
    let mut data = api("data", "/data", [scope("own", ["GET /data/{account}"])]);
    data.account = vec![AccountSource::Path("account".into())];
    let mut spec = policy([data]);
    spec.clients = Some(vec![ClientSpec { account: Account::parse("beta"), ..client("app") }]);
    let of = |named: &[&str]| Caller { accounts: accounts(named.iter().copied()), ..caller(["own"]) };
    check(&spec, &of(&[]), &[("GET /data/beta", "data: own beta"), ("GET /data/acme", "account_forbidden")]);
    check(
        &spec,
        &of(&["acme", "beta"]),
        &[("GET /data/beta", "data: own beta"), ("GET /data/acme", "account_forbidden")],
    );
    check(&spec, &of(&["acme"]), &[("GET /data/acme", "account_forbidden"), ("GET /data/beta", "account_forbidden")]);
}

/// An api whose requests name their account in the path, the query or a header.
fn everywhere(when_absent: AccountWhenAbsent) -> ApiSpec {
    let lines = ["GET /data/{account}", "GET /reports"];
    let mut api = api("data", "/", [scope("own", lines), ScopeSpec { reach: Reach::Any, ..scope("any", lines) }]);
    api.account = vec![
        AccountSource::Path("account".into()),
        AccountSource::Query("q".into()),
        AccountSource::Header(HeaderName::from_static("x-account")),
    ];
    api.account_when_absent = when_absent;
    api
}
