//! Answers to questions that are asked in headers: what each kind of plane does with them.
//!
//! nginx forwards no answer but 401 and 403 and none of their bodies; Envoy takes a 5xx for a failure of
//! the authorizer, upon which it may let the request pass. Both get another status then, and the one that
//! the client is to get in a header.

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};

use super::edits::Edits;
use crate::config::{Authorizer, Plane};
use crate::gateway::problem::Answer;

const STATUS: HeaderName = HeaderName::from_static("x-scopegate-status");
const PROBLEM: HeaderName = HeaderName::from_static("x-scopegate-problem");
const TARGET: HeaderName = HeaderName::from_static("x-scopegate-target");
const REMOVED: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// That the request may pass, so edited; `target` is the one that came.
pub(super) fn allowed(authorizer: &Authorizer, edits: Edits, target: &[u8]) -> Answer {
    let mut answer = Answer { status: StatusCode::OK, headers: edits.set.into_iter().collect(), body: Bytes::new() };
    match authorizer.plane {
        Plane::EnvoyHttp | Plane::EnvoyGrpc => {
            let names: Vec<_> = edits.removed.iter().map(HeaderName::as_str).collect();
            answer.headers.extend(HeaderValue::from_str(&names.join(",")).ok().map(|names| (REMOVED, names)));
        }
        Plane::Nginx | Plane::Traefik | Plane::Caddy => answer.headers.extend(edits.kept),
    }
    if authorizer.applies_target {
        let target = HeaderValue::from_bytes(edits.target.as_deref().unwrap_or(target));
        answer.headers.extend(target.ok().map(|target| (TARGET, target)));
    }
    answer
}

/// A refusal, so that the plane passes it on.
pub(super) fn denied(plane: Plane, answer: Answer) -> Answer {
    match plane {
        Plane::Nginx => in_headers(answer),
        Plane::EnvoyHttp if answer.status.is_server_error() || answer.status.is_success() => {
            under(answer, StatusCode::FAILED_DEPENDENCY)
        }
        Plane::Traefik | Plane::Caddy if answer.status.is_success() => under(answer, StatusCode::FORBIDDEN),
        Plane::Traefik | Plane::Caddy | Plane::EnvoyHttp | Plane::EnvoyGrpc => answer,
    }
}

/// The same, under a status that the plane takes for a refusal.
fn under(mut answer: Answer, status: StatusCode) -> Answer {
    answer.headers.push((STATUS, answer.status.as_u16().into()));
    Answer { status, ..answer }
}

/// The same, with its body in a header, and one line of challenges, the first of which alone nginx reads.
fn in_headers(answer: Answer) -> Answer {
    let challenges = answer.headers.iter().filter(|(name, _)| *name == WWW_AUTHENTICATE);
    let challenges = challenges.map(|(_, value)| value.as_bytes()).collect::<Vec<_>>().join(&b", "[..]);
    let mut answer = answer;
    answer.headers.retain(|(name, _)| *name != WWW_AUTHENTICATE);
    if !challenges.is_empty() {
        answer.headers.extend(HeaderValue::from_bytes(&challenges).ok().map(|all| (WWW_AUTHENTICATE, all)));
    }
    let status = match answer.status {
        StatusCode::UNAUTHORIZED => StatusCode::UNAUTHORIZED,
        _ => StatusCode::FORBIDDEN,
    };
    // INVARIANT: a problem is one line of ASCII.
    answer.headers.extend(HeaderValue::from_bytes(&answer.body).ok().map(|body| (PROBLEM, body)));
    answer.body = Bytes::new();
    under(answer, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Answer {
        let header =
            |name: &'static str, value: &'static str| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let headers = [header("www-authenticate", "A"), header("retry-after", "1"), header("www-authenticate", "B")];
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.into_iter().collect(),
            body: Bytes::from_static(b"{}"),
        }
    }

    fn all(answer: &Answer, name: &str) -> Vec<String> {
        let named = answer.headers.iter().filter(|(own, _)| own == name);
        named.map(|(_, value)| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn nginx_gets_a_status_that_it_knows_and_the_rest_in_headers() {
        for (status, given) in [(401, 401), (403, 403), (400, 403), (404, 403), (429, 403), (503, 403), (204, 403)] {
            let answer = denied(Plane::Nginx, answer(status));
            assert_eq!((answer.status.as_u16(), answer.body.len()), (given, 0));
            assert_eq!(all(&answer, "x-scopegate-status"), [status.to_string()]);
            assert_eq!(all(&answer, "x-scopegate-problem"), ["{}"]);
            assert_eq!(all(&answer, "www-authenticate"), ["A, B"]);
            assert_eq!(all(&answer, "retry-after"), ["1"]);
        }
    }

    #[test]
    fn no_refusal_is_a_success_or_a_failure_to_answer() {
        for plane in [Plane::Nginx, Plane::Traefik, Plane::Caddy, Plane::EnvoyHttp] {
            for status in [200, 204, 400, 401, 403, 404, 405, 413, 414, 429, 431, 503] {
                let answer = denied(plane, answer(status));
                assert!(!answer.status.is_success(), "{plane:?} {status}");
                assert!(plane != Plane::EnvoyHttp || !answer.status.is_server_error(), "{status}");
            }
        }
    }
}
