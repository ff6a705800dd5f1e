//! What was refused lately, and why; with a script, as it happens.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::Console;
use super::answer::page;
use super::frame::{Frame, Section};
use super::reasons::words;
use super::refusal::Refusal;
use super::shown::{Moment, scope_address, typed};
use super::visitor::Visitor;
use crate::registry::denials_view;

/// Only those with a greater number.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    after: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct All {
    denials: Vec<Denied>,
}

#[derive(Debug, Deserialize)]
struct Denied {
    number: u64,
    time: Option<Moment>,
    request_id: String,
    reason: String,
    api: Option<String>,
    client: Option<String>,
    subject: Option<String>,
    account: Option<String>,
    method: String,
    path: String,
    status: u16,
    wanted: Vec<String>,
}

#[derive(Template)]
#[template(path = "denials.html")]
struct DenialsPage<'a> {
    frame: Frame<'a>,
    denials: Vec<Denied>,
}

/// The last refusals, the newest first.
pub(super) async fn denials(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let after = asked.ok().and_then(|Query(asked)| asked.after).unwrap_or(0);
    let view = denials_view(console.registry.gateway().metrics(), after);
    let Some(All { denials }) = typed(view) else { return console.refuse(Some(&visitor), &Refusal::Failed) };
    page(StatusCode::OK, &DenialsPage { frame: console.frame(Some(&visitor), Section::Denials), denials })
}

impl Denied {
    fn why(&self) -> &str {
        words(&self.reason)
    }

    /// Who it was, as far as that is known.
    fn who(&self) -> String {
        let parts =
            [self.client.as_deref(), self.subject.as_deref().filter(|own| Some(*own) != self.client.as_deref())];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        parts.join(" · ")
    }
}
