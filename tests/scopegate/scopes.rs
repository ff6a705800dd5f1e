//! `scopegate scopes`, the binary: the scope map in each of its forms.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const POLICY: &str = r#"
version: 1
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { backend: { servers: ["127.0.0.1:9000"] } }
issuers: [{ issuer: https://issuer.example, audiences: [https://api.example.com], keys: { file: jwks.json } }]
apis:
  - name: orders
    display_name: "Orders | all \e[31mof them"
    base_path: /orders
    hosts: [api.example.com]
    upstream: backend
    account: [{ path: account }, { header: X-Account-Id }]
    public: [GET /orders/health]
    scopes:
      - name: orders_base
        required: true
      - name: orders_read
        services: ["GET,HEAD /orders/{account}/**"]
        except: ["* /orders/{account}/secret", "GET /orders/{account}/admin/**"]
        privileges:
          write: { services: ["POST /orders/{account}/items"] }
      - name: orders_support
        accounts: any
        confidential_only: true
        deprecated: true
        services: ["/orders/{account}/items"]
  - name: everything
    upstream: backend
    scopes:
      - { name: root, services: ["GET /**"] }
"#;

fn scopes(format: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.yaml"), POLICY).unwrap();
    let output = run(folder.path(), &["scopes", "gateway.yaml", "--format", format]);
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
    String::from_utf8(output.stdout).unwrap()
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scopegate")).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn people_read_each_endpoint_with_what_grants_it() {
    let expected = r"orders  Orders | all \u{1b}[31mof them
  under /orders, served by backend
  for the hosts api.example.com
  account: the segment {account}, the header x-account-id
  every token needs orders_base

  GET /orders/health
    public, no token is asked for
  GET,HEAD /orders/{account}/**
    orders_read        own account
        but not * /orders/{account}/secret
        but not GET /orders/{account}/admin/**
    root               GET only, by the api everything
  POST /orders/{account}/items
    orders_read:write  own account
    orders_support     any account, confidential clients only, deprecated
  * /orders/{account}/items
    orders_read        own account, GET,HEAD only
    orders_read:write  own account, POST only
    orders_support     any account, confidential clients only, deprecated
    root               GET only, by the api everything
  (no service)
    orders_base, required

everything
  under /, served by backend

  GET /**
    root
";
    assert_eq!(scopes("text"), expected);
}

#[test]
fn programs_get_the_same_as_json() {
    let map: Value = serde_json::from_str(&scopes("json")).unwrap();
    let orders = &map["apis"][0];
    assert_eq!((&orders["name"], &orders["required_scopes"]), (&json!("orders"), &json!(["orders_base"])));
    assert_eq!((&orders["hosts"], &orders["without_services"]), (&json!(["api.example.com"]), &json!(["orders_base"])));
    let endpoint = &orders["endpoints"][2];
    assert_eq!((&endpoint["methods"], &endpoint["path"]), (&json!(["POST"]), &json!("/orders/{account}/items")));
    let write = json!({
        "public": false, "token_endpoint": false, "scope": "orders_read:write", "includes": "orders_read", "api": "orders", "accounts": "own",
        "methods": ["POST"], "service": "POST /orders/{account}/items", "except": [], "required": false,
        "deprecated": false, "confidential_only": false,
    });
    assert_eq!(endpoint["access"][0], write);
    assert_eq!(orders["endpoints"][0]["access"][0]["public"], true);
    let read = &orders["endpoints"][1]["access"][0];
    assert_eq!(read["except"], json!(["* /orders/{account}/secret", "GET /orders/{account}/admin/**"]));
}

#[test]
fn spreadsheets_get_a_line_for_each_scope_of_each_endpoint() {
    let csv = scopes("csv");
    let lines: Vec<_> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 1 + 1 + 2 + 2 + 4 + 1, "{csv}");
    assert_eq!(lines[1], "orders,GET,/orders/health,public,,,no,no,no,orders,GET /orders/health,,enforce");
    let read = r#"orders,"GET,HEAD",/orders/{account}/**,scope,orders_read,own,no,no,no,orders,"GET,HEAD /orders/{account}/**",* /orders/{account}/secret; GET /orders/{account}/admin/**,enforce"#;
    assert_eq!(lines[2], read);
}

#[test]
fn pages_get_a_table_for_each_api() {
    let markdown = scopes("markdown");
    assert!(markdown.starts_with("## `orders` — Orders \\| all  \\[31mof them\n"), "{markdown}");
    for line in [
        "Every token needs `orders_base`.",
        "| Endpoint | Access | Accounts | Remarks |",
        "| `GET /orders/health` | public |  |  |",
        "| `POST /orders/{account}/items` | `orders_read:write` | own account |  |",
        "|  | `orders_support` | any account | confidential clients only, deprecated |",
    ] {
        assert!(markdown.lines().any(|own| own == line), "{line} is not in\n{markdown}");
    }
}

#[test]
fn the_repositorys_map_fits_in_80_columns_and_has_every_scope() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = String::from_utf8(run(root, &["scopes"]).stdout).unwrap();
    let wide: Vec<_> = text.lines().filter(|line| line.len() > 80 && line.split_whitespace().count() > 2).collect();
    assert_eq!(wide, Vec::<&str>::new());
    let words: Vec<_> = text.split_whitespace().map(|word| word.trim_end_matches(',')).collect();
    for scope in
        ["wk-ezcfg-def-data-su", "subject-profile-manage", "certificate:revoke", "orders_rest", "use_directory"]
    {
        assert!(words.contains(&scope), "{scope}");
    }
}

#[test]
fn a_file_that_is_no_policy_is_exit_2_and_nothing_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.yaml"), POLICY.replace("version: 1", "version: 2")).unwrap();
    for (file, said) in [("gateway.yaml", "`2` is not a version"), ("none.yaml", "cannot read none.yaml")] {
        let output = run(folder.path(), &["scopes", file]);
        assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]));
        assert!(String::from_utf8(output.stderr).unwrap().contains(said));
    }
}
