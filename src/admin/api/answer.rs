//! How the registry answers: JSON, and problems (RFC 9457) that say what to do and, where fields are
//! wrong, which.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::admin::answer::as_json;
use crate::hex::hex;
use crate::registry::{Changed, FieldError, Refused};

/// A response, or why there is none.
pub(super) type Answered = Result<Response, Refusal>;

/// A problem, not yet a response.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: &'static str,
    detail: String,
    /// More members of the problem.
    more: Map<String, Value>,
    challenge: Option<String>,
}

const LINK: &str = "; its description is at /api/v1/openapi.json";

pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    as_json(status, "application/json", value)
}

pub(super) fn text(text: String) -> Response {
    crate::admin::answer::response(StatusCode::OK, "text/plain; charset=utf-8", text)
}

pub(super) fn with_etag(mut response: Response, sha256: [u8; 32]) -> Response {
    // INVARIANT: hexadecimal digits in quotes are a header's value.
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", hex(&sha256))) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// A change that was made, or would be.
pub(super) fn changed(changed: &Changed, is_new: bool, dry_run: bool) -> Response {
    let (kind, name) = changed.target.parts();
    let body = json!({
        "dry_run": dry_run,
        "generation": changed.generation,
        "sha256": hex(&changed.sha256),
        "kind": kind,
        "name": name,
        "before": changed.before,
        "after": changed.after,
        "diff": changed.diff,
        "advice": changed.advice,
        "listed_by": changed.listed_by,
        "lacked_by": changed.lacked_by,
    });
    let is_made = is_new && !dry_run;
    let mut response = json(if is_made { StatusCode::CREATED } else { StatusCode::OK }, &body);
    if is_made && let Ok(place) = HeaderValue::try_from(format!("/api/v1/{kind}s/{}", encoded(name))) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    if dry_run { response } else { with_etag(response, changed.sha256) }
}

impl Refusal {
    pub(super) fn off() -> Self {
        let detail =
            "the registry is off; write `access: { issuer: … }` under `admin`, with one of `issuers`, to switch it on";
        Self::new(StatusCode::NOT_FOUND, "registry_off", detail)
    }

    pub(super) fn unknown(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "route_unknown", format!("there is no {path}{LINK}"))
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("not with this method{LINK}"))
    }

    pub(super) fn missing(what: &str, name: &str) -> Self {
        let name: String = name.chars().take(256).collect();
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} `{name}`"))
    }

    /// Of a decision that is not among those that are kept.
    pub(super) fn forgotten(request_id: &str) -> Self {
        let id: String = request_id.chars().take(128).collect();
        let detail = format!(
            "none of the last decisions is of the request `{id}`: some thousand are kept; `scopegate explain` tells of \
             any request, and the audit log has every decision"
        );
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// `is_wrong`: a token was sent.
    pub(super) fn unauthorized(reason: &'static str, detail: &str, is_wrong: bool) -> Self {
        let error = if is_wrong { ", error=\"invalid_token\"" } else { "" };
        let challenge = Some(format!("Bearer realm=\"scopegate registry\"{error}"));
        Self { challenge, ..Self::new(StatusCode::UNAUTHORIZED, reason, detail) }
    }

    pub(super) fn forbidden(scope: &str) -> Self {
        let challenge = format!("Bearer realm=\"scopegate registry\", error=\"insufficient_scope\", scope=\"{scope}\"");
        let detail = format!("the token does not carry the scope `{scope}`");
        Self { challenge: Some(challenge), ..Self::new(StatusCode::FORBIDDEN, "scope_insufficient", detail) }
    }

    pub(super) fn unavailable() -> Self {
        let detail = "the token cannot be judged now: its issuer cannot be reached";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "issuer_unavailable", detail)
    }

    pub(super) fn failed() -> Self {
        let detail = "the change could not be worked out; the log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
    }

    pub(super) fn condition_missing() -> Self {
        let detail = "say which text the change rests on: send the `ETag` of what you have seen as `If-Match`";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "condition_missing", detail)
    }

    pub(super) fn media_type() -> Self {
        let detail = "send the fields as `Content-Type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "body_rejected", detail)
    }

    pub(super) fn too_long(most: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_rejected", format!("the body is longer than {most} bytes"))
    }

    pub(super) fn body(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "body_rejected", detail)
    }

    pub(super) fn parameter(name: &str, why: &str) -> Self {
        let detail = format!("the parameter `{name}` is no good: {why}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "parameter_rejected", detail)
    }

    pub(super) fn response(self) -> Response {
        let mut problem = self.more;
        problem.insert("type".to_owned(), format!("urn:scopegate:{}", self.reason).into());
        problem.insert("title".to_owned(), self.status.canonical_reason().unwrap_or("Error").into());
        problem.insert("status".to_owned(), self.status.as_u16().into());
        problem.insert("detail".to_owned(), self.detail.into());
        problem.insert("reason".to_owned(), self.reason.into());
        let mut response = as_json(self.status, "application/problem+json", &problem);
        let mut insert = |name: HeaderName, value: Option<String>| {
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                response.headers_mut().insert(name, value);
            }
        };
        insert(header::WWW_AUTHENTICATE, self.challenge);
        insert(header::RETRY_AFTER, (self.status == StatusCode::SERVICE_UNAVAILABLE).then(|| "5".to_owned()));
        response
    }

    fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status, reason, detail: detail.into(), more: Map::new(), challenge: None }
    }

    fn with(mut self, member: &str, value: Value) -> Self {
        self.more.insert(member.to_owned(), value);
        self
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        let new = |status, reason| Self::new(status, reason, detail);
        match refused {
            Refused::Outdated => new(StatusCode::PRECONDITION_FAILED, "changed_meanwhile"),
            Refused::FileChanged(_) => new(StatusCode::CONFLICT, "file_changed"),
            Refused::ReadOnly { patch, .. } => new(StatusCode::CONFLICT, "read_only").with("patch", patch.into()),
            Refused::NotFound(_) => new(StatusCode::NOT_FOUND, "not_found"),
            Refused::NoClients => new(StatusCode::CONFLICT, "no_clients"),
            Refused::Fields(errors) => {
                let error = |error: FieldError| json!({ "field": error.field, "message": error.message });
                let errors = errors.into_iter().map(error).collect::<Vec<_>>();
                new(StatusCode::UNPROCESSABLE_ENTITY, "fields_rejected").with("errors", errors.into())
            }
            Refused::Listed { clients, .. } => new(StatusCode::CONFLICT, "in_use").with("clients", clients.into()),
            Refused::Carried(carried) => {
                let scope = |scope: &crate::gateway::CarriedScope| {
                    let until =
                        i64::try_from(scope.until.0).ok().and_then(|until| jiff::Timestamp::from_second(until).ok());
                    let clients: Vec<_> = scope.clients.iter().map(crate::policy::ClientId::as_str).collect();
                    json!({ "scope": scope.name.as_str(), "until": until.map(|until| until.to_string()), "clients": clients })
                };
                let scopes: Vec<_> = carried.scopes().iter().map(scope).collect();
                new(StatusCode::CONFLICT, "in_use").with("carried", scopes.into())
            }
            Refused::NotReplaced(_) => new(StatusCode::CONFLICT, "needs_restart"),
            Refused::Unchangeable(_) => new(StatusCode::CONFLICT, "unchangeable"),
        }
    }
}

/// A name as a segment of a path (RFC 3986 section 2.3).
fn encoded(name: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let encode = |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(encode).collect()
}
