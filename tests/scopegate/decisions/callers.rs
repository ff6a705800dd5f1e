//! What clients may: their type, their certificate, their ceiling, the scopes that they hold.

use http::HeaderMap;
use scopegate::policy::{
    Account, Caller, Certificate, CertificateRule, ClientSpec, ClientType, Denial, Identity, Marks, MethodSet, Policy,
    PolicySpec, Request, ScopeName, ScopeNames, ScopeSpec, Target, UndefinedScopes, UnregisteredClients,
};

use super::world::{accounts, api, ask, caller, check, client, policy, privilege, scope};

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
