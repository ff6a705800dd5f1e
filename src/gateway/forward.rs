//! A permit becomes an upstream request: what was judged, cleaned, and told whose it is.
//!
//! Where the request goes is `upstream`'s, what never passes is `hygiene`'s. `Connection`, `Upgrade`
//! and the framing are pingora's, which passes `WebSocket` upgrades on and no others.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use pingora::http::RequestHeader;

use super::hygiene::Hygiene;
use super::inbound::{self, Peer, X_FORWARDED_HOST};
use super::trace::{self, REQUEST_ID, TRACEPARENT, TRACESTATE};
use crate::config::{IdentityHeaders, Settings};
use crate::issuer::IdentityValues;
use crate::policy::{ApiId, Basis, Denial, HeaderFault, Injection, Permit, Policy, Target, UpstreamId};

/// What one policy has written into upstream requests.
#[derive(Debug)]
pub(super) struct Outbound {
    hygiene: Hygiene,
    identity: IdentityNames,
    /// By the api's place.
    forward_authorization: Box<[bool]>,
}

/// What a permit lets through. There is none without a permit, and nothing is sent without it.
#[derive(Debug)]
pub(super) struct Forward {
    api: ApiId,
    upstream: UpstreamId,
    /// Where it is not the one that came.
    target: Option<Vec<u8>>,
    /// The account header that is written in.
    injected: Option<(HeaderName, HeaderValue)>,
    /// The account that the upstream is told.
    account: Option<HeaderValue>,
}

/// What a request is sent with beside its permit.
pub(super) struct Sending<'a> {
    /// Who is calling; nobody on a public service.
    pub(super) identity: Option<&'a IdentityValues>,
    pub(super) peer: Peer,
    pub(super) request_id: &'a HeaderValue,
}

/// Names as they are written, so that none is made a request.
#[derive(Debug)]
struct IdentityNames {
    subject: Option<Bytes>,
    client: Option<Bytes>,
    account: Option<Bytes>,
    scopes: Option<Bytes>,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const DPOP: HeaderName = HeaderName::from_static("dpop");

impl Outbound {
    pub(super) fn new(settings: &Settings, policy: &Policy) -> Self {
        Self {
            hygiene: Hygiene::new(&settings.identity_headers, policy),
            identity: IdentityNames::new(&settings.identity_headers),
            forward_authorization: settings.forward_authorization.clone().into(),
        }
    }

    /// Makes of the request that came the one that the permit lets through.
    pub(super) fn write(
        &self,
        forward: &Forward,
        sending: &Sending<'_>,
        request: &mut RequestHeader,
    ) -> pingora::Result<()> {
        self.hygiene.clean(request, sending.peer.trusted);
        if let Some(target) = &forward.target {
            request.set_raw_path(target)?;
        }
        if !self.forward_authorization.get(forward.api.0 as usize).is_some_and(|forward| *forward) {
            request.remove_header(&AUTHORIZATION);
            request.remove_header(&DPOP);
        }
        if let Some((name, value)) = &forward.injected {
            request.insert_header(name, value.clone())?;
        }
        self.identity.write(sending.identity, forward.account.as_ref(), request)?;
        write_trace(sending.request_id, request)?;
        write_forwarded(sending.peer, request)
    }

    /// Whether the upstream is told the account in a header.
    pub(super) fn tells_account(&self) -> bool {
        self.identity.account.is_some()
    }
}

impl Forward {
    /// # Errors
    /// If the account cannot be written so that the upstream reads it as it was judged.
    pub(super) fn new(
        permit: &Permit<'_>,
        target: &Target<'_>,
        policy: &Policy,
        outbound: &Outbound,
        identity: Option<&IdentityValues>,
    ) -> Result<Self, Denial> {
        let api = permit.api();
        // INVARIANT: a permit's api is one of the policy that made it.
        let upstream = policy.api(api).ok_or(Denial::RouteUnknown)?.upstream;
        let account = account(permit, identity);
        if outbound.tells_account() && account.as_ref().is_some_and(is_trimmed) {
            return Err(HeaderFault::AccountUnreadable.into());
        }
        let (query, injected) = match permit.injection() {
            None => (None, None),
            Some(Injection::Query(name, account)) => (Some((&**name, account.as_str())), None),
            Some(Injection::Header(name, account)) => (None, Some((name.clone(), header_account(account.as_str())?))),
        };
        Ok(Self { api, upstream, target: rewritten(target, query), injected, account })
    }

    /// The account that the request touches, or the caller's single own one.
    pub(super) fn account(&self) -> Option<&HeaderValue> {
        self.account.as_ref()
    }

