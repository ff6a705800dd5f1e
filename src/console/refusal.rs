//! Why somebody does not get what they asked the console for, and the page that says so.

use std::time::Duration;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::Console;
use super::answer::{page, with_retry_after};
use super::frame::{Frame, Section};
use super::visitor::Visitor;

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The file does not say who may.
    Off,
    /// It was asked by a name that is none of its own.
    Misdirected,
    /// The address is longer than any of its pages'.
    LongTarget,
    NoSuchPage,
    Method,
    /// What was to be changed is there no more.
    Gone,
    /// Nobody is signed in.
    NobodySignedIn,
    /// Some other site sent it.
    Foreign,
    /// The form is of a session that is no more.
    StaleForm,
    /// Who is signed in may look, and change nothing without this scope.
    MayOnlyLook(String),
    /// What was sent is no form.
    NoForm,
    LongForm,
    /// A field of the form is missing, or is not what it should be.
    BadForm(String),
    /// Too many have tried to sign in.
    TooManyTries(Duration),
    /// The token cannot be judged now.
    IssuerUnavailable,
    /// The fault is the console's own.
    Failed,
}

#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    frame: Frame<'a>,
    title: &'a str,
    text: String,
}

impl Refusal {
    #[expect(clippy::too_many_lines, reason = "one match of what is said, and nothing else")]
    fn parts(&self) -> (StatusCode, &'static str, String) {
        let (status, title, text) = match self {
            Self::Off => (
                StatusCode::NOT_FOUND,
                "The console is off",
                "Write “access: { issuer: … }” under “admin” in the file, with one of its issuers, to switch it on: \
                 tokens of that issuer with the scope scopegate:view may look, and with scopegate:manage change \
                 things.",
            ),
            Self::Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "This is not the console’s name",
                "Open it by the admin address as the file has it, by localhost, or at the “url” under “admin.access”.",
            ),
            Self::LongTarget => (StatusCode::URI_TOO_LONG, "Too long", "This address is longer than any page’s."),
            Self::NoSuchPage => (StatusCode::NOT_FOUND, "No such page", "There is nothing at this address."),
            Self::Gone => (
                StatusCode::PRECONDITION_FAILED,
                "It is gone",
                "Somebody has deleted it meanwhile. Nothing was changed.",
            ),
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, "Not like this", "This page is not asked with this method.")
            }
            Self::NobodySignedIn => {
                (StatusCode::UNAUTHORIZED, "Nobody is signed in", "Sign in, and do again what you wanted to do.")
            }
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "Another site sent this",
                "Only the console’s own pages may change things. Nothing was changed.",
            ),
            Self::StaleForm => (
                StatusCode::FORBIDDEN,
                "This form is out of date",
                "It was opened in another session, or before you signed in again. Nothing was changed: open the \
                 page again, and send the form from there.",
            ),
            Self::MayOnlyLook(scope) => {
                let text = format!("Your token lets you look. To change things, sign in with the scope {scope}.");
                return (StatusCode::FORBIDDEN, "You may look, and not change", text);
            }
            Self::NoForm => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is no form", "Send what the page’s own form sends.")
            }
            Self::LongForm => {
                (StatusCode::PAYLOAD_TOO_LARGE, "Too long", "The form is longer than any that is accepted.")
            }
            Self::BadForm(why) => return (StatusCode::BAD_REQUEST, "This form cannot be read", why.clone()),
            Self::TooManyTries(after) => {
                let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
                let text = format!("Too many have tried to sign in. Try again in {seconds} seconds.");
                return (StatusCode::TOO_MANY_REQUESTS, "Slow down", text);
            }
            Self::IssuerUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The issuer cannot be reached",
                "Whether your token is good cannot be told now. Try again in a moment.",
            ),
            Self::Failed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "This did not work",
                "The fault is not yours; the log says what it is.",
            ),
        };
        (status, title, text.to_owned())
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyTries(after) => Some(*after),
            Self::IssuerUnavailable => Some(Duration::from_secs(5)),
            Self::Off
            | Self::Misdirected
            | Self::LongTarget
            | Self::NoSuchPage
            | Self::Method
            | Self::Gone
            | Self::NobodySignedIn
            | Self::Foreign
            | Self::StaleForm
            | Self::MayOnlyLook(_)
            | Self::NoForm
            | Self::LongForm
            | Self::BadForm(_)
            | Self::Failed => None,
        }
    }
}

impl Console {
    /// The page that says why not.
    pub(super) fn refuse(&self, visitor: Option<&Visitor>, refusal: &Refusal) -> Response {
        let (status, title, text) = refusal.parts();
        let mut answer = page(status, &Refused { frame: self.frame(visitor, Section::Outside), title, text });
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2 asks for a challenge; browsers know no such scheme, and ask nobody.
            let challenge = HeaderValue::from_static("Session realm=\"scopegate console\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        match refusal.retry_after() {
            Some(after) => with_retry_after(answer, after),
            None => answer,
        }
    }
}
