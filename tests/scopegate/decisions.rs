//! The decision by example: a policy, a caller, and what comes of a few requests.
//!
//! What HTTP makes of an answer is `reasons`'; that no policy decides otherwise is `random_policies`'.

mod accounts;
mod callers;
mod world;

use http::HeaderMap;
use scopegate::policy::{
    AccountSource, ClientSpec, Denial, Identity, Marks, MethodSet, Policy, PolicySpec, Request, ScopeName, ScopeSpec,
    Target, Unindexable,
};
use world::{api, ask, caller, check, client, policy, privilege, scope, services};

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
