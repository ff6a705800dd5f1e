//! Which of a client's headers never reach an upstream.
//!
//! A name counts as one of ours also where anything but a letter or digit stands for `-`: gateway
//! interfaces write `_` the same, some of them every such character (`X~Auth~Subject`). What is
//! written instead is `outbound`'s.

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use smallvec::SmallVec;

use crate::config::IdentityHeaders;
use crate::policy::Policy;

/// What is taken off inbound requests, for one policy.
#[derive(Debug)]
pub(super) struct Hygiene {
    /// Identity headers, normalised: only the gateway writes them.
    identity: Box<[Box<str>]>,
    /// Account headers, as named and normalised: only the exact name passes.
    account: Box<[(HeaderName, Box<str>)]>,
}

/// Whether a header that a client sent may reach an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    /// From a trusted proxy only.
    FromTrusted,
    Never,
}

/// What servers take for an order to use another method or target than the judged one. Of those that
/// are about paths, `script-name` and its like say how much of the judged path is to be left out.
const OVERRIDES: [&str; 18] = [
    "path-info",
    "script-name",
    "x-accel-mapping",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-path",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-url",
    "x-script-name",
    "x-sendfile-type",
];

/// What speaks of the client's certificate; whoever ends TLS may tell the gateway, and no further.
const CERTIFICATES: [&str; 3] = ["client-cert", "client-cert-chain", "x-forwarded-client-cert"];

/// What speaks of the client's address or of who was logged in, beside what [`TOLD`] begins.
const TOLD_BY_NAME: [&str; 21] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "remote-user",
    "true-client-ip",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-original-for",
    "x-original-forwarded-for",
    "x-original-proto",
    "x-originating-ip",
    "x-real-ip",
    "x-webauth-user",
];

/// How the names begin under which proxies tell of the client and of who was logged in.
const TOLD: [&str; 8] = [
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-envoy-",
    "x-forwarded-",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-ms-client-principal",
    "x-remote-",
];

/// What the decision uses, the gateway writes or the framing hangs on: under its own name only.
const OWN: [&str; 15] = [
    "authorization",
    "dpop",
    "host",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "origin",
    "x-request-id",
    "traceparent",
    "tracestate",
    "http2-settings",
];

/// Of answers, beside what `Connection` names.
const HOP_BY_HOP: [&str; 3] = ["keep-alive", "proxy-connection", "te"];

impl Hygiene {
    pub(super) fn new(identity: &IdentityHeaders, policy: &Policy) -> Self {
        let names = [&identity.subject, &identity.client, &identity.account, &identity.scopes];
        Self {
            identity: names.into_iter().flatten().map(|name| normalised(name.as_str())).collect(),
            account: policy.account_headers().iter().map(|name| (name.clone(), normalised(name.as_str()))).collect(),
        }
    }

    /// Takes off what may not pass; what the gateway writes must be written after it.
    pub(super) fn clean(&self, request: &mut RequestHeader, trusted: bool) {
        let is_doomed = |name: &&HeaderName| !self.passes(name, trusted);
        let doomed: SmallVec<[HeaderName; 8]> = request.headers.keys().filter(is_doomed).cloned().collect();
        for name in doomed {
            request.remove_header(&name);
        }
    }

    /// Whether a header of that name passes.
    pub(super) fn passes(&self, name: &HeaderName, trusted: bool) -> bool {
        match self.fate(name) {
            Fate::Passes => true,
            Fate::FromTrusted => trusted,
            Fate::Never => false,
        }
    }

    fn fate(&self, name: &HeaderName) -> Fate {
        let text = name.as_str();
        if self.identity.iter().any(|own| is_alike(text, own)) {
            return Fate::Never;
        }
        if let Some((own, _)) = self.account.iter().find(|(_, alike)| is_alike(text, alike)) {
            return if own == name { Fate::Passes } else { Fate::Never };
        }
        if text.bytes().all(|byte| byte == dashed(byte)) {
            return fate_of(text);
        }
        let alike = normalised(text);
        if fate_of(&alike) != Fate::Passes || OWN.contains(&&*alike) || alike.starts_with("sec-fetch-") {
            Fate::Never
        } else {
            Fate::Passes
        }
    }
}

/// Takes hop-by-hop headers off an upstream's answer (RFC 9110 section 7.6.1); `Connection` itself is
/// pingora's to write.
pub(super) fn clean_response(response: &mut ResponseHeader) {
    let nominated: SmallVec<[HeaderName; 4]> = response
        .headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .filter(|name| ![UPGRADE, TRANSFER_ENCODING, CONTENT_LENGTH].contains(name))
        .collect();
    // An offer to change protocols would be the upstream's to its own client: this gateway.
    let upgrades = matches!(response.status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED);
    // One pass over the names is cheaper than to look for each that is not there.
    let is_doomed = |name: &&HeaderName| HOP_BY_HOP.contains(&name.as_str()) || (**name == UPGRADE && !upgrades);
    let doomed: SmallVec<[HeaderName; 4]> = response.headers.keys().filter(is_doomed).cloned().collect();
    for name in nominated.iter().chain(&doomed) {
        response.remove_header(name);
    }
}

/// Whether an upstream that switches protocols does so to the one that it was asked for.
pub(super) fn is_to_websocket(response: &ResponseHeader) -> bool {
    let mut protocols = response.headers.get_all(UPGRADE).iter();
    let is_one = protocols.next().is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
    // Of another version pingora would tell it, and not pass on what comes then.
    is_one && protocols.next().is_none() && response.version == Version::HTTP_11
}

