//! Signing in at the issuer: authorization code with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 9700).
//!
//! A browser sends no `SameSite=Strict` cookie with a request that another site set off, and the issuer
//! sets off the one that brings the code. So `back` makes nothing of the code: its page goes on to
//! `finish` by itself, which is then a request of the console's own.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::Console;
use super::answer::page;
use super::begun::Begun;
use super::frame::{Frame, Section};
use super::place::Place;
use super::refusal::Refusal;
use super::secret::{Secret, challenge};
use super::sign_in::{ENDED, Opened, SESSION, local, with_cookie};
use super::visitor::cookie;
use crate::config::Access;
use crate::issuer::{Brought, CannotSignIn, SignIn};
use crate::registry::access;
use crate::token::{ScopeSyntax, form_encoded, form_parameter};

/// Who begins.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Beginning {
    #[serde(default)]
    next: String,
    /// `view`, or anything else to change things too.
    #[serde(default)]
    r#as: String,
}

#[derive(Template)]
#[template(path = "back.html")]
struct Back<'a> {
    frame: Frame<'a>,
    /// Where the page goes on by itself.
    on: String,
}

/// The cookie of a sign-in that was begun.
const BEGUN: &str = "signing-in";
const BACK: &str = "/console/sign-in/back";
/// What an issuer may send back, in bytes of each.
const LONGEST: usize = 8 * 1024;
/// What an issuer sends back.
const BROUGHT: [&str; 5] = ["code", "state", "iss", "error", "error_description"];

