//! `mode: report_only`: what an api refuses goes through and is told of everywhere; what has no one meaning
//! does not.

use serde_json::{Value, json};

use crate::harness::{Connection, Gateway, Response, Signer, now, scopegate, wait_for};

const POLICY: &str = r#"
identity_headers: { subject: X-Auth-Subject, client: X-Auth-Client, account: X-Auth-Account, scopes: X-Auth-Scopes }
revocations: { file: revoked.jsonl }
clients:
  - { id: app, scopes: [trial-read, kept-read] }
  - { id: bound, certificate: { subject: CN=bound } }
apis:
  - name: trial
    base_path: /trial
    upstream: backend
    mode: report_only
    account: [{ path: account }, { header: X-Account }]
    public: ["GET /trial/health"]
    scopes:
      - name: trial-read
        services: ["GET /trial/{account}/**"]
        except: ["GET /trial/*/admin/**"]
      - { name: trial-admin, accounts: any, services: ["DELETE /trial/{account}/**"] }
  - name: kept
    base_path: /kept
    upstream: backend
    scopes: [{ name: kept-read, services: ["GET /kept/**"] }]
  - name: part
    base_path: /trial/part
    upstream: backend
    scopes: [{ name: part-read, services: ["GET /trial/part/x"] }]
"#;

fn start() -> Gateway {
    Gateway::start_in(POLICY, |folder| {
        let entry = json!({ "iss": "https://issuer.example", "jti": "gone", "exp": now() + 3600 });
        std::fs::write(folder.join("revoked.jsonl"), format!("{entry}\n")).unwrap();
    })
}

/// Runs the binary on the gateway's file; what it prints, in one line, and its exit code.
fn run(gateway: &Gateway, arguments: &[&str]) -> (String, i32) {
    let output = scopegate(arguments).current_dir(gateway.folder.path()).env("NO_COLOR", "1").output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (text.split_whitespace().collect::<Vec<_>>().join(" "), output.status.code().unwrap())
}

fn bearer(claims: Value) -> String {
    format!("Bearer {}", Signer::shared().token(claims))
}

fn reader() -> String {
    bearer(json!({ "scope": "trial-read", "account_id": "acme", "sub": "someone" }))
}

/// The audit line of an answer.
fn line(gateway: &Gateway, response: &Response) -> Value {
    let id = response.header("x-request-id").unwrap().to_owned();
    wait_for("the audit line", || gateway.audit(1).into_iter().find(|line| line["request_id"] == *id))
}

#[track_caller]
fn check_reported(gateway: &Gateway, method: &str, target: &str, headers: &[(&str, &str)], reason: &str) -> Value {
    let before = gateway.upstream.count();
    let series = format!("scopegate_report_only_total{{api=\"trial\",reason=\"{reason}\"}} ");
    let counted = gateway.metric(&series).unwrap();
    let response = gateway.ask(method, target, headers);
    assert_eq!((response.status, gateway.upstream.count()), (200, before + 1), "{method} {target}: {response:?}");
    let line = line(gateway, &response);
    let told = (&line["decision"], &line["reason"], &line["reported"], &line["api"], &line["status"]);
    assert_eq!(told, (&json!("allow"), &json!("reported"), &json!(reason), &json!("trial"), &json!(200)), "{line}");
    assert_eq!((&line["service"], &line["granted_by"]), (&Value::Null, &Value::Null), "{line}");
    assert!(gateway.metric(&series).unwrap() > counted + 0.5, "{series}");
    line
}

#[track_caller]
fn check_refused(gateway: &Gateway, method: &str, target: &str, headers: &[(&str, &str)], reason: &str) {
    let before = gateway.upstream.count();
    let response = gateway.ask(method, target, headers);
    assert_eq!((response.reason(), gateway.upstream.count()), (reason.to_owned(), before), "{method} {target}");
    let line = line(gateway, &response);
    assert_eq!((&line["decision"], &line["reported"]), (&json!("deny"), &Value::Null), "{line}");
}

