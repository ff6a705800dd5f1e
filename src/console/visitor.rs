//! Who looks at a page: the session of the browser's cookie, whose token the gateway's own engine judges
//! anew for every request.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::Console;
use super::place::Place;
use super::refusal::Refusal;
use super::session::CsrfToken;
use super::sign_in::SESSION;
use crate::issuer::{Moment, Presented};
use crate::policy::{Denial, TokenFault};
use crate::registry::{NotAdmitted, Role, Who, access, admit};
use crate::token::Credential;

/// Who looks at a page. Without a session a `GET` of a page is led to where one signs in, and anything
/// else is answered 401.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// For people: the token's subject, or else its client.
    pub(super) name: String,
    /// Whether they may change things.
    pub(super) manages: bool,
    /// What the field `csrf` of their forms must say.
    pub(super) csrf: CsrfToken,
    /// As whom the registry knows them.
    pub(super) who: Who,
}

/// Why somebody is not a visitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoVisitor {
    /// They have not signed in.
    NotSignedIn,
    /// They had, and the session or its token is good no more.
    Ended,
    /// Whether the token is good cannot be told now.
    Unavailable,
}

const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

impl Console {
    /// Who sends these headers.
    pub(super) async fn visitor(&self, place: &Place, headers: &HeaderMap) -> Result<Visitor, NoVisitor> {
        let id = cookie(headers, &place.cookie(SESSION)).ok_or(NoVisitor::NotSignedIn)?;
        let session = self.sessions.find(id, Moment::now()).ok_or(NoVisitor::Ended)?;
        match self.admit(session.token()).await {
            Ok(who) => {
                let name = who.subject.clone().or_else(|| who.client.clone()).unwrap_or_else(|| "somebody".to_owned());
                Ok(Visitor { name, manages: who.role == Role::Manager, csrf: session.csrf().clone(), who })
            }
            Err(NotAdmitted::Token(Denial::IssuerUnavailable | Denial::SharedStateUnavailable)) => {
                Err(NoVisitor::Unavailable)
            }
            Err(NotAdmitted::Token(_) | NotAdmitted::OtherIssuer | NotAdmitted::Lacks(_)) => {
                self.sessions.end(id);
                Err(NoVisitor::Ended)
            }
        }
    }

    /// Whose token this is, if they may look. One that is bound to a key or a certificate is not taken:
    /// the console cannot tell that its bearer has that.
    pub(super) async fn admit(&self, token: &str) -> Result<Who, NotAdmitted> {
        let generation = self.generation();
        let malformed = || NotAdmitted::Token(TokenFault::Malformed("it is none that could be sent").into());
        let credential = Credential::bearer(token).ok_or_else(malformed)?;
        let access = access(&generation).ok_or(NotAdmitted::OtherIssuer)?;
        let presented = Presented { credential, certificate: None, proof: None, method: "GET", url: "" };
        admit(&generation, access, &presented, Role::Viewer).await
    }
}

/// The one cookie of this name; two of them are as good as none.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    let pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(own, _)| *own == name).map(|(_, value)| value);
    values.next().filter(|_| values.next().is_none())
}

impl FromRequestParts<Arc<Console>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Arc<Console>) -> Result<Self, Response> {
        let place = parts.extensions.get::<Place>().cloned();
        let place = place.ok_or_else(|| console.refuse(None, &Refusal::Failed))?;
        console.visitor(&place, &parts.headers).await.map_err(|why| no_visitor(console, parts, &why))
    }
}

impl OptionalFromRequestParts<Arc<Console>> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, console: &Arc<Console>) -> Result<Option<Self>, Infallible> {
        let Some(place) = parts.extensions.get::<Place>().cloned() else { return Ok(None) };
        Ok(console.visitor(&place, &parts.headers).await.ok())
    }
}

fn no_visitor(console: &Console, parts: &Parts, why: &NoVisitor) -> Response {
    if *why == NoVisitor::Unavailable {
        return console.refuse(None, &Refusal::IssuerUnavailable);
    }
    // What a script asks for is not led to a page.
    let is_navigation = parts.headers.get(FETCH_MODE).is_none_or(|mode| mode.as_bytes() == b"navigate");
    if !matches!(parts.method, Method::GET | Method::HEAD) || !is_navigation {
        return console.refuse(None, &Refusal::NobodySignedIn);
    }
    let next = parts.uri.path_and_query().map_or("/console", |target| target.as_str());
    let ended = if *why == NoVisitor::Ended { "&ended=1" } else { "" };
    Redirect::to(&format!("/console/sign-in?next={}{ended}", super::sign_in::encoded(next))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[&str], expected: Option<&str>) {
        let headers = fields.iter().map(|field| (header::COOKIE, field.parse().unwrap())).collect();
        assert_eq!(cookie(&headers, "session"), expected, "{fields:?}");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_two_are_none() {
        check(&["session=a"], Some("a"));
        check(&["x=1; session=a; y=2"], Some("a"));
        check(&["x=1", "session=a=b"], Some("a=b"));
        check(&["session=a; session=b"], None);
        check(&["session=a", "session=a"], None);
        check(&["Session=a; sessions=b; xsession=c; session"], None);
        check(&[], None);
    }
}
