//! Large files.

use std::fmt::Write;

use super::read;

/// A file of that many scopes, ten services each, in apis of a thousand scopes.
fn file(scopes: usize) -> String {
    let mut text = "\
version: 1
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { u: { servers: [\"127.0.0.1:9000\"] } }
issuers:
  - issuer: https://login.example.com
    audiences: [a]
    keys: { file: jwks.json }
apis:
"
    .to_owned();
    for scope in 0..scopes {
        if scope % 1000 == 0 {
            let api = scope / 1000;
            write!(text, "  - name: api-{api}\n    base_path: /api-{api}\n    upstream: u\n").unwrap();
            text.push_str("    account: { path: account }\n    scopes:\n");
        }
        write!(text, "      - name: scope-{scope}\n        services:\n").unwrap();
        for service in 0..10 {
            let api = scope / 1000;
            writeln!(text, "          - GET /api-{api}/{{account}}/resource-{scope}/item-{service}/**").unwrap();
        }
    }
    text
}

#[test]
fn five_thousand_services_are_read() {
    let configuration = read(&file(500)).unwrap();
    assert_eq!(configuration.policy.services().len(), 5000);
    assert_eq!(configuration.policy.scopes().len(), 500);
}

#[test]
fn a_mistake_in_every_service_is_said_up_to_a_thousand() {
    let text = file(500).replace("GET /api-0", "GET /elsewhere");
    let problems = read(&text).unwrap_err();
    assert_eq!(problems.list().len(), 1000);
    assert!(problems.render(false).ends_with("\n5000 problems in gateway.yaml, of which 1000 are shown\n"));
}
