//! Permitted requests as upstreams get them: `forward`, `outbound`, `hygiene` and `head` together.
//!
//! Whatever is asked here is written in every way, by `outbound`, by `head` and for servers of HTTP/1.1 and HTTP/2 by
//! `onward`, which must agree.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use http::uri::Scheme;
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use proptest::prelude::*;

use super::forward::Forward;
use super::head::is_usual;
use super::inbound::Peer;
use super::onward::head as onward_head;
use super::outbound::{Outbound, Sending};
use crate::config::{Audit, IdentityHeaders, Limits, Settings};
use crate::issuer::IdentityValues;
use crate::policy::{
    Account, AccountSource, AccountWhenAbsent, ApiName, ApiSpec, BasePath, Basis, Binding, Caller, Denial, HeaderFault,
    Identity, InsufficientScopeStatus, Marks, MethodSet, Mode, Policy, PolicySpec, Reach, Request, ScopeName,
    ScopeSpec, Service, Target, UnixTime, UpstreamId,
};

const STRANGER: Peer = Peer { address: None, trusted: false, tls: false, local: None };

fn peer(address: &str, trusted: bool) -> Peer {
    Peer { address: Some(address.parse().unwrap()), trusted, tls: false, local: None }
}

fn policy(source: AccountSource, reach: Reach) -> Policy {
    let service = |text: &str| Service::parse(text).unwrap();
    let scope = ScopeSpec {
        name: ScopeName::parse("read").unwrap(),
        display_name: None,
        description: None,
        reach,
        marks: Marks::default(),
        services: vec![service("GET /a/{account}/**"), service("GET /plain")],
        except: vec![],
        privileges: vec![],
    };
    let api = ApiSpec {
        name: ApiName::parse("api").unwrap(),
        display_name: None,
        base_path: BasePath::default(),
        hosts: vec![],
        upstream: UpstreamId(3),
        account: vec![AccountSource::Path("account".into()), source],
        account_when_absent: AccountWhenAbsent::Inject,
        mode: Mode::Enforce,
        insufficient_scope_status: InsufficientScopeStatus::Forbidden,
        public: vec![service("GET /public")],
        scopes: vec![scope],
    };
    Policy::compile(PolicySpec { apis: vec![api], ..PolicySpec::default() }).unwrap()
}

fn caller(account: &str) -> Caller {
    Caller {
        issuer: "https://i".into(),
        subject: Some("sub".into()),
        client: Some("app".into()),
        accounts: [Account::parse(account).unwrap()].into(),
        scopes: ["read".into()].into(),
        token_id: None,
        issued_at: None,
        not_before: None,
        expires_at: UnixTime(9),
        binding: Binding::default(),
    }
}

fn identity(account: &str) -> IdentityValues {
    let value = |text: &str| Some(HeaderValue::from_bytes(text.as_bytes()).unwrap());
    IdentityValues { subject: value("sub"), client: value("app"), scopes: value("read"), account: value(account) }
}

fn outbound(forward_authorization: bool, policy: &Policy) -> Outbound {
    let name = |text: &'static str| Some(HeaderName::from_static(text));
    let settings = Settings {
        threads: 1,
        listeners: vec![],
        admin: None,
        upstreams: vec![],
        issuers: vec![],
        token_endpoints: vec![],
        identity_headers: IdentityHeaders {
            subject: name("x-auth-subject"),
            client: name("x-auth-client"),
            account: name("x-auth-account"),
            scopes: name("x-auth-scopes"),
        },
        forward_authorization: vec![forward_authorization],
        body_bytes: vec![],
        cors: vec![],
        limits: Limits::default(),
        resource_metadata: None,
        revocations: None,
        shared_state: None,
        trusted_proxies: vec![],
        audit: Audit { file: None },
        removal_guard: false,
        shadow: None,
        tracing: None,
    };
    Outbound::new(&settings, policy)
}

struct Asked {
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    own: &'static str,
    source: AccountSource,
    reach: Reach,
    peer: Peer,
    forward_authorization: bool,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            target: "/a/acme/x",
            headers: &[],
            own: "acme",
            source: AccountSource::Query("accountId".into()),
            reach: Reach::Own,
            peer: peer("192.0.2.7", false),
            forward_authorization: true,
        }
    }
}