    /// Where it goes.
    pub(super) fn upstream(&self) -> UpstreamId {
        self.upstream
    }
}

/// The account that the request touches, or the caller's single own one where it names none.
fn account(permit: &Permit<'_>, own: Option<&IdentityValues>) -> Option<HeaderValue> {
    let own = own.and_then(|own| own.account.as_ref());
    match (permit.account(), permit.basis()) {
        (Some(named), Basis::Public | Basis::Scope(_)) => {
            let named = named.text();
            match own.filter(|own| own.as_bytes() == named.as_bytes()) {
                Some(own) => Some(own.clone()),
                None => HeaderValue::from_bytes(named.as_bytes()).ok(),
            }
        }
        (None, Basis::Scope(_)) => own.cloned(),
        (None, Basis::Public) => None,
    }
}

/// Whether a header with it would be read without the spaces around it.
fn is_trimmed(value: &HeaderValue) -> bool {
    value.as_bytes().trim_ascii().len() != value.len()
}

/// An account as an account header's value, which has no comma (RFC 9110 section 5.3).
fn header_account(account: &str) -> Result<HeaderValue, HeaderFault> {
    match HeaderValue::from_bytes(account.as_bytes()) {
        Ok(value) if !is_trimmed(&value) && !account.contains(',') => Ok(value),
        Ok(_) | Err(_) => Err(HeaderFault::AccountUnreadable),
    }
}

/// The target with a parameter more, or as judged where that is not what came.
fn rewritten(target: &Target<'_>, parameter: Option<(&str, &str)>) -> Option<Vec<u8>> {
    if parameter.is_none() && !target.is_rewritten() {
        return None;
    }
    let mut text = String::with_capacity(target.path().len() + 128);
    text.push_str(target.path());
    if let Some(query) = target.query() {
        text.push('?');
        text.push_str(query);
    }
    if let Some((name, value)) = parameter {
        text.push(match target.query() {
            None => '?',
            Some(_) => '&',
        });
        encode(name, &mut text);
        text.push('=');
        encode(value, &mut text);
    }
    Some(text.into_bytes())
}

/// RFC 3986 section 2: all but unreserved characters as `%XX`.
fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            to.push(char::from(byte));
        } else {
            // It cannot fail: it is a string that grows.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

impl IdentityNames {
    fn new(names: &IdentityHeaders) -> Self {
        let title = |name: &Option<HeaderName>| name.as_ref().map(titled);
        Self {
            subject: title(&names.subject),
            client: title(&names.client),
            account: title(&names.account),
            scopes: title(&names.scopes),
        }
    }

    fn write(
        &self,
        values: Option<&IdentityValues>,
        account: Option<&HeaderValue>,
        request: &mut RequestHeader,
    ) -> pingora::Result<()> {
        for (name, value) in [
            (&self.subject, values.and_then(|values| values.subject.as_ref())),
            (&self.client, values.and_then(|values| values.client.as_ref())),
            (&self.scopes, values.and_then(|values| values.scopes.as_ref())),
            (&self.account, account),
        ] {
            if let (Some(name), Some(value)) = (name, value) {
                request.insert_header(name.clone(), value.clone())?;
            }
        }
        Ok(())
    }
}

/// `X-Auth-Subject` for `x-auth-subject`: some servers' code expects it so.
fn titled(name: &HeaderName) -> Bytes {
    let mut upper = true;
    let letter = |byte: u8| {
        let written = if upper { byte.to_ascii_uppercase() } else { byte };
        upper = byte == b'-';
        written
    };
    name.as_str().bytes().map(letter).collect::<Vec<_>>().into()
}

fn write_trace(request_id: &HeaderValue, request: &mut RequestHeader) -> pingora::Result<()> {
    let (parent, taken_over) = trace::traceparent(&request.headers);
    if !taken_over {
        request.remove_header(&TRACESTATE);
    }
    request.insert_header(TRACEPARENT, parent)?;
    request.remove_header(&REQUEST_ID);
    request.insert_header("X-Request-Id", request_id.clone())
}

/// Where the request comes from, by the connection or as a trusted proxy has it.
fn write_forwarded(peer: Peer, request: &mut RequestHeader) -> pingora::Result<()> {
    let mut chain = String::with_capacity(48);
    for earlier in request.headers.get_all(&X_FORWARDED_FOR) {
        // Only a trusted proxy's is still there.
        chain.push_str(earlier.to_str().unwrap_or("unknown"));
        chain.push_str(", ");
    }
    // It cannot fail: it is a string that grows.
    let _ = match peer.address {
        Some(address) => write!(chain, "{address}"),
        None => write!(chain, "unknown"),
    };
    let scheme = inbound::scheme(&request.headers, peer);
    let host = inbound::told_host(&request.headers, peer).or_else(|| request.headers.get(HOST)).cloned();
    request.insert_header("X-Forwarded-For", chain)?;
    request.insert_header("X-Forwarded-Proto", HeaderValue::from_static(scheme))?;
    request.remove_header(&X_FORWARDED_HOST);
    match host {
        Some(host) => request.insert_header("X-Forwarded-Host", host),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::policy::{
        Account, AccountSource, AccountWhenAbsent, ApiName, ApiSpec, BasePath, Binding, Caller, Identity,
        InsufficientScopeStatus, Marks, MethodSet, PolicySpec, Reach, Request, ScopeName, ScopeSpec, Service, UnixTime,
    };

    const STRANGER: Peer = Peer { address: None, trusted: false };

    fn peer(address: &str, trusted: bool) -> Peer {
        Peer { address: Some(address.parse().unwrap()), trusted }
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
        let names = IdentityHeaders {
            subject: name("x-auth-subject"),
            client: name("x-auth-client"),
            account: name("x-auth-account"),
            scopes: name("x-auth-scopes"),
        };
        Outbound {
            hygiene: Hygiene::new(&names, policy),
            identity: IdentityNames::new(&names),
            forward_authorization: [forward_authorization].into(),
        }
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
        let route = policy.find(asking).unwrap();
        let standing = policy.standing(&caller(asked.own));
        let permit = policy.decide(&route, Identity::Known { standing: &standing, certificate: None }).unwrap();
        let values = identity(asked.own);
        let identity = (permit.basis() != Basis::Public).then_some(&values);
        let forward = Forward::new(&permit, &target, &policy, &outbound, identity)?;
        assert_eq!(forward.upstream(), UpstreamId(3));
        let id = HeaderValue::from_static("r-1");
        outbound.write(&forward, &Sending { identity, peer: asked.peer, request_id: &id }, &mut request).unwrap();
        Ok(request)
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
}
