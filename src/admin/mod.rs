//! The admin address: is it alive, is it ready, what does it count, which policy is in force.
//!
//! That much is read through [`AdminState`] and asks for no credentials; the address is meant for the
//! machine itself or a network of its own. Two things can be changed here, and only where the file says
//! who may: the list of revoked tokens, for those who show a secret, and the registry (`api`).

mod answer;
mod api;
mod live;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::console::{self, Console};
use crate::hex::hex;
use crate::record::MetricsUnmade;
use crate::registry::Registry;

pub use live::Live;

/// What the admin endpoints tell of.
#[async_trait]
pub trait AdminState: Send + Sync + 'static {
    /// The policy in force; `None` before there is one.
    fn policy(&self) -> Option<PolicyReport>;

    /// The issuers whose tokens cannot be judged yet, because their keys were never fetched.
    fn issuers_without_keys(&self) -> Vec<String>;

    /// Every metric in the text format 0.0.4.
    ///
    /// # Errors
    /// If the metrics cannot be written in it.
    fn metrics(&self) -> Result<String, MetricsUnmade>;

    /// Whether tokens can be revoked on the admin address: the file names a secret for that.
    fn takes_revocations(&self) -> bool;

    /// Puts an entry on the list of revoked tokens, for whoever shows the secret.
    async fn revoke(&self, call: &RevocationCall<'_>) -> Revocation;
}

/// A call to revoke tokens.
#[derive(Debug, Clone, Copy)]
pub struct RevocationCall<'r> {
    /// Where it came from.
    pub peer: Option<IpAddr>,
    /// The secret that was shown.
    pub secret: Option<&'r str>,
    /// `None` where it is longer than any.
    pub entry: Option<&'r [u8]>,
}

/// What became of a call to revoke tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// There is no such endpoint: the file names no secret.
    Closed,
    /// The secret is another.
    Unauthorized,
    /// The entry is longer than any.
    TooLong,
    /// It is none, or revokes nothing; the text says why.
    Invalid(String),
    /// It is on disk and counts; the text is the line of the list.
    Added(String),
    /// It could not be put on disk and does not count; the text says why.
    NotAdded(String),
}

/// In bytes.
const LONGEST_ENTRY: usize = 32 * 1024;

/// The policy in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyReport {
    /// Its running number.
    pub generation: u64,
    /// Of the text of its file.
    pub sha256: [u8; 32],
    /// When it was taken into force.
    pub loaded_at: SystemTime,
    /// The file.
    pub source: String,
    /// Why a newer text of the file is not in force, one problem a line.
    pub last_error: Option<String>,
    /// The apis that let through what they refuse.
    pub report_only: Vec<String>,
    /// The candidate that requests are judged by besides, if the file names one.
    pub shadow: Option<ShadowReport>,
}

/// A candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowReport {
    /// Its file.
    pub file: String,
    /// What is tried of it; `None`: nothing yet.
    pub tried: Option<TriedReport>,
    /// Why its present text is not tried, one problem a line.
    pub last_error: Option<String>,
}

/// A candidate's text that is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedReport {
    /// Its running number.
    pub generation: u64,
    /// Of the text.
    pub sha256: [u8; 32],
    /// When it was taken into use.
    pub loaded_at: SystemTime,
    /// The issuers of which the comparison does not follow the candidate, and what it does.
    pub issuers_apart: Vec<(String, &'static str)>,
}

/// Answers on `listener` until the task is dropped.
///
/// # Errors
/// If connections cannot be accepted any more.
pub async fn serve(
    listener: TcpListener,
    state: Arc<dyn AdminState>,
    registry: Option<(Arc<Registry>, Arc<Console>)>,
) -> io::Result<()> {
    let router = router(state);
    let router = match registry {
        Some((registry, console)) => {
            router.merge(api::router(registry)).merge(console::router(console)).route("/", get(front))
        }
        None => router,
    };
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
}

/// The endpoints.
pub fn router(state: Arc<dyn AdminState>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { answer::text(StatusCode::OK, "ok\n") }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/policy", get(policy))
        .route("/revocations", any(revocations).layer(DefaultBodyLimit::max(LONGEST_ENTRY)))
        .fallback(|uri: Uri| async move { answer::not_found(uri.path()) })
        .method_not_allowed_fallback(|| async { answer::method_not_allowed() })
        .with_state(state)
}

