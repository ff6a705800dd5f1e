//! `scopegate explain`, the binary: the same answers as the live gateway, as a story and as JSON.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::agreeing::{self, comparable, disagreement};
use crate::harness::{Gateway, Response, Signer, now};
use crate::reasons::{self, Request};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scopegate")).arg("explain").args(arguments).current_dir(folder).output().unwrap()
}

/// The explanation of a request as it is sent to the gateway, and the exit code.
pub(crate) fn explain(gateway: &Gateway, request: &Request) -> (Value, i32) {
    let mut arguments = vec!["--method", request.method, "--path", request.target, "--format", "json"];
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    arguments.extend(["--from", "127.0.0.1", "--header", "Host: api.example.com"]);
    for header in &headers {
        arguments.extend(["--header", header]);
    }
    let output = run(gateway.folder.path(), &arguments);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
}

#[track_caller]
pub(crate) fn check_refused(explained: &Value, exit: i32, live: &Response) {
    let told: Vec<(String, String)> = serde_json::from_value(explained["answer"]["headers"].clone()).unwrap();
    assert_eq!(explained["answer"]["status"], live.status);
    let body = explained["answer"]["body"].clone();
    assert_eq!(comparable(told, body), comparable(live.headers.clone(), live.json()));
    assert_eq!((explained["allowed"].as_bool(), exit), (Some(false), 1), "{explained}");
    assert!(!explained["why"].as_str().unwrap().is_empty());
}

#[test]
fn every_refusal_is_explained_as_the_live_gateway_answers_it() {
    let gateway = reasons::start("");
    for case in reasons::cases() {
        let live = reasons::send(&gateway, &case.request);
        let (explained, exit) = explain(&gateway, &case.request);
        assert_eq!(explained["reason"], case.reason);
        check_refused(&explained, exit, &live);
        let token = case.request.headers.iter().find(|(name, _)| name == "Authorization");
        if let Some((_, token)) = token.filter(|(_, token)| token.contains('.')) {
            let signature = token.rsplit('.').next().unwrap();
            assert!(!explained.to_string().contains(signature), "a token in {explained}");
        }
    }
}

#[test]
fn every_allowed_request_is_explained_as_the_upstream_gets_it() {
    let gateway = Gateway::start(ALLOWING);
    let token = Signer::shared().token(json!({ "scope": "data-read reports-read", "account_id": "acme" }));
    for (target, reason) in [
        ("/data/%61cme/x?view=full", "granted"),
        ("/reports/monthly/", "granted"),
        ("/reports/monthly?a=b", "granted"),
        ("/data/health", "public"),
    ] {
        let request = reasons::get(target, token.clone()).and("X-Forwarded-For", "1.2.3.4").and("X-Auth-Account", "x");
        assert_eq!(reasons::send(&gateway, &request).status, 200, "{target}");
        let (explained, exit) = explain(&gateway, &request);
        assert_eq!((&explained["reason"], exit), (&json!(reason), 0), "{explained}");
        let live = gateway.upstream.last();
        assert_eq!(live.line, format!("GET {} HTTP/1.1", explained["forwarded"]["target"].as_str().unwrap()));
        let told: Vec<(String, String)> = serde_json::from_value(explained["forwarded"]["headers"].clone()).unwrap();
        // What is new each time, and what is not shown.
        let apart = ["traceparent", "x-request-id", "authorization", "connection"];
        let own = |(name, _): &(String, String)| !apart.contains(&&*name.to_ascii_lowercase());
        let mut live: Vec<_> =
            live.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        live.sort();
        let (told, live): (Vec<_>, Vec<_>) =
            (told.into_iter().filter(own).collect(), live.into_iter().filter(own).collect());
        assert_eq!(told, live, "{target}");
    }
}

