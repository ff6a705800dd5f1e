//! Every reason of the decision, got over HTTP: its status, challenge and body, and nothing forwarded.

use std::collections::BTreeSet;

pub(crate) use ::harness::refusals::{Request, cases, check, get, plain, send, token};
use ::harness::refusals::{policy, prepare};
use scopegate::policy::Reason;
use serde_json::json;

use crate::harness::{Gateway, Response, Upstream};

#[test]
fn each_reason_has_its_status_challenge_and_body_and_reaches_no_upstream() {
    let gateway = start("");
    let mut seen = BTreeSet::new();
    for case in cases() {
        let response = send(&gateway, &case.request);
        check(&case, &response);
        seen.insert(case.reason);
    }
    assert_eq!(gateway.upstream.count(), 0, "a refused request was forwarded");
    // A form is answered as RFC 6749 section 5.2 has it, which `revoking` shows; `bounds` shows the last but `rate_limited`,
    // which `limiting` does; `fleet` shows `shared_state_unavailable`, `cors` what preflights get, and
    // `authorizer` what becomes of questions.
    let others = [
        Reason::QuestionRejected,
        Reason::Public,
        Reason::Granted,
        Reason::Reported,
        Reason::OriginRejected,
        Reason::Preflight,
        Reason::FormRejected,
        Reason::HeadTooLarge,
        Reason::SharedStateUnavailable,
        Reason::BodyTooLarge,
        Reason::RateLimited,
        Reason::Overloaded,
    ];
    let missing: Vec<_> =
        Reason::ALL.iter().filter(|reason| !seen.contains(reason.as_str()) && !others.contains(reason)).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

#[test]
fn each_refusal_is_one_audit_line_and_one_count() {
    let gateway = start("");
    let cases = cases();
    // Lines are written as connections end, so they are told apart by the id that the answer has.
    let id = |response: Response| response.header("x-request-id").unwrap().to_owned();
    let ids: Vec<String> = cases.iter().map(|case| id(send(&gateway, &case.request))).collect();
    let lines = gateway.audit(cases.len());
    assert_eq!(lines.len(), cases.len());
    for (case, id) in cases.iter().zip(&ids) {
        let line = lines.iter().find(|line| line["request_id"] == *id).unwrap_or_else(|| panic!("no line has {id}"));
        assert_eq!(line["reason"], case.reason, "{line}");
        assert_eq!((&line["decision"], &line["status"]), (&json!("deny"), &json!(case.status)), "{line}");
        assert!(!line.to_string().contains("eyJ"), "a token in the audit line: {line}");
    }
    let text = String::from_utf8(gateway.admin("/metrics").body).unwrap();
    let counted: f64 = text
        .lines()
        .filter(|line| line.starts_with("scopegate_decisions_total{") && line.contains(r#"decision="deny""#))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!((counted - cases.len() as f64).abs() < 0.5, "{counted} of {}", cases.len());
}

#[test]
fn allowed_requests_reach_the_upstream_with_the_callers_identity() {
    let gateway = start("");
    let token = token(json!({ "scope": "data-read", "account_id": "acme" }));
    let response = gateway.get("/data/acme/packets?view=full", &token);
    assert_eq!((response.status, &response.json()["upstream"]), (200, &json!(true)));
    assert_eq!(gateway.upstream.last().line, "GET /data/acme/packets?view=full HTTP/1.1");
    let response = gateway.ask("GET", "/data/health", &[]);
    assert_eq!(response.status, 200);
    let lines = gateway.audit(2);
    let of = |reason: &str| lines.iter().find(|line| line["reason"] == reason).unwrap();
    let granted = of("granted");
    assert_eq!((&granted["account"], &granted["granted_by"]), (&json!("acme"), &json!("data-read")));
    assert_eq!(granted["service"], "GET /data/{account}/**");
    assert_eq!(of("public")["client"], json!(null));
}

/// A gateway whose listener has these keys beside its address.
pub(crate) fn start(listener: &str) -> Gateway {
    start_with(listener, "")
}

/// The same, whose file says more.
pub(crate) fn start_with(listener: &str, more: &str) -> Gateway {
    Gateway::start_listening(listener, &policy(more), Upstream::start(), prepare)
}
