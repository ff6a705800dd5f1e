//! Tokens are revoked while the gateway runs: by whoever holds one, and on the admin address.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Connection, Gateway, Response, Signer, now, wait_for};

const POLICY: &str = r#"
revocations: { file: revoked.jsonl, endpoint: /oauth/revoke }
apis:
  - name: data
    upstream: backend
    public: ["/open/**"]
    scopes:
      - name: data-read
        services: ["GET /data/**"]
"#;

const FORM: &str = "application/x-www-form-urlencoded";

fn token(claims: Value) -> String {
    let mut all = json!({ "scope": "data-read" });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    Signer::shared().token(all)
}

/// A `POST` with a body, on a connection of its own.
fn post(gateway: &Gateway, headers: &[(&str, &str)], body: &str) -> Response {
    gateway.send(posted("/oauth/revoke", headers, body).as_bytes())
}

fn posted(target: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("POST {target} HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    format!("{text}\r\n{body}")
}

fn revoke(gateway: &Gateway, token: &str) -> Response {
    post(gateway, &[("Content-Type", FORM)], &format!("token_type_hint=refresh_token&token={token}"))
}

fn list(gateway: &Gateway) -> String {
    fs::read_to_string(gateway.folder.path().join("revoked.jsonl")).unwrap_or_default()
}

#[test]
fn a_revoked_token_is_refused_on_its_next_request_and_after_a_restart() {
    let gateway = Gateway::start(POLICY);
    let [one, other] = ["one", "other"].map(|id| token(json!({ "jti": id })));
    assert_eq!(gateway.get("/data/x", &one).status, 200);
    let answer = revoke(&gateway, &one);
    assert_eq!((answer.status, &*answer.body), (200, &b""[..]));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("x-request-id").is_some());
    let refused = gateway.get("/data/x", &one);
    assert_eq!((refused.status, &*refused.reason()), (401, "token_revoked"));
    assert_eq!(gateway.get("/data/x", &other).status, 200);
    let lines = list(&gateway);
    assert_eq!(lines.lines().count(), 1, "{lines}");
    // The process ends as in a crash.
    drop(gateway);
    let gateway = Gateway::start_in(POLICY, |folder| fs::write(folder.join("revoked.jsonl"), &lines).unwrap());
    assert_eq!(gateway.get("/data/x", &one).reason(), "token_revoked");
    assert_eq!(gateway.get("/data/x", &other).status, 200);
}

#[test]
fn revocation_is_recorded_and_nothing_of_it_goes_to_the_upstream() {
    let gateway = Gateway::start(POLICY);
    let one = token(json!({ "sub": "alice" }));
    let mut connection = Connection::open(gateway.address);
    // The connection goes on.
    for _ in 0..2 {
        let body = format!("token={one}");
        connection.write(posted("/oauth/revoke?a=b", &[("Content-Type", FORM)], &body).as_bytes());
        assert_eq!(connection.read_response().unwrap().status, 200);
    }
    let lines = gateway.audit(4);
    let (revocations, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line["event"] == "revocation");
    let shown = |name: &str| [lines[0][name].clone(), lines[1][name].clone()];
    assert_eq!(shown("path"), ["/oauth/revoke", "/oauth/revoke"]);
    assert_eq!(shown("status"), [200, 200]);
    // The second time it was no good token any more.
    assert_eq!(shown("subject"), [json!("alice"), Value::Null]);
    assert!(!gateway.log().contains(&one) && !list(&gateway).contains(&one));
    assert_eq!(gateway.upstream.seen().len(), 0);
    // And what was revoked has a line of its own, which names no token.
    let told = |name: &str| [revocations[0][name].clone(), revocations[1][name].clone()];
    assert_eq!(told("by"), ["holder", "holder"]);
    assert_eq!(told("peer"), ["127.0.0.1", "127.0.0.1"]);
    assert_eq!(told("result"), ["revoked", "no_good_token"]);
    assert_eq!(told("kind"), [json!("jti"), Value::Null]);
    assert_eq!(told("subject"), [json!("alice"), Value::Null]);
    assert_eq!(told("request_id"), shown("request_id"));
    assert_eq!(told("digest")[0].as_str().unwrap().len(), 64);
    let audit = fs::read_to_string(gateway.folder.path().join("audit.jsonl")).unwrap();
    let parts: Vec<_> = one.split('.').collect();
    assert!(parts.iter().all(|part| !audit.contains(part)), "{audit}");
}

