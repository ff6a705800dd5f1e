//! What is refused, as RFC 6749 says it, and what the endpoint's path is.

use serde_json::{Value, json};

use super::{FORM, basic, check_refused, post, post_to, start};
use crate::harness::wait_for;

#[test]
fn each_refusal_is_an_rfc_6749_error_an_audit_line_and_reaches_no_provider() {
    let gateway = start();
    let (acme, broken) = (basic("acme"), "Basic not-base64".to_owned());
    let large = format!("client_id=acme&x={}", "x".repeat(2048));
    let cases: Vec<(&str, Vec<(&str, &str)>, u16, &str, &str, Value)> = vec![
        ("client_id=acme&scope=nothing", vec![], 400, "invalid_scope", "scope_undefined", json!("acme")),
        ("client_id=acme&scope=data-write", vec![], 400, "invalid_scope", "scope_insufficient", json!("acme")),
        ("client_id=acme&scope=data-hidden", vec![], 400, "invalid_scope", "scope_insufficient", json!("acme")),
        ("client_id=acme&scope=Data-Read", vec![], 400, "invalid_scope", "scope_undefined", json!("acme")),
        ("client_id=acme&scope=a%09b", vec![], 400, "invalid_scope", "form_rejected", json!("acme")),
        ("client_id=stranger&scope=data-read", vec![], 401, "invalid_client", "client_unknown", json!(null)),
        ("scope=data-read", vec![], 401, "invalid_client", "client_unknown", json!(null)),
        ("scope=data-read", vec![("Authorization", &broken)], 401, "invalid_client", "client_unknown", json!(null)),
        ("client_id=bound", vec![], 401, "invalid_client", "certificate_mismatch", json!("bound")),
        (
            "client_id=bound",
            vec![("Client-Cert", ":AAAA:")],
            401,
            "invalid_client",
            "certificate_mismatch",
            json!("bound"),
        ),
        ("client_id=open", vec![("Authorization", &acme)], 400, "invalid_request", "form_rejected", json!(null)),
        (
            "client_id=acme",
            vec![("Authorization", &acme), ("Authorization", &acme)],
            400,
            "invalid_request",
            "header_ambiguous",
            json!(null),
        ),
        ("client_id=acme&client_id=acme", vec![], 400, "invalid_request", "form_rejected", json!(null)),
        (
            "client_id=acme&scope=data-read&scope=data-write",
            vec![],
            400,
            "invalid_request",
            "form_rejected",
            json!(null),
        ),
        ("client_id=acme&Scope=data-write", vec![], 400, "invalid_request", "form_rejected", json!(null)),
        ("client_id=acme&scope[]=data-write", vec![], 400, "invalid_request", "form_rejected", json!(null)),
        ("client_id=acme&x=%ff", vec![], 400, "invalid_request", "form_rejected", json!(null)),
        ("client_id=acme&x=%", vec![], 400, "invalid_request", "form_rejected", json!(null)),
        (
            "{\"client_id\":\"acme\"}",
            vec![("Content-Type", "application/json")],
            400,
            "invalid_request",
            "form_rejected",
            json!(null),
        ),
        ("client_id=acme", vec![("Content-Type", "")], 400, "invalid_request", "form_rejected", json!(null)),
        (
            "client_id=acme",
            vec![("Content-Type", FORM), ("Content-Type", FORM)],
            400,
            "invalid_request",
            "form_rejected",
            json!(null),
        ),
        ("client_id=acme", vec![("Content-Encoding", "gzip")], 400, "invalid_request", "form_rejected", json!(null)),
        (&large, vec![], 413, "invalid_request", "form_rejected", json!(null)),
    ];
    for (count, (form, headers, status, error, reason, client)) in cases.iter().enumerate() {
        let response = post(&gateway, form, headers);
        check_refused(&response, *status, error);
        let id = response.header("x-request-id").unwrap().to_owned();
        let lines = gateway.audit(count + 1);
        let line = lines.iter().find(|line| line["request_id"] == id).unwrap_or_else(|| panic!("no line for {form}"));
        assert_eq!((&line["reason"], &line["decision"]), (&json!(reason), &json!("deny")), "{form}");
        assert_eq!((&line["client"], &line["status"]), (client, &json!(status)), "{form}: {line}");
    }
    assert_eq!(gateway.upstream.count(), 0);
    let counted = r#"scopegate_decisions_total{api="login",decision="deny",reason="form_rejected"}"#;
    let expected = cases.iter().filter(|case| case.4 == "form_rejected").count() as f64;
    wait_for("the count", || gateway.metric(counted).filter(|count| (count - expected).abs() < 0.5));
    let response = post(&gateway, "client_id=acme&scope=data-read+data-hidden+nothing", &[]);
    assert_eq!(response.json()["error_description"], "the client may not ask for data-hidden nothing");
}

#[test]
fn no_parameter_that_counts_comes_by_the_url() {
    let gateway = start();
    for query in ["scope=data-write", "client_id=open", "client_secret=x", "grant_type=x", "a;scope=b", "SCOPE=x"] {
        let response = post_to(&gateway, &format!("/oauth/token?{query}"), "client_id=acme&grant_type=x", &[]);
        check_refused(&response, 400, "invalid_request");
    }
    assert_eq!(gateway.upstream.count(), 0);
    assert_eq!(post_to(&gateway, "/oauth/token?tenant=1", "client_id=acme", &[]).status, 200);
    assert_eq!(gateway.upstream.last().line, "POST /oauth/token?tenant=1 HTTP/1.1");
}

#[test]
fn the_endpoint_owns_its_path_whatever_services_there_are() {
    let gateway = start();
    for method in ["GET", "PUT", "OPTIONS", "post"] {
        let response = gateway.ask(method, "/oauth/token?client_id=acme&scope=data-write", &[]);
        assert_eq!((response.status, response.header("allow")), (405, Some("POST")), "{method}: {response:?}");
        assert_eq!(response.reason(), "method_not_allowed");
    }
    for target in ["/oauth/token/", "/oauth/%74oken", "/OAUTH/TOKEN"] {
        check_refused(&post_to(&gateway, target, "client_id=stranger", &[]), 401, "invalid_client");
    }
    assert_eq!(post_to(&gateway, "/oauth/../oauth/token", "client_id=acme", &[]).reason(), "path_ambiguous");
    // Another path is the public service's, whose upstream is not there.
    assert_eq!(post_to(&gateway, "/oauth/tokens", "client_id=acme", &[]).status, 503);
    assert_eq!(gateway.upstream.count(), 0);
}
