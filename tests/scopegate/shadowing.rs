//! `shadow`: live requests are judged by a candidate besides, which has no say; what it would answer
//! differently is counted and has a line.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Gateway, Response, Signer, scopegate, wait_for};

const LIVE: &str = r#"
shadow: { file: candidates/next.yaml }
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    public: ["GET /data/health", "GET /data/open"]
    scopes:
      - { name: data-read, services: ["GET,POST /data/{account}/**"] }
      - { name: data-all, accounts: any, services: ["GET /data/{account}/**"] }
"#;

/// What a candidate has that nobody asks it.
const HEAD: &str = r#"
version: 1
listeners: [{ address: "127.0.0.1:1" }]
upstreams: { elsewhere: { servers: ["127.0.0.1:2"] } }
issuers:
  - issuer: https://issuer.example
    audiences: [https://api.example.com]
    keys: { file: ../jwks.json }
    claims: { scope: scope, account: account_id, client: client_id }
"#;

/// Without POST and `data-all`, with a public service less and one more.
const NEXT: &str = r#"
apis:
  - name: data
    base_path: /data
    upstream: elsewhere
    account: { path: account }
    public: ["GET /data/health", "GET /data/acme/new"]
    scopes:
      - { name: data-read, services: ["GET /data/{account}/**"] }
"#;

fn put(folder: &Path, text: &str) {
    let folder = folder.join("candidates");
    fs::create_dir_all(&folder).unwrap();
    let new = folder.join("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, folder.join("next.yaml")).unwrap();
}

fn start() -> Gateway {
    let gateway = Gateway::start_in(LIVE, |folder| put(folder, &format!("{HEAD}{NEXT}")));
    tried(&gateway, 1);
    gateway
}

/// Waits until the candidate of that number is tried.
#[track_caller]
fn tried(gateway: &Gateway, number: u64) -> Value {
    gateway.wait_for_policy("the candidate", |policy| policy["shadow"]["generation"] == number)["shadow"].clone()
}

fn token(scope: &str) -> String {
    format!("Bearer {}", Signer::shared().token(json!({ "scope": scope, "account_id": "acme" })))
}

/// A whole number, as the metrics' text has it.
fn count(gateway: &Gateway, series: &str) -> u64 {
    format!("{}", gateway.metric(series).unwrap_or_default()).parse().unwrap()
}

fn results(gateway: &Gateway) -> [u64; 3] {
    ["same", "different", "not_judged"]
        .map(|result| count(gateway, &format!("scopegate_shadow_requests_total{{result=\"{result}\"}} ")))
}

/// The event of an answer.
fn event(gateway: &Gateway, response: &Response) -> Value {
    let id = response.header("x-request-id").unwrap().to_owned();
    let is_it = |line: &Value| line["request_id"] == *id && line["event"] == "shadow_difference";
    wait_for("the difference", || gateway.audit(1).into_iter().find(is_it))
}

#[track_caller]
fn check(gateway: &Gateway, (method, target): (&str, &str), token: Option<&str>, given: u16, was: &str, would: &Value) {
    let headers: Vec<_> = token.iter().map(|token| ("Authorization", *token)).collect();
    let reason = would["reason"].as_str().unwrap();
    let series = format!("scopegate_shadow_differences_total{{was=\"{was}\",would=\"{reason}\"}} ");
    let before = count(gateway, &series);
    let response = gateway.ask(method, target, &headers);
    assert_eq!(response.status, given, "{response:?}");
    let event = event(gateway, &response);
    assert_eq!((&event["was"]["reason"], &event["path"]), (&json!(was), &json!(target)), "{event}");
    let mut shadow = event["would"].clone();
    shadow.as_object_mut().unwrap().retain(|_, value| !value.is_null() && *value != json!([]));
    shadow.as_object_mut().unwrap().remove("generation");
    assert_eq!(shadow, *would);
    assert_eq!(count(gateway, &series), before + 1, "{series}");
    let decisions = gateway.audit(1);
    let of_it = decisions.iter().filter(|line| line["request_id"] == event["request_id"] && line["event"].is_null());
    assert_eq!(of_it.count(), 1, "one line decides");
}

#[test]
fn differences_are_counted_and_told_and_change_no_answer() {
    let gateway = start();
    let (reader, all) = (token("data-read"), token("data-all"));
    let deny = |reason: &str| json!({ "decision": "deny", "reason": reason });
    let wanting = json!({ "decision": "deny", "reason": "scope_insufficient", "wanted": ["data-read"] });
    check(&gateway, ("GET", "/data/globex/x"), Some(&all), 200, "granted", &wanting);
    check(&gateway, ("POST", "/data/acme/x"), Some(&reader), 200, "granted", &deny("method_not_allowed"));
    check(&gateway, ("GET", "/data/open"), None, 200, "public", &deny("token_missing"));
    let public = json!({ "decision": "allow", "reason": "public", "service": "GET /data/acme/new" });
    check(&gateway, ("GET", "/data/acme/new"), None, 401, "token_missing", &public);
    check(&gateway, ("GET", "/data/acme/new"), Some("Bearer x"), 401, "token_malformed", &public);
    assert_eq!(results(&gateway), [0, 5, 0]);
    assert_eq!(gateway.upstream.count(), 3);
}

#[test]
fn what_both_answer_alike_is_counted_alone_and_what_cannot_be_known_is_not_guessed() {
    let gateway = start();
    let reader = token("data-read");
    let same: [(&str, Option<&str>, u16); 5] = [
        ("/data/acme/x", Some(&reader), 200),
        ("/data/globex/x", Some(&reader), 403),
        ("/data/health", None, 200),
        ("/data/acme/x", None, 401),
        ("/data/acme/x", Some("Bearer x"), 401),
    ];
    for (target, token, status) in same {
        let headers: Vec<_> = token.iter().map(|token| ("Authorization", *token)).collect();
        assert_eq!(gateway.ask("GET", target, &headers).status, status);
    }
    wait_for("the counts", || (results(&gateway) == [5, 0, 0]).then_some(()));
    // Nobody looks at a token on a public service; and what has no one meaning is judged by neither.
    assert_eq!(gateway.ask("GET", "/data/open", &[("Authorization", &reader)]).status, 200);
    assert_eq!(gateway.ask("GET", "/data/a/../b", &[]).status, 400);
    wait_for("the counts", || (results(&gateway) == [5, 0, 2]).then_some(()));
    gateway.audit(7);
    assert!(gateway.audit(7).iter().all(|line| line["event"].is_null()));
}

#[test]
fn a_candidate_is_read_again_whole_or_not_at_all_and_leaves_when_the_file_drops_it() {
    let gateway = start();
    let folder = gateway.folder.path();
    let all = token("data-all");
    put(folder, &format!("{HEAD}{NEXT}").replace("name: data-read", "name: data-all"));
    tried(&gateway, 2);
    let response = gateway.ask("GET", "/data/acme/x", &[("Authorization", &all)]);
    assert_eq!(response.status, 200);
    for (bad, place) in [
        ("apis: [", "next.yaml:1:"),
        ("version: 1\n", "next.yaml:1:1: `listeners` is missing"),
        ("{\"openapi\": \"3.0.0\"}", "`openapi`"),
    ] {
        put(folder, bad);
        let told = gateway.wait_for_policy("the refusal", |policy| {
            policy["shadow"]["last_error"].as_str().is_some_and(|error| error.contains(place))
        });
        assert_eq!(told["shadow"]["generation"], 2, "the one before stays");
        assert_eq!((&told["generation"], &told["last_error"]), (&json!(1), &Value::Null));
    }
    assert_eq!(count(&gateway, "scopegate_shadow_reloads_total{result=\"refused\"} "), 3);
    assert_eq!(count(&gateway, "scopegate_shadow_reloads_total{result=\"accepted\"} "), 2);
    gateway.wait_for_log("the candidate cannot be tried; the one before stays");
    put(folder, &format!("{HEAD}{NEXT}"));
    let shadow = tried(&gateway, 3);
    assert_eq!(shadow["last_error"], Value::Null);
    gateway.rewrite(&LIVE.replace("shadow: { file: candidates/next.yaml }\n", ""));
    gateway.wait_for_policy("the end", |policy| policy["shadow"].is_null());
    wait_for("no candidate", || (count(&gateway, "scopegate_shadow_generation ") == 0).then_some(()));
    let before = results(&gateway);
    assert_eq!(gateway.ask("GET", "/data/acme/x", &[("Authorization", &all)]).status, 200);
    gateway.audit(2);
    assert_eq!(results(&gateway), before);
}

#[test]
fn a_candidate_that_is_missing_foreign_or_the_file_itself_is_said_with_its_place_and_none_is_tried() {
    let with_shadow = format!("{HEAD}{NEXT}shadow: {{ file: other.yaml }}\n");
    let bytes: &dyn Fn(&Path) = &|path| fs::write(path, b"version: 1\n\xff").unwrap();
    let cases: [(&dyn Fn(&Path), &str); 5] = [
        (&|_| (), "cannot read"),
        (&|path| fs::create_dir(path).unwrap(), "cannot read"),
        (bytes, "next.yaml:2:1: this is not UTF-8"),
        (&|path| fs::write(path, &with_shadow).unwrap(), "a candidate has no `shadow` of its own"),
        (&|path| std::os::unix::fs::symlink("../gateway.yaml", path).unwrap(), "is the policy's own file"),
    ];
    for (prepare, expected) in cases {
        let gateway = Gateway::start_in(LIVE, |folder| {
            fs::create_dir(folder.join("candidates")).unwrap();
            prepare(&folder.join("candidates/next.yaml"));
        });
        let told = gateway.wait_for_policy("the refusal", |policy| policy["shadow"]["last_error"].is_string());
        let error = told["shadow"]["last_error"].as_str().unwrap();
        assert!(error.contains(expected) && error.contains("next.yaml"), "{error}");
        let said = error.lines().filter(|line| !line.starts_with("1 problem in"));
        assert_eq!(said.count(), 1, "{error}");
        assert_eq!(told["shadow"]["generation"], Value::Null);
        gateway.wait_for_log(expected);
        gateway.wait_for_log("none is tried");
        check_advised(gateway.folder.path(), expected);
        assert_eq!(gateway.ask("GET", "/data/health", &[]).status, 200);
        assert_eq!(results(&gateway), [0, 0, 0]);
    }
}

/// `scopegate check` says the same at the place that names the candidate.
#[track_caller]
fn check_advised(folder: &Path, expected: &str) {
    let arguments = ["check", "gateway.yaml", "--format", "json"];
    let output = scopegate(&arguments).current_dir(folder).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let is_it = |problem: &&Value| problem["code"] == "shadow_unusable";
    let list = found.as_array().or(found["problems"].as_array()).unwrap();
    // That both are one file, only a running gateway looks for.
    let Some(advice) = list.iter().find(is_it).filter(|_| !expected.contains("own file")) else {
        assert!(expected.contains("own file"), "{found}");
        return;
    };
    assert!(advice["message"].as_str().unwrap().contains(expected), "{advice}");
    let text = fs::read_to_string(folder.join("gateway.yaml")).unwrap();
    let line = text.lines().position(|line| line.starts_with("shadow")).unwrap() + 1;
    assert_eq!((&advice["line"], &advice["column"]), (&json!(line), &json!(17)));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_file_that_names_itself_is_refused_at_the_place() {
    let gateway = Gateway::start(LIVE);
    let text = fs::read_to_string(gateway.file()).unwrap().replace("candidates/next.yaml", "./gateway.yaml");
    fs::write(gateway.file(), &text).unwrap();
    let output = scopegate(&["check", "gateway.yaml"]).current_dir(gateway.folder.path()).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let line = text.lines().position(|line| line.starts_with("shadow")).unwrap() + 1;
    assert!(said.contains(&format!("gateway.yaml:{line}:")) && said.contains("this is the file itself"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn issuers_that_differ_are_told_and_how_their_tokens_are_taken() {
    let gateway = start();
    let reader = token("data-read");
    assert_eq!(gateway.admin("/policy").json()["shadow"]["issuers_apart"], json!([]));
    put(gateway.folder.path(), &format!("{HEAD}{NEXT}").replace("[https://api.example.com]", "[another]"));
    let apart = |word: &str| json!([{ "issuer": "https://issuer.example", "compared": word }]);
    assert_eq!(tried(&gateway, 2)["issuers_apart"], apart("read_as_in_force"));
    assert_eq!(gateway.ask("GET", "/data/acme/x", &[("Authorization", &reader)]).status, 200);
    wait_for("the counts", || (results(&gateway) == [1, 0, 0]).then_some(()));
    put(gateway.folder.path(), &format!("{HEAD}{NEXT}").replace("https://issuer.example", "https://other.example"));
    let told = tried(&gateway, 3)["issuers_apart"].clone();
    assert_eq!((&told[0]["compared"], &told[1]["compared"]), (&json!("refused_by_candidate"), &json!("not_tried")));
    let unknown = json!({ "decision": "deny", "reason": "issuer_unknown" });
    check(&gateway, ("GET", "/data/acme/x"), Some(&reader), 200, "granted", &unknown);
}

#[test]
fn a_mode_on_trial_is_compared_as_what_it_does() {
    let gateway = start();
    put(
        gateway.folder.path(),
        &format!("{HEAD}{NEXT}").replace("upstream: elsewhere", "upstream: elsewhere\n    mode: report_only"),
    );
    tried(&gateway, 2);
    let would = json!({ "decision": "allow", "reason": "reported", "reported": "token_missing" });
    check(&gateway, ("GET", "/data/acme/x"), None, 401, "token_missing", &would);
    assert_eq!(gateway.admin("/policy").json()["report_only"], json!([]));
}

#[test]
fn a_flood_of_differences_has_so_many_lines_a_second_and_is_counted_whole() {
    const REQUESTS: u64 = 2_000;
    let gateway = start();
    let mut connection = crate::harness::Connection::open(gateway.address);
    for _ in 0..REQUESTS {
        connection.write(b"GET /data/open HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(connection.read_response().unwrap().status, 200);
    }
    wait_for("the counts", || (results(&gateway)[1] == REQUESTS).then_some(()));
    let dropped = count(&gateway, "scopegate_shadow_dropped_total ");
    let told = REQUESTS - dropped;
    let lines = gateway.audit(usize::try_from(REQUESTS + told).unwrap());
    let events = lines.iter().filter(|line| line["event"] == "shadow_difference").count() as u64;
    assert_eq!(events, told);
    assert!(dropped > 0 && told >= 100, "{dropped} of {REQUESTS} dropped");
}
