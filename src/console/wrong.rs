//! Why a change was not made, as pages say it: a title, what to do, and all that helps with that.

use axum::http::StatusCode;

use super::shown::{Client, Moment};
use crate::gateway::{CarriedScope, StillCarried};
use crate::hex::{hex, parse_hex};
use crate::policy::{ClientId, UnixTime};
use crate::registry::Refused;

/// Something that is wrong with a form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wrong {
    /// The control; empty where it is none.
    pub(super) anchor: String,
    /// What the form calls it.
    pub(super) label: String,
    pub(super) message: String,
}

/// What stands above a form whose change was not made.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble {
    pub(super) status: StatusCode,
    pub(super) title: String,
    pub(super) texts: Vec<String>,
    pub(super) errors: Vec<Wrong>,
    /// Who uses what was to go.
    pub(super) users: Vec<User>,
    pub(super) differing: Vec<Differing>,
    /// What the file has wrong.
    pub(super) quoted: Option<String>,
    pub(super) patch: Option<String>,
}

/// A client that depends on a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) client: Client,
    /// Its list has the scope.
    pub(super) lists: bool,
    /// When its last token that carries the scope is good no more.
    pub(super) until: Option<Moment>,
}

/// A field that says one thing in the file and another in the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Differing {
    pub(super) label: &'static str,
    pub(super) there: String,
    pub(super) here: String,
}

impl Trouble {
    fn new(status: StatusCode, title: &str, texts: &[&str]) -> Self {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        Self { status, title: title.to_owned(), texts, ..Self::default() }
    }

    /// Which colour it has.
    pub(super) fn tone(&self) -> &'static str {
        match self.status {
            StatusCode::PRECONDITION_FAILED => "tell",
            StatusCode::CONFLICT => "warn",
            _ => "bad",
        }
    }

    pub(super) fn of(refused: &Refused) -> Self {
        let conflict = |title: &str, texts: &[&str]| Self::new(StatusCode::CONFLICT, title, texts);
        let said = refused.to_string();
        match refused {
            Refused::Outdated => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "Somebody changed the file meanwhile",
                &["Nothing was written. What you wrote is kept below, and from now on rests on what is in force. \
                   Look at what differs, then review it again."],
            ),
            Refused::FileChanged(why) => Self {
                quoted: Some(why.clone()),
                ..conflict(
                    "The file has a text that is not in force",
                    &["It was edited outside the console, and is never overwritten. Nothing was written. Once the \
                       file is put right, review again."],
                )
            },
            Refused::ReadOnly { why, patch } => {
                let why = format!("Nothing was written: {why}.");
                Self { patch: Some(patch.clone()), ..conflict("The file is read-only", &[&why]) }
            }
            Refused::NotFound(what) => {
                let text = format!("There is nothing to change: {what}. Somebody may have deleted it meanwhile.");
                Self::new(StatusCode::NOT_FOUND, "It is gone", &[&text])
            }
            Refused::Fields(errors) => {
                let title = match errors.len() {
                    1 => "One thing is wrong with this form".to_owned(),
                    several => format!("{several} things are wrong with this form"),
                };
                let wrong = |message: &str| Wrong { message: message.to_owned(), ..Wrong::default() };
                let errors = errors.iter().map(|error| wrong(&error.message)).collect();
                Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, &title, &["Nothing was written."]) }
            }
            Refused::Listed { clients, .. } => listed(clients),
            Refused::Carried(carried) => carried_by(carried),
            Refused::NoClients | Refused::NotReplaced(_) | Refused::Unchangeable(_) => {
                conflict("This cannot be changed here", &["Nothing was written.", &said])
            }
        }
    }

    /// What is wrong with one control.
    pub(super) fn of_control(&self, anchor: &str) -> Vec<&str> {
        self.errors.iter().filter(|error| error.anchor == anchor).map(|error| &*error.message).collect()
    }
}

fn listed(clients: &[String]) -> Trouble {
    let user = |client: &String| User { client: Client(client.clone()), lists: true, until: None };
    let text = "Clients list it. Take it from their lists first, or deprecate it instead.";
    Trouble { users: clients.iter().map(user).collect(), ..Trouble::new(StatusCode::CONFLICT, "It is in use", &[text]) }
}

fn carried_by(carried: &StillCarried) -> Trouble {
    let until = |until: UnixTime| moment(until).map(|until| until.words()).unwrap_or_default();
    let text = |scope: &CarriedScope| {
        format!("Unexpired tokens carry `{}` until {}.", scope.name.as_str(), until(scope.until))
    };
    let users = carried.scopes().iter().flat_map(|scope| {
        let user =
            |client: &ClientId| User { client: Client(client.to_string()), lists: false, until: moment(scope.until) };
        scope.clients.iter().map(user)
    });
    let texts = carried.scopes().iter().map(text).collect();
    Trouble { texts, users: users.collect(), ..Trouble::new(StatusCode::CONFLICT, "It is in use", &[]) }
}

/// As RFC 3339 has it.
pub(super) fn moment(time: UnixTime) -> Option<Moment> {
    let time = jiff::Timestamp::from_second(i64::try_from(time.0).ok()?).ok()?;
    Some(Moment(time.to_string()))
}

/// The SHA-256 that a form says its change rests on; none makes the change outdated.
pub(super) fn condition(text: &str) -> [u8; 32] {
    parse_hex(text).unwrap_or_default()
}

/// The same for the form.
pub(super) fn based_on(sha256: &[u8; 32]) -> String {
    hex(sha256)
}