/// People are led to the console.
async fn front(uri: Uri, headers: HeaderMap) -> Response {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepted.any(|value| value.contains("text/html")) {
        return Redirect::to("/console").into_response();
    }
    answer::not_found(uri.path())
}

async fn readyz(State(state): State<Arc<dyn AdminState>>) -> Response {
    let has_policy = state.policy().is_some();
    let issuers_without_keys = state.issuers_without_keys();
    if has_policy && issuers_without_keys.is_empty() {
        return answer::text(StatusCode::OK, "ok\n");
    }
    answer::json(StatusCode::SERVICE_UNAVAILABLE, &Unready { ready: false, has_policy, issuers_without_keys })
}

async fn metrics(State(state): State<Arc<dyn AdminState>>) -> Response {
    match state.metrics() {
        Ok(text) => answer::metrics(text),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be shown");
            answer::internal_error("the metrics cannot be shown; the log says why")
        }
    }
}

async fn policy(State(state): State<Arc<dyn AdminState>>) -> Response {
    let Some(report) = state.policy() else {
        return answer::unavailable("no policy is in force yet");
    };
    let shown = ShownPolicy {
        generation: report.generation,
        sha256: hex(&report.sha256),
        loaded_at: shown_time(report.loaded_at),
        source: &report.source,
        last_error: report.last_error.as_deref(),
        report_only: &report.report_only,
        shadow: report.shadow.as_ref().map(ShownShadow::new),
    };
    answer::json(StatusCode::OK, &shown)
}

async fn revocations(
    State(state): State<Arc<dyn AdminState>>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    entry: Result<Bytes, BytesRejection>,
) -> Response {
    if !state.takes_revocations() {
        return answer::not_found(uri.path());
    }
    if method != Method::POST {
        return answer::only_post();
    }
    let secret = bearer(&headers);
    let peer = peer.map(|Extension(ConnectInfo(peer))| peer.ip());
    match state.revoke(&RevocationCall { peer, secret, entry: entry.as_deref().ok() }).await {
        Revocation::Closed => answer::not_found(uri.path()),
        Revocation::Unauthorized => answer::unauthorized(),
        Revocation::TooLong => answer::too_long(LONGEST_ENTRY),
        Revocation::Invalid(why) => answer::invalid(&why),
        Revocation::Added(line) => answer::added(line),
        Revocation::NotAdded(why) => answer::unavailable(&why),
    }
}

/// RFC 6750 section 2.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret)
}

fn shown_time(time: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(time).ok().map(|time| format!("{time:.3}"))
}

/// What `/readyz` says while something is missing.
#[derive(Serialize)]
struct Unready {
    ready: bool,
    has_policy: bool,
    issuers_without_keys: Vec<String>,
}

/// What `/policy` says.
#[derive(Serialize)]
struct ShownPolicy<'a> {
    generation: u64,
    sha256: String,
    loaded_at: Option<String>,
    source: &'a str,
    last_error: Option<&'a str>,
    report_only: &'a [String],
    shadow: Option<ShownShadow<'a>>,
}

/// What it says of a candidate; what is not tried yet has nothing to say of itself.
#[derive(Serialize)]
struct ShownShadow<'a> {
    file: &'a str,
    generation: Option<u64>,
    sha256: Option<String>,
    loaded_at: Option<String>,
    last_error: Option<&'a str>,
    issuers_apart: Vec<ShownIssuer<'a>>,
}

#[derive(Serialize)]
struct ShownIssuer<'a> {
    issuer: &'a str,
    compared: &'static str,
}

impl<'a> ShownShadow<'a> {
    fn new(report: &'a ShadowReport) -> Self {
        let tried = report.tried.as_ref();
        let apart = tried.into_iter().flat_map(|tried| &tried.issuers_apart);
        Self {
            file: &report.file,
            generation: tried.map(|tried| tried.generation),
            sha256: tried.map(|tried| hex(&tried.sha256)),
            loaded_at: tried.and_then(|tried| shown_time(tried.loaded_at)),
            last_error: report.last_error.as_deref(),
            issuers_apart: apart.map(|(issuer, compared)| ShownIssuer { issuer, compared }).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
