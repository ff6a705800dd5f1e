//! The decision by example: a policy, a caller, and what comes of a few requests.
//!
//! What HTTP makes of an answer is `reasons`'; that no policy decides otherwise is `random_policies`'.

use http::{HeaderMap, HeaderName};
use scopegate::policy::{
    Account, AccountSource, AccountWhenAbsent, ApiName, ApiSpec, BasePath, Basis, Binding, Caller, Certificate,
    CertificateRule, ClientId, ClientSpec, ClientType, Denial, Identity, Injection, InsufficientScopeStatus, Marks,
    MethodSet, Permit, Policy, PolicySpec, PrivilegeSpec, Reach, Request, ScopeName, ScopeNames, ScopeSpec, Service,
    Target, UndefinedScopes, Unindexable, UnixTime, UnregisteredClients, UpstreamId,
};

/// A request is written `GET /x?y | header: value`; its host is `h` unless a header says another.
///
/// What comes of it is written `api: scope`, with the account that is written in, or
/// `reason scope scope`.
#[track_caller]
fn check(spec: &PolicySpec, caller: &Caller, cases: &[(&str, &str)]) {
    let policy = Policy::compile(spec.clone()).unwrap();
    for (request, expected) in cases {
        assert_eq!(ask(&policy, Some(caller), None, request), *expected, "{request}");
    }
}

#[test]
fn every_scope_of_which_a_service_matches_grants() {
    let spec = policy([api(
        "data",
        "/data",
        [
            scope("narrow", ["GET /data/{account}/packets"]),
            scope("wide", ["/data/**"]),
            scope("any-of-one", ["GET,POST /data/*/packets"]),
        ],
    )]);
    for (held, cases) in [
        ("narrow", ["data: narrow", "scope_insufficient wide any-of-one", "scope_insufficient wide"]),
        ("wide", ["data: wide", "data: wide", "data: wide"]),
        ("any-of-one", ["data: any-of-one", "data: any-of-one", "scope_insufficient wide"]),
        (
            "other",
            [
                "scope_insufficient narrow wide any-of-one",
                "scope_insufficient wide any-of-one",
                "scope_insufficient wide",
            ],
        ),
    ] {
        let asked = ["GET /data/acme/packets", "POST /data/acme/packets", "GET /data/acme/packets/1"];
        check(&spec, &caller([held]), &[(asked[0], cases[0]), (asked[1], cases[1]), (asked[2], cases[2])]);
    }
}

#[test]
fn an_exception_takes_methods_and_paths_from_its_own_scope_only() {
    let mut read = scope("read", ["GET,POST /data/**"]);
    read.except = services(["* /data/*/admin/**", "POST /data/log"]);
    read.privileges = vec![privilege("read:admin", ["GET /data/{account}/admin/users"])];
    let spec = policy([api("data", "/data", [read, scope("audit", ["GET /data/acme/admin/log"])])]);
    check(
        &spec,
        &caller(["read"]),
        &[
            ("GET /data/acme/packets", "data: read"),
            ("GET /data/acme/admin", "route_unknown"),
            ("GET /data/acme/admin/", "route_unknown"),
            ("GET /data/acme/admin/x/y", "route_unknown"),
            ("GET /data/acme/admin/users", "scope_insufficient read:admin"),
            ("GET /data/acme/admin/log", "scope_insufficient audit"),
            ("GET /data/log", "data: read"),
            ("POST /data/log", "method_not_allowed GET"),
        ],
    );
    check(
        &spec,
        &caller(["read:admin", "audit"]),
        &[
            ("GET /data/acme/admin/users", "data: read:admin"),
            ("GET /data/acme/admin/log", "data: audit"),
            ("GET /data/acme/packets", "data: read"),
        ],
    );
}

