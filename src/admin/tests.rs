//! The admin endpoints over a real socket.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::record::Metrics;

struct Known {
    metrics: Arc<Metrics>,
    policy: Option<PolicyReport>,
    issuers_without_keys: Vec<String>,
    secret: Option<&'static str>,
}

#[async_trait]
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

    fn takes_revocations(&self) -> bool {
        self.secret.is_some()
    }

    async fn revoke(&self, call: &RevocationCall<'_>) -> Revocation {
        assert_eq!(call.peer, Some("127.0.0.1".parse().unwrap()));
        let RevocationCall { secret, entry, .. } = *call;
        match (self.secret, entry) {
            (None, _) => Revocation::Closed,
            (own, _) if own != secret => Revocation::Unauthorized,
            (Some(_), None) => Revocation::TooLong,
            (Some(_), Some(b"bad")) => Revocation::Invalid("it is not JSON".to_owned()),
            (Some(_), Some(b"full")) => Revocation::NotAdded("no space left on device".to_owned()),
            (Some(_), Some(entry)) => Revocation::Added(String::from_utf8(entry.to_vec()).unwrap()),
        }
    }
}

fn ready() -> Known {
    let policy = PolicyReport {
        generation: 4,
        sha256: [0xab; 32],
        loaded_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
        source: "gateway.yaml".to_owned(),
        last_error: None,
        report_only: vec![],
        shadow: None,
    };
    Known { metrics: Metrics::new().unwrap(), policy: Some(policy), issuers_without_keys: vec![], secret: None }
}

/// Asks over a real socket; gives status, content type and body.
async fn ask(known: Known, method: &str, path: &str) -> (u16, String, String) {
    ask_as(known, method, path, None, String::new()).await
}

async fn ask_as(known: Known, method: &str, path: &str, secret: Option<&str>, body: String) -> (u16, String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve(listener, Arc::new(known), None));
    let method = method.parse().unwrap();
    let mut question = reqwest::Client::new().request(method, url).body(body);
    if let Some(secret) = secret {
        question = question.header("authorization", secret);
    }
    let answer = question.send().await.unwrap();
    let status = answer.status().as_u16();
    assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401);
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
    assert_eq!(ask(known, "GET", "/healthz").await, (200, "text/plain; charset=utf-8".to_owned(), "ok\n".to_owned()));
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    assert_eq!(ask(ready(), "GET", "/readyz").await.0, 200);
    let answer = ask(Known { issuers_without_keys: vec!["https://i".to_owned()], ..ready() }, "GET", "/readyz").await;
    assert_eq!((answer.0, &*answer.1), (503, "application/json"));
    assert_eq!(json_of(&answer), json!({"ready": false, "has_policy": true, "issuers_without_keys": ["https://i"]}));
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
        "source": "gateway.yaml", "last_error": null, "report_only": [], "shadow": null
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

#[tokio::test]
async fn revocations_are_taken_from_who_shows_the_secret() {
    let ask = async |secret: Option<&str>, body: &str| {
        let known = Known { secret: Some("right"), ..ready() };
        let (status, kind, text) = ask_as(known, "POST", "/revocations", secret, body.to_owned()).await;
        (status, kind, serde_json::from_str::<Value>(&text).unwrap())
    };
    let entry = json!({ "jti": "a", "iss": "i" });
    for scheme in ["Bearer right", "bearer right"] {
        let answer = ask(Some(scheme), &entry.to_string()).await;
        assert_eq!(answer, (201, "application/json".to_owned(), entry.clone()));
    }
    let long = "x".repeat(33 * 1024);
    for (secret, body, status, reason) in [
        (None, "", 401, "secret_rejected"),
        (Some("Bearer wrong"), "", 401, "secret_rejected"),
        (Some("Bearer  right"), "", 401, "secret_rejected"),
        (Some("Basic right"), "", 401, "secret_rejected"),
        (Some("right"), "", 401, "secret_rejected"),
        (Some("Bearer wrong"), &*long, 401, "secret_rejected"),
        (Some("Bearer right"), &*long, 413, "entry_rejected"),
        (Some("Bearer right"), "bad", 422, "entry_rejected"),
        (Some("Bearer right"), "full", 503, "unavailable"),
    ] {
        let (found, kind, problem) = ask(secret, body).await;
        assert_eq!((found, &*kind), (status, "application/problem+json"), "{secret:?} {problem}");
        assert_eq!(problem["reason"], reason);
    }
}

#[tokio::test]
async fn without_a_secret_in_the_file_nothing_shows_that_tokens_could_be_revoked() {
    let absent = ask(ready(), "GET", "/nothing").await;
    for method in ["POST", "GET", "DELETE", "OPTIONS"] {
        let answer = ask_as(ready(), method, "/revocations", Some("Bearer right"), "{}".to_owned()).await;
        let expected = absent.2.replace("/nothing", "/revocations");
        assert_eq!(answer, (404, absent.1.clone(), expected), "{method}");
    }
}

#[tokio::test]
async fn tokens_are_revoked_with_post_alone() {
    for method in ["GET", "PUT", "DELETE"] {
        let known = Known { secret: Some("right"), ..ready() };
        let answer = ask_as(known, method, "/revocations", Some("Bearer right"), "{}".to_owned()).await;
        assert_eq!((answer.0, &json_of(&answer)["reason"]), (405, &"method_not_allowed".into()), "{method}");
    }
}
