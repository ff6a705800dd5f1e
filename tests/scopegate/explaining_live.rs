//! `/api/v1/explain/{request_id}`: what a running gateway tells of decisions that it has just made.

use serde_json::{Value, json};

use crate::explaining;
use crate::harness::{Gateway, Response, Signer};
use crate::reasons::{self, Request};
use crate::registry::Person;

const ACCESS: &str = "\nadmin:\n  address: $ADMIN\n  access: { issuer: \"https://issuer.example\" }\n";

fn viewer(gateway: &Gateway) -> Person<'_> {
    Person::with(gateway, "scopegate:view")
}

fn id(response: &Response) -> &str {
    response.header("x-request-id").unwrap()
}

/// What the gateway tells of the request that it has just answered.
#[track_caller]
fn explained(gateway: &Gateway, live: &Response) -> Value {
    let told = viewer(gateway).see(&format!("/explain/{}", id(live)));
    assert_eq!(told["request_id"], id(live));
    assert_eq!((&told["in_force"], &told["recorded"]["status"]), (&json!(true), &json!(live.status)), "{told}");
    told
}

#[test]
fn every_refusal_is_told_as_it_was_answered_and_as_explain_tells_it() {
    let gateway = reasons::start_with("", ACCESS);
    let mut untold = Vec::new();
    for case in reasons::cases() {
        let live = reasons::send(&gateway, &case.request);
        let told = explained(&gateway, &live);
        assert_eq!((&told["recorded"]["reason"], &told["recorded"]["decision"]), (&json!(case.reason), &json!("deny")));
        if let Some(why) = told["untold"].as_str() {
            assert_eq!((&told["explanation"], &told["decides_the_same"]), (&Value::Null, &Value::Null));
            untold.push((case.reason, why.to_owned()));
            continue;
        }
        let story = &told["explanation"];
        assert_eq!((&told["decides_the_same"], &story["reason"]), (&json!(true), &json!(case.reason)));
        let (asked, _) = explaining::explain(&gateway, &case.request);
        for member in ["allowed", "api", "service", "granted_by", "services", "required_scopes"] {
            assert_eq!(story[member], asked[member], "{member} of {}", case.reason);
        }
        if !story["answer"].is_null() {
            explaining::check_refused(story, 1, &live);
            assert_eq!(story["answer"]["body"]["request_id"], id(&live));
        }
        check_says_no_token(&case.request, &told);
    }
    let expected = [
        ("header_ambiguous", "what was wrong stood in its query or its headers, which are not recorded"),
        ("form_rejected", "it asked for a token, and its form is not recorded"),
        ("account_ambiguous", "it named different accounts, and which is not recorded"),
    ];
    assert_eq!(untold, expected.map(|(reason, why)| (reason, why.to_owned())));
}

#[track_caller]
fn check_says_no_token(request: &Request, told: &Value) {
    let token = request.headers.iter().find(|(name, _)| name == "Authorization");
    for part in token.iter().flat_map(|(_, token)| token.split('.')).filter(|part| part.len() > 20) {
        assert!(!told.to_string().contains(part), "a token in {told}");
    }
}

#[test]
fn what_was_let_through_is_told_with_what_the_upstream_heard_of_its_caller() {
    let gateway = Gateway::start(&format!("{ACCESS}{}", explaining::ALLOWING));
    let token =
        Signer::shared().token(json!({ "scope": "data-read reports-read", "account_id": "acme", "sub": "s-1" }));
    for (target, by, service) in [
        ("/data/acme/x?secret=1", json!("data-read"), "GET /data/{account}/**"),
        ("/reports/monthly", json!("reports-read"), "GET /reports/**"),
        ("/data/health", Value::Null, "GET /data/health"),
    ] {
        let told = explained(&gateway, &gateway.get(target, &token));
        let story = &told["explanation"];
        assert_eq!((&story["allowed"], &story["granted_by"], &story["service"]), (&json!(true), &by, &json!(service)));
        assert_eq!(told["decides_the_same"], true, "{told}");
        assert!(!told.to_string().contains("secret"), "a query in {told}");
        if by == "data-read" {
            let headers: Vec<(String, String)> = serde_json::from_value(story["forwarded"]["headers"].clone()).unwrap();
            let is = |name: &str, value: &str| headers.contains(&(name.to_owned(), value.to_owned()));
            assert!(is("x-auth-subject", "s-1") && is("x-auth-account", "acme"), "{headers:?}");
            assert_eq!(story["caller"]["subject"], "s-1");
        }
    }
    let absent = gateway.ask("GET", "/.well-known/oauth-protected-resource", &[]);
    assert_eq!(explained(&gateway, &absent)["explanation"]["allowed"], true);
}

