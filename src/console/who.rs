//! Who can call this: for a method and a path, the services that have it, and for each client whether
//! it gets through, and if not, why.

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
use super::service::ShownService;
use super::shown::{Client, scope_address, typed};
use super::visitor::Visitor;
use crate::registry::who_view;

/// What somebody wants to know.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    host: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    path: String,
    api: Option<String>,
    public: bool,
    required: Option<Vec<String>>,
    services: Vec<Considered>,
    clients: Vec<Caller>,
}

/// A service that has the path.
#[derive(Debug, Deserialize)]
struct Considered {
    service: ShownService,
    api: Option<String>,
    scope: Option<String>,
    accounts: Option<String>,
    confidential_only: bool,
    outcome: String,
}

/// A client with a token that has all it may hold.
#[derive(Debug, Deserialize)]
struct Caller {
    /// `None`: one that is not on the list.
    client: Option<Client>,
    account: Option<String>,
    allowed: bool,
    reason: String,
    scope: Option<String>,
    service: Option<ShownService>,
    wanted: Vec<String>,
}

#[derive(Template)]
#[template(path = "who.html")]
struct WhoPage<'a> {
    frame: Frame<'a>,
    asked: Asked,
    /// Of the field of the path.
    wrong: Option<String>,
    answer: Option<Answer>,
}

/// What is offered; any other can be written.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The question, and the answer if it was asked.
pub(super) async fn who(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let mut asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    for text in [&mut asked.method, &mut asked.path, &mut asked.host] {
        *text = text.trim().to_owned();
    }
    if asked.method.is_empty() {
        "GET".clone_into(&mut asked.method);
    }
    let (mut wrong, mut answer) = (None, None);
    if !asked.path.is_empty() {
        let host = asked.host.to_ascii_lowercase();
        match who_view(&console.generation(), &asked.method, &asked.path, &host).map(typed) {
            Ok(Some(found)) => answer = Some(found),
            Ok(None) => return console.refuse(Some(&visitor), &Refusal::Failed),
            Err(why) => wrong = Some(why),
        }
    }
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let frame = console.frame(Some(&visitor), Section::WhoCan);
    page(status, &WhoPage { frame, asked, wrong, answer })
}

impl WhoPage<'_> {
    /// To choose from; what was asked is among them.
    fn methods(&self) -> Vec<&str> {
        let other = Some(&*self.asked.method).filter(|own| !METHODS.contains(own));
        METHODS.into_iter().chain(other).collect()
    }

    fn is_asked(&self, method: &str) -> bool {
        self.asked.method == method
    }
}

impl Answer {
    fn allowed(&self) -> usize {
        self.clients.iter().filter(|client| client.allowed).count()
    }
}

impl Considered {
    /// What it makes of the request.
    fn outcome(&self) -> &'static str {
        match &*self.outcome {
            "takes" => "takes it",
            "excepted" => "excepted",
            _ => "another method",
        }
    }

    fn takes(&self) -> bool {
        self.outcome == "takes"
    }
}

impl Caller {
    fn why(&self) -> &str {
        words(&self.reason)
    }
}