#[test]
fn an_exception_takes_every_spelling_of_its_path() {
    let mut write = scope("write", ["POST /data/**"]);
    write.except = services(["POST /data/docs:delete", "* /data/{account}/admin/**", "/data/a%5Bb"]);
    let spec = policy([api("data", "/data", [write, scope("delete", ["POST /data/docs:delete"])])]);
    check(
        &spec,
        &caller(["write"]),
        &[
            ("POST /data/docs", "data: write"),
            ("POST /data/docs:undelete", "data: write"),
            ("POST /data/docs:delete", "scope_insufficient delete"),
            ("POST /data/docs%3Adelete", "route_unknown"),
            ("POST /data/docs%3adelete", "route_unknown"),
            ("POST /data/docs:delete.", "route_unknown"),
            ("POST /data/%64ocs:delet%65", "scope_insufficient delete"),
            ("POST /data/acme/admin./x", "route_unknown"),
            ("POST /data/acme/admin%20/x", "route_unknown"),
            ("POST /data/acme/admin.%20.", "route_unknown"),
            ("POST /data/acme/.admin", "data: write"),
            ("POST /data/a%5Bb", "route_unknown"),
            ("POST /data/a%5bb", "route_unknown"),
            // Letter case counts, in exceptions too.
            ("POST /data/acme/Admin/x", "data: write"),
        ],
    );
    // What grants is the file's spelling alone.
    check(
        &spec,
        &caller(["delete"]),
        &[("POST /data/docs:delete", "data: delete"), ("POST /data/docs%3Adelete", "route_unknown")],
    );
}

#[test]
fn holding_a_privilege_includes_holding_its_scope() {
    let mut certificate = scope("certificate", ["GET /certificates"]);
    certificate.privileges = vec![
        privilege("certificate:approve", ["POST /certificates/approve"]),
        privilege("certificate:delete", ["DELETE /certificates"]),
    ];
    let spec = policy([api("venafi", "/", [certificate])]);
    check(
        &spec,
        &caller(["certificate:approve"]),
        &[
            ("GET /certificates", "venafi: certificate"),
            ("POST /certificates/approve", "venafi: certificate:approve"),
            ("DELETE /certificates", "scope_insufficient certificate:delete"),
        ],
    );
    check(
        &spec,
        &caller(["certificate"]),
        &[
            ("GET /certificates", "venafi: certificate"),
            ("POST /certificates/approve", "scope_insufficient certificate:approve"),
        ],
    );
}

#[test]
fn all_of_an_apis_required_scopes_must_be_held_whatever_grants() {
    let required = |name: &str| ScopeSpec { marks: Marks { required: true, ..Marks::default() }, ..scope(name, []) };
    let spec = policy([
        api("consent", "/consent", [required("base"), scope("insert", ["POST /consent"]), required("second")]),
        api("other", "/other", [scope("read", ["GET /other"])]),
    ]);
    check(
        &spec,
        &caller(["insert", "read"]),
        &[
            ("POST /consent", "scope_required base second"),
            ("GET /consent", "method_not_allowed POST"),
            ("GET /other", "other: read"),
        ],
    );
    check(&spec, &caller(["insert", "second"]), &[("POST /consent", "scope_required base")]);
    check(&spec, &caller(["base", "second"]), &[("POST /consent", "scope_insufficient insert")]);
    check(&spec, &caller(["base", "insert", "second"]), &[("POST /consent", "consent: insert")]);
}

#[test]
fn a_public_service_asks_for_no_token_and_no_other_service_is_public() {
    let mut data = api("data", "/data", [scope("read", ["GET /data/**"])]);
    data.public = services(["GET /data/health", "/data/*/info"]);
    let policy = Policy::compile(policy([data])).unwrap();
    for (request, expected) in [
        ("GET /data/health", "data: public"),
        ("GET /data/health/", "data: public"),
        ("GET /data/%68ealth", "data: public"),
        ("POST /data/acme/info", "data: public"),
        ("BREW /data/acme/info", "data: public"),
        ("TRACE /data/acme/info", "token_missing"),
        ("get /data/health", "token_missing"),
        ("POST /data/health", "token_missing"),
        ("GET /data/healthy", "token_missing"),
        ("GET /data/health/x", "token_missing"),
        ("GET /data/Health", "token_missing"),
        ("GET /nowhere", "token_missing"),
        ("GET /data/../data/health", "path_ambiguous"),
        ("GET /data/health | authorization: a | authorization: b", "header_ambiguous"),
    ] {
        assert_eq!(ask(&policy, None, None, request), expected, "{request}");
    }
}

