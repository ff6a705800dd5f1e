//! Deleting a scope, or why it cannot be deleted and what to do instead.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::Map;

use super::Console;
use super::answer::page;
use super::done::Done;
use super::effects::{Line, lines};
use super::form::Form;
use super::frame::{Frame, Section};
use super::refusal::Refusal;
use super::shown::{Api, Scope};
use super::visitor::Visitor;
use super::wrong::{Trouble, User, based_on, condition, moment};
use crate::registry::{Change, Refused, Target, now};

#[derive(Template)]
#[template(path = "delete.html")]
struct DeletePage<'a> {
    frame: Frame<'a>,
    /// What is to be done, or was not.
    title: &'a str,
    api: Api,
    scope: Scope,
    based_on: String,
    lines: Vec<Line>,
    refusal: Option<Trouble>,
}

const CANNOT: &str = "This scope cannot be deleted now";

/// What deleting a scope would do, or why it cannot be done.
pub(super) async fn ask(State(console): State<Arc<Console>>, visitor: Visitor, Path(name): Path<String>) -> Response {
    let answer = console.ask(&visitor, &name).await;
    answer.unwrap_or_else(|refusal| console.refuse(Some(&visitor), &refusal))
}

/// Deletes a scope.
pub(super) async fn delete(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    Form { visitor, fields }: Form<Vec<(String, String)>>,
) -> Response {
    let change = |name: &str| Change::Delete(Target::Scope(name.to_owned()));
    let answer = console.settle(&visitor, &name, &fields, (CANNOT, Done::Deleted), change).await;
    answer.unwrap_or_else(|refusal| console.refuse(Some(&visitor), &refusal))
}

/// Marks a scope as deprecated.
pub(super) async fn deprecate(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    Form { visitor, fields }: Form<Vec<(String, String)>>,
) -> Response {
    let change = |name: &str| {
        let sent = Map::from_iter([("deprecated".to_owned(), true.into())]);
        Change::Patch(Target::Scope(name.to_owned()), sent)
    };
    let title = "This scope was not deprecated";
    let answer = console.settle(&visitor, &name, &fields, (title, Done::Deprecated), change).await;
    answer.unwrap_or_else(|refusal| console.refuse(Some(&visitor), &refusal))
}

impl Console {
    async fn ask(self: &Arc<Self>, visitor: &Visitor, name: &str) -> Result<Response, Refusal> {
        self.managing(visitor)?;
        let (scope, api) = self.scope(name)?;
        let sha256 = self.generation().sha256;
        let change = Change::Delete(Target::Scope(scope.name.clone()));
        let (lines, refusal) = match self.make(change, sha256, visitor, true).await? {
            Ok(changed) => match self.registry.read_only() {
                Some(why) => (Vec::new(), Some(Trouble::of(&Refused::ReadOnly { why, patch: changed.diff }))),
                None => (lines(&changed.diff), None),
            },
            Err(refused) => (Vec::new(), Some(trouble(&refused, &scope))),
        };
        let title = if refusal.is_some() { CANNOT } else { "Delete this scope?" };
        let frame = self.frame(Some(visitor), Section::Apis);
        let based_on = based_on(&sha256);
        Ok(page(StatusCode::OK, &DeletePage { frame, title, api, scope, based_on, lines, refusal }))
    }

    /// Makes a change to a scope and goes on, or says why it was not made.
    async fn settle(
        self: &Arc<Self>,
        visitor: &Visitor,
        name: &str,
        fields: &[(String, String)],
        (title, done): (&str, Done),
        change: impl FnOnce(&str) -> Change,
    ) -> Result<Response, Refusal> {
        let gone = |refusal| if refusal == Refusal::NoSuchPage { Refusal::Gone } else { refusal };
        let (scope, api) = self.scope(name).map_err(gone)?;
        let rests_on = fields.iter().find(|(name, _)| name == "based_on").map_or("", |(_, value)| value);
        let made = self.make(change(&scope.name), condition(rests_on), visitor, false).await?;
        let Err(refused) = made else {
            let next = if done == Done::Deleted { api.address() } else { scope.address() };
            return Ok(Redirect::to(&format!("{next}?done={}", done.as_str())).into_response());
        };
        let trouble = trouble(&refused, &scope);
        let status = trouble.status;
        let frame = self.frame(Some(visitor), Section::Apis);
        let based_on = based_on(&self.generation().sha256);
        let refusal = Some(trouble);
        Ok(page(status, &DeletePage { frame, title, api, scope, based_on, lines: Vec::new(), refusal }))
    }
}

/// Why not, with everybody who uses the scope.
fn trouble(refused: &Refused, scope: &Scope) -> Trouble {
    let mut trouble = Trouble::of(refused);
    if let Refused::Fields(_) = refused {
        "The file would be no good then".clone_into(&mut trouble.title);
    }
    if !matches!(refused, Refused::Listed { .. } | Refused::Carried(_)) {
        return trouble;
    }
    let mut users: BTreeMap<_, _> = trouble.users.drain(..).map(|user| (user.client.clone(), user)).collect();
    let mut user = |client: &super::shown::Client, lists: bool, until: Option<super::shown::Moment>| {
        let none = || User { client: client.clone(), lists: false, until: None };
        let user = users.entry(client.clone()).or_insert_with(none);
        user.lists |= lists;
        user.until = until.or(user.until.take());
    };
    for client in &scope.allowed_to_clients {
        user(client, true, None);
    }
    let now = moment(now());
    for (client, until) in &scope.seen_with_clients {
        if until.as_ref().map(super::shown::Moment::iso) > now.as_ref().map(super::shown::Moment::iso) {
            user(client, false, until.clone());
        }
    }
    trouble.users = users.into_values().collect();
    trouble
}
