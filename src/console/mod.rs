//! The console: the registry as pages, for people with a browser, on the admin address.
//!
//! Who looks is `visitor`'s, by a `session` that `sign_in` or `at_issuer` opened; where the console is, and so what a
//! request may say of where it comes from, is `place`'s. Pages ask the `registry` as its API does, and
//! change things by the same rules. Nothing of it needs a script, or anything that is not in the binary.

mod answer;
mod apis;
mod assets;
mod at_issuer;
mod begun;
mod clients;
mod deleting;
mod denials;
mod done;
mod editing;
mod effects;
mod form;
mod frame;
mod matrix;
mod pages;
mod place;
mod policy;
mod reasons;
mod refusal;
mod scope_form;
mod search;
mod secret;
mod service;
mod session;
mod shown;
mod sign_in;
mod tries;
mod usage;
mod visitor;
mod who;
mod wrong;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Redirect, Response};
use axum::routing::{any, get, post};

use self::begun::BegunAll;
use self::place::Place;
use self::refusal::Refusal;
use self::session::Sessions;
use self::tries::Tries;
use self::visitor::Visitor;
use crate::gateway::Generation;
use crate::registry::{Registry, access};
use crate::reload::Status;

/// In bytes; of what a form sends.
const LONGEST_FORM: usize = 256 * 1024;
/// In bytes; of a page's address.
const LONGEST_TARGET: usize = 16 * 1024;

/// What the pages are made of.
#[derive(Debug)]
pub struct Console {
    registry: Arc<Registry>,
    file: Arc<Status>,
    sessions: Sessions,
    begun: BegunAll,
    tries: Tries,
}

impl Console {
    /// The console of a registry and the file that it is about.
    pub fn new(registry: Arc<Registry>, file: Arc<Status>) -> Arc<Self> {
        Arc::new(Self {
            registry,
            file,
            sessions: Sessions::default(),
            begun: BegunAll::default(),
            tries: Tries::default(),
        })
    }

    fn generation(&self) -> Arc<Generation> {
        self.registry.gateway().current()
    }
}

/// The pages, all under `/console`.
pub fn router(console: Arc<Console>) -> Router {
    let unknown = |State(console): State<Arc<Console>>, visitor: Option<Visitor>| async move {
        console.refuse(visitor.as_ref(), &Refusal::NoSuchPage)
    };
    let other_method = |State(console): State<Arc<Console>>, visitor: Option<Visitor>| async move {
        console.refuse(visitor.as_ref(), &Refusal::Method)
    };
    Router::new()
        .route("/console", get(home))
        .merge(pages::routes())
        .route("/console/sign-in", get(sign_in::page))
        .route("/console/sign-in/token", post(sign_in::by_token))
        .route("/console/sign-in/begin", get(at_issuer::begin))
        .route("/console/sign-in/back", get(at_issuer::back))
        .route("/console/sign-in/finish", get(at_issuer::finish))
        .route("/console/sign-out", post(sign_in::sign_out))
        .route("/console/", any(unknown))
        .route("/console/{*rest}", any(unknown))
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(LONGEST_FORM))
        .layer(from_fn_with_state(Arc::clone(&console), guard))
        .with_state(console)
}

/// What every request is held to before anything else is made of it, and what every answer says.
async fn guard(State(console): State<Arc<Console>>, mut request: Request, next: Next) -> Response {
    let answer = match console.check(&request) {
        Ok(place) => {
            request.extensions_mut().insert(place);
            next.run(request).await
        }
        Err(refusal) => console.refuse(None, &refusal),
    };
    answer::secured(answer)
}

impl Console {
    fn check(&self, request: &Request) -> Result<Place, Refusal> {
        let generation = self.generation();
        if access(&generation).is_none() {
            return Err(Refusal::Off);
        }
        let admin = generation.settings.admin.as_ref();
        let place = admin.and_then(|admin| Place::of(admin, request.headers()));
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if target > LONGEST_TARGET {
            return Err(Refusal::LongTarget);
        }
        place.ok_or(Refusal::Misdirected)
    }
}

async fn home(_visitor: Visitor) -> Redirect {
    Redirect::to("/console/apis")
}
