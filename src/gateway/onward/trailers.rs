//! What of a server's trailers is told on.

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, HeaderName,
    SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};

use crate::gateway::trace::REQUEST_ID;

/// Fields that frame, route, authenticate or say what the body is: they count in a head only (RFC 9110
/// section 6.5.1), and some client would take them for its own.
const NEVER: [HeaderName; 17] = [
    AUTHORIZATION,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HOST,
    REQUEST_ID,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    WWW_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-connection"),
];

/// The fields that a client may be told.
pub(super) fn clean(mut trailers: HeaderMap) -> HeaderMap {
    for name in &NEVER {
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
        let mut trailers: HeaderMap = NEVER.iter().map(|name| (name.clone(), HeaderValue::from_static("1"))).collect();
        trailers.append(SET_COOKIE, HeaderValue::from_static("2"));
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let clean = clean(trailers);
        assert_eq!(clean.keys().collect::<Vec<_>>(), ["grpc-status"]);
    }
}