#[test]
fn what_an_api_on_trial_refuses_goes_through_and_is_recorded_with_its_reason() {
    let gateway = start();
    let own = reader();
    let bad = Signer::shared().token(json!({}));
    let (start, end) = bad.split_at(bad.len() - 20);
    let tampered = format!("Bearer {start}{}{}", if end.starts_with('A') { 'B' } else { 'A' }, &end[1..]);
    let expired = bearer(json!({ "exp": now() - 3600, "scope": "trial-read" }));
    let stranger = bearer(json!({ "client_id": "stranger", "scope": "trial-read" }));
    let bound = bearer(json!({ "client_id": "bound", "scope": "trial-read" }));
    let without = bearer(json!({ "scope": "kept-read", "account_id": "acme" }));
    let cases: &[(&str, &str, &str, &str)] = &[
        ("GET", "/trial/acme/x", "", "token_missing"),
        ("GET", "/trial/acme/x", "Basic YTpi", "token_missing"),
        ("GET", "/trial/acme/x", "Bearer x", "token_malformed"),
        ("GET", "/trial/acme/x", &tampered, "signature_invalid"),
        ("GET", "/trial/acme/x", &expired, "token_expired"),
        ("GET", "/trial/acme/x", &stranger, "client_unknown"),
        ("GET", "/trial/acme/x", &bound, "certificate_mismatch"),
        ("GET", "/trial/acme/x", &without, "scope_insufficient"),
        ("GET", "/trial/globex/x", &own, "account_forbidden"),
        ("GET", "/trial/acme/admin/x", &own, "method_not_allowed"),
        ("PUT", "/trial/acme/x", &own, "method_not_allowed"),
        ("GET", "/trial", &own, "route_unknown"),
        ("BREW", "/trial", &own, "route_unknown"),
    ];
    for (method, target, token, reason) in cases {
        let headers: &[_] = if token.is_empty() { &[] } else { &[("Authorization", *token)] };
        check_reported(&gateway, method, target, headers, reason);
    }
    let headers = [("Authorization", &*own), ("X-Account", "globex")];
    check_reported(&gateway, "GET", "/trial/acme/x", &headers, "account_ambiguous");
    let granted = gateway.ask("GET", "/trial/acme/x", &[("Authorization", &own)]);
    let line = line(&gateway, &granted);
    assert_eq!((&line["reason"], &line["reported"]), (&json!("granted"), &Value::Null));
}

#[test]
fn a_request_without_one_meaning_and_a_revoked_token_are_refused_all_the_same() {
    let gateway = start();
    let own = reader();
    let revoked = bearer(json!({ "jti": "gone", "scope": "trial-read", "account_id": "acme" }));
    for (method, target, headers, reason) in [
        ("GET", "/trial/a/../b", vec![], "path_ambiguous"),
        ("GET", "/trial/a%2fb", vec![], "path_ambiguous"),
        ("GET", "/trial//b", vec![], "path_ambiguous"),
        ("GET", "/trial/acme/x", vec![("Authorization", &*own), ("Authorization", &*own)], "header_ambiguous"),
        ("GET", "/trial/acme/x", vec![("X-Account", "a"), ("X-Account", "b")], "header_ambiguous"),
        ("GET", "/trial/acme/x", vec![("Connection", "X-Account")], "header_ambiguous"),
        ("GET", "/trial/acme/x", vec![("Authorization", &*revoked)], "token_revoked"),
        ("TRACE", "/trial/acme/x", vec![("Authorization", &*own)], "method_not_allowed"),
        ("delete", "/trial/acme/x", vec![("Authorization", &*own)], "method_not_allowed"),
    ] {
        check_refused(&gateway, method, target, &headers, reason);
    }
}