#[test]
fn a_decision_of_another_generation_is_told_by_the_one_in_force_and_says_so() {
    let policy = format!("{ACCESS}{}", explaining::ALLOWING);
    let gateway = Gateway::start(&policy);
    let token = Signer::shared().token(json!({ "scope": "data-read", "account_id": "acme" }));
    let (kept, lost) = (gateway.get("/data/acme/x", &token), gateway.get("/data/beta/x", &token));
    assert_eq!((kept.status, lost.status), (200, 403));
    explained(&gateway, &lost);
    gateway.rewrite(&policy.replace("- name: data-read", "- name: data-read\n        accounts: any"));
    gateway.wait_for_policy("the next generation", |policy| policy["generation"] == 2);
    let see = |live: &Response| viewer(&gateway).see(&format!("/explain/{}", id(live)));
    let (kept, lost) = (see(&kept), see(&lost));
    for (told, same, reason) in [(&kept, true, "granted"), (&lost, false, "account_forbidden")] {
        assert_eq!((&told["in_force"], &told["generation_in_force"]), (&json!(false), &json!(2)), "{told}");
        assert_eq!((&told["recorded"]["generation"], &told["recorded"]["reason"]), (&json!(1), &json!(reason)));
        assert_eq!((&told["decides_the_same"], &told["explanation"]["reason"]), (&json!(same), &json!("granted")));
    }
}

#[test]
fn the_story_is_there_as_text_for_those_who_ask_for_it() {
    let gateway = Gateway::start(&format!("{ACCESS}{}", explaining::ALLOWING));
    let token = Signer::shared().token(json!({ "scope": "data-read", "account_id": "acme" }));
    gateway.ask("GET", "/data/beta/x", &[("Authorization", &format!("Bearer {token}")), ("X-Request-Id", "mine")]);
    let viewer = viewer(&gateway);
    let authorization = format!("Bearer {}", viewer.token);
    let headers = [("Authorization", &*authorization), ("Accept", "text/plain")];
    let text = gateway.ask_admin("GET", "/api/v1/explain/mine", &headers, b"");
    assert_eq!((text.status, text.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    let text = String::from_utf8(text.body).unwrap();
    assert!(text.starts_with("Request mine was decided at 20"), "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in
        ["by generation 1, which is in force: deny,", "answered with 403.", "Decision: denied, account_forbidden"]
    {
        assert!(words.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_request_that_is_not_known_any_more_is_404_and_only_viewers_are_told() {
    let gateway = Gateway::start(&format!("{ACCESS}{}", explaining::ALLOWING));
    let none = viewer(&gateway).get("/explain/none");
    assert_eq!((none.status, none.reason()), (404, "not_found".to_owned()));
    let live = gateway.ask("GET", "/nowhere", &[]);
    let path = format!("/explain/{}", id(&live));
    assert_eq!(Person::with(&gateway, "data-read").get(&path).status, 403);
    assert_eq!(gateway.ask_admin("GET", &format!("/api/v1{path}"), &[], b"").status, 401);
    assert_eq!(Person::manager(&gateway).get(&path).status, 200);
    // Of two with one id, the newer is told, and that there is another.
    gateway.ask("GET", "/data/health", &[("X-Request-Id", "twice")]);
    explained(&gateway, &gateway.ask("GET", "/data/health", &[("X-Request-Id", "other")]));
    gateway.ask("GET", "/nowhere", &[("X-Request-Id", "twice")]);
    let told = crate::harness::wait_for("both", || {
        let told = viewer(&gateway).see("/explain/twice");
        (told["earlier_with_this_id"] == 1).then_some(told)
    });
    assert_eq!(told["recorded"]["reason"], "token_missing");
}