#[test]
fn a_refused_token_is_refused_but_where_none_is_asked() {
    let mut data = api("data", "/data", [scope("read", ["GET /data/**"])]);
    data.public = services(["GET /data/health"]);
    let policy = Policy::compile(policy([data])).unwrap();
    let headers = HeaderMap::new();
    for (path, expected) in [("/data/health", None), ("/data/x", Some(Denial::IssuerUnavailable))] {
        let target = Target::parse(path.as_bytes()).unwrap();
        let request = Request { method: MethodSet::of_request("GET"), target: &target, host: "h", headers: &headers };
        let route = policy.find(request).unwrap();
        assert_eq!(policy.decide(&route, Identity::Refused(Denial::IssuerUnavailable)).err(), expected, "{path}");
    }
}

#[test]
fn a_request_without_a_path_of_ours_is_404_and_without_a_method_405() {
    let spec = policy([api("data", "/data", [scope("read", ["GET /data/x", "PUT /data/*"])])]);
    check(
        &spec,
        &caller(["read"]),
        &[
            ("GET /data", "route_unknown"),
            ("GET /data/x/y", "route_unknown"),
            ("GET /Data/x", "route_unknown"),
            ("GET /", "route_unknown"),
            ("POST /data/x", "method_not_allowed GET, PUT"),
            ("HEAD /data/x", "method_not_allowed GET, PUT"),
            ("get /data/x", "method_not_allowed GET, PUT"),
            ("GET /data/y", "method_not_allowed PUT"),
        ],
    );
}

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
fn several_apis_are_asked_from_the_most_specific_base_on() {
    let spec = policy([
        api("root", "/", [scope("all", ["GET /**"])]),
        api("deep", "/a/b", [scope("deep", ["GET /a/b/**"])]),
        api("first", "/a", [scope("first", ["GET /a/**"])]),
        api("second", "/a", [scope("second", ["GET,PUT /a/**"])]),
        api("beside", "/ab", [scope("beside", ["GET /ab/**"])]),
    ]);
    check(
        &spec,
        &caller(["all", "deep", "first", "second", "beside"]),
        &[
            ("GET /a/b", "deep: deep"),
            ("GET /a/b/", "deep: deep"),
            ("GET /a/b/c", "deep: deep"),
            ("GET /a/bc/d", "first: first"),
            ("GET /a", "first: first"),
            ("PUT /a/b/c", "second: second"),
            ("GET /ab", "beside: beside"),
            ("GET /abc", "root: all"),
            ("GET /", "root: all"),
            ("PUT /ab", "method_not_allowed GET"),
        ],
    );
    check(&spec, &caller(["all"]), &[("GET /a/b/c", "root: all"), ("PUT /a/b", "scope_insufficient second")]);
    check(&spec, &caller([]), &[("GET /a/b/c", "scope_insufficient deep")]);
}

#[test]
fn the_refusal_is_that_of_the_api_that_came_furthest() {
    let mut accounts = api("accounts", "/", [scope("own", ["GET /{account}/**"])]);
    accounts.account = vec![AccountSource::Path("account".into())];
    let spec = policy([api("plain", "/beta", [scope("plain", ["GET /beta/**"])]), accounts]);
    check(&spec, &caller(["own"]), &[("GET /beta/x", "account_forbidden")]);
    check(&spec, &caller([]), &[("GET /beta/x", "scope_insufficient plain")]);
}

#[test]
fn an_api_with_hosts_is_there_for_them_only() {
    let mut named = api("named", "/", [scope("named", ["GET /x"])]);
    named.hosts = vec!["api.example.com".into(), "other.example.com:8443".into(), "[::1]".into()];
    let spec = policy([named, api("every", "/", [scope("every", ["GET /x", "GET /y"])])]);
    check(
        &spec,
        &caller(["named"]),
        &[
            ("GET /x | host: api.example.com", "named: named"),
            ("GET /x | host: api.example.com:8080", "named: named"),
            ("GET /x | host: API.example.com", "named: named"),
            ("GET /x | host: other.example.com:8443", "named: named"),
            ("GET /x | host: other.example.com", "scope_insufficient every"),
            ("GET /x | host: other.example.com:8080", "scope_insufficient every"),
            ("GET /x | host: [::1]:80", "named: named"),
            ("GET /x | host: api.example.com.evil", "scope_insufficient every"),
            ("GET /x | host: evil.api.example.com", "scope_insufficient every"),
        ],
    );
}

