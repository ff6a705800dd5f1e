//! What of a server's trailers is told on.

use http::HeaderMap;
use http::header::HeaderName;

/// Fields that frame, route, authenticate, steer whoever gets the answer or say what the body is: they count in a
/// head only (RFC 9110 section 6.5.1), and some client would take them for its own.
const NEVER: [&str; 34] = [
    "accept-ranges",
    "age",
    "authentication-info",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "date",
    "dpop-nonce",
    "expires",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
    "x-frame-options",
    "x-request-id",
];
/// What the gateway itself says of pages and of rate limits.
const NEVER_LIKE: [&str; 2] = ["access-control-", "ratelimit"];

/// The fields that a client may be told.
pub(super) fn clean(mut trailers: HeaderMap) -> HeaderMap {
    let is_doomed = |name: &&HeaderName| {
        let name = name.as_str();
        NEVER.contains(&name) || NEVER_LIKE.iter().any(|start| name.starts_with(start))
    };
    let doomed: Vec<_> = trailers.keys().filter(is_doomed).cloned().collect();
    for name in doomed {
        trailers.remove(name);
    }
    trailers
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_counts_in_a_head_only_is_taken_off() {
        let more = ["access-control-allow-origin", "ratelimit", "ratelimit-policy"];
        let names = NEVER.into_iter().chain(more).map(HeaderName::from_static);
        let mut trailers: HeaderMap = names.map(|name| (name, HeaderValue::from_static("1"))).collect();
        trailers.append("set-cookie", HeaderValue::from_static("2"));
        for kept in ["grpc-status", "digest", "x-rate"] {
            trailers.insert(kept, HeaderValue::from_static("0"));
        }
        let clean = clean(trailers);
        let mut names: Vec<_> = clean.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["digest", "grpc-status", "x-rate"]);
    }
}