pub(crate) const ALLOWING: &str = r#"
identity_headers: { subject: X-Auth-Subject, client: X-Auth-Client, account: X-Auth-Account, scopes: X-Auth-Scopes }
resource_metadata: { resource: https://api.example.com }
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    public: ["GET /data/health"]
    scopes:
      - name: data-read
        services: ["GET /data/{account}/**"]
  - name: reports
    base_path: /reports
    upstream: backend
    account: { query: accountId }
    account_when_absent: inject
    forward_authorization: false
    scopes:
      - name: reports-read
        services: ["GET /reports/**"]
        except: ["* /reports/secret/**"]
"#;

#[test]
fn the_metadata_is_answered_as_the_live_gateway_does() {
    let gateway = Gateway::start(ALLOWING);
    let metadata = "/.well-known/oauth-protected-resource";
    for (method, allowed) in [("GET", true), ("DELETE", false)] {
        let request = reasons::plain(method, metadata);
        let live = reasons::send(&gateway, &request);
        let (explained, _) = explain(&gateway, &request);
        assert_eq!((&explained["answer"]["status"], &explained["allowed"]), (&json!(live.status), &json!(allowed)));
        let told: Vec<(String, String)> = serde_json::from_value(explained["answer"]["headers"].clone()).unwrap();
        let body = explained["answer"]["body"].clone();
        assert_eq!(comparable(told, body), comparable(live.headers.clone(), live.json()));
    }
}

/// The policy of `reasons`, without a gateway.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let head = "version: 1\nlisteners: [{ address: 127.0.0.1:0 }]\nupstreams: { backend: { servers: ['h:1'] } }\n";
        std::fs::write(folder.path().join("gateway.yaml"), format!("{head}{policy}")).unwrap();
        std::fs::write(folder.path().join("jwks.json"), Signer::shared().jwks().to_string()).unwrap();
        Self { folder }
    }

    /// The exit code, standard output and standard error.
    fn explain(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = run(self.folder.path(), arguments);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let (_, out, err) = self.explain(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"))
    }
}