#[test]
fn a_scope_for_confidential_clients_admits_no_public_client_and_no_browser() {
    let marks = Marks { confidential_only: true, ..Marks::default() };
    let server = ScopeSpec { marks, ..scope("server", ["GET /x", "GET /y"]) };
    let mut spec = policy([api("data", "/", [server, scope("anyone", ["GET /x"])])]);
    check(
        &spec,
        &caller(["server"]),
        &[
            ("GET /x", "data: server"),
            ("GET /x | origin: https://web.example", "client_type_rejected"),
            ("GET /x | origin: null", "client_type_rejected"),
            ("GET /x | sec-fetch-site: none", "client_type_rejected"),
        ],
    );
    spec.clients = Some(vec![ClientSpec { client_type: ClientType::Public, ..client("app") }]);
    check(&spec, &caller(["server"]), &[("GET /x", "client_type_rejected")]);
    check(&spec, &caller(["server", "anyone"]), &[("GET /x", "data: anyone"), ("GET /y", "client_type_rejected")]);
}

#[test]
fn a_client_that_is_not_listed_gets_nothing_unless_the_file_lets_it() {
    let mut spec = policy([api("data", "/", [scope("read", ["GET /x"])])]);
    spec.clients = Some(vec![client("listed")]);
    let (app, none) = (caller(["read"]), Caller { client: None, ..caller(["read"]) });
    check(&spec, &Caller { client: Some("listed".into()), ..caller(["read"]) }, &[("GET /x", "data: read")]);
    check(&spec, &app, &[("GET /x", "client_unknown"), ("GET /nowhere", "client_unknown")]);
    check(&spec, &none, &[("GET /x", "client_unknown")]);
    spec.unregistered_clients = UnregisteredClients::Allow;
    check(&spec, &app, &[("GET /x", "data: read")]);
    check(&spec, &none, &[("GET /x", "data: read")]);
}

#[test]
fn a_client_with_a_certificate_is_refused_without_it() {
    let mut spec = policy([api("data", "/", [scope("read", ["GET /x"])])]);
    spec.clients = Some(vec![ClientSpec {
        account: Account::parse("acme"),
        certificate: Some(CertificateRule::Sha256([1; 32])),
        ..client("app")
    }]);
    let policy = Policy::compile(spec).unwrap();
    let shown = |first| Certificate { sha256: [first; 32], subject: "CN=app".into(), san_dns: [].into() };
    for (certificate, expected, contradicting) in [
        (None, "certificate_mismatch", "certificate_mismatch"),
        (Some(shown(2)), "certificate_mismatch", "certificate_mismatch"),
        (Some(shown(1)), "data: read", "account_forbidden"),
    ] {
        let ask = |caller| ask(&policy, Some(&caller), certificate.as_ref(), "GET /x");
        assert_eq!(ask(caller(["read"])), expected, "{certificate:?}");
        // It comes before an account that contradicts the client's.
        assert_eq!(ask(Caller { accounts: accounts(["beta"]), ..caller(["read"]) }), contradicting, "{certificate:?}");
    }
}

#[test]
fn a_standing_of_another_policy_is_refused_where_it_shows() {
    let read = || [api("data", "/", [scope("read", ["GET /x"])])];
    let with = |clients| PolicySpec { clients: Some(clients), ..policy(read()) };
    let before = Policy::compile(with(vec![client("first"), client("app")])).unwrap();
    let standing = before.standing(&caller(["read"]));
    let target = Target::parse(b"/x").unwrap();
    let headers = HeaderMap::new();
    let request = Request { method: MethodSet::of_request("GET"), target: &target, host: "h", headers: &headers };
    for after in [with(vec![client("first")]), policy(read())] {
        let after = Policy::compile(after).unwrap();
        let identity = Identity::Known { standing: &standing, certificate: None };
        assert_eq!(after.decide(&after.find(request).unwrap(), identity).err(), Some(Denial::ClientUnknown));
    }
}

