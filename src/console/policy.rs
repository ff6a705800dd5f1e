//! The policy in force: where it comes from, and what became of each text of the file lately.

use std::sync::Arc;
use std::time::SystemTime;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::answer::page;
use super::frame::{Frame, Section};
use super::shown::Moment;
use super::visitor::Visitor;
use crate::hex::hex;

#[derive(Template)]
#[template(path = "policy.html")]
struct PolicyPage<'a> {
    frame: Frame<'a>,
    sha256: String,
    loaded_at: Option<Moment>,
    source: String,
    removal_guard: bool,
    read_only: Option<String>,
    apis: usize,
    scopes: usize,
    clients: usize,
    history: Vec<Event>,
}

/// What became of a text.
struct Event {
    at: SystemTime,
    moment: Option<Moment>,
    sha256: String,
    became: Became,
}

enum Became {
    InForce(u64),
    Refused(String),
}

/// The policy in force.
pub(super) async fn policy(State(console): State<Arc<Console>>, visitor: Visitor) -> Response {
    let generation = console.generation();
    let page_of = PolicyPage {
        frame: console.frame(Some(&visitor), Section::Policy),
        sha256: hex(&generation.sha256),
        loaded_at: moment(generation.loaded_at),
        source: console.file.source().display().to_string(),
        removal_guard: generation.settings.removal_guard,
        read_only: console.registry.read_only(),
        apis: generation.policy.apis().len(),
        scopes: generation.policy.scopes().iter().filter(|scope| scope.includes.is_none()).count(),
        clients: generation.policy.clients().count(),
        history: console.history(),
    };
    page(StatusCode::OK, &page_of)
}

impl Console {
    /// The newest first.
    fn history(&self) -> Vec<Event> {
        let event = |at, sha256: Option<[u8; 32]>, became| {
            let sha256 = sha256.map(|sha256| hex(&sha256)).unwrap_or_default();
            Event { at, moment: moment(at), sha256, became }
        };
        let past = self.registry.gateway().past().into_iter();
        let past = past.map(|own| event(own.at, Some(own.sha256), Became::InForce(own.generation)));
        let refusals = self.file.refusals().into_iter();
        let refusals = refusals.map(|own| event(own.at, own.sha256, Became::Refused(own.why)));
        let mut all: Vec<_> = past.chain(refusals).collect();
        all.sort_by_key(|event| std::cmp::Reverse(event.at));
        all
    }
}

impl Event {
    /// So much of it that two texts can be told apart.
    fn short(&self) -> &str {
        self.sha256.get(..12).unwrap_or_default()
    }
}

fn moment(at: SystemTime) -> Option<Moment> {
    jiff::Timestamp::try_from(at).ok().map(|time| Moment(format!("{time:.3}")))
}
