//! How a refused request for a token is answered: RFC 6749 section 5.2, by one exhaustive match.
//!
//! Whether a scope is not defined or is beyond a client's ceiling is told alike, so that nobody learns
//! here which scopes there are. Of what a client sent, the names of those scopes are repeated.

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, PRAGMA, WWW_AUTHENTICATE};
use serde::Serialize;

use super::problem::Answer;
use super::trace::REQUEST_ID;
use crate::policy::{FormFault, TokenRequestFault};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"scopegate\", charset=\"UTF-8\"");

#[derive(Serialize)]
struct Body<'a> {
    error: &'static str,
    /// INVARIANT: without `"` and `\`, as the RFC has it.
    error_description: &'a str,
}

/// The answer to a request for a token that goes no further.
pub(super) fn refuse(fault: &TokenRequestFault, request_id: &HeaderValue) -> Answer {
    let (status, error, description) = match fault {
        TokenRequestFault::Header(fault) => (StatusCode::BAD_REQUEST, "invalid_request", fault.to_string()),
        TokenRequestFault::Form(fault) => (form_status(*fault), "invalid_request", fault.to_string()),
        TokenRequestFault::ClientMissing => invalid_client("the request names no client that can be read"),
        TokenRequestFault::ClientUnknown => invalid_client("the client is not registered here"),
        TokenRequestFault::CertificateMismatch => {
            invalid_client("the client's registered certificate was not presented")
        }
        TokenRequestFault::ScopeMalformed => invalid_scope("the scope parameter cannot be read"),
        TokenRequestFault::ScopeUndefined { refused } | TokenRequestFault::ScopeBeyond { refused } => {
            invalid_scope(&format!("the client may not ask for {}", refused.join(" ")))
        }
    };
    let body = Body { error, error_description: &description };
    // INVARIANT: texts can always be written as JSON.
    let body = serde_json::to_vec(&body).unwrap_or_default().into();
    let challenge = (status == StatusCode::UNAUTHORIZED).then_some((WWW_AUTHENTICATE, BASIC));
    let headers: [(HeaderName, HeaderValue); 4] =
        [(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_STORE), (PRAGMA, NO_CACHE), (REQUEST_ID, request_id.clone())];
    Answer { status, headers: headers.into_iter().chain(challenge).collect(), body }
}

/// 401 whichever way the client tried: an answer of that status has a challenge, and `Basic` is what
/// every provider takes.
fn invalid_client(description: &str) -> (StatusCode, &'static str, String) {
    (StatusCode::UNAUTHORIZED, "invalid_client", description.to_owned())
}

fn invalid_scope(description: &str) -> (StatusCode, &'static str, String) {
    (StatusCode::BAD_REQUEST, "invalid_scope", description.to_owned())
}

fn form_status(fault: FormFault) -> StatusCode {
    match fault {
        FormFault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FormFault::TooSlow => StatusCode::REQUEST_TIMEOUT,
        FormFault::Broken
        | FormFault::MediaType
        | FormFault::Compressed
        | FormFault::BrokenEscape
        | FormFault::NotText
        | FormFault::TooManyParameters
        | FormFault::Missing
        | FormFault::Repeated
        | FormFault::Name
        | FormFault::Spelling
        | FormFault::InUrl
        | FormFault::NotShown
        | FormFault::SeveralClients => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::policy::HeaderFault;

    #[track_caller]
    fn check(fault: &TokenRequestFault, status: u16, error: &str) {
        let answer = refuse(fault, &HeaderValue::from_static("r-1"));
        assert_eq!(answer.status.as_u16(), status, "{fault:?}");
        let header = |name: HeaderName| answer.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| value);
        assert_eq!(header(CONTENT_TYPE), Some(&JSON));
        assert_eq!((header(CACHE_CONTROL), header(PRAGMA)), (Some(&NO_STORE), Some(&NO_CACHE)));
        assert_eq!(header(WWW_AUTHENTICATE).is_some(), status == 401, "{fault:?}");
        assert_eq!(header(REQUEST_ID).unwrap(), "r-1");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["error"], error, "{fault:?}");
        // RFC 6749 section 5.2.
        let is_allowed = |c: char| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~');
        let description = body["error_description"].as_str().unwrap();
        assert!(!description.is_empty() && description.chars().all(is_allowed), "{description}");
    }

    #[test]
    fn every_fault_has_its_rfc_6749_error() {
        let refused: Box<[Box<str>]> = ["a".into(), "b:c".into()].into();
        for (fault, status, error) in [
            (TokenRequestFault::Header(HeaderFault::SeveralAuthorizations), 400, "invalid_request"),
            (TokenRequestFault::ClientMissing, 401, "invalid_client"),
            (TokenRequestFault::ClientUnknown, 401, "invalid_client"),
            (TokenRequestFault::CertificateMismatch, 401, "invalid_client"),
            (TokenRequestFault::ScopeMalformed, 400, "invalid_scope"),
            (TokenRequestFault::ScopeUndefined { refused: refused.clone() }, 400, "invalid_scope"),
            (TokenRequestFault::ScopeBeyond { refused }, 400, "invalid_scope"),
        ] {
            check(&fault, status, error);
        }
        for fault in [
            FormFault::Broken,
            FormFault::MediaType,
            FormFault::Compressed,
            FormFault::BrokenEscape,
            FormFault::NotText,
            FormFault::TooManyParameters,
            FormFault::Repeated,
            FormFault::Name,
            FormFault::Spelling,
            FormFault::InUrl,
            FormFault::SeveralClients,
        ] {
            check(&fault.into(), 400, "invalid_request");
        }
        check(&FormFault::TooLarge.into(), 413, "invalid_request");
        check(&FormFault::TooSlow.into(), 408, "invalid_request");
    }

    #[test]
    fn a_hidden_scope_is_refused_as_one_that_is_not_there() {
        let refused = || -> Box<[Box<str>]> { ["x".into()].into() };
        let id = HeaderValue::from_static("r-1");
        let undefined = refuse(&TokenRequestFault::ScopeUndefined { refused: refused() }, &id);
        let beyond = refuse(&TokenRequestFault::ScopeBeyond { refused: refused() }, &id);
        assert_eq!((undefined.status, undefined.body), (beyond.status, beyond.body));
    }
}
