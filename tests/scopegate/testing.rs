//! `scopegate test`, the binary: what is as expected, what is not, and what no test touches.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const POLICY: &str = r#"
version: 1
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { backend: { servers: ["127.0.0.1:9000"] } }
issuers: [{ issuer: https://issuer.example, audiences: [https://api.example.com], keys: { file: jwks.json } }]
clients:
  - { id: app }
  - { id: bound, certificate: { san_dns: bound.example } }
apis:
  - name: orders
    base_path: /orders
    upstream: backend
    account: [{ path: account }]
    public: [GET /orders/health]
    scopes:
      - name: orders_base
        required: true
      - name: orders_read
        services: ["GET /orders/{account}/**"]
        except: ["* /orders/{account}/secret"]
        privileges:
          write: { services: ["POST /orders/{account}"] }
      - name: orders_idle
"#;

const GOOD: &str = r"
- request: GET /orders/health
  as: anonymous
  expect: allow
- name: own orders
  request: /orders/acme/1
  as: { client: app, accounts: acme, scopes: [orders_base, orders_read] }
  expect: allow
  reason: granted
  api: orders
  scope: orders_read
- request: GET /orders/acme/secret
  as: { client: app, accounts: [acme], scopes: [orders_base, orders_read] }
  expect: deny
  reason: route_unknown
- request: POST /orders/acme
  headers: { Host: api.example.com, Origin: https://a.example }
  as: { issuer: https://issuer.example, client: bound, subject: x, accounts: acme, certificate: { san_dns: bound.example },
        scopes: [orders_base, orders_read:write] }
  expect: allow
  scope: orders_read:write
";

fn test(tests: &str, arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.yaml"), POLICY).unwrap();
    std::fs::write(folder.path().join("gateway.tests.yaml"), tests).unwrap();
    let Output { status, stdout, stderr } = run(folder.path(), &[&["test"], arguments].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scopegate")).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn what_is_as_expected_is_one_line_and_exit_0() {
    let said =
        "gateway.tests.yaml: 4 passed; 4 of 4 scopes and privileges and 4 of 4 services and exceptions are touched\n";
    for arguments in [&[][..], &["--covered"], &["gateway.yaml", "--tests", "gateway.tests.yaml"]] {
        assert_eq!(test(GOOD, arguments), (0, said.to_owned(), String::new()));
    }
}

#[test]
fn each_difference_is_told_with_its_line_and_the_explanation() {
    for (from, to, line, difference) in [
        ("accounts: acme, scopes", "accounts: beta, scopes", 5, "expected allow, and it is denied: account_forbidden"),
        (
            "expect: deny\n  reason: route_unknown",
            "expect: allow",
            12,
            "expected allow, and it is denied: route_unknown",
        ),
        (
            "reason: route_unknown",
            "reason: scope_required",
            12,
            "expected the reason scope_required, and it is route_unknown",
        ),
        ("expect: allow\n- name", "expect: deny\n- name", 2, "expected deny, and it is allowed: public"),
        (
            "scope: orders_read\n",
            "scope: orders_base\n",
            5,
            "expected to be let through by the scope orders_base, and it is by orders_read",
        ),
        (
            "san_dns: bound.example }",
            "san_dns: else.example }",
            16,
            "expected allow, and it is denied: certificate_mismatch",
        ),
        (
            "client: app, accounts: acme",
            "client: none, accounts: acme",
            5,
            "expected allow, and it is denied: client_unknown",
        ),
    ] {
        let tests = GOOD.replacen(from, to, 1);
        assert_ne!(tests, GOOD);
        let (exit, out, _) = test(&tests, &[]);
        assert_eq!(exit, 1, "{out}");
        // A line may be broken where it is long.
        let flat = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(difference), "{difference}\n{out}");
        assert!(out.contains(&format!("\n  gateway.tests.yaml:{line}\n")), "{out}");
        assert!(out.contains("    Decision: ") && out.contains("3 passed, 1 failed"), "{out}");
    }
}

#[test]
fn what_no_test_touches_is_told_and_fails_where_that_is_asked() {
    let tests = "- { request: GET /orders/acme/secret, as: anonymous, expect: deny, reason: token_missing }\n";
    let expected = "Scopes by which no test is let through
  orders_base
  orders_read
  orders_read:write
Services that no test asks for
  GET /orders/health  (public)
  GET /orders/{account}/**  (orders_read)
  POST /orders/{account}  (orders_read:write)

gateway.tests.yaml: 1 passed; 1 of 4 scopes and privileges and 1 of 4 services and exceptions are touched
";
    let tests_of_other_path = tests.replace("/secret", "/none");
    assert_eq!(test(tests, &[]), (0, expected.to_owned(), String::new()));
    assert_eq!(test(tests, &["--covered"]).0, 1);
    let (_, out, _) = test(&tests_of_other_path, &[]);
    let exceptions = "\nExceptions that take nothing from any test\n  * /orders/{account}/secret  (orders_read)\n";
    assert!(out.contains(exceptions), "{out}");
}

#[test]
fn programs_get_every_result_and_the_explanation_of_what_failed() {
    let tests = GOOD.replace("scope: orders_read:write", "api: orders").replace("reason: granted", "reason: public");
    let (exit, out, _) = test(&tests, &["--format", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, &report["passed"], &report["failed"]), (1, &json!(3), &json!(1)));
    let failed = &report["tests"][1];
    assert_eq!((&failed["name"], &failed["line"], &failed["passed"]), (&json!("own orders"), &json!(5), &json!(false)));
    assert_eq!(failed["differences"], json!(["expected the reason public, and it is granted"]));
    assert_eq!((&failed["decision"], &failed["scope"]), (&json!("allow"), &json!("orders_read")));
    assert_eq!(failed["explanation"]["services"][0]["outcome"], "permits");
    assert_eq!(report["tests"][0]["explanation"], Value::Null);
    assert_eq!(report["coverage"]["untouched_services"], json!([]));
}

#[test]
fn pipelines_get_junits_xml() {
    let tests =
        GOOD.replace("name: own orders", "name: \"<own> & 'more'\"").replace("reason: granted", "reason: public");
    let (exit, out, _) = test(&tests, &["--format", "junit"]);
    assert_eq!(exit, 1);
    assert!(
        out.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"4\" failures=\"1\""),
        "{out}"
    );
    assert!(
        out.contains("name=\"&lt;own&gt; &amp; &apos;more&apos;\" file=\"gateway.tests.yaml\" line=\"5\""),
        "{out}"
    );
    assert!(out.contains("<failure message=\"expected the reason public, and it is granted\">Request\n"), "{out}");
    assert_eq!((out.matches("<testcase ").count(), out.matches("</testcase>").count()), (4, 1));
    assert!(out.ends_with("  </testsuite>\n</testsuites>\n"));
}

#[test]
fn every_mistake_in_the_tests_is_told_at_its_place_and_is_exit_2() {
    for (from, to, said) in [
        (
            "request: GET /orders/health",
            "requst: GET /orders/health",
            "2:3: unknown key `requst`; perhaps `request` is meant",
        ),
        ("request: GET /orders/health", "request: orders", "2:12: `orders` is not a target"),
        ("request: GET /orders/health", "request: GET /a b", "2:12: `/a b` is not a target"),
        (
            "as: anonymous",
            "as: anonymus",
            "3:7: expected `anonymous`, found the text `anonymus`; perhaps `anonymous` is meant",
        ),
        ("as: anonymous", "as: [a]", "3:7: expected a mapping, found a list"),
        ("  as: anonymous\n", "", "2:3: `as` is missing"),
        ("as: anonymous", "as: { clint: app }", "3:9: unknown key `clint`; perhaps `client` is meant"),
        (
            "expect: allow\n- name",
            "expect: alow\n- name",
            "4:11: expected `allow` or `deny` or `report`, found the text `alow`; perhaps `allow` is meant",
        ),
        ("reason: granted", "reason: grated", "9:11: `grated` is not a reason; perhaps `granted` is meant"),
        ("reason: granted", "reason: account_forbidden", "9:11: `account_forbidden` is a reason to deny"),
        ("reason: granted", "reason: token_expired", "9:11: `token_expired` is found when a token is checked"),
        ("api: orders\n", "api: order\n", "10:8: the policy has no api `order`; perhaps `orders` is meant"),
        (
            "scope: orders_read\n",
            "scope: orders_red\n",
            "11:10: no api defines the scope `orders_red`; perhaps `orders_read` is meant",
        ),
        ("reason: route_unknown", "scope: orders_read", "15:10: nothing lets a request through that is to be denied"),
        (
            "Host: api.example.com",
            "Authorization: Bearer x",
            "17:14: `as` says whose token the request has; remove the header",
        ),
        ("Host: api.example.com", "a b: c", "17:14: `a b` is not a header's name"),
        (
            "issuer: https://issuer.example",
            "issuer: https://issuer.exmple",
            "18:17: the policy has no issuer `https://issuer.exmple`; perhaps",
        ),
        (
            "scopes: [orders_base, orders_read:write]",
            "scopes: orders_base",
            "19:17: expected a list, found the text `orders_base`",
        ),
    ] {
        let tests = GOOD.replacen(from, to, 1);
        assert_ne!(tests, GOOD, "{from}");
        let (exit, out, err) = test(&tests, &[]);
        assert_eq!((exit, &*out), (2, ""), "{to}");
        let (place, message) = said.split_once(": ").unwrap();
        let (message, help) = message.split_once("; ").unwrap_or((message, ""));
        assert!(err.contains(&format!(" gateway.tests.yaml:{place}\n")), "{said}\n{err}");
        assert!(err.contains(message) && err.contains(help), "{said}\n{err}");
    }
    for (tests, said) in [
        ("", "there is no test in this file"),
        ("[]", "there is no test"),
        ("a: b", "expected a list"),
        ("a: [", "not YAML"),
    ] {
        let (exit, _, err) = test(tests, &[]);
        assert!(exit == 2 && err.contains(said), "{tests}: {err}");
    }
    assert_eq!(test(GOOD, &["--tests", "none.yaml"]).0, 2);
    assert_eq!(test(GOOD, &["none.yaml"]).0, 2);
}

#[test]
fn the_repositorys_policy_is_as_its_tests_expect_and_each_scope_and_service_is_touched() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = run(root, &["test", "--covered"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}
