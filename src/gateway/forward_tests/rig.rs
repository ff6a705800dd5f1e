//! A policy, a caller and a request, written in every way.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use http::uri::Scheme;
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::client::http_req_header_to_wire;

use crate::config::{IdentityHeaders, Settings};
use crate::gateway::forward::Forward;
use crate::gateway::head::is_usual;
use crate::gateway::inbound::Peer;
use crate::gateway::onward::head as onward_head;
use crate::gateway::outbound::{Outbound, Sending};
use crate::issuer::IdentityValues;
use crate::policy::{
    Account, AccountSource, AccountWhenAbsent, ApiName, ApiSpec, BasePath, Basis, Caller, Denial, Identity, MethodSet,
    Policy, PolicySpec, Reach, Request, ScopeName, ScopeSpec, Service, Target, UnixTime, UpstreamId,
};

/// What is asked, and of what gateway.
pub(super) struct Asked {
    pub(super) target: &'static str,
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) own: &'static str,
    pub(super) source: AccountSource,
    pub(super) reach: Reach,
    pub(super) peer: Peer,
    pub(super) forward_authorization: bool,
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

pub(super) fn peer(address: &str, trusted: bool) -> Peer {
    Peer { address: Some(address.parse().unwrap()), trusted, tls: false, local: None }
}

/// The upstream request that a permitted one becomes.
pub(super) fn forwarded(asked: &Asked) -> Result<RequestHeader, Denial> {
    try_forwarded(asked).expect("a permit")
}

/// The same; `None` for a request that is not permitted.
pub(super) fn try_forwarded(asked: &Asked) -> Option<Result<RequestHeader, Denial>> {
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

fn policy(source: AccountSource, reach: Reach) -> Policy {
    let service = |text: &str| Service::parse(text).unwrap();
    let scope = ScopeSpec {
        services: vec![service("GET /a/{account}/**"), service("GET /plain")],
        ..ScopeSpec::new(ScopeName::parse("read").unwrap(), reach)
    };
    let api = ApiSpec {
        account: vec![AccountSource::Path("account".into()), source],
        account_when_absent: AccountWhenAbsent::Inject,
        public: vec![service("GET /public")],
        scopes: vec![scope],
        ..ApiSpec::new(ApiName::parse("api").unwrap(), BasePath::default(), UpstreamId(3))
    };
    Policy::compile(PolicySpec { apis: vec![api], ..PolicySpec::default() }).unwrap()
}

fn caller(account: &str) -> Caller {
    Caller {
        subject: Some("sub".into()),
        client: Some("app".into()),
        accounts: [Account::parse(account).unwrap()].into(),
        scopes: ["read".into()].into(),
        expires_at: UnixTime(9),
        ..Caller::supposed("https://i")
    }
}

fn identity(account: &str) -> IdentityValues {
    let value = |text: &str| Some(HeaderValue::from_bytes(text.as_bytes()).unwrap());
    IdentityValues { subject: value("sub"), client: value("app"), scopes: value("read"), account: value(account) }
}

fn outbound(forward_authorization: bool, policy: &Policy) -> Outbound {
    let name = |text: &'static str| Some(HeaderName::from_static(text));
    let settings = Settings {
        identity_headers: IdentityHeaders {
            subject: name("x-auth-subject"),
            client: name("x-auth-client"),
            account: name("x-auth-account"),
            scopes: name("x-auth-scopes"),
        },
        forward_authorization: vec![forward_authorization],
        ..Settings::bare()
    };
    Outbound::new(&settings, policy)
}
