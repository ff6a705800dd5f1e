//! What scopes and clients were used for: counts, the last use, and until when tokens are good.

use std::cmp::Reverse;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::Console;
use super::answer::page;
use super::frame::{Frame, Section};
use super::refusal::Refusal;
use super::shown::{Client, Usage, scope_address, typed};
use super::visitor::Visitor;
use crate::registry::usage_view;

#[derive(Debug, Deserialize)]
struct All {
    scopes: Vec<UsedScope>,
    clients: Vec<UsedClient>,
}

#[derive(Debug, Deserialize)]
struct UsedScope {
    scope: String,
    deprecated: bool,
    usage: Usage,
}

#[derive(Debug, Deserialize)]
struct UsedClient {
    client: Client,
    usage: Usage,
}

#[derive(Template)]
#[template(path = "usage.html")]
struct UsagePage<'a> {
    frame: Frame<'a>,
    all: All,
}

/// Scopes and clients, the most used first.
pub(super) async fn usage(State(console): State<Arc<Console>>, visitor: Visitor) -> Response {
    let view = usage_view(&console.generation(), console.registry.gateway().metrics());
    let Some(mut all) = typed::<All>(view) else { return console.refuse(Some(&visitor), &Refusal::Failed) };
    all.scopes.sort_by_key(|own| Reverse(own.usage.allowed + own.usage.denied));
    all.clients.sort_by_key(|own| Reverse(own.usage.allowed + own.usage.denied));
    page(StatusCode::OK, &UsagePage { frame: console.frame(Some(&visitor), Section::Usage), all })
}

impl UsedScope {
    fn address(&self) -> String {
        scope_address(&self.scope)
    }
}

impl All {
    /// Scopes that nobody has used and nobody has a token for.
    fn idle(&self) -> usize {
        self.scopes.iter().filter(|own| own.usage.allowed == 0 && !own.usage.live).count()
    }

    fn live(&self) -> usize {
        self.scopes.iter().filter(|own| own.usage.live).count()
    }
}