#[test]
fn a_token_that_is_no_good_is_answered_as_one_that_was_revoked() {
    let gateway = Gateway::start(POLICY);
    let stranger = Signer::new().token(json!({ "scope": "data-read" }));
    let expired = token(json!({ "exp": now() - 3600 }));
    let elsewhere = token(json!({ "iss": "https://other.example" }));
    for no_good in ["opaque", "a.b.c", &stranger, &expired, &elsewhere, &"x".repeat(20_000)] {
        let answer = revoke(&gateway, no_good);
        assert_eq!((answer.status, &*answer.body), (200, &b""[..]), "{no_good}");
    }
    assert_eq!(list(&gateway), "");
}

#[test]
fn what_is_no_form_with_a_token_is_answered_as_the_rfc_says() {
    let gateway = Gateway::start(POLICY);
    let form = [("Content-Type", FORM)];
    let one = token(json!({}));
    let twice = format!("token={one}&token={one}");
    let long = format!("token={}", "x".repeat(33 * 1024));
    let good = format!("token={one}");
    for (what, headers, body, status) in [
        ("nothing", &form[..], "", 400),
        ("another parameter", &form[..], "tok=a", 400),
        ("an empty token", &form[..], "token=", 400),
        ("two tokens", &form[..], &*twice, 400),
        ("a broken escape", &form[..], "token=%4", 400),
        ("no text", &form[..], "token=%ff", 400),
        ("no type", &[], &*good, 400),
        ("another type", &[("Content-Type", "application/json")], &*good, 400),
        ("too much", &form[..], &*long, 413),
    ] {
        let answer = post(&gateway, headers, body);
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(answer.json()["error"], "invalid_request", "{what}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    // Of unknown length.
    let chunk = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let head = format!("POST /oauth/revoke HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\n");
    let answer = gateway.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}").as_bytes());
    assert_eq!(answer.status, 413);
    // A token in the query is in logs, and not looked at (RFC 6750 section 5.3).
    let answer = gateway.send(posted(&format!("/oauth/revoke?token={one}"), &form, "").as_bytes());
    assert_eq!(answer.status, 400);
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let answer = gateway.ask(method, "/oauth/revoke", &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
    assert_eq!(gateway.get("/data/x", &one).status, 200);
    assert_eq!(gateway.audit(1)[0]["reason"], "form_rejected");
}

#[test]
fn a_request_to_revoke_whose_head_is_ambiguous_or_too_large_revokes_nothing() {
    let gateway = Gateway::start(&format!("\nlimits: {{ header_count: 20, header_bytes: 4096 }}{POLICY}"));
    let one = token(json!({}));
    let form = format!("token={one}");
    let chunked = format!("{:x}\r\n{form}\r\n0\r\n\r\n", form.len());
    let length = format!("Content-Length: {}\r\n", form.len());
    let both = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", chunked.len());
    for (what, fields, body, status, reason) in [
        ("two framings", both, &chunked, 400, "header_ambiguous"),
        ("a bare line feed", format!("X: y\n{length}"), &form, 400, "header_ambiguous"),
        ("no host that can be read", format!("{length}X-Host: a\r\n"), &form, 400, "header_ambiguous"),
        ("too many fields", format!("{}{length}", "X: y\r\n".repeat(20)), &form, 431, "head_too_large"),
        ("too many bytes", format!("X: {}\r\n{length}", "y".repeat(4096)), &form, 431, "head_too_large"),
    ] {
        let host = if what.starts_with("no host") { "a b" } else { "api.example.com" };
        let head = format!("POST /oauth/revoke HTTP/1.1\r\nHost: {host}\r\nContent-Type: {FORM}\r\n{fields}\r\n");
        let answer = gateway.send(format!("{head}{body}").as_bytes());
        assert_eq!((answer.status, &*answer.reason()), (status, reason), "{what}");
        assert_eq!(answer.header("connection"), Some("close"), "{what}");
    }
    assert_eq!(list(&gateway), "");
    assert_eq!(gateway.get("/data/x", &one).status, 200);
}

#[test]
fn a_client_that_waits_to_be_told_to_send_is_told() {
    let gateway = Gateway::start(POLICY);
    let one = token(json!({}));
    let body = format!("token={one}");
    let request = posted("/oauth/revoke", &[("Content-Type", FORM), ("Expect", "100-continue")], &body);
    let (head, body) = request.split_at(request.len() - body.len());
    let mut connection = Connection::open(gateway.address);
    connection.write(head.as_bytes());
    assert_eq!(connection.read_interim_response().unwrap(), 100);
    connection.write(body.as_bytes());
    assert_eq!(connection.read_response().unwrap().status, 200);
    assert_eq!(gateway.get("/data/x", &one).reason(), "token_revoked");
}

#[test]
fn what_cannot_be_written_is_said_and_does_not_count() {
    let gateway = Gateway::start(POLICY);
    let one = token(json!({}));
    let file = gateway.folder.path().join("revoked.jsonl");
    // Nobody can write to this, whoever runs the gateway.
    fs::create_dir(&file).unwrap();
    let answer = revoke(&gateway, &one);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(gateway.get("/data/x", &one).status, 200);
    gateway.wait_for_log("a token could not be revoked");
    fs::remove_dir(&file).unwrap();
    wait_for("a list that can be written", || (revoke(&gateway, &one).status == 200).then_some(()));
    assert_eq!(gateway.get("/data/x", &one).reason(), "token_revoked");
}

#[test]
fn without_an_endpoint_in_the_file_there_is_none() {
    let gateway = Gateway::start(&POLICY.replace(", endpoint: /oauth/revoke", ""));
    let one = token(json!({}));
    assert_eq!(revoke(&gateway, &one).status, 401);
    assert_eq!(gateway.get("/data/x", &one).status, 200);
}

#[test]
fn any_token_is_revoked_on_the_admin_address_with_the_secret_that_the_file_names() {
    let gateway = Gateway::start(POLICY);
    let alice = token(json!({ "sub": "alice", "iat": now() - 10 }));
    let call = |secret: &str, body: &Value| {
        let headers = [("Authorization", &*format!("Bearer {secret}")), ("Content-Type", "application/json")];
        let mut connection = Connection::open(gateway.admin);
        connection.write(posted("/revocations", &headers, &body.to_string()).as_bytes());
        connection.read_response().unwrap()
    };
    let issuer = "https://issuer.example";
    let entry = json!({ "sub": "alice", "iss": issuer, "issued_before": now(), "exp": now() + 3600 });
    assert_eq!(call("a secret of the admins", &entry).status, 404);
    // The file may name a secret while the gateway runs.
    fs::write(gateway.folder.path().join("secret"), "a secret of the admins\n").unwrap();
    let text = fs::read_to_string(gateway.file()).unwrap();
    gateway.replace_file(&text.replace("\naudit:", "\n  revocations_token_file: secret\naudit:"));
    gateway.wait_for_policy("the next generation", |policy| policy["generation"] == 2);
    assert_eq!(call("another secret", &entry).status, 401);
    assert_eq!(call("a secret of the admins", &json!({ "sub": "alice", "iss": issuer })).status, 422);
    let unknown = json!({ "jti": "1", "iss": "https://issuer.example/" });
    assert_eq!(call("a secret of the admins", &unknown).status, 422);
    assert_eq!(gateway.get("/data/x", &alice).status, 200);
    let answer = call("a secret of the admins", &entry);
    assert_eq!((answer.status, answer.json()), (201, entry.clone()));
    assert_eq!(gateway.get("/data/x", &alice).reason(), "token_revoked");
    // Those that were issued since are good.
    let since = token(json!({ "sub": "alice", "iat": now() + 1 }));
    assert_eq!(gateway.get("/data/x", &since).status, 200);
    assert!(!gateway.log().contains("a secret of the admins"));
    let revocations = |line: &&Value| line["event"] == "revocation";
    // As many as there were calls since the file names a secret.
    let lines =
        wait_for("the lines", || Some(gateway.audit(5)).filter(|it| it.iter().filter(revocations).count() == 4));
    let told: Vec<_> =
        lines.iter().filter(revocations).map(|line| [&line["result"], &line["kind"], &line["subject"]]).collect();
    let nothing = [&Value::Null, &Value::Null];
    let expected =
        [json!("unauthorized"), json!("rejected"), json!("revoked"), json!("jti"), json!("sub"), json!("alice")];
    let [unauthorized, rejected, revoked, jti, sub, alice] = &expected;
    assert_eq!(
        told,
        [
            [unauthorized, nothing[0], nothing[1]],
            [rejected, nothing[0], nothing[1]],
            [rejected, jti, nothing[1]],
            [revoked, sub, alice],
        ]
    );
    let last = lines.iter().rfind(revocations).unwrap();
    assert_eq!([&last["by"], &last["peer"], &last["issuer"]], ["admin", "127.0.0.1", issuer]);
    assert_eq!(last["issued_before"], entry["issued_before"]);
    assert!(!fs::read_to_string(gateway.folder.path().join("audit.jsonl")).unwrap().contains("a secret of the admins"));
}
