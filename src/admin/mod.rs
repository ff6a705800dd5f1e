//! The admin address: is it alive, is it ready, what does it count, which policy is in force.
//!
//! It reads the gateway through [`AdminState`] and changes nothing. It asks for no credentials; the
//! address is meant for the machine itself or a network of its own.

mod answer;
mod live;

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::record::MetricsUnmade;

pub use live::Live;

/// What the admin endpoints tell of.
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
}

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
}

/// Answers on `listener` until the task is dropped.
///
/// # Errors
/// If connections cannot be accepted any more.
pub async fn serve(listener: TcpListener, state: Arc<dyn AdminState>) -> io::Result<()> {
    axum::serve(listener, router(state)).await
}

/// The endpoints.
pub fn router(state: Arc<dyn AdminState>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { answer::text(StatusCode::OK, "ok\n") }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/policy", get(policy))
        .fallback(|uri: Uri| async move { answer::not_found(uri.path()) })
        .method_not_allowed_fallback(|| async { answer::method_not_allowed() })
        .with_state(state)
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
        loaded_at: jiff::Timestamp::try_from(report.loaded_at).ok().map(|time| format!("{time:.3}")),
        source: &report.source,
        last_error: report.last_error.as_deref(),
    };
    answer::json(StatusCode::OK, &shown)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |text, byte| text + &format!("{byte:02x}"))
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
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::record::Metrics;

    struct Known {
        metrics: Arc<Metrics>,
        policy: Option<PolicyReport>,
        issuers_without_keys: Vec<String>,
    }

    impl AdminState for Known {
        fn policy(&self) -> Option<PolicyReport> {
            self.policy.clone()
        }

        fn issuers_without_keys(&self) -> Vec<String> {
            self.issuers_without_keys.clone()
        }

        fn metrics(&self) -> Result<String, MetricsUnmade> {
            self.metrics.render()
        }
    }

    fn ready() -> Known {
        let policy = PolicyReport {
            generation: 4,
            sha256: [0xab; 32],
            loaded_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
            source: "gateway.yaml".to_owned(),
            last_error: None,
        };
        Known { metrics: Metrics::new().unwrap(), policy: Some(policy), issuers_without_keys: vec![] }
    }

    /// Asks over a real socket; gives status, content type and body.
    async fn ask(known: Known, method: &str, path: &str) -> (u16, String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{path}", listener.local_addr().unwrap());
        let server = tokio::spawn(serve(listener, Arc::new(known)));
        let method = method.parse().unwrap();
        let answer = reqwest::Client::new().request(method, url).send().await.unwrap();
        let status = answer.status().as_u16();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.headers().contains_key("allow"), status == 405);
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let body = answer.text().await.unwrap();
        server.abort();
        (status, kind, body)
    }

    #[track_caller]
    fn json_of(answer: &(u16, String, String)) -> Value {
        serde_json::from_str(&answer.2).unwrap()
    }

    #[tokio::test]
    async fn health_is_ok_whatever_is_missing() {
        let known = Known { policy: None, issuers_without_keys: vec!["i".to_owned()], ..ready() };
        assert_eq!(
            ask(known, "GET", "/healthz").await,
            (200, "text/plain; charset=utf-8".to_owned(), "ok\n".to_owned())
        );
    }

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        assert_eq!(ask(ready(), "GET", "/readyz").await.0, 200);
        let answer =
            ask(Known { issuers_without_keys: vec!["https://i".to_owned()], ..ready() }, "GET", "/readyz").await;
        assert_eq!((answer.0, &*answer.1), (503, "application/json"));
        assert_eq!(
            json_of(&answer),
            json!({"ready": false, "has_policy": true, "issuers_without_keys": ["https://i"]})
        );
        let answer = ask(Known { policy: None, ..ready() }, "GET", "/readyz").await;
        assert_eq!(json_of(&answer), json!({"ready": false, "has_policy": false, "issuers_without_keys": []}));
    }

    #[tokio::test]
    async fn metrics_are_in_the_text_format() {
        let (status, kind, body) = ask(ready(), "GET", "/metrics").await;
        assert_eq!((status, &*kind), (200, "text/plain; version=0.0.4; charset=utf-8"));
        assert!(body.contains("# TYPE scopegate_policy_generation gauge\n"));
    }

    #[tokio::test]
    async fn the_policy_says_what_is_in_force_and_what_is_not() {
        let answer = ask(ready(), "GET", "/policy").await;
        let told = json!({
            "generation": 4, "sha256": "ab".repeat(32), "loaded_at": "2023-11-14T22:13:20.250Z",
            "source": "gateway.yaml", "last_error": null
        });
        assert_eq!((answer.0, json_of(&answer)), (200, told));
        let mut known = ready();
        let error = "gateway.yaml:3:5: unknown key `lisener`; `listeners`?\ngateway.yaml:9:1: no `issuers`";
        if let Some(policy) = &mut known.policy {
            policy.last_error = Some(error.to_owned());
        }
        assert_eq!(json_of(&ask(known, "GET", "/policy").await)["last_error"], error);
        assert_eq!(ask(Known { policy: None, ..ready() }, "GET", "/policy").await.0, 503);
    }

    #[tokio::test]
    async fn what_is_not_there_is_answered_with_a_problem() {
        for (method, path, status, reason) in [
            ("GET", "/", 404, "route_unknown"),
            ("GET", "/policy/", 404, "route_unknown"),
            ("POST", "/policy", 405, "method_not_allowed"),
            ("DELETE", "/healthz", 405, "method_not_allowed"),
        ] {
            let answer = ask(ready(), method, path).await;
            assert_eq!((answer.0, &*answer.1), (status, "application/problem+json"), "{method} {path}");
            let body = json_of(&answer);
            assert_eq!(body["type"], format!("urn:scopegate:{reason}"));
            assert_eq!((&body["reason"], &body["status"]), (&json!(reason), &json!(status)));
        }
    }
}
