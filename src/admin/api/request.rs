//! What a request to the registry says: its parameters, its condition, its body.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, RawPathParams};
use axum::http::{HeaderMap, Method, Uri, header};
use serde_json::{Map, Value};

use super::answer::Refusal;

/// A request.
pub(super) struct Asked<'r> {
    pub(super) parameters: Parameters,
    pub(super) method: &'r Method,
    pub(super) uri: &'r Uri,
    pub(super) headers: &'r HeaderMap,
    pub(super) body: Result<Bytes, BytesRejection>,
}

/// What its path and query name.
pub(super) struct Parameters {
    path: Vec<(String, String)>,
    /// `None` where it cannot be read.
    query: Option<Vec<(String, String)>>,
}

impl Parameters {
    pub(super) fn new(path: &RawPathParams, query: Result<Query<Vec<(String, String)>>, QueryRejection>) -> Self {
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { path, query: query.ok().map(|Query(query)| query) }
    }

    /// Of the path, percent-decoded.
    pub(super) fn path(&self, name: &str) -> String {
        self.path.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// Of the query, if it is there and not empty.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let mut query = self.query.iter().flatten();
        query.find(|(own, _)| own == name).map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<String, Refusal> {
        self.query(name).ok_or_else(|| Refusal::parameter(name, "it is missing"))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let number = self.query(name).map(|text| text.parse());
        number.transpose().map_err(|_| Refusal::parameter(name, "it is not a whole number"))
    }

    pub(super) fn yes_no(&self, name: &str) -> Result<bool, Refusal> {
        match self.query(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            // A preview that is misspelt must not become a change.
            Some(_) => Err(Refusal::parameter(name, "it is neither `true` nor `false`")),
        }
    }
}

impl Asked<'_> {
    /// The text that a change rests on, by its SHA-256.
    pub(super) fn condition(&self) -> Result<[u8; 32], Refusal> {
        let mut conditions = self.headers.get_all(header::IF_MATCH).iter();
        let (Some(condition), None) = (conditions.next(), conditions.next()) else {
            return Err(Refusal::condition_missing());
        };
        let text = condition.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Err(Refusal::condition_missing());
        }
        let digits = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        digits.and_then(crate::hex::parse_hex).ok_or_else(|| crate::registry::Refused::Outdated.into())
    }

    /// The body, which must be one JSON object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Refusal> {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !matches!(&*kind, "application/json" | "application/merge-patch+json") {
            return Err(Refusal::media_type());
        }
        let body = self.body.as_ref().map_err(|_| Refusal::too_long(super::LONGEST_BODY))?;
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                Err(Refusal::body("expected an object, `{ … }`"))
            }
            Err(error) => Err(Refusal::body(&format!("this is not JSON: {error}"))),
        }
    }
}
