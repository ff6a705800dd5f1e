//! The clients of the list, and what each can reach.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::Console;
use super::answer::page;
use super::frame::{Frame, Section};
use super::refusal::Refusal;
use super::service::ShownService;
use super::shown::{Client, Usage, scope_address, typed};
use super::visitor::Visitor;
use crate::registry::{client_view, clients_view};

/// All of them.
#[derive(Debug, Deserialize)]
pub(super) struct Clients {
    pub(super) listed: bool,
    /// `refused` or `allowed`.
    pub(super) others: String,
    #[serde(rename = "clients")]
    pub(super) entries: Vec<Listed>,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) id: Client,
    pub(super) account: Option<String>,
    pub(super) r#type: String,
    /// What its TLS certificate must be, by one of three.
    pub(super) certificate: Option<BTreeMap<String, String>>,
    /// `None`: whatever its token says.
    pub(super) may_hold: Option<Vec<String>>,
    pub(super) reaches: Vec<Reached>,
    pub(super) usage: Usage,
}

/// A service that it can reach.
#[derive(Debug, Deserialize)]
pub(super) struct Reached {
    pub(super) service: ShownService,
    pub(super) scope: Option<String>,
    pub(super) accounts: String,
}

/// What one scope lets it reach.
struct ByScope<'a> {
    scope: &'a str,
    accounts: &'a str,
    services: Vec<&'a ShownService>,
}

#[derive(Template)]
#[template(path = "clients.html")]
struct ClientsPage<'a> {
    frame: Frame<'a>,
    all: Clients,
}

#[derive(Template)]
#[template(path = "client.html")]
struct ClientPage<'a> {
    frame: Frame<'a>,
    client: &'a Listed,
    reaches: Vec<ByScope<'a>>,
}

/// Every client.
pub(super) async fn clients(State(console): State<Arc<Console>>, visitor: Visitor) -> Response {
    let view = clients_view(&console.generation(), console.registry.gateway().metrics());
    let Some(all) = typed(view) else { return console.refuse(Some(&visitor), &Refusal::Failed) };
    page(StatusCode::OK, &ClientsPage { frame: console.frame(Some(&visitor), Section::Clients), all })
}

/// One client.
pub(super) async fn client(State(console): State<Arc<Console>>, visitor: Visitor, Path(id): Path<String>) -> Response {
    let Some(view) = client_view(&console.generation(), &id, console.registry.gateway().metrics()) else {
        return console.refuse(Some(&visitor), &Refusal::NoSuchPage);
    };
    let Some(client) = typed::<Listed>(view) else { return console.refuse(Some(&visitor), &Refusal::Failed) };
    let frame = console.frame(Some(&visitor), Section::Clients);
    page(StatusCode::OK, &ClientPage { frame, client: &client, reaches: client.by_scope() })
}

impl Listed {
    fn by_scope(&self) -> Vec<ByScope<'_>> {
        let mut found: Vec<ByScope<'_>> = Vec::new();
        for reached in &self.reaches {
            let scope = reached.scope.as_deref().unwrap_or_default();
            match found.iter_mut().find(|own| own.scope == scope && own.accounts == reached.accounts) {
                Some(own) => own.services.push(&reached.service),
                None => found.push(ByScope { scope, accounts: &reached.accounts, services: vec![&reached.service] }),
            }
        }
        found
    }

    /// What its certificate must be, in words.
    fn certificate(&self) -> Option<String> {
        let (kind, value) = self.certificate.as_ref()?.first_key_value()?;
        Some(match &**kind {
            "sha256" => format!("SHA-256 {value}"),
            "subject" => format!("subject {value}"),
            _ => format!("DNS name {value}"),
        })
    }
}

impl ByScope<'_> {
    fn address(&self) -> String {
        // A privilege is shown with its scope.
        scope_address(self.scope)
    }
}
