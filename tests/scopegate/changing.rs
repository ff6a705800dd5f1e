//! `scopegate diff`, `replay` and `review`, the binary: what they print, and how they end.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

const POLICY: &str = r#"version: 1
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { backend: { servers: ["127.0.0.1:9000"] } }
issuers: [{ issuer: https://issuer.example, audiences: [https://api.example.com], keys: { file: jwks.json } }]
clients:
  # The one that reads.
  - { id: reader, scopes: [orders_read, orders_all] }  # orders_all for audits
  - id: idle
    scopes:
      - orders_write
apis:
  - name: orders
    base_path: /orders
    upstream: backend
    account: { header: X-Account }
    scopes:
      - name: orders_read
        accounts: any   # as it always was
        services: [GET /orders/*]
      - name: orders_write
        accounts: own
        services: [PUT /orders/*]
      - name: orders_all
        accounts: any
        deprecated: true
        services: [GET /orders/**]
"#;

struct Run {
    code: i32,
    out: String,
    err: String,
}

/// Runs it in a folder with these files.
fn run(files: &[(&str, &str)], arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    run_in(folder.path(), arguments)
}

fn run_in(folder: &Path, arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_scopegate")).args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn wide_lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.chars().count() > 80 && line.split_whitespace().count() > 1).collect()
}

#[test]
fn a_file_does_not_differ_from_itself() {
    let same = run(&[("a.yaml", POLICY)], &["diff", "a.yaml", "a.yaml", "--exit-code"]);
    assert_eq!((same.code, &*same.err), (0, ""));
    assert_eq!(same.out, "No difference: whoever may do something may do it under both.\n");
}

#[test]
fn a_difference_is_told_with_its_clients_and_an_example() {
    let new = POLICY
        .replace(
            "accounts: own\n        services: [PUT /orders/*]",
            "accounts: any\n        services: [\"PUT,DELETE /orders/*\"]",
        )
        .replace("services: [GET /orders/**]", "services: [GET /orders/*/items]")
        .replace("audiences: [https://api.example.com]", "audiences: [https://api.example.com, https://b]");
    let files = [("a.yaml", POLICY), ("b.yaml", &*new)];
    let told = run(&files, &["diff", "a.yaml", "b.yaml", "--exit-code"]);
    assert_eq!((told.code, &*told.err), (1, ""));
    for part in [
        "Newly allowed\n  + api orders, high risk: by orders_write\n      PUT,DELETE /orders/*  (any account)\n",
        "    because `accounts` differs\n    for idle\n",
        "No longer allowed\n  - api orders: by orders_all\n      GET /orders/** but /orders/*/items",
        "Settings\n  issuer https://issuer.example: audiences: https://b is new (can let more in)\n",
    ] {
        assert!(told.out.contains(part), "{part}\n{}", told.out);
    }
    assert_eq!(wide_lines(&told.out), Vec::<&str>::new());
    assert_eq!(run(&files, &["diff", "a.yaml", "b.yaml"]).code, 0);
    let markdown = run(&files, &["diff", "a.yaml", "b.yaml", "--format", "markdown"]).out;
    assert!(markdown.contains("| high | orders | by orders\\_write"), "{markdown}");
    let json: Value =
        serde_json::from_str(&run(&files, &["diff", "a.yaml", "b.yaml", "--format", "json"]).out).unwrap();
    assert_eq!(json["access"][0]["grants"][0]["scope"], "orders_write");
    assert_eq!(json["access"][0]["clients"], json!({ "everyone": false, "listed": ["idle"], "unlisted": false }));
}

/// Where a public service and another service of the same scope take the first paths that would show it.
#[test]
fn what_a_token_or_a_client_gains_is_told_of_behind_services_that_are_open_to_all() {
    let policy = |more: &str| {
        format!(
            "version: 1\nlisteners: [{{ address: 127.0.0.1:8080 }}]\nupstreams: {{ backend: {{ servers: ['h:1'] }} }}\n\
             issuers: [{{ issuer: https://i.example, audiences: [a], keys: {{ file: k }} }}]\n{more}\
             apis:\n  - name: a\n    base_path: /\n    upstream: backend\n    public: [GET /]\n    scopes:\n\
             \x20     - {{ name: base, required: true, services: [GET /b] }}\n\
             \x20     - {{ name: all, services: ['GET /**'] }}\n"
        )
    };
    for (old, new, said) in [
        ("undefined_scopes: reject\n", "undefined_scopes: ignore\n", "token"),
        ("scope_names: case_sensitive\n", "scope_names: case_insensitive\n", "token"),
        ("clients: [{ id: one }]\n", "clients: [{ id: one }, { id: two }]\n", "two"),
        ("clients: [{ id: one, scopes: [base] }]\n", "clients: [{ id: one, scopes: [base, all] }]\n", "one"),
    ] {
        for (old, new, counts) in [
            (old, new, "1 change that allows more, 0 changes"),
            (new, old, "0 changes that allow more, 1 change that denies"),
        ] {
            let run = run(&[("old", &policy(old)), ("new", &policy(new))], &["diff", "old", "new"]);
            assert!(run.out.contains(counts) && run.out.contains(said), "{old} {new} {}{}", run.out, run.err);
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_exit_2_and_nothing_else() {
    for (files, arguments, place) in [
        (vec![("a.yaml", POLICY)], vec!["diff", "a.yaml", "none.yaml"], "none.yaml"),
        (vec![("a.yaml", POLICY), ("b.yaml", "version: 2")], vec!["diff", "a.yaml", "b.yaml"], "b.yaml:1:10"),
        (vec![("a.yaml", POLICY)], vec!["replay", "--audit", "none", "a.yaml"], "none"),
        (vec![("a.yaml", POLICY), ("log", "{}\n")], vec!["replay", "--audit", "log", "a.yaml"], "log:1"),
        (vec![("a.yaml", POLICY), ("log", "\n\u{0}\u{1}\n")], vec!["review", "--audit", "log", "a.yaml"], "log:2"),
    ] {
        let told = run(&files, &arguments);
        assert_eq!((told.code, &*told.out), (2, ""), "{arguments:?}: {}", told.err);
        assert!(told.err.contains(place), "{place}: {}", told.err);
    }
    let cut = format!("{}{}", line("GET", "/orders/1", "granted", "orders_read", "acme"), "{\"time\":\"2");
    let told = run(&[("a.yaml", POLICY), ("log", &cut)], &["replay", "--audit", "log", "a.yaml"]);
    assert_eq!((told.code, &*told.out), (2, ""));
    assert_eq!(told.err, "error: log:2: the last line is cut off; give it its end, or leave it out\n");
}

/// An audit line of the client `reader`, whose account is `acme`.
fn line(method: &str, path: &str, reason: &str, scope: &str, account: &str) -> String {
    let allowed = reason == "granted";
    let line = json!({
        "time": "2026-01-01T00:00:00.000000Z", "request_id": "r1", "generation": 1,
        "decision": if allowed { "allow" } else { "deny" }, "reason": reason,
        "issuer": "https://issuer.example", "client": "reader", "subject": null, "account": account,
        "scopes": ["orders_read", "orders_all"], "granted_by": allowed.then_some(scope),
        "service": allowed.then_some("GET /orders/*"), "method": method, "path": path, "status": 200,
        "upstream_error": null, "microseconds": 1, "duration_microseconds": 2,
        "api": "orders", "account_sources": ["header:x-account"], "injected": false, "host": "a.example",
        "browser": false, "token_scopes": ["orders_read", "orders_all"], "token_accounts": ["acme"],
        "certificate": null,
    });
    format!("{line}\n")
}

#[test]
fn recorded_requests_are_judged_again_and_counted_by_client_scope_and_service() {
    let log = [
        line("GET", "/orders/1", "granted", "orders_read", "acme"),
        line("GET", "/orders/2", "granted", "orders_read", "beta"),
        line("GET", "/orders/3", "granted", "orders_read", "beta"),
        line("PUT", "/orders/3", "scope_insufficient", "", "acme"),
        line("GET", "/orders/3", "path_ambiguous", "", "acme"),
    ]
    .concat();
    let same = run(&[("a.yaml", POLICY), ("log", &log)], &["replay", "--audit", "log", "a.yaml", "--exit-code"]);
    assert_eq!(same.code, 0, "{}{}", same.out, same.err);
    let new = POLICY
        .replace("accounts: any   # as it always was", "accounts: own")
        .replace("services: [GET /orders/**]", "services: [PUT /orders/*]");
    let files = [("b.yaml", &*new), ("log", &*log)];
    let told = run(&files, &["replay", "--audit", "log", "b.yaml", "--exit-code"]);
    assert_eq!((told.code, &*told.err), (1, ""));
    for part in [
        "Would be let through\n  1 of reader by orders_all for PUT /orders/*, refused as scope_insufficient\n",
        "Would be refused\n  2 of reader by orders_read for GET /orders/*: account_forbidden\n",
        "      e.g. GET /orders/2 at 2026-01-01T00:00:00.000000Z, request r1, line 2\n",
        "Not judged again\n  1: they were ambiguous\n",
        "Of 5 requests 1 would be answered the same",
    ] {
        assert!(told.out.contains(part), "{part}\n{}", told.out);
    }
    assert_eq!(wide_lines(&told.out), Vec::<&str>::new());
    let json: Value =
        serde_json::from_str(&run(&files, &["replay", "--audit", "log", "b.yaml", "--format", "json"]).out).unwrap();
    assert_eq!((&json["allowed"], &json["denied"], &json["same"]), (&json!(1), &json!(2), &json!(1)));
}

#[test]
fn what_is_not_in_a_line_is_not_guessed() {
    let log = line("GET", "/orders/1", "granted", "orders_read", "acme");
    let elsewhere = POLICY.replace("account: { header: X-Account }", "account: { query: account }");
    let old_line = log.replace("\"token_scopes\"", "\"something\"");
    for (policy, log, why) in [
        (&*elsewhere, &*log, "the new file looks for their account where it was not looked for"),
        (POLICY, &*old_line, "they were recorded by a version that did not write down what it takes"),
    ] {
        let told = run(&[("b.yaml", policy), ("log", log)], &["replay", "--audit", "log", "b.yaml"]);
        assert!(told.out.contains(&format!("Not judged again\n  1: {}", &why[..40])), "{}", told.out);
    }
}

#[test]
fn a_review_proposes_a_patch_that_keeps_comments_and_passes_check() {
    let folder = tempfile::tempdir().unwrap();
    let log = line("GET", "/orders/1", "granted", "orders_read", "acme");
    std::fs::write(folder.path().join("gateway.yaml"), POLICY).unwrap();
    std::fs::write(folder.path().join("log"), log).unwrap();
    let told = run_in(folder.path(), &["review", "--audit", "log"]);
    assert_eq!((told.code, &*told.err), (0, ""));
    for part in [
        "Clients that made no request\n  idle\n",
        "Scopes that a client may hold and never used\n  reader: orders_all\n",
        "  orders_read: its 1 requests were all for the caller's own account\n",
        "Deprecated scopes that nobody used\n  orders_all\n",
        "  orders: PUT /orders/*, GET /orders/**\n",
    ] {
        assert!(told.out.contains(part), "{part}\n{}", told.out);
    }
    let patch = run_in(folder.path(), &["review", "--audit", "log", "--format", "patch"]).out;
    let changed: Vec<&str> = patch
        .lines()
        .filter(|line| line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---"))
        .collect();
    assert_eq!(
        changed,
        [
            "-  - { id: reader, scopes: [orders_read, orders_all] }  # orders_all for audits",
            "+  - { id: reader, scopes: [orders_read] }  # orders_all for audits",
            "-        accounts: any   # as it always was",
            "+        accounts: own   # as it always was",
        ],
        "{patch}"
    );
    assert!(patch.starts_with("--- a/gateway.yaml\n+++ b/gateway.yaml\n@@ "));
    let patched = changed.chunks(2).fold(POLICY.to_owned(), |text, pair| text.replace(&pair[0][1..], &pair[1][1..]));
    std::fs::write(folder.path().join("gateway.yaml"), patched).unwrap();
    assert_eq!(run_in(folder.path(), &["check"]).code, 0);
}
