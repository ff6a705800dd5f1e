//! `/api/v1/explain/{request_id}`: a recent decision explained, in JSON or as text.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::to_value;

use super::answer::{self, Answered, Refusal};
use super::request::Asked;
use crate::gateway::Generation;
use crate::registry::{Registry, explain_recorded};

/// A line comes a moment after its request has ended: so often it is looked for, and so long between.
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(40);

pub(super) async fn explain(registry: &Registry, generation: &Generation, asked: &Asked<'_>) -> Answered {
    let id = asked.parameters.path("request_id");
    let mut lines = registry.gateway().audit().recent(&id);
    for _ in 1..LOOKS {
        if !lines.is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        lines = registry.gateway().audit().recent(&id);
    }
    let explained = explain_recorded(generation, &lines).ok_or_else(|| Refusal::forgotten(&id))?;
    if prefers_text(asked.headers) {
        return Ok(answer::text(explained.text()));
    }
    // INVARIANT: texts and numbers can always be written as JSON.
    Ok(answer::json(StatusCode::OK, &to_value(explained).unwrap_or_default()))
}

/// Whether `Accept` names plain text, and JSON not before it (RFC 9110 section 12.5.1).
fn prefers_text(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut best = (0.0, false);
    for range in accepts.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
        let is_text = match parts.next().as_deref() {
            Some("text/plain" | "text/*") => true,
            Some("application/json" | "application/*" | "*/*") => false,
            Some(_) | None => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        if quality > best.0 {
            best = (quality, is_text);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn text_is_for_those_who_want_it_more_than_json() {
        for (accept, expected) in [
            ("", false),
            ("text/plain", true),
            ("Text/Plain; charset=utf-8", true),
            ("text/*", true),
            ("*/*", false),
            ("text/html, text/plain;q=0.9, */*;q=0.1", true),
            ("application/json, text/plain", false),
            ("text/plain;q=0.5, application/json", false),
            ("text/plain;q=0", false),
            ("text/plain;q=x", true),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(prefers_text(&headers), expected, "{accept}");
        }
        assert!(!prefers_text(&HeaderMap::new()));
    }
}
