//! `scopegate check`, the binary: what it prints, and how it ends.

use std::path::Path;
use std::process::{Command, Output};

const GOOD: &str = r#"
version: 1
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { backend: { servers: ["127.0.0.1:9000"] } }
issuers: [{ issuer: https://issuer.example, audiences: [https://api.example.com], keys: { file: jwks.json } }]
apis:
  - name: orders
    base_path: /orders
    upstream: backend
    account: { path: account }
    scopes:
      - name: orders_read
        services: ["GET /orders/{account}/**"]
"#;

fn check(text: &[u8]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.yaml"), text).unwrap();
    run(folder.path(), &["check", "gateway.yaml"])
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scopegate")).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn a_good_file_is_one_line_and_exit_0() {
    let output = check(GOOD.as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "gateway.yaml is good: 1 api, 1 scope, 1 service\n");
    assert!(output.stderr.is_empty());
}

#[test]
fn six_mistakes_are_six_problems_with_line_and_column_and_exit_1() {
    let bad = GOOD
        .replace("version: 1", "version: 2")
        .replace("127.0.0.1:8080", "localhost")
        .replace("base_path: /orders\n", "base_path: /orders\n    base_path: /orders\n")
        .replace("upstream: backend", "upstream: bakend")
        .replace("orders_read", "orders read")
        .replace("GET /orders/{account}/**", "GET /orders/**/x");
    let output = check(bad.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    for (place, what) in [
        ("gateway.yaml:2:10", "`2`"),
        ("gateway.yaml:3:24", "`localhost`"),
        ("gateway.yaml:9:5", "`base_path`"),
        ("gateway.yaml:10:15", "`bakend`"),
        ("gateway.yaml:13:15", "`orders read`"),
        ("gateway.yaml:14:20", "`**`"),
    ] {
        assert!(text.contains(place), "{place} is not named:\n{text}");
        assert!(text.contains(what), "{what} is not quoted:\n{text}");
    }
    assert!(text.ends_with("6 problems in gateway.yaml\n"), "{text}");
}

#[test]
fn what_cannot_be_read_is_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), &["check", "missing.yaml"]).status.code(), Some(2));
    assert_eq!(check(b"version: \xff").status.code(), Some(2));
    assert_eq!(run(folder.path(), &["check", "--nonsense"]).status.code(), Some(2));
    assert_eq!(run(folder.path(), &["serve", "--config", "missing.yaml"]).status.code(), Some(2));
}

#[test]
fn a_gateway_does_not_start_on_a_bad_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.yaml"), GOOD.replace("backend\n", "bakend\n")).unwrap();
    let output = run(folder.path(), &["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("`bakend`"));
}

#[test]
fn the_repositorys_own_files_are_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(run(root, &["check"]).status.code(), Some(0));
    for file in ["deploy/kubernetes/standalone", "deploy/kubernetes/sidecar", "deploy/debian"] {
        let output = run(&root.join(file), &["check"]);
        assert_eq!(output.status.code(), Some(0), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Good, and advised on: a public client may hold a scope that reaches every account.
fn advised() -> String {
    let scopes = "        services: [\"GET /orders/{account}/**\"]\n      - name: orders_all\n        accounts: any\n        services: [\"/orders/**\"]\n";
    GOOD.replace("        services: [\"GET /orders/{account}/**\"]\n", scopes)
}

fn check_in(format: &str, more: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.yaml"), advised()).unwrap();
    let output = run(folder.path(), &[&["check", "--format", format], more].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const MESSAGE: &str = "`orders_all` reaches every account for whoever holds it, browsers among them";
const HELP: &str = "add `confidential_only: true` to the scope, or write `accounts: own`";

#[test]
fn advice_has_place_excerpt_and_help_and_fails_only_if_strict() {
    let said = format!(
        "advice: {MESSAGE}\n  --> gateway.yaml:14:15\n   |\n14 |       - name: orders_all\n   |               ^^^^^^^^^^\n   |\n   = help: {HELP}\n\n"
    );
    let good = "gateway.yaml is good: 1 api, 2 scopes, 2 services; 1 piece of advice\n";
    for (format, more, exit) in [("text", &[][..], 0), ("human", &["--strict"][..], 1)] {
        assert_eq!(check_in(format, more), (exit, good.to_owned(), said.clone()));
    }
}

#[test]
fn workflows_get_annotations() {
    let said = format!("::warning file=gateway.yaml,line=14,col=15,title=any_for_browsers::{MESSAGE}; {HELP}\n");
    assert_eq!(check_in("github", &[]), (0, said, String::new()));
}

#[test]
fn scanners_get_sarif() {
    let (exit, out, err) = check_in("sarif", &["--strict"]);
    assert_eq!((exit, &*err), (1, ""));
    let log: serde_json::Value = serde_json::from_str(&out).unwrap();
    let run = &log["runs"][0];
    assert_eq!((&log["version"], &run["tool"]["driver"]["name"]), (&"2.1.0".into(), &"scopegate".into()));
    let result = &run["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"any_for_browsers".into(), &"warning".into()));
    assert_eq!(result["message"]["text"], format!("{MESSAGE}; {HELP}"));
    let place = serde_json::json!({
        "artifactLocation": { "uri": "gateway.yaml" }, "region": { "startLine": 14, "startColumn": 15 }
    });
    assert_eq!(result["locations"][0]["physicalLocation"], place);
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]));
}

#[test]
fn programs_get_severity_and_code() {
    let (_, out, _) = check_in("json", &[]);
    let list: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&list[0]["severity"], &list[0]["code"]), (&"advice".into(), &"any_for_browsers".into()));
}
