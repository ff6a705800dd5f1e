//! `/api/v1`: the registry of scopes over HTTP, in JSON, for those whose token says that they may.
//!
//! What there is stands in one table, `ROUTES`, from which both the router and the `OpenAPI` document
//! are made. Who asks is `access`'s, how answers look `answer`'s; what is asked is `registry`'s.

mod access;
mod answer;
mod explain;
mod openapi;
mod request;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, RawPathParams, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::routing::{MethodFilter, on};
use serde_json::json;

use self::answer::Answered;
use self::request::{Asked, Parameters};
use crate::gateway::Generation;
use crate::hex::hex;
use crate::record::Metrics;
use crate::registry::{
    Change, Registry, Role, Search, Target, Who, api_view, apis_view, client_view, clients_view, denials_view,
    scope_view, scopes_view, usage_view, who_view,
};

/// In bytes.
const LONGEST_BODY: usize = 64 * 1024;
/// How many scopes are listed where nobody says.
const PAGE: usize = 1000;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    OpenApi,
    Registry,
    Apis,
    Api,
    ApiScopes,
    Scopes,
    Scope,
    Clients,
    Client,
    Who,
    Usage,
    Denials,
    Explain,
    CreateApi,
    PutApi,
    PatchApi,
    DeleteApi,
    CreateScope,
    PutScope,
    PatchScope,
    DeleteScope,
    CreateClient,
    PutClient,
    PatchClient,
    DeleteClient,
}

/// A method of a path.
#[derive(Debug, Clone, Copy)]
struct Route {
    method: &'static str,
    path: &'static str,
    endpoint: Endpoint,
    summary: &'static str,
}

const fn route(method: &'static str, path: &'static str, endpoint: Endpoint, summary: &'static str) -> Route {
    Route { method, path, endpoint, summary }
}

const API: &str = "/api/v1/apis/{api}";
const SCOPE: &str = "/api/v1/scopes/{scope}";
const CLIENT: &str = "/api/v1/clients/{client}";

/// All that there is.
const ROUTES: [Route; 25] = [
    route("GET", "/api/v1/openapi.json", Endpoint::OpenApi, "This document"),
    route(
        "GET",
        "/api/v1/registry",
        Endpoint::Registry,
        "Who asks, which text is in force, and whether it can be changed",
    ),
    route("GET", "/api/v1/apis", Endpoint::Apis, "Every api with its scopes"),
    route("POST", "/api/v1/apis", Endpoint::CreateApi, "Create an api"),
    route("GET", API, Endpoint::Api, "An api with its scopes"),
    route("PUT", API, Endpoint::PutApi, "Replace what an api says, but for its name and scopes"),
    route("PATCH", API, Endpoint::PatchApi, "Change some of what an api says"),
    route("DELETE", API, Endpoint::DeleteApi, "Delete an api with its scopes"),
    route("GET", "/api/v1/apis/{api}/scopes", Endpoint::ApiScopes, "The scopes of an api"),
    route("POST", "/api/v1/apis/{api}/scopes", Endpoint::CreateScope, "Create a scope"),
    route("GET", "/api/v1/scopes", Endpoint::Scopes, "Search the scopes"),
    route("GET", SCOPE, Endpoint::Scope, "A scope"),
    route("PUT", SCOPE, Endpoint::PutScope, "Replace what a scope says, but for its name"),
    route("PATCH", SCOPE, Endpoint::PatchScope, "Change some of what a scope says"),
    route("DELETE", SCOPE, Endpoint::DeleteScope, "Delete a scope that nobody uses"),
    route("GET", "/api/v1/clients", Endpoint::Clients, "Every client and what it can reach"),
    route("POST", "/api/v1/clients", Endpoint::CreateClient, "Create a client"),
    route("GET", CLIENT, Endpoint::Client, "A client and what it can reach"),
    route("PUT", CLIENT, Endpoint::PutClient, "Replace what a client's entry says, but for its id"),
    route("PATCH", CLIENT, Endpoint::PatchClient, "Change some of what a client's entry says"),
    route("DELETE", CLIENT, Endpoint::DeleteClient, "Delete a client"),
    route("GET", "/api/v1/who", Endpoint::Who, "Who can call a method and path, and why not"),
    route("GET", "/api/v1/usage", Endpoint::Usage, "What each scope and client was used for"),
    route("GET", "/api/v1/denials", Endpoint::Denials, "The last refusals"),
    route("GET", "/api/v1/explain/{request_id}", Endpoint::Explain, "Why a recent request was let through or refused"),
];

