//! Forms that change something: taken only from the console's own pages, of the session that sends them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::Console;
use super::place::Place;
use super::refusal::Refusal;
use super::visitor::Visitor;
use crate::registry::access;

/// What somebody who may change things sends: the console's own page did so, and their session's. The
/// field `csrf` is among the fields, and can be passed over.
#[derive(Debug)]
pub(super) struct Form<T> {
    /// Who sends it.
    pub(super) visitor: Visitor,
    /// What it says.
    pub(super) fields: T,
}

/// The same of anybody who is signed in, for what concerns nobody else.
#[derive(Debug)]
pub(super) struct OwnForm {
    pub(super) visitor: Visitor,
}

impl<T: DeserializeOwned> FromRequest<Arc<Console>> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Response> {
        let (visitor, pairs) = checked(request, console, true).await?;
        let fields = fields(&pairs).map_err(|refusal| console.refuse(Some(&visitor), &refusal))?;
        Ok(Self { visitor, fields })
    }
}

impl FromRequest<Arc<Console>> for OwnForm {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Response> {
        Ok(Self { visitor: checked(request, console, false).await?.0 })
    }
}

/// Who sends a form, and its body, if both are as they must be.
async fn checked(request: Request, console: &Arc<Console>, changes: bool) -> Result<(Visitor, Bytes), Response> {
    let (mut parts, body) = request.into_parts();
    let is_own = parts.extensions.get::<Place>().is_some_and(|place| place.sent(&parts.headers));
    if !is_own {
        return Err(console.refuse(None, &Refusal::Foreign));
    }
    let visitor = <Visitor as FromRequestParts<_>>::from_request_parts(&mut parts, console).await?;
    #[expect(clippy::result_large_err, reason = "it is what the framework sends")]
    let refused = |refusal| Err(console.refuse(Some(&visitor), &refusal));
    if changes && !visitor.manages {
        let generation = console.generation();
        let scope = access(&generation).map(|access| access.manage.to_string()).unwrap_or_default();
        return refused(Refusal::MayOnlyLook(scope));
    }
    let headers = parts.headers.clone();
    let body = match read(Request::from_parts(parts, body), &headers, console).await {
        Ok(body) => body,
        Err(refusal) => return refused(refusal),
    };
    let csrf = pairs(&body).into_iter().filter(|(name, _)| name == "csrf").map(|(_, value)| value).collect::<Vec<_>>();
    match &*csrf {
        [csrf] if visitor.csrf.is(csrf) => Ok((visitor, body)),
        [] | [_] | [_, _, ..] => refused(Refusal::StaleForm),
    }
}

/// A form's body.
pub(super) async fn read(request: Request, headers: &HeaderMap, console: &Arc<Console>) -> Result<Bytes, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refusal::NoForm);
    }
    Bytes::from_request(request, console).await.map_err(|_| Refusal::LongForm)
}

/// A form's fields, in their order.
pub(super) fn pairs(body: &[u8]) -> Vec<(String, String)> {
    fields(body).unwrap_or_default()
}

fn fields<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_urlencoded::from_bytes(body).map_err(|error| Refusal::BadForm(error.to_string()))
}