/// The upstream request that a permitted one becomes.
fn forwarded(asked: &Asked) -> Result<RequestHeader, Denial> {
    try_forwarded(asked).expect("a permit")
}

/// The same; `None` for a request that is not permitted.
fn try_forwarded(asked: &Asked) -> Option<Result<RequestHeader, Denial>> {
    let policy = policy(asked.source.clone(), asked.reach);
    let outbound = outbound(asked.forward_authorization, &policy);
    let mut request = RequestHeader::build("GET", asked.target.as_bytes(), None).unwrap();
    request.append_header("Host", "api.example").unwrap();
    for (name, value) in asked.headers {
        request.append_header(*name, *value).unwrap();
    }
    let target = Target::parse(asked.target.as_bytes()).unwrap();
    let headers: HeaderMap = request.headers.clone();
    let asking = Request { method: MethodSet::of_request("GET"), target: &target, host: "", headers: &headers };
    let route = policy.find(asking).ok()?;
    let standing = policy.standing(&caller(asked.own));
    let permit = policy.decide(&route, Identity::Known { standing: &standing, certificate: None }).ok()?;
    let values = identity(asked.own);
    let identity = (permit.basis() != Basis::Public).then_some(&values);
    let forward = match Forward::new(&permit, &target, &policy, identity) {
        Ok(forward) => forward,
        Err(denial) => return Some(Err(denial)),
    };
    assert_eq!(forward.upstream(), UpstreamId(3));
    let id = HeaderValue::from_static("r-1");
    let sending = Sending { identity, peer: asked.peer, request_id: &id, traced: None };
    let asked = is_usual(&request).then(|| request.clone());
    outbound.write(&forward, &sending, &mut request).unwrap();
    if let Some(asked) = asked {
        let expected = lines(&as_pingora_sends(&request));
        assert_eq!(lines(&outbound.head(&forward, &sending, &asked).unwrap()), expected);
        let write = |head: &mut RequestHeader| outbound.write(&forward, &sending, head);
        let body = onward_head::Body { is_sent: false, has_come: false };
        let plain = onward_head::http1(&asked, false, body, write).unwrap();
        assert_eq!(lines(&http_req_header_to_wire(&plain).unwrap()), expected);
        let second = onward_head::http2(&asked, Scheme::HTTP, write).unwrap();
        // Names are in small letters there.
        let small = |head: &[u8]| lines(&head.to_ascii_lowercase());
        assert_eq!(small(&as_http1(&second)), small(&as_pingora_sends(&request)));
    }
    Some(Ok(request))
}

/// A request of HTTP/2, as one of HTTP/1.1 would say it.
fn as_http1(request: &http::Request<()>) -> Vec<u8> {
    let target = request.uri().path_and_query().unwrap().as_str();
    let mut head = RequestHeader::build(request.method(), target.as_bytes(), None).unwrap();
    head.append_header("Host", request.uri().authority().unwrap().as_str()).unwrap();
    for (name, value) in request.headers() {
        head.append_header(name, value).unwrap();
    }
    http_req_header_to_wire(&head).unwrap().to_vec()
}

/// What pingora makes of a usual request after it was written.
fn as_pingora_sends(request: &RequestHeader) -> Vec<u8> {
    let mut request = request.clone();
    for name in ["keep-alive", "te", "trailer", "connection", "http2-settings"] {
        request.remove_header(name);
    }
    http_req_header_to_wire(&request).unwrap().to_vec()
}

/// The lines of a head, in an order of their own, without what is random in them.
fn lines(head: &[u8]) -> Vec<String> {
    let text = head.escape_ascii().to_string();
    let mut lines: Vec<_> = text.split(r"\r\n").map(str::to_owned).collect();
    for line in &mut lines {
        if line.starts_with("traceparent: ") {
            line.replace_range(13..65, "");
        }
    }
    lines.sort();
    lines
}

#[track_caller]
fn check(asked: &Asked, expected: &[(&str, &[&str])]) {
    let request = forwarded(asked).unwrap();
    for (name, values) in expected {
        let found: Vec<_> = request.headers.get_all(*name).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(found, *values, "{name}");
    }
}

#[track_caller]
fn check_target(asked: &Asked, expected: &str) {
    assert_eq!(forwarded(asked).unwrap().raw_path().escape_ascii().to_string(), expected);
}

