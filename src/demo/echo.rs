//! An upstream that answers with what it was asked, so that a person sees what passes the gateway.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

/// Answers whatever it is asked.
pub(super) fn router() -> Router {
    Router::new().fallback(echo)
}

async fn echo(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body_bytes) = length(body).await else {
        return (StatusCode::BAD_REQUEST, "the body broke off\n").into_response();
    };
    let headers: Vec<Value> = head
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let answer = json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "headers": headers,
        "body_bytes": body_bytes,
    });
    Json(answer).into_response()
}

/// Reads the body to its end and keeps nothing of it.
async fn length(mut body: Body) -> Result<u64, axum::Error> {
    let mut length = 0;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Some(data) = frame?.data_ref() {
            length += u64::try_from(data.len()).unwrap_or(u64::MAX);
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn it_answers_with_what_it_was_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router()).await });
        let request = reqwest::Client::new().put(format!("http://{address}/a/%20b?c=d&c")).header("X-One", "1");
        let text = request.body("12345").send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["method"], "PUT");
        assert_eq!(answer["path"], "/a/%20b");
        assert_eq!(answer["query"], "c=d&c");
        assert_eq!(answer["body_bytes"], 5);
        assert!(answer["headers"].as_array().unwrap().contains(&json!(["x-one", "1"])));
        server.abort();
    }
}
