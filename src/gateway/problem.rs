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
use super::trace::REQUEST_ID;

/// A whole answer of the gateway's own.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: SmallVec<[(HeaderName, HeaderValue); 8]>,
    pub(super) body: Bytes,
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

/// RFC 9457 section 3.1, with this gateway's extensions from `reason` on.
#[derive(Serialize)]
struct Body<'a> {
    r#type: Type,
    title: &'static str,
    status: u16,
    detail: &'a str,
    reason: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_scopes: Option<&'a [&'a str]>,
}

/// `urn:scopegate:` and the reason.
struct Type(&'static str);

impl Answer {
    /// Its head as pingora writes it.
    ///
    /// # Errors
    /// If pingora refuses a header, which it does not with those that are written here.
    pub(super) fn head(&self) -> pingora::Result<ResponseHeader> {
        let mut head = ResponseHeader::build(self.status, Some(self.headers.len() + 3))?;
        for (name, value) in &self.headers {
            head.append_header(name, value.clone())?;
        }
        head.set_content_length(self.body.len())?;
        Ok(head)
    }
}

impl Answer {
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
        let body = Body {
            r#type: Type(reason),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            reason,
            // INVARIANT: an id is made of letters, digits, `.`, `_` and `-`.
            request_id: request_id.to_str().unwrap_or_default(),
            required_scopes: self.scopes.as_deref(),
        };
        let mut text = Vec::with_capacity(512);
        // It cannot fail: texts and numbers are written to memory.
        let _ = serde_json::to_writer(&mut text, &body);
        let fixed = [(CONTENT_TYPE, PROBLEM), (CACHE_CONTROL, NO_STORE), (REQUEST_ID, request_id.clone())];
        let challenges = self.challenges.into_iter().map(|challenge| (WWW_AUTHENTICATE, challenge));
        let headers = fixed.into_iter().chain(challenges).chain(self.header).collect();
        Answer { status: self.status, headers, body: text.into() }
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("urn:scopegate:{}", self.0))
    }
}
