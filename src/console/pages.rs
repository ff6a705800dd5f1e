//! Where the pages are.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Console;
use super::{apis, assets, clients, deleting, denials, editing, matrix, policy, search, usage, who};

/// Their routes.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/console/apis", get(apis::apis))
        .route("/console/apis/{api}", get(apis::api))
        .route("/console/apis/{api}/new", get(editing::fresh).post(editing::create))
        .route("/console/assets/{name}", get(assets::asset))
        .route("/console/scopes/{scope}", get(apis::scope))
        .route("/console/scopes/{scope}/delete", get(deleting::ask).post(deleting::delete))
        .route("/console/scopes/{scope}/deprecate", post(deleting::deprecate))
        .route("/console/scopes/{scope}/edit", get(editing::edit).post(editing::change))
        .route("/console/clients", get(clients::clients))
        .route("/console/clients/{client}", get(clients::client))
        .route("/console/denials", get(denials::denials))
        .route("/console/matrix", get(matrix::matrix))
        .route("/console/policy", get(policy::policy))
        .route("/console/search", get(search::search))
        .route("/console/usage", get(usage::usage))
        .route("/console/who", get(who::who))
}