#[test]
fn the_upstream_is_told_the_caller_and_nothing_that_the_client_says_of_itself() {
    let headers = &[
        ("X-Auth-Subject", "root"),
        ("x_auth_client", "root"),
        ("X.Auth.Account", "other"),
        ("X-Auth-Scopes", "all"),
        ("X-Auth-Scopes", "more"),
        ("Authorization", "Bearer t"),
        ("X-Custom", "kept"),
    ];
    check(
        &Asked { headers, ..Asked::default() },
        &[
            ("x-auth-subject", &["sub"]),
            ("x-auth-client", &["app"]),
            ("x-auth-account", &["acme"]),
            ("x-auth-scopes", &["read"]),
            ("x_auth_client", &[]),
            ("x.auth.account", &[]),
            ("authorization", &["Bearer t"]),
            ("x-custom", &["kept"]),
            ("host", &["api.example"]),
        ],
    );
}

#[test]
fn a_public_service_is_told_of_nobody() {
    let headers = &[("X-Auth-Subject", "root"), ("X-Auth-Account", "other")];
    check(
        &Asked { target: "/public", headers, ..Asked::default() },
        &[("x-auth-subject", &[]), ("x-auth-client", &[]), ("x-auth-account", &[]), ("x-auth-scopes", &[])],
    );
}

#[test]
fn identity_headers_are_written_in_title_case() {
    let mut wire = Vec::new();
    forwarded(&Asked::default()).unwrap().header_to_h1_wire(&mut wire);
    assert!(String::from_utf8(wire).unwrap().contains("\r\nX-Auth-Subject: sub\r\n"));
}

#[test]
fn the_account_is_the_one_that_the_request_touches() {
    let any = |target| Asked { target, reach: Reach::Any, ..Asked::default() };
    for (asked, account) in [
        (any("/a/other/x"), "other"),
        (any("/a/o%40x/x"), "o@x"),
        (any("/a/acme/x"), "acme"),
        (any("/plain?accountId=third"), "third"),
        (any("/plain"), "acme"),
    ] {
        check(&asked, &[("x-auth-account", &[account])]);
    }
    let trimmed = forwarded(&any("/a/%20acme/x"));
    assert_eq!(trimmed.map(|_| ()), Err(Denial::HeaderAmbiguous(HeaderFault::AccountUnreadable)));
}

#[test]
fn the_callers_account_is_written_in_where_the_request_names_none() {
    let into_query = |target, own| Asked { target, own, ..Asked::default() };
    check_target(&into_query("/plain", "acme"), "/plain?accountId=acme");
    check_target(&into_query("/plain?", "acme"), "/plain?&accountId=acme");
    check_target(&into_query("/plain?a=%2F&b", "a b&c=d#é"), "/plain?a=%2F&b&accountId=a%20b%26c%3Dd%23%C3%A9");
    let into_header = |own| Asked {
        target: "/plain",
        own,
        source: AccountSource::Header(HeaderName::from_static("x-account")),
        headers: &[("X_Account", "other")],
        ..Asked::default()
    };
    check(&into_header("acme"), &[("x-account", &["acme"]), ("x_account", &[]), ("x-auth-account", &["acme"])]);
    check_target(&into_header("acme"), "/plain");
    let listed = forwarded(&into_header("acme,other"));
    assert_eq!(listed.map(|_| ()), Err(Denial::HeaderAmbiguous(HeaderFault::AccountUnreadable)));
}

#[test]
fn the_target_is_the_one_that_was_judged() {
    let target = |target| Asked { target, ..Asked::default() };
    check_target(&target("/a/acme/x/?q=%61&r"), "/a/acme/x/?q=%61&r");
    check_target(&target("/a/%61cme/%78?q=%61"), "/a/acme/x?q=%61");
}

#[test]
fn authorization_goes_on_unless_the_api_says_otherwise() {
    let headers = &[("Authorization", "Bearer t"), ("DPoP", "p")];
    let with = |forward_authorization| Asked { headers, forward_authorization, ..Asked::default() };
    check(&with(true), &[("authorization", &["Bearer t"]), ("dpop", &["p"])]);
    check(&with(false), &[("authorization", &[]), ("dpop", &[])]);
}

