//! The pages that show: the apis, one api with its scopes, one scope.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::answer::page;
use super::done::Doing;
use super::frame::{Frame, Section};
use super::refusal::Refusal;
use super::shown::{Api, Scope, typed};
use super::visitor::Visitor;
use crate::registry::{api_view, apis_view, scope_view};

#[derive(Template)]
#[template(path = "apis.html")]
struct Apis<'a> {
    frame: Frame<'a>,
    apis: Vec<Api>,
}

#[derive(Template)]
#[template(path = "api.html")]
struct ApiPage<'a> {
    frame: Frame<'a>,
    api: Api,
}

#[derive(Template)]
#[template(path = "scope.html")]
struct ScopePage<'a> {
    frame: Frame<'a>,
    api: Api,
    scope: Scope,
}

/// Every api.
pub(super) async fn apis(State(console): State<Arc<Console>>, visitor: Visitor) -> Response {
    let (generation, metrics) = (console.generation(), console.registry.gateway().metrics());
    let mut view = apis_view(&generation, metrics);
    let Some(apis) = view.get_mut("apis").map(serde_json::Value::take).and_then(typed) else {
        return console.refuse(Some(&visitor), &Refusal::Failed);
    };
    page(StatusCode::OK, &Apis { frame: console.frame(Some(&visitor), Section::Apis), apis })
}

/// One api with its scopes.
pub(super) async fn api(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(name): Path<String>,
    doing: Result<Query<Doing>, QueryRejection>,
) -> Response {
    match console.api(&name) {
        Ok(api) => {
            let frame = console.frame(Some(&visitor), Section::Apis).saying(doing);
            page(StatusCode::OK, &ApiPage { frame, api })
        }
        Err(refusal) => console.refuse(Some(&visitor), &refusal),
    }
}

/// One scope.
pub(super) async fn scope(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(name): Path<String>,
    doing: Result<Query<Doing>, QueryRejection>,
) -> Response {
    match console.scope(&name) {
        Ok((scope, api)) => {
            let frame = console.frame(Some(&visitor), Section::Apis).saying(doing);
            page(StatusCode::OK, &ScopePage { frame, api, scope })
        }
        Err(refusal) => console.refuse(Some(&visitor), &refusal),
    }
}

impl Console {
    /// The api of this name, in force.
    pub(super) fn api(&self, name: &str) -> Result<Api, Refusal> {
        let view = api_view(&self.generation(), name, self.registry.gateway().metrics());
        let view = view.ok_or(Refusal::NoSuchPage)?;
        typed(view).ok_or(Refusal::Failed)
    }

    /// The scope of this name, in force, and its api.
    pub(super) fn scope(&self, name: &str) -> Result<(Scope, Api), Refusal> {
        let view = scope_view(&self.generation(), name, self.registry.gateway().metrics());
        let scope: Scope = view.map(typed).ok_or(Refusal::NoSuchPage)?.ok_or(Refusal::Failed)?;
        let api = self.api(&scope.api)?;
        Ok((scope, api))
    }
}