#[test]
fn an_api_that_enforces_is_not_opened_by_another_that_reports() {
    let gateway = start();
    let own = reader();
    for target in ["/kept/x", "/trial/part/x", "/trial/part/y", "/trial/part"] {
        check_refused(&gateway, "GET", target, &[], "token_missing");
    }
    check_refused(&gateway, "GET", "/kept/x", &[("Authorization", &own)], "scope_insufficient");
    check_refused(&gateway, "GET", "/elsewhere", &[("Authorization", &own)], "route_unknown");
    check_refused(&gateway, "GET", "/elsewhere", &[], "token_missing");
}

#[test]
fn the_upstream_is_told_what_was_verified_and_nothing_else_by_either_way() {
    let gateway = start();
    let forged =
        [("X-Auth-Subject", "root"), ("X-Auth-Client", "root"), ("X_Auth_Account", "beta"), ("X-Auth-Scopes", "all")];
    let (own, stranger) = (reader(), bearer(json!({ "client_id": "stranger", "sub": "s", "scope": "trial-read" })));
    let of = |name: &str| {
        let seen = gateway.upstream.last();
        seen.all(name).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    // GET goes by the short way to the upstream, POST by pingora's.
    for (method, target) in [("GET", "/trial/globex/x"), ("POST", "/trial/globex/x")] {
        for token in [None, Some("Bearer x"), Some(&*stranger)] {
            let token = token.map(|token| ("Authorization", token));
            let headers: Vec<_> = forged.into_iter().chain(token).collect();
            assert_eq!(gateway.ask(method, target, &headers).status, 200);
            for name in ["X-Auth-Subject", "X-Auth-Client", "X-Auth-Account", "X_Auth_Account", "X-Auth-Scopes"] {
                assert_eq!(of(name), Vec::<String>::new(), "{method} {name} {token:?}");
            }
            assert_eq!(of("Authorization"), token.iter().map(|(_, token)| (*token).to_owned()).collect::<Vec<_>>());
        }
        let headers: Vec<_> = forged.into_iter().chain([("Authorization", &*own)]).collect();
        assert_eq!(gateway.ask(method, target, &headers).status, 200);
        for (name, expected) in [
            ("X-Auth-Subject", vec!["someone"]),
            ("X-Auth-Client", vec!["app"]),
            ("X-Auth-Scopes", vec!["trial-read"]),
            ("X-Auth-Account", vec![]),
        ] {
            assert_eq!(of(name), expected, "{method} {name}");
        }
    }
}

#[test]
fn pipelined_requests_with_and_without_tokens_are_told_apart() {
    let gateway = start();
    let mut connection = Connection::open(gateway.address);
    let own = reader();
    let request = |target: &str, token: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{token}\r\n");
    let authorization = format!("Authorization: {own}\r\n");
    let both = request("/trial/acme/x", &authorization) + &request("/trial/acme/x", "") + &request("/kept/x", "");
    connection.write(both.as_bytes());
    let statuses: Vec<_> = (0..3).map(|_| connection.read_response().unwrap().status).collect();
    assert_eq!(statuses, [200, 200, 401]);
    let lines = gateway.audit(3);
    let told: Vec<_> = lines.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    assert_eq!(told, ["granted", "reported", "token_missing"]);
}

#[test]
fn every_view_says_that_an_api_only_reports() {
    let gateway = start();
    assert_eq!(gateway.admin("/policy").json()["report_only"], json!(["trial"]));
    assert!(gateway.metric("scopegate_report_only_apis ").is_some_and(|apis| (apis - 1.0).abs() < 0.5));
    gateway.wait_for_log("`mode: report_only`");
    let run = |arguments: &[&str]| run(&gateway, arguments);
    let (text, exit) = run(&["check", "gateway.yaml"]);
    assert!(text.contains("the api `trial` only reports") && exit == 0, "{text}");
    assert_eq!(run(&["check", "gateway.yaml", "--strict"]).1, 1);
    for format in ["text", "markdown"] {
        let (text, _) = run(&["scopes", "gateway.yaml", "--format", format]);
        assert!(text.contains("only reports"), "{text}");
    }
    let (text, _) = run(&["scopes", "gateway.yaml", "--format", "json"]);
    let map: Value = serde_json::from_str(&text).unwrap();
    let modes: Vec<_> = map["apis"].as_array().unwrap().iter().map(|api| api["mode"].as_str().unwrap()).collect();
    assert_eq!(modes, ["report_only", "enforce", "enforce"]);
    let (text, exit) = run(&["explain", "--path", "/trial/acme/x"]);
    assert!(text.contains("would be denied (token_missing)") && text.contains("only reports"), "{text}");
    assert_eq!(exit, 0);
    let (text, _) = run(&["explain", "--path", "/trial/acme/x", "--format", "json"]);
    let story: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&story["allowed"], &story["reason"]), (&json!(true), &json!("reported")));
    assert_eq!(story["reported"], "token_missing");
}