/// Sends somebody to the issuer.
pub(super) async fn begin(
    State(console): State<Arc<Console>>,
    Extension(place): Extension<Place>,
    from: Option<Extension<ConnectInfo<std::net::SocketAddr>>>,
    headers: HeaderMap,
    beginning: Result<Query<Beginning>, QueryRejection>,
) -> Response {
    let beginning = beginning.map(|Query(beginning)| beginning).unwrap_or_default();
    if Place::is_foreign(&headers) {
        return Redirect::to("/console/sign-in").into_response();
    }
    if let Err(refusal) = console.try_once(from.as_deref()) {
        return console.refuse(None, &refusal);
    }
    let generation = console.generation();
    let (Some(access), Some(sign_in)) = (access(&generation), generation.issuers.sign_in()) else {
        let problem = "The file names no client for the console: sign in with a token.";
        return console.sign_in_page(StatusCode::NOT_FOUND, &beginning.next, problem);
    };
    let issuer = generation.settings.issuers.iter().find(|issuer| *issuer.rules.issuer == *access.issuer);
    let syntax = issuer.map_or(ScopeSyntax::Words, |issuer| issuer.rules.scope_syntax);
    let scopes = scopes(access, beginning.r#as == "view", syntax);
    match console.begin(&place, sign_in, &scopes, &beginning.next).await {
        Ok((id, url)) => with_cookie(Redirect::to(&url).into_response(), &place, BEGUN, id.as_str(), "; Max-Age=600"),
        Err(fault) => {
            tracing::warn!(%fault, "nobody can sign in to the console at the issuer");
            let problem = format!("You cannot sign in at the issuer now: {fault}. A token can be pasted all the same.");
            console.sign_in_page(StatusCode::BAD_GATEWAY, &beginning.next, &problem)
        }
    }
}

/// What to ask for: no more than is wanted.
fn scopes(access: &Access, only_look: bool, syntax: ScopeSyntax) -> String {
    let separator = match syntax {
        ScopeSyntax::Words => " ",
        ScopeSyntax::Privileges => ";",
    };
    if only_look { access.view.to_string() } else { format!("{}{separator}{}", access.view, access.manage) }
}

/// Where the issuer sends people back to. What it says is only carried on.
pub(super) async fn back(State(console): State<Arc<Console>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let mut on = "/console/sign-in/finish".to_owned();
    let mut separator = '?';
    for name in BROUGHT {
        let Ok(value) = form_parameter(query.as_bytes(), name) else {
            return console.sign_in_page(StatusCode::BAD_REQUEST, "", "The issuer’s answer cannot be read. Try again.");
        };
        if let Some(value) = value.filter(|value| value.len() <= LONGEST) {
            // A text to a `String` cannot fail to be written.
            let _ = write!(on, "{separator}{name}={}", form_encoded(value.as_bytes()));
            separator = '&';
        }
    }
    page(StatusCode::OK, &Back { frame: console.frame(None, Section::Outside), on })
}

/// Makes a session of what the issuer sent back.
pub(super) async fn finish(
    State(console): State<Arc<Console>>,
    Extension(place): Extension<Place>,
    from: Option<Extension<ConnectInfo<std::net::SocketAddr>>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(refusal) = console.try_once(from.as_deref()) {
        return console.refuse(None, &refusal);
    }
    let begun = cookie(&headers, &place.cookie(BEGUN)).and_then(|id| console.begun.take(id, Instant::now()));
    let query = query.unwrap_or_default();
    let answer = match console.finish(begun, &query).await {
        Ok((id, next)) => {
            console.end(&place, &headers);
            let answer = Redirect::to(local(&next)).into_response();
            with_cookie(answer, &place, SESSION, id.as_str(), "")
        }
        Err(Opened::Refused(why)) => console.sign_in_page(StatusCode::FORBIDDEN, "", &why),
        Err(Opened::Failed(refusal)) => console.refuse(None, &refusal),
    };
    with_cookie(answer, &place, BEGUN, "", ENDED)
}

impl Console {
    /// The browser's id, and where it is sent.
    async fn begin(
        &self,
        place: &Place,
        sign_in: &SignIn,
        scopes: &str,
        next: &str,
    ) -> Result<(Secret, String), CannotSignIn> {
        let metadata = sign_in.metadata().await?;
        let no_randomness = |_| CannotSignIn::Unasked("no secret can be made".to_owned());
        let (state, verifier) = (Secret::fresh().map_err(no_randomness)?, Secret::fresh().map_err(no_randomness)?);
        let redirect_uri = format!("{}{BACK}", place.origin());
        let client = sign_in.client();
        let endpoint = &metadata.authorization_endpoint;
        let mut url = format!("{endpoint}{}response_type=code", if endpoint.contains('?') { '&' } else { '?' });
        let challenge = challenge(verifier.as_str());
        let parameters = [
            ("client_id", Some(&*client.client_id)),
            ("redirect_uri", Some(&*redirect_uri)),
            ("scope", Some(scopes)),
            ("state", Some(state.as_str())),
            ("code_challenge", Some(&*challenge)),
            ("code_challenge_method", Some("S256")),
            ("resource", client.resource.as_deref()),
        ];
        for (name, value) in parameters.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            // A text to a `String` cannot fail to be written.
            let _ = write!(url, "&{name}={}", form_encoded(value.as_bytes()));
        }
        let (issuer, next) = (sign_in.issuer().into(), local(next).to_owned());
        let begun = Begun { state, verifier, redirect_uri, next, issuer, metadata, at: Instant::now() };
        Ok((self.begun.keep(begun).map_err(no_randomness)?, url))
    }

    /// The session's id, and where to go on.
    async fn finish(&self, begun: Option<Begun>, query: &str) -> Result<(Secret, String), Opened> {
        const OTHER: &str = "This sign-in was not begun in this browser, or took too long, or was used before. \
                             Begin again.";
        let refused = |why: &str| Opened::Refused(why.to_owned());
        let parameter = |name| form_parameter(query.as_bytes(), name).map_err(|_| refused(OTHER));
        let begun = begun.ok_or_else(|| refused(OTHER))?;
        let state = parameter("state")?.unwrap_or_default();
        if !begun.state.is(&state) {
            return Err(refused(OTHER));
        }
        // RFC 9207 section 2.4: an answer of another issuer's is not taken for this one's.
        match parameter("iss")? {
            Some(issuer) if *issuer == *begun.issuer => {}
            None if !begun.metadata.names_itself => {}
            Some(_) | None => return Err(refused("The answer is not of the issuer that you were sent to.")),
        }
        if let Some(error) = parameter("error")? {
            let described = parameter("error_description")?.map(|text| format!(" ({text})")).unwrap_or_default();
            return Err(Opened::Refused(format!("The issuer did not let you in: {error}{described}.")));
        }
        let code = parameter("code")?.ok_or_else(|| refused("The issuer sent no code."))?;
        let generation = self.generation();
        let sign_in = generation.issuers.sign_in().filter(|sign_in| *sign_in.issuer() == *begun.issuer);
        let sign_in = sign_in.ok_or_else(|| refused("The file names another issuer now. Begin again."))?;
        let brought = Brought { code: &code, verifier: begun.verifier.as_str(), redirect_uri: &begun.redirect_uri };
        let token = sign_in.exchange(&begun.metadata, &brought).await.map_err(|fault| {
            tracing::warn!(%fault, "somebody cannot sign in to the console");
            Opened::Refused(format!("You cannot be signed in: {fault}."))
        })?;
        Ok((self.open(&token).await?, begun.next))
    }

    /// Notes a try to sign in.
    pub(super) fn try_once(&self, from: Option<&ConnectInfo<std::net::SocketAddr>>) -> Result<(), Refusal> {
        let address = from.map(|ConnectInfo(address)| address.ip());
        self.tries.make(address, Instant::now()).map_err(Refusal::TooManyTries)
    }
}
