//! How an answer of the gateway's own is written: a head, and an RFC 9457 problem as its body.
//!
//! Which answer a request gets is `answer`'s, `failure`'s and `metadata`'s.

use std::fmt::Display;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use pingora::http::ResponseHeader;
use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use super::challenge::ChallengeValues;
use super::grpc::GRPC;
use super::trace::REQUEST_ID;

/// A whole answer of the gateway's own.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: SmallVec<[(HeaderName, HeaderValue); 8]>,
    pub(super) body: Bytes,
}

/// An answer that lacks nothing but the id of the request that gets it.
#[derive(Debug)]
pub(super) struct Rendered {
    status: StatusCode,
    headers: SmallVec<[(HeaderName, HeaderValue); 8]>,
    /// The body before the request's id, and after it.
    body: [Box<[u8]>; 2],
}

/// A problem, before it is written.
#[derive(Debug)]
pub(super) struct Problem<'p> {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) detail: String,
    /// For what lacks a scope; empty where none may be named.
    pub(super) scopes: Option<ScopeNames<'p>>,
    pub(super) challenges: ChallengeValues,
    pub(super) header: Option<(HeaderName, HeaderValue)>,
}

/// The scopes that a client is told of.
pub(super) type ScopeNames<'p> = SmallVec<[&'p str; 8]>;

/// After how many seconds it is worth another try, where something is missing that may soon be there.
pub(super) const SOON: HeaderValue = HeaderValue::from_static("1");

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// RFC 9457 section 3.1, with this gateway's extensions from `reason` on, but for those at its end.
#[derive(Serialize)]
struct Body<'a> {
    r#type: Type,
    title: &'static str,
    status: u16,
    detail: &'a str,
    reason: &'static str,
}

/// `urn:scopegate:` and the reason.
struct Type(&'static str);

impl Answer {
    /// Its head as pingora writes it.
    ///
    /// # Errors
    /// If pingora refuses a header, which it does not with those that are written here.
    pub(super) fn head(&self) -> pingora::Result<ResponseHeader> {
        // Without a second map for the letter case of names.
        let mut head = ResponseHeader::build_no_case(self.status, Some(self.headers.len() + 3))?;
        for (name, value) in &self.headers {
            head.append_header(name, value.clone())?;
        }
        // A `204` has no length (RFC 9110 section 8.6), and neither have trailers alone.
        if self.status != StatusCode::NO_CONTENT && !self.is_trailers_only() {
            head.set_content_length(self.body.len())?;
        }
        Ok(head)
    }
}

impl Answer {
    /// Whether it has no body whatever was asked, as gRPC's refusals.
    pub(super) fn is_trailers_only(&self) -> bool {
        matches!(self.headers.first(), Some((CONTENT_TYPE, value)) if *value == GRPC)
    }

    /// The answer as HTTP/1.1 writes it, where nothing follows on its connection.
    pub(super) fn last_of_http1(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {}\r\n", self.status).into_bytes();
        let length = HeaderValue::from(self.body.len());
        let last = [(CONTENT_LENGTH, length), (CONNECTION, HeaderValue::from_static("close"))];
        for (name, value) in self.headers.iter().chain(&last) {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(&self.body);
        text
    }
}

impl Problem<'_> {
    pub(super) fn new(status: StatusCode, title: &'static str, detail: impl Display) -> Self {
        Self {
            status,
            title,
            detail: detail.to_string(),
            scopes: None,
            challenges: ChallengeValues::new(),
            header: None,
        }
    }

    /// With one header more.
    pub(super) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// The answer, under the reason's code.
    pub(super) fn answer(self, reason: &'static str, request_id: &HeaderValue) -> Answer {
        self.render(reason).answer(request_id)
    }

    /// The answer to any request.
    pub(super) fn render(self, reason: &'static str) -> Rendered {
        let body = Body {
            r#type: Type(reason),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            reason,
        };
        // It cannot fail: texts and numbers are written to memory.
        let mut before = serde_json::to_vec(&body).unwrap_or_default();
        // The end of the object.
        before.pop();
        before.extend_from_slice(br#","request_id":""#);
        let mut after = vec![b'"'];
        if let Some(scopes) = &self.scopes {
            after.extend_from_slice(br#","required_scopes":"#);
            let _ = serde_json::to_writer(&mut after, &scopes[..]);
        }
        after.push(b'}');
        let challenges = self.challenges.into_iter().map(|challenge| (WWW_AUTHENTICATE, challenge));
        let fixed = [(CONTENT_TYPE, PROBLEM), (CACHE_CONTROL, NO_STORE)];
        let headers = fixed.into_iter().chain(challenges).chain(self.header).collect();
        Rendered { status: self.status, headers, body: [before.into(), after.into()] }
    }
}

impl Rendered {
    /// The answer to the request of this id.
    pub(super) fn answer(&self, request_id: &HeaderValue) -> Answer {
        let mut headers = self.headers.clone();
        headers.push((REQUEST_ID, request_id.clone()));
        let [before, after] = &self.body;
        // INVARIANT: an id is made of letters, digits, `.`, `_` and `-`.
        Answer { status: self.status, headers, body: [before, request_id.as_bytes(), after].concat().into() }
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("urn:scopegate:{}", self.0))
    }
}