const ISSUERS: &str = "
issuers:
  - { issuer: https://issuer.example, audiences: [https://api.example.com], keys: { file: jwks.json } }
  - { issuer: https://far.example, audiences: [https://api.example.com], keys: { url: https://far.example/jwks } }
";

#[test]
fn the_story_reads_from_the_request_to_the_answer() {
    let clients = "clients: [{ id: app, scopes: [data-read] }]";
    let bench = Bench::new(&format!("{ISSUERS}{clients}{ALLOWING}"));
    let claims =
        r#"{ "scope": "data-read reports-read other", "account_id": "acme", "client_id": "app", "sub": "someone" }"#;
    let arguments = ["--path", "/data/%62eta/x", "--at", "2027-01-15T08:00:00Z", "--claims", claims];
    let (exit, out, _) = bench.explain(&arguments);
    let expected = r#"Request
  GET /data/%62eta/x
  judged and forwarded as /data/beta/x
  to localhost, at 2027-01-15T08:00:00Z

Services that have this path
  GET /data/{account}/**  (data)
    data-read, own account: held, but the request names the account `beta`, and
        the caller's own is `acme`

Token
  its checks are skipped: only what it says was given

Caller
  client   app, confidential
  subject  someone
  account  acme
  scopes   data-read: held
           reports-read: not held, beyond what the file lets this client hold
           other: not held, no api defines it

Decision: denied, account_forbidden
  the request names the account `beta`, and the caller's own is `acme`

Answer
  HTTP/1.1 403 Forbidden
  content-type: application/problem+json
  cache-control: no-store
  x-request-id: 00000000000000000000000000000000

  {
    "type": "urn:scopegate:account_forbidden",
    "title": "Account not allowed",
    "status": 403,
    "detail": "the token may not be used for the account that the request names",
    "reason": "account_forbidden",
    "request_id": "00000000000000000000000000000000"
  }
"#;
    assert_eq!((&*out, exit), (expected, 1));
}

#[test]
fn a_tokens_checks_are_told_one_by_one_up_to_the_first_that_fails() {
    let bench = Bench::new(&format!("{ISSUERS}{ALLOWING}"));
    let token = Signer::shared().token(json!({ "scope": "data-read", "account_id": "acme", "aud": "else", "exp": 1 }));
    std::fs::write(bench.folder.path().join("token"), format!("{token}\n")).unwrap();
    let told = bench.json(&["--path", "/data/acme/x", "--token-file", "token"]);
    let checks = told["token"]["checks"].as_array().unwrap();
    let outcomes: Vec<_> =
        checks.iter().map(|check| (check["check"].as_str().unwrap(), check["outcome"].as_str().unwrap())).collect();
    let passed = [
        "well formed",
        "known issuer",
        "allowed algorithm",
        "an access token",
        "keys at hand",
        "known key",
        "signature",
    ];
    let not_made = ["not expired", "valid already", "not revoked", "binding"];
    let expected: Vec<_> = passed
        .map(|check| (check, "passed"))
        .into_iter()
        .chain([("audience", "failed")])
        .chain(not_made.map(|check| (check, "not_made")))
        .collect();
    assert_eq!(outcomes, expected);
    let why =
        "the token is not meant for this resource: its `aud` is `else`, and the file takes `https://api.example.com`";
    assert_eq!((told["why"].as_str(), &told["token"]["claims"]["aud"]), (Some(why), &json!("else")));
    let (_, text, _) = bench.explain(&["--path", "/data/acme/x", "--token", &token]);
    assert!(text.contains("  yes  known key          `kid` is `rsa-1`\n"), "{text}");
    assert!(text.contains("  NO   audience\n       the token is not meant"), "{text}");
    assert!(text.contains("  -    binding\n"), "{text}");
}

#[test]
fn a_token_is_judged_at_the_time_that_is_given() {
    let bench = Bench::new(&format!("{ISSUERS}{ALLOWING}"));
    let token = Signer::shared().token(json!({ "scope": "data-read", "account_id": "acme" }));
    let at = |seconds: u64| bench.json(&["--path", "/data/acme/x", "--token", &token, "--at", &seconds.to_string()]);
    assert_eq!(at(now())["reason"], "granted");
    assert_eq!(at(now() + 7200)["reason"], "token_expired");
    assert_eq!(at(now() - 7200)["reason"], "token_not_yet_valid");
}

#[test]
fn keys_behind_a_url_are_not_at_hand_unless_they_are_given() {
    let bench = Bench::new(&format!("{ISSUERS}{ALLOWING}"));
    let claims = json!({ "iss": "https://far.example", "scope": "data-read", "account_id": "acme" });
    let token = Signer::shared().token(claims);
    let arguments = ["--path", "/data/acme/x", "--token", &token];
    let told = bench.json(&arguments);
    assert_eq!((&told["reason"], &told["answer"]["status"]), (&json!("issuer_unavailable"), &json!(503)));
    let why = told["why"].as_str().unwrap();
    assert!(why.contains("https://far.example/jwks") && why.contains("--jwks"), "{why}");
    let told = bench.json(&[&arguments[..], &["--jwks", "jwks.json"]].concat());
    assert_eq!(told["reason"], "granted", "{told}");
}

#[test]
fn a_client_certificate_counts_for_its_client_and_its_token() {
    let certified = rcgen::generate_simple_self_signed(vec!["app.example.com".to_owned()]).unwrap();
    let clients = "clients: [{ id: app, certificate: { san_dns: app.example.com } }]";
    let bench = Bench::new(&format!("{ISSUERS}{clients}{ALLOWING}"));
    std::fs::write(bench.folder.path().join("client.pem"), certified.cert.pem()).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certified.cert.der());
    let cnf = json!({ "x5t#S256": crate::harness::encode(digest.as_ref()) });
    let token = Signer::shared().token(json!({ "scope": "data-read", "account_id": "acme", "cnf": cnf }));
    let arguments = ["--path", "/data/acme/x", "--token", &token];
    let without = bench.json(&arguments);
    assert_eq!(without["reason"], "binding_mismatch");
    assert!(without["why"].as_str().unwrap().contains("bound to a certificate"), "{without}");
    let with = bench.json(&[&arguments[..], &["--client-cert", "client.pem"]].concat());
    assert_eq!(with["reason"], "granted", "{with}");
}

#[test]
fn services_are_told_with_what_keeps_each_from_granting() {
    let bench = Bench::new(&format!("{ISSUERS}{ALLOWING}"));
    let outcome = |arguments: &[&str]| {
        let told = bench.json(arguments);
        let service = &told["services"][0];
        (service["outcome"].clone(), service["note"].clone(), told["reason"].clone())
    };
    let claims = r#"{"scope":"reports-read","account_id":["acme","beta"]}"#;
    for (arguments, expected) in [
        (["--method", "PUT", "--path", "/data/a/x"], ("other_method", "takes GET", "method_not_allowed")),
        (["--method", "GET", "--path", "/data/a/x"], ("not_held", "the token does not hold it", "scope_insufficient")),
        (
            ["--method", "GET", "--path", "/reports/secret/x"],
            ("excepted", "excepted by `* /reports/secret/**`", "route_unknown"),
        ),
        (
            ["--method", "GET", "--path", "/reports/x"],
            (
                "refused",
                "held, but the request names no account; it is read from the parameter accountId",
                "account_missing",
            ),
        ),
        (["--method", "GET", "--path", "/reports/x?accountId=beta"], ("permits", "held, and grants it", "granted")),
        (["--method", "GET", "--path", "/data/health"], ("permits", "public", "public")),
    ] {
        let (told, note, reason) = outcome(&[&arguments[..], &["--claims", claims]].concat());
        assert_eq!(
            (told.as_str(), note.as_str(), reason.as_str()),
            (Some(expected.0), Some(expected.1), Some(expected.2))
        );
    }
}

#[test]
fn what_cannot_be_asked_is_exit_2_and_one_line() {
    let bench = Bench::new(&format!("{ISSUERS}{ALLOWING}"));
    std::fs::write(bench.folder.path().join("foreign"), "<html>").unwrap();
    for (arguments, said) in [
        (&["--path", "/x", "--claims", "[]"][..], "`--claims` is not a JSON object"),
        (&["--path", "/x", "--claims", "{\"iss\":\"https://none\"}"], "the file has no issuer \"https://none\""),
        (&["--path", "/x", "--claims", "{}", "--header", "Authorization: Bearer x"], "`--claims` stands for a token"),
        (&["--path", "/x", "--header", "nonsense"], "`nonsense` is no header"),
        (&["--path", "/x", "--at", "soon"], "`soon` is not a time"),
        (&["--path", "/x", "--method", "G T"], "`G T` is not a method"),
        (&["--path", "/x", "--token-file", "none"], "cannot read the token from none"),
        (&["--path", "/x", "--jwks", "foreign"], "foreign: the key set is an HTML page"),
        (&["--path", "/x", "--client-cert", "foreign"], "foreign: this is not PEM with a certificate in it"),
        (&["--path", "/x", "--config", "foreign"], "expected a mapping"),
        (&["--path", "/x", "--config", "none.yaml"], "cannot read none.yaml"),
        (&["--path", "/x", "--token", "a", "--claims", "{}"], "cannot be used with"),
        (&[], "--path"),
    ] {
        let (exit, out, err) = bench.explain(arguments);
        assert_eq!((exit, &*out), (2, ""), "{arguments:?}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    }
}

#[test]
fn answers_are_compared_and_one_that_is_not_the_explanations_is_noticed() {
    let gateway = reasons::start("");
    let before = agreeing::COMPARED.load(Ordering::Relaxed);
    let token = Signer::shared().token(json!({ "scope": "data-read", "account_id": "acme" }));
    let allowed = gateway.get("/data/acme/x", &token);
    let refused = gateway.get("/data/beta/x", &token);
    assert_eq!((allowed.status, refused.status), (200, 403));
    assert!(agreeing::COMPARED.load(Ordering::Relaxed) >= before + 2);
    let sent = |target: &str| {
        let text = format!("GET {target} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n\r\n");
        agreeing::Request::take(&mut text.into_bytes()).unwrap()
    };
    let folder = gateway.folder.path();
    for (target, answer, agrees) in [
        ("/data/acme/x", &allowed, true),
        ("/data/beta/x", &refused, true),
        ("/data/acme/x", &refused, false),
        ("/data/beta/x", &allowed, false),
        ("/nowhere", &refused, false),
    ] {
        let found = disagreement(folder, &sent(target), answer);
        assert_eq!(found.is_none(), agrees, "{target}: {found:?}");
    }
}

/// Of a test's own connections, the requests that went before one another are told apart.
#[test]
fn requests_are_taken_apart_as_they_were_sent() {
    let mut bytes =
        b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxyGET /b HTTP/1.1\r\nHost: h\r\n\r\n".to_vec();
    let first = agreeing::Request::take(&mut bytes).unwrap();
    assert_eq!((first.target.as_str(), &*first.body, first.is_whole), ("/a", &b"xy"[..], true));
    assert_eq!(agreeing::Request::take(&mut bytes).unwrap().target, "/b");
    assert!(agreeing::Request::take(&mut bytes).is_none());
    assert!(agreeing::Request::take(&mut b"GET  /b HTTP/1.1\r\n\r\n".to_vec()).is_none());
}
