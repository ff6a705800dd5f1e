//! Scopes × endpoints: for each api, which scope and privilege grants which of its endpoints.

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
use super::service::ShownService;
use super::shown::{api_address, scope_address};
use super::visitor::Visitor;
use crate::policy::{ApiId, Policy, Reach, Role, ScopeId};
use crate::workbench::{Access, ApiMap, ScopeMap};

/// Which api is shown; the first if nobody says.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    api: String,
}

#[derive(Template)]
#[template(path = "matrix.html")]
struct MatrixPage<'a> {
    frame: Frame<'a>,
    /// Name, and what people call it.
    apis: Vec<(String, String)>,
    shown: Option<Matrix>,
}

/// Of one api.
struct Matrix {
    api: String,
    title: String,
    columns: Vec<Column>,
    rows: Vec<Row>,
}

/// A scope or a privilege.
struct Column {
    name: String,
    /// Of the scope, where it is a privilege.
    address: String,
    required: bool,
    deprecated: bool,
}

/// An endpoint.
struct Row {
    endpoint: ShownService,
    public: bool,
    cells: Vec<Cell>,
}

/// Whether a scope grants an endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    No,
    Own,
    Any,
    /// For some of its methods, or but for some of its paths.
    Partly,
    /// By the scope that the privilege includes.
    Included,
}

/// One api's matrix.
pub(super) async fn matrix(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = asked.map(|Query(asked)| asked.api).unwrap_or_default();
    let generation = console.generation();
    let policy = &generation.policy;
    let titled = policy.apis().iter().map(|api| {
        let name = api.name.to_string();
        (name.clone(), api.display_name.as_deref().map_or(name, str::to_owned))
    });
    let map = ScopeMap::new(policy);
    let found = map.apis.iter().find(|own| own.api.name.as_str() == asked).or_else(|| map.apis.first());
    let shown = found.map(|own| Matrix::of(policy, own));
    let frame = console.frame(Some(&visitor), Section::Matrix);
    page(StatusCode::OK, &MatrixPage { frame, apis: titled.collect(), shown })
}

impl Matrix {
    fn of(policy: &Policy, map: &ApiMap<'_>) -> Self {
        let own = scopes(policy, map.id);
        let columns = own.iter().filter_map(|id| column(policy, *id)).collect();
        let rows = map.endpoints.iter().map(|endpoint| {
            let methods: Vec<_> = endpoint.methods.names().collect();
            let listed =
                if endpoint.methods == crate::policy::MethodSet::ALL { "*".to_owned() } else { methods.join(",") };
            let is_public =
                |access: &Access<'_>| matches!(access.through.role, Role::Public) && access.methods == endpoint.methods;
            Row {
                endpoint: ShownService::from(format!("{listed} {}", endpoint.pattern)),
                public: endpoint.access.iter().any(is_public),
                cells: own.iter().map(|id| cell(policy, *id, endpoint.methods, &endpoint.access)).collect(),
            }
        });
        let title = map.api.display_name.as_deref().unwrap_or(map.api.name.as_str()).to_owned();
        Self { api: map.api.name.to_string(), title, columns, rows: rows.collect() }
    }

    fn address(&self) -> String {
        api_address(&self.api)
    }
}

fn scopes(policy: &Policy, api: ApiId) -> Vec<ScopeId> {
    let all = (0..).map(ScopeId).zip(policy.scopes());
    all.filter(|(_, scope)| scope.api == api).map(|(id, _)| id).collect()
}

fn column(policy: &Policy, id: ScopeId) -> Option<Column> {
    let scope = policy.scope(id)?;
    let whole = scope.includes.and_then(|id| policy.scope(id)).unwrap_or(scope);
    Some(Column {
        name: scope.name.to_string(),
        address: scope_address(whole.name.as_str()),
        required: scope.marks.required,
        deprecated: scope.marks.deprecated,
    })
}

fn cell(policy: &Policy, id: ScopeId, methods: crate::policy::MethodSet, access: &[Access<'_>]) -> Cell {
    let of = |wanted: ScopeId| {
        access.iter().find_map(|access| match access.through.role {
            Role::Grant { scope, reach, .. } if scope == wanted => Some((access, reach)),
            Role::Grant { .. } | Role::Public | Role::TokenEndpoint(_) => None,
        })
    };
    match of(id) {
        Some((access, _)) if access.methods != methods || !access.except.is_empty() => Cell::Partly,
        Some((_, Reach::Own)) => Cell::Own,
        Some((_, Reach::Any)) => Cell::Any,
        None if policy.scope(id).and_then(|scope| of(scope.includes?)).is_some() => Cell::Included,
        None => Cell::No,
    }
}

impl Cell {
    /// For the style sheet.
    fn kind(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Own => "own",
            Self::Any => "any",
            Self::Partly => "partly",
            Self::Included => "included",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::No => "·",
            Self::Own => "●",
            Self::Any => "■",
            Self::Partly => "◐",
            Self::Included => "○",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Own => "own account",
            Self::Any => "any account",
            Self::Partly => "in part",
            Self::Included => "by the scope that it includes",
        }
    }
}