#[test]
fn what_the_file_rules_out_does_not_compile() {
    let read = || scope("read", ["GET /data"]);
    let listing = |name| ClientSpec { scopes: Some(vec![ScopeName::parse(name).unwrap()]), ..client("app") };
    let mut colliding = scope("read", []);
    colliding.privileges = vec![privilege("other", [])];
    let mut outside = read();
    outside.except = services(["GET /other"]);
    for (spec, expected) in [
        (policy([api("a", "/data", [scope("read", ["GET /other"])])]), Unindexable::OutsideBase("GET /other".into())),
        (policy([api("a", "/data", [outside])]), Unindexable::OutsideBase("GET /other".into())),
        (policy([api("a", "/", [read()]), api("b", "/", [read()])]), Unindexable::Twice("read".into())),
        (policy([api("a", "/", [scope("other", []), colliding])]), Unindexable::Twice("other".into())),
        (
            PolicySpec { clients: Some(vec![client("app"), client("app")]), ..PolicySpec::default() },
            Unindexable::Twice("app".into()),
        ),
        (
            PolicySpec { clients: Some(vec![listing("other")]), ..policy([api("a", "/", [read()])]) },
            Unindexable::ClientScope { client: "app".into(), scope: "other".into() },
        ),
    ] {
        assert_eq!(Policy::compile(spec).err(), Some(expected));
    }
}

#[test]
fn a_ceiling_takes_from_what_the_token_says_and_never_adds() {
    let mut certificate = scope("certificate", ["GET /certificates"]);
    certificate.privileges = vec![privilege("certificate:approve", ["POST /certificates"])];
    let required = ScopeSpec { marks: Marks { required: true, ..Marks::default() }, ..scope("base", []) };
    let mut spec = policy([api("venafi", "/", [certificate, required, scope("ssh", ["GET /ssh"])])]);
    let ceiling = |names: &[&str]| Some(names.iter().map(|name| ScopeName::parse(name).unwrap()).collect());
    spec.clients = Some(vec![ClientSpec { scopes: ceiling(&["certificate"]), ..client("app") }]);
    check(
        &spec,
        &caller(["base", "certificate:approve", "ssh"]),
        &[
            ("GET /certificates", "venafi: certificate"),
            ("POST /certificates", "scope_insufficient certificate:approve"),
            ("GET /ssh", "scope_insufficient ssh"),
        ],
    );
    check(&spec, &caller(["base"]), &[("GET /certificates", "scope_insufficient certificate")]);
    check(&spec, &caller(["certificate"]), &[("GET /certificates", "scope_required base")]);
    spec.clients = Some(vec![ClientSpec { scopes: ceiling(&[]), ..client("app") }]);
    check(&spec, &caller(["base", "certificate"]), &[("GET /certificates", "scope_insufficient certificate")]);
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

#[test]
fn undefined_scopes_grant_nothing_and_can_be_refused() {
    let mut spec = policy([api("data", "/", [scope("read", ["GET /x"])])]);
    check(&spec, &caller(["read", "other"]), &[("GET /x", "data: read")]);
    spec.undefined_scopes = UndefinedScopes::Reject;
    check(&spec, &caller(["read", "other"]), &[("GET /x", "scope_undefined"), ("GET /nowhere", "scope_undefined")]);
    check(&spec, &caller(["read"]), &[("GET /x", "data: read")]);
}

#[test]
fn scopes_are_compared_with_their_letter_case_unless_the_file_says_otherwise() {
    let mut spec = policy([api("data", "/", [scope("Read", ["GET /x"])])]);
    check(&spec, &caller(["read"]), &[("GET /x", "scope_insufficient Read")]);
    spec.scope_names = ScopeNames::CaseInsensitive;
    check(&spec, &caller(["rEAD"]), &[("GET /x", "data: Read")]);
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

fn policy(apis: impl IntoIterator<Item = ApiSpec>) -> PolicySpec {
    PolicySpec { apis: apis.into_iter().collect(), ..PolicySpec::default() }
}

/// One that names no account anywhere; its scopes' reach is any, unless it is given account sources.
fn api(name: &str, base: &str, scopes: impl IntoIterator<Item = ScopeSpec>) -> ApiSpec {
    ApiSpec {
        name: ApiName::parse(name).unwrap(),
        display_name: None,
        base_path: BasePath::parse(base).unwrap(),
        hosts: vec![],
        upstream: UpstreamId(0),
        account: vec![],
        account_when_absent: AccountWhenAbsent::Deny,
        insufficient_scope_status: InsufficientScopeStatus::Forbidden,
        public: vec![],
        scopes: scopes.into_iter().collect(),
    }
}

/// Its reach is `own` if it is named so, and any otherwise.
fn scope(name: &str, lines: impl IntoIterator<Item = &'static str>) -> ScopeSpec {
    ScopeSpec {
        name: ScopeName::parse(name).unwrap(),
        display_name: None,
        description: None,
        reach: if name == "own" { Reach::Own } else { Reach::Any },
        marks: Marks::default(),
        services: services(lines),
        except: vec![],
        privileges: vec![],
    }
}

fn privilege(name: &str, lines: impl IntoIterator<Item = &'static str>) -> PrivilegeSpec {
    PrivilegeSpec { name: ScopeName::parse(name).unwrap(), reach: Reach::Any, services: services(lines) }
}

fn services(lines: impl IntoIterator<Item = &'static str>) -> Vec<Service> {
    lines.into_iter().map(|line| Service::parse(line).unwrap()).collect()
}

fn client(id: &str) -> ClientSpec {
    ClientSpec {
        id: ClientId::parse(id).unwrap(),
        account: None,
        scopes: None,
        client_type: ClientType::Confidential,
        certificate: None,
    }
}

/// Of the client `app`, with the account `acme`.
fn caller<'s>(scopes: impl IntoIterator<Item = &'s str>) -> Caller {
    Caller {
        issuer: "https://issuer.example".into(),
        subject: None,
        client: Some("app".into()),
        accounts: accounts(["acme"]),
        scopes: scopes.into_iter().map(Into::into).collect(),
        token_id: None,
        issued_at: None,
        not_before: None,
        expires_at: UnixTime(u64::MAX),
        binding: Binding::default(),
    }
}

fn accounts<'s>(names: impl IntoIterator<Item = &'s str>) -> Box<[Account]> {
    names.into_iter().map(|name| Account::parse(name).unwrap()).collect()
}