#[test]
fn a_stranger_is_not_believed_where_it_comes_from() {
    let headers = &[
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Prefix", "/evil"),
        ("Forwarded", "for=10.0.0.1"),
        ("X-Real-IP", "10.0.0.1"),
        ("Client-Cert", ":x:"),
    ];
    check(
        &Asked { headers, ..Asked::default() },
        &[
            ("x-forwarded-for", &["192.0.2.7"]),
            ("x-forwarded-proto", &["http"]),
            ("x-forwarded-host", &["api.example"]),
            ("x-forwarded-prefix", &[]),
            ("forwarded", &[]),
            ("x-real-ip", &[]),
            ("client-cert", &[]),
        ],
    );
    check(&Asked { peer: STRANGER, headers, ..Asked::default() }, &[("x-forwarded-for", &["unknown"])]);
}

#[test]
fn a_trusted_proxy_is_believed_and_added_to() {
    let headers = &[
        ("X-Forwarded-For", "198.51.100.1"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "public.example"),
        ("Forwarded", "for=198.51.100.1"),
        ("X-Real-IP", "198.51.100.1"),
        ("Client-Cert", ":x:"),
        ("X-Forwarded-Client-Cert", "Hash=1"),
    ];
    check(
        &Asked { headers, peer: peer("10.0.0.2", true), ..Asked::default() },
        &[
            ("x-forwarded-for", &["198.51.100.1, 10.0.0.1, 10.0.0.2"]),
            ("x-forwarded-proto", &["https"]),
            ("x-forwarded-host", &["public.example"]),
            ("forwarded", &["for=198.51.100.1"]),
            ("x-real-ip", &["198.51.100.1"]),
            ("client-cert", &[]),
            ("x-forwarded-client-cert", &[]),
        ],
    );
    let headers = &[("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "a/b")];
    check(
        &Asked { headers, peer: peer("10.0.0.2", true), ..Asked::default() },
        &[("x-forwarded-proto", &["http"]), ("x-forwarded-host", &["api.example"])],
    );
}

#[test]
fn the_request_id_is_the_gateways_and_a_trace_state_goes_with_its_trace() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let with = |headers| Asked { headers, ..Asked::default() };
    check(
        &with(&[("X-Request-Id", "theirs"), ("X-Request-Id", "twice"), ("tracestate", "a=b")]),
        &[("x-request-id", &["r-1"]), ("tracestate", &[])],
    );
    let headers = Box::leak(Box::new([("traceparent", trace), ("tracestate", "a=b")]));
    check(&with(headers), &[("tracestate", &["a=b"])]);
}

/// Headers of every fate, and values that matter to it.
const NAMES: [&str; 40] = [
    "Accept",
    "ACCEPT",
    "Authorization",
    "Client-Cert",
    "Connection",
    "Content_Length",
    "Cookie",
    "DPoP",
    "Forwarded",
    "HTTP2-Settings",
    "Keep-Alive",
    "Proxy",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "True-Client-IP",
    "Upgrade",
    "Via",
    "X.Account-Id",
    "X-Account-Id",
    "x-account-id",
    "X-Auth-Account",
    "X-Auth-Client",
    "X-Auth-Scopes",
    "X-Auth-Subject",
    "X_Auth_Subject",
    "X-Custom",
    "x-custom",
    "X-Envoy-External-Address",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-HTTP-Method-Override",
    "X-Original-URL",
    "X-Request-Id",
    "traceparent",
    "tracestate",
];
const VALUES: [&str; 6] =
    ["1", "close", "Keep-Alive", "https", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "acme"];

proptest! {
    #[test]
    fn both_ways_of_writing_a_request_agree(
        headers in proptest::collection::vec((0..NAMES.len(), 0..VALUES.len()), 0..12),
        target in prop::sample::select(&["/plain", "/a/acme/x", "/a/acme/%78?b=c", "/public"][..]),
        trusted: bool,
        forward_authorization: bool,
        account_in_header: bool,
    ) {
        let headers: Vec<_> = headers.into_iter().map(|(name, value)| (NAMES[name], VALUES[value])).collect();
        let source = if account_in_header {
            AccountSource::Header(HeaderName::from_static("x-account-id"))
        } else {
            AccountSource::Query("accountId".into())
        };
        let peer = peer("192.0.2.7", trusted);
        let asked = Asked { target, headers: headers.leak(), source, peer, forward_authorization, ..Asked::default() };
        // They agree, or the request is refused before it is written.
        let _ = try_forwarded(&asked);
    }
}