impl Route {
    /// Whether it changes something, or would.
    fn is_change(&self) -> bool {
        self.method != "GET"
    }
}

/// The endpoints.
pub(super) fn router(registry: Arc<Registry>) -> Router {
    let mut router = Router::new();
    for route in &ROUTES {
        let filter = match route.method {
            "POST" => MethodFilter::POST,
            "PUT" => MethodFilter::PUT,
            "PATCH" => MethodFilter::PATCH,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        let handler = move |State(registry): State<Arc<Registry>>,
                            parameters: RawPathParams,
                            query: Result<Query<Vec<(String, String)>>, QueryRejection>,
                            method: Method,
                            uri: Uri,
                            headers: HeaderMap,
                            body: Result<Bytes, BytesRejection>| async move {
            let parameters = Parameters::new(&parameters, query);
            let asked = Asked { parameters, method: &method, uri: &uri, headers: &headers, body };
            let answered = answer(&registry, route, asked).await;
            answered.unwrap_or_else(answer::Refusal::response)
        };
        router = router.route(route.path, on(filter, handler));
    }
    let unknown = |State(registry): State<Arc<Registry>>, uri: Uri| async move {
        match access::settings(&registry.gateway().current()) {
            Err(off) => off.response(),
            Ok(_) => answer::Refusal::unknown(uri.path()).response(),
        }
    };
    router
        .route("/api/{*rest}", axum::routing::any(unknown))
        .method_not_allowed_fallback(|| async { answer::Refusal::method().response() })
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(registry)
}

async fn answer(registry: &Arc<Registry>, route: &Route, asked: Asked<'_>) -> Answered {
    let generation = registry.gateway().current();
    let access = access::settings(&generation)?;
    if route.endpoint == Endpoint::OpenApi {
        return Ok(answer::json(StatusCode::OK, &openapi::document()));
    }
    let needed = if route.is_change() { Role::Manager } else { Role::Viewer };
    let editor = access::authorize(&generation, access, &asked, needed).await?;
    if let Some(change) = change(route.endpoint, &asked)? {
        return make(registry, change, &asked, editor).await;
    }
    let etag = generation.sha256;
    if route.endpoint == Endpoint::Explain {
        let response = explain::explain(registry, &generation, &asked).await;
        return response.map(|response| answer::with_etag(response, etag));
    }
    view(registry, route.endpoint, &asked, &editor).map(|response| answer::with_etag(response, etag))
}

/// The change that is asked for; `None` for an endpoint that only shows.
fn change(endpoint: Endpoint, asked: &Asked<'_>) -> Result<Option<Change>, answer::Refusal> {
    let name = |name: &str| asked.parameters.path(name);
    Ok(Some(match endpoint {
        Endpoint::CreateApi => Change::CreateApi(asked.object()?),
        Endpoint::PutApi => Change::Put(Target::Api(name("api")), asked.object()?),
        Endpoint::PatchApi => Change::Patch(Target::Api(name("api")), asked.object()?),
        Endpoint::DeleteApi => Change::Delete(Target::Api(name("api"))),
        Endpoint::CreateScope => Change::CreateScope { api: name("api"), sent: asked.object()? },
        Endpoint::PutScope => Change::Put(Target::Scope(name("scope")), asked.object()?),
        Endpoint::PatchScope => Change::Patch(Target::Scope(name("scope")), asked.object()?),
        Endpoint::DeleteScope => Change::Delete(Target::Scope(name("scope"))),
        Endpoint::CreateClient => Change::CreateClient(asked.object()?),
        Endpoint::PutClient => Change::Put(Target::Client(name("client")), asked.object()?),
        Endpoint::PatchClient => Change::Patch(Target::Client(name("client")), asked.object()?),
        Endpoint::DeleteClient => Change::Delete(Target::Client(name("client"))),
        Endpoint::OpenApi
        | Endpoint::Registry
        | Endpoint::Apis
        | Endpoint::Api
        | Endpoint::ApiScopes
        | Endpoint::Scopes
        | Endpoint::Scope
        | Endpoint::Clients
        | Endpoint::Client
        | Endpoint::Who
        | Endpoint::Usage
        | Endpoint::Denials
        | Endpoint::Explain => return Ok(None),
    }))
}

async fn make(registry: &Arc<Registry>, change: Change, asked: &Asked<'_>, editor: Who) -> Answered {
    let based_on = asked.condition()?;
    let dry_run = asked.parameters.yes_no("dry_run")?;
    let is_new = change.verb() == "create";
    let registry = Arc::clone(registry);
    let made = tokio::task::spawn_blocking(move || registry.change(&change, based_on, editor.editor(), dry_run));
    let made = made.await.map_err(|_| answer::Refusal::failed())??;
    Ok(answer::changed(&made, is_new, dry_run))
}

fn view(registry: &Registry, endpoint: Endpoint, asked: &Asked<'_>, who: &Who) -> Answered {
    let gateway = registry.gateway();
    let (generation, metrics) = (gateway.current(), gateway.metrics());
    let parameters = &asked.parameters;
    let shown = match endpoint {
        Endpoint::Apis => apis_view(&generation, metrics),
        Endpoint::Scopes => search(&generation, parameters, metrics)?,
        Endpoint::Clients => clients_view(&generation, metrics),
        Endpoint::Usage => usage_view(&generation, metrics),
        Endpoint::Denials => {
            let after = parameters.number("after")?.unwrap_or(0);
            denials_view(metrics, u64::try_from(after).unwrap_or(u64::MAX))
        }
        Endpoint::Who => {
            let path = parameters.required("path")?;
            let method = parameters.query("method").unwrap_or_else(|| "GET".to_owned());
            let host = parameters.query("host").unwrap_or_default().to_ascii_lowercase();
            who_view(&generation, &method, &path, &host).map_err(|why| answer::Refusal::parameter("path", &why))?
        }
        Endpoint::ApiScopes => {
            let name = parameters.path("api");
            let view = api_view(&generation, &name, metrics).ok_or_else(|| answer::Refusal::missing("api", &name))?;
            json!({ "api": name, "scopes": view.get("scopes") })
        }
        Endpoint::Api => entry_view(registry, &generation, &Target::Api(parameters.path("api")))?,
        Endpoint::Scope => entry_view(registry, &generation, &Target::Scope(parameters.path("scope")))?,
        Endpoint::Client => entry_view(registry, &generation, &Target::Client(parameters.path("client")))?,
        Endpoint::Registry
        | Endpoint::OpenApi
        | Endpoint::Explain
        | Endpoint::CreateApi
        | Endpoint::PutApi
        | Endpoint::PatchApi
        | Endpoint::DeleteApi
        | Endpoint::CreateScope
        | Endpoint::PutScope
        | Endpoint::PatchScope
        | Endpoint::DeleteScope
        | Endpoint::CreateClient
        | Endpoint::PutClient
        | Endpoint::PatchClient
        | Endpoint::DeleteClient => registry_view(registry, who),
    };
    Ok(answer::json(StatusCode::OK, &shown))
}

fn search(
    generation: &Generation,
    parameters: &Parameters,
    metrics: &Metrics,
) -> Result<serde_json::Value, answer::Refusal> {
    let page = (parameters.number("offset")?.unwrap_or(0), parameters.number("limit")?.unwrap_or(PAGE));
    let search =
        Search { text: parameters.query("q"), api: parameters.query("api"), service: parameters.query("service") };
    Ok(scopes_view(generation, &search, page, metrics))
}

/// An entry in force, with the fields that can be sent back under `api`, `scope` or `client`.
fn entry_view(
    registry: &Registry,
    generation: &Generation,
    target: &Target,
) -> Result<serde_json::Value, answer::Refusal> {
    let metrics = registry.gateway().metrics();
    let (kind, name) = target.parts();
    let view = match target {
        Target::Api(name) => api_view(generation, name, metrics),
        Target::Scope(name) => scope_view(generation, name, metrics),
        Target::Client(id) => client_view(generation, id, metrics),
    };
    let mut view = view.ok_or_else(|| answer::Refusal::missing(kind, name))?;
    if let (Target::Api(_) | Target::Client(_), Some(view)) = (target, view.as_object_mut()) {
        view.insert(kind.to_owned(), registry.entry(target).unwrap_or_default());
    }
    Ok(view)
}

fn registry_view(registry: &Registry, who: &Who) -> serde_json::Value {
    let generation = registry.gateway().current();
    let read_only = registry.read_only();
    json!({
        "generation": generation.number,
        "sha256": hex(&generation.sha256),
        "removal_guard": generation.settings.removal_guard,
        "writable": read_only.is_none(),
        "read_only_because": read_only,
        "you": { "issuer": who.issuer, "subject": who.subject, "client": who.client, "manages": who.role == Role::Manager },
    })
}