fn ask(policy: &Policy, caller: Option<&Caller>, certificate: Option<&Certificate>, request: &str) -> String {
    let mut parts = request.split(" | ");
    let (method, target) = parts.next().unwrap().split_once(' ').unwrap();
    let mut headers = HeaderMap::new();
    let mut host = "h";
    for (name, value) in parts.map(|part| part.split_once(": ").unwrap()) {
        match name {
            "host" => host = value,
            _ => drop(headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap())),
        }
    }
    let target = match Target::parse(target.as_bytes()) {
        Ok(target) => target,
        Err(fault) => return denied(policy, &fault.into()),
    };
    let request = Request { method: MethodSet::of_request(method), target: &target, host, headers: &headers };
    let standing = caller.map(|caller| policy.standing(caller));
    let identity = match &standing {
        Some(standing) => Identity::Known { standing, certificate },
        None => Identity::Absent,
    };
    match policy.find(request).and_then(|route| policy.decide(&route, identity)) {
        Ok(permit) => allowed(policy, &permit),
        Err(denial) => denied(policy, &denial),
    }
}

fn allowed(policy: &Policy, permit: &Permit<'_>) -> String {
    let mut text = format!("{}: ", policy.api(permit.api()).unwrap().name);
    text.push_str(match permit.basis() {
        Basis::Public => "public",
        Basis::TokenEndpoint(_) => "token endpoint",
        Basis::Scope(scope) => policy.scope(scope).unwrap().name.as_str(),
    });
    if let Some(account) = permit.account() {
        text += &format!(" {}", account.text());
    }
    match permit.injection() {
        Some(Injection::Query(name, account)) => text += &format!(" +{name}={account}"),
        Some(Injection::Header(name, account)) => text += &format!(" +{name}: {account}"),
        None => {}
    }
    text
}

fn denied(policy: &Policy, denial: &Denial) -> String {
    let mut text = denial.reason().to_string();
    match denial {
        Denial::ScopeRequired { missing: scopes, .. } | Denial::ScopeInsufficient { alternatives: scopes, .. } => {
            for scope in scopes {
                text += &format!(" {}", policy.scope(*scope).unwrap().name);
            }
        }
        Denial::MethodNotAllowed { allow } => text += &format!(" {allow}"),
        _ => {}
    }
    text
}
