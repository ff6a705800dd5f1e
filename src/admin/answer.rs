//! How the admin endpoints answer: types, caching, and problems as RFC 9457 has them.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use crate::policy::Reason;

pub(super) fn text(status: StatusCode, text: &'static str) -> Response {
    response(status, "text/plain; charset=utf-8", text)
}

pub(super) fn metrics(text: String) -> Response {
    response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    as_json(status, "application/json", value)
}

pub(super) fn not_found(path: &str) -> Response {
    let detail = format!("there is no {path}; there are /healthz, /readyz, /metrics and /policy");
    problem(StatusCode::NOT_FOUND, Reason::RouteUnknown.as_str(), &detail)
}

/// The caller's framework adds `Allow`.
pub(super) fn method_not_allowed() -> Response {
    let detail = "only GET and HEAD are answered here";
    problem(StatusCode::METHOD_NOT_ALLOWED, Reason::MethodNotAllowed.as_str(), detail)
}

/// Of an endpoint that changes something.
pub(super) fn only_post() -> Response {
    let detail = "only POST is answered here";
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, Reason::MethodNotAllowed.as_str(), detail);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

pub(super) fn unauthorized() -> Response {
    let detail = "send the secret of those who may revoke tokens as `Authorization: Bearer`";
    let mut response = problem(StatusCode::UNAUTHORIZED, "secret_rejected", detail);
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"scopegate admin\""));
    response
}

pub(super) fn too_long(most: usize) -> Response {
    let detail = format!("the entry is longer than {most} bytes");
    problem(StatusCode::PAYLOAD_TOO_LARGE, "entry_rejected", &detail)
}

pub(super) fn invalid(why: &str) -> Response {
    let detail = format!("the entry is no good: {why}");
    problem(StatusCode::UNPROCESSABLE_ENTITY, "entry_rejected", &detail)
}

/// An entry that is on the list now, as it is written there.
pub(super) fn added(line: String) -> Response {
    response(StatusCode::CREATED, "application/json", line)
}

pub(super) fn unavailable(detail: &str) -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
}

pub(super) fn internal_error(detail: &str) -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
}

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reason: &'a str,
}

fn problem(status: StatusCode, reason: &str, detail: &str) -> Response {
    let problem = Problem {
        r#type: format!("urn:scopegate:{reason}"),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail,
        reason,
    };
    as_json(status, "application/problem+json", &problem)
}

pub(super) fn as_json(status: StatusCode, kind: &'static str, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => response(status, kind, body),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON\n"),
    }
}

pub(super) fn response(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
