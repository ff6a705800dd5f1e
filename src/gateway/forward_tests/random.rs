//! Headers of every fate at random: whatever comes, all ways of writing a request say the same.

use http::header::HeaderName;
use proptest::prelude::*;

use super::rig::{Asked, peer, try_forwarded};
use crate::policy::AccountSource;

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
    fn all_ways_of_writing_a_request_agree(
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