#[test]
fn tests_diff_replay_and_review_know_the_mode() {
    let gateway = start();
    let folder = gateway.folder.path();
    let run = |arguments: &[&str]| run(&gateway, arguments);
    let test = |expect: &str| {
        let text =
            format!("- request: GET /trial/acme/x\n  as: anonymous\n  expect: {expect}\n  reason: token_missing\n");
        std::fs::write(folder.join("gateway.tests.yaml"), text).unwrap();
        run(&["test", "gateway.yaml"])
    };
    assert_eq!(test("report").1, 0);
    let (text, exit) = test("deny");
    assert!(exit == 1 && text.contains("let through by an api that only reports: token_missing"), "{text}");
    let enforcing = std::fs::read_to_string(gateway.file()).unwrap().replace("    mode: report_only\n", "");
    std::fs::write(folder.join("enforcing.yaml"), enforcing).unwrap();
    let (text, exit) = run(&["diff", "enforcing.yaml", "gateway.yaml", "--exit-code"]);
    assert!(exit == 1 && text.contains("api trial: mode") && text.contains("report_only"), "{text}");
    // What was only reported would be refused, even where its token was no good.
    let own = reader();
    for (target, token) in [("/trial/acme/x", &*own), ("/trial/globex/x", &own), ("/trial/acme/x", "Bearer x")] {
        assert_eq!(gateway.ask("GET", target, &[("Authorization", token)]).status, 200);
    }
    assert_eq!(gateway.ask("GET", "/trial/acme/x", &[]).status, 200);
    gateway.audit(4);
    let (text, exit) = run(&["replay", "--audit", "audit.jsonl", "enforcing.yaml", "--format", "json"]);
    assert_eq!(exit, 0, "{text}");
    for reason in ["account_forbidden", "token_malformed", "token_missing"] {
        assert!(text.contains(reason), "{reason}: {text}");
    }
    let tally: Value = serde_json::from_str(&text[..=text.rfind('}').unwrap()]).unwrap();
    assert_eq!(tally["same"], 1, "{text}");
    let (text, _) = run(&["review", "--audit", "audit.jsonl", "gateway.yaml"]);
    assert!(text.contains("trial: 1 account_forbidden"), "{text}");
}

#[test]
fn a_change_of_mode_is_live_and_told() {
    let gateway = start();
    assert_eq!(gateway.ask("GET", "/trial/acme/x", &[]).status, 200);
    gateway.rewrite(&POLICY.replace("    mode: report_only\n", "    mode: enforce\n"));
    gateway.wait_for_policy("the second generation", |policy| policy["generation"] == 2);
    assert_eq!(gateway.ask("GET", "/trial/acme/x", &[]).reason(), "token_missing");
    assert_eq!(gateway.admin("/policy").json()["report_only"], json!([]));
    assert!(gateway.metric("scopegate_report_only_apis ").is_some_and(|apis| apis < 0.5));
}