/// Whether a header of this name tells of a client's certificate.
pub(super) fn is_certificate(name: &HeaderName) -> bool {
    CERTIFICATES.contains(&name.as_str())
}

/// Of a normalised name.
fn fate_of(name: &str) -> Fate {
    match name.as_bytes().first() {
        Some(b'p') if name == "proxy" || name.starts_with("proxy-") => Fate::Never,
        Some(b'p' | b's' | b'x') if OVERRIDES.contains(&name) => Fate::Never,
        Some(b'c' | b'x') if CERTIFICATES.contains(&name) => Fate::Never,
        Some(b'x') if TOLD.iter().any(|start| name.starts_with(start)) => Fate::FromTrusted,
        Some(b'c' | b'f' | b'r' | b't' | b'x') if TOLD_BY_NAME.contains(&name) => Fate::FromTrusted,
        Some(_) | None => Fate::Passes,
    }
}

fn normalised(name: &str) -> Box<str> {
    name.bytes().map(|byte| char::from(dashed(byte))).collect::<String>().into()
}

/// Whether some server could read `name` as the normalised `own`.
fn is_alike(name: &str, own: &str) -> bool {
    name.len() == own.len() && name.bytes().map(dashed).eq(own.bytes())
}

/// What a byte of a name is normalised to; names are in lower case already.
fn dashed(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte } else { b'-' }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicySpec;

    fn hygiene() -> Hygiene {
        let identity = IdentityHeaders {
            subject: Some(HeaderName::from_static("x-auth-subject")),
            client: Some(HeaderName::from_static("x_auth_client")),
            account: None,
            scopes: None,
        };
        let mut hygiene = Hygiene::new(&identity, &Policy::compile(PolicySpec::default()).unwrap());
        let account = HeaderName::from_static("x-account.id");
        hygiene.account = [(account.clone(), normalised(account.as_str()))].into();
        hygiene
    }

    #[track_caller]
    fn check(name: &str, trusted: bool, passes: bool) {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.append_header(name.to_owned(), "1").unwrap();
        request.append_header(name.to_owned(), "2").unwrap();
        hygiene().clean(&mut request, trusted);
        assert_eq!(request.headers.contains_key(name), passes, "{name} from a trusted peer: {trusted}");
        let mut wire = Vec::new();
        request.header_to_h1_wire(&mut wire);
        assert_eq!(!wire.is_empty(), passes, "{name}");
    }

    #[test]
    fn headers_of_the_client_s_own_pass() {
        for name in ["Accept", "Cookie", "api_key", "X.Y", "Authorization", "DPoP", "X-Account.Id", "X-Auth-Other"] {
            check(name, false, true);
            check(name, true, true);
        }
    }

    #[test]
    fn what_could_be_read_as_ours_never_passes() {
        for name in [
            "X-Auth-Subject",
            "x-auth-subject",
            "X_Auth_Subject",
            "X.AUTH-Subject",
            "X-Auth-Client",
            "x_auth_client",
            "X-Account-Id",
            "x_account_id",
            "Transfer_Encoding",
            "Content_Length",
            "X~Auth~Subject",
            "x!auth-subject",
            "X|Account$Id",
            "Content*Length",
        ] {
            check(name, false, false);
            check(name, true, false);
        }
    }

    #[test]
    fn overrides_certificates_and_proxy_headers_never_pass() {
        for name in [
            "X-HTTP-Method-Override",
            "X-Method-Override",
            "X_HTTP_Method",
            "X-Original-URL",
            "X-Rewrite-URL",
            "Client-Cert",
            "Client-Cert-Chain",
            "X-Forwarded-Client-Cert",
            "Client_Cert",
            "Proxy",
            "Proxy-Anything",
            "SCRIPT_NAME",
            "Script-Name",
            "X-Script-Name",
            "PATH_INFO",
            "X-Override-URL",
            "X-HTTP-DestinationURL",
            "X-Accel-Mapping",
            "X~HTTP~Method~Override",
            "X_Forwarded_For",
            "X_Request_Id",
            "Sec_Fetch_Mode",
        ] {
            check(name, false, false);
            check(name, true, false);
        }
    }

    #[test]
    fn hop_by_hop_headers_of_an_answer_do_not_pass() {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in [
            ("Connection", "close, X-Hop, content-length"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Upgrade", "h2c"),
            ("Content-Length", "5"),
            ("Set-Cookie", "a=b"),
        ] {
            response.append_header(name, value).unwrap();
        }
        clean_response(&mut response);
        let mut left: Vec<_> = response.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["connection", "content-length", "set-cookie"]);
        let mut switched = ResponseHeader::build(101, None).unwrap();
        switched.append_header("Upgrade", "websocket").unwrap();
        clean_response(&mut switched);
        assert!(switched.headers.contains_key(UPGRADE));
    }

    #[test]
    fn forwarding_headers_pass_from_trusted_proxies_only() {
        for name in [
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Prefix",
            "X-Forwarded",
            "X-Real-IP",
            "True-Client-IP",
            "Client-IP",
            "Remote-User",
            "X-Remote-User",
            "X-Auth-Request-Email",
            "X-MS-Client-Principal-Id",
            "X-Envoy-External-Address",
        ] {
            check(name, false, false);
            check(name, true, true);
        }
    }
}
