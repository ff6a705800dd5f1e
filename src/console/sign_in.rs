//! Signing in and out: the page where one does, a token that somebody pastes, and the session's cookie.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::Console;
use super::answer;
use super::form::{OwnForm, pairs, read};
use super::frame::{Frame, Section};
use super::place::Place;
use super::refusal::Refusal;
use super::secret::Secret;
use super::visitor::{Visitor, cookie};
use crate::issuer::Moment;
use crate::policy::Denial;
use crate::registry::{NotAdmitted, access};

/// Where to go on, and why one is here.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    next: String,
    #[serde(default)]
    ended: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    frame: Frame<'a>,
    next: &'a str,
    /// What went wrong; empty if nothing did.
    problem: &'a str,
    /// Where one can sign in, by its host; `None`: with a token alone.
    issuer: Option<&'a str>,
    token_issuer: &'a str,
    view: &'a str,
    manage: &'a str,
}

/// Where one signs in.
pub(super) async fn page(
    State(console): State<Arc<Console>>,
    visitor: Option<Visitor>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    if visitor.is_some() {
        return Redirect::to(local(&asked.next)).into_response();
    }
    let problem = if asked.ended.is_empty() { "" } else { "Your session has ended. Sign in again." };
    console.sign_in_page(StatusCode::OK, &asked.next, problem)
}

/// By a token that is pasted.
pub(super) async fn by_token(
    State(console): State<Arc<Console>>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Response {
    let headers = request.headers().clone();
    if !place.sent(&headers) {
        return console.refuse(None, &Refusal::Foreign);
    }
    if let Err(refusal) = console.try_once(request.extensions().get()) {
        return console.refuse(None, &refusal);
    }
    let body = match read(request, &headers, &console).await {
        Ok(body) => body,
        Err(refusal) => return console.refuse(None, &refusal),
    };
    let pairs = pairs(&body);
    let field = |name: &str| pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.trim());
    let (token, next) = (field("token").unwrap_or_default(), field("next").unwrap_or_default());
    match console.open(token).await {
        Ok(id) => {
            console.end(&place, &headers);
            signed_in(&place, &id, next)
        }
        Err(Opened::Refused(why)) => console.sign_in_page(StatusCode::FORBIDDEN, next, &why),
        Err(Opened::Failed(refusal)) => console.refuse(None, &refusal),
    }
}

/// Ends the session.
pub(super) async fn sign_out(
    State(console): State<Arc<Console>>,
    Extension(place): Extension<Place>,
    headers: axum::http::HeaderMap,
    form: OwnForm,
) -> Response {
    tracing::info!(subject = form.visitor.who.subject, "somebody has signed out of the console");
    console.end(&place, &headers);
    with_cookie(Redirect::to("/console/sign-in").into_response(), &place, SESSION, "", ENDED)
}

/// Why there is no session.
pub(super) enum Opened {
    Refused(String),
    Failed(Refusal),
}

impl Console {
    /// A session of the bearer of this token.
    pub(super) async fn open(&self, token: &str) -> Result<Secret, Opened> {
        let who = self.admit(token).await.map_err(|fault| match fault {
            NotAdmitted::Token(Denial::IssuerUnavailable | Denial::SharedStateUnavailable) => {
                Opened::Failed(Refusal::IssuerUnavailable)
            }
            NotAdmitted::Token(Denial::Token(fault)) => {
                Opened::Refused(format!("This token is not accepted: {fault}."))
            }
            NotAdmitted::Token(_) | NotAdmitted::OtherIssuer => Opened::Refused(
                "This token is not accepted: it is not of the issuer that “admin.access” names.".to_owned(),
            ),
            NotAdmitted::Lacks(scope) => Opened::Refused(format!("This token does not carry the scope {scope}.")),
        })?;
        tracing::info!(subject = who.subject, client = who.client, "somebody has signed in to the console");
        self.sessions.open(token, &who, Moment::now()).map_err(|_| Opened::Failed(Refusal::Failed))
    }

    /// Ends the session that a browser has, if it has one.
    pub(super) fn end(&self, place: &Place, headers: &axum::http::HeaderMap) {
        if let Some(id) = cookie(headers, &place.cookie(SESSION)) {
            self.sessions.end(id);
        }
    }

    pub(super) fn sign_in_page(&self, status: StatusCode, next: &str, problem: &str) -> Response {
        let generation = self.generation();
        let Some(access) = access(&generation) else { return self.refuse(None, &Refusal::Off) };
        let issuer = generation.issuers.sign_in().map(|sign_in| sign_in.issuer());
        let host = issuer.map(|issuer| issuer.split_once("://").map_or(issuer, |(_, host)| host));
        let page = SignIn {
            frame: self.frame(None, Section::Outside),
            next: local(next),
            problem,
            issuer: host,
            token_issuer: &access.issuer,
            view: access.view.as_str(),
            manage: access.manage.as_str(),
        };
        answer::page(status, &page)
    }
}

/// What cookies are for, and what ends one.
pub(super) const SESSION: &str = "session";
pub(super) const ENDED: &str = "; Max-Age=0";

fn signed_in(place: &Place, id: &Secret, next: &str) -> Response {
    with_cookie(Redirect::to(local(next)).into_response(), place, SESSION, id.as_str(), "")
}

/// For this host alone, for no script, and for no request that another site sets off.
pub(super) fn with_cookie(mut answer: Response, place: &Place, what: &str, value: &str, more: &str) -> Response {
    let secure = if place.is_secure() { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}", place.cookie(what));
    if let Ok(text) = HeaderValue::try_from(text) {
        answer.headers_mut().append(header::SET_COOKIE, text);
    }
    answer
}

/// A page of the console to go on at; its first page where `next` is anything else.
pub(super) fn local(next: &str) -> &str {
    let is_page = next == "/console" || next.starts_with("/console/") || next.starts_with("/console?");
    let is_plain =
        next.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'"' | b'<' | b'>'));
    if is_page && is_plain && !next.starts_with("/console/sign-") { next } else { "/console" }
}

/// A text as a part of a query.
pub(super) fn encoded(text: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/');
    let encode = |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_at_a_page_of_the_console_and_nowhere_else() {
        for next in ["/console", "/console/apis/data", "/console?x=1", "/console/who?path=%2Fa&method=GET"] {
            assert_eq!(local(next), next);
        }
        for next in [
            "",
            "https://evil.example/console",
            "//evil.example/console",
            "/\\evil.example",
            "/console\\@evil.example",
            "/consoles",
            "/console.evil.example",
            "console",
            "/metrics",
            "javascript:alert(1)",
            "/console/\r\nSet-Cookie: a=b",
            "/console/ü",
            "/console/sign-in?next=/console",
            "/console/sign-out",
        ] {
            assert_eq!(local(next), "/console", "{next}");
        }
    }
}
