//! Methods that are not what they seem, and headers that name another.

use serde_json::json;

use super::queries::alike;
use crate::harness::{Gateway, Signer};

const POLICY: &str = r#"
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    scopes:
      - name: data-all
        services: ["* /data/{account}/**"]
        except: ["DELETE,PUT,POST /data/{account}/**"]
      - name: data-write
        services: ["POST,COPY,MOVE /data/{account}/**"]
"#;

fn bearer(scope: &str) -> String {
    format!("Bearer {}", Signer::shared().token(json!({ "scope": scope, "account_id": "acme" })))
}

#[test]
fn an_excepted_or_forbidden_method_passes_in_no_spelling() {
    let gateway = Gateway::start(POLICY);
    let authorization = bearer("data-all");
    for method in ["DELETE", "PUT", "POST", "TRACE", "CONNECT", "GET", "PROPFIND"] {
        let spellings = [
            method.to_owned(),
            method.to_ascii_lowercase(),
            method[..1].to_owned() + &method[1..].to_ascii_lowercase(),
            method[..1].to_ascii_lowercase() + &method[1..],
            method[..2].to_owned() + &method[2..].to_ascii_lowercase(),
        ];
        for (place, spelling) in spellings.iter().enumerate() {
            let before = gateway.upstream.count();
            let response = gateway.ask(spelling, "/data/acme/x", &[("Authorization", &authorization)]);
            let passes = place == 0 && matches!(method, "GET" | "PROPFIND");
            let expected: &[u16] = if passes { &[200] } else { &[403, 405] };
            assert!(expected.contains(&response.status), "{spelling}: {response:?}");
            assert_eq!(gateway.upstream.count() > before, passes, "{spelling}");
        }
    }
}

#[test]
fn no_header_names_another_method_or_target_to_the_upstream() {
    let gateway = Gateway::start(POLICY);
    let authorization = bearer("data-write");
    let names = [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-Method",
        "X-Original-URL",
        "X-Original-URI",
        "X-Original-Path",
        "X-Original-Host",
        "X-Rewrite-URL",
        "X-Override-URL",
        "X-HTTP-DestinationURL",
        "X-HTTP-Host-Override",
        "X-Host",
        "X-Script-Name",
        "Script-Name",
        "Path-Info",
        "X-Forwarded-Host",
        "X-Forwarded-Prefix",
        "X-Forwarded-Uri",
        "X-Forwarded-Path",
        "X-Forwarded-Proto",
        "X-Forwarded-Method",
        "X-Accel-Mapping",
        "X-Sendfile-Type",
        "Proxy",
    ];
    for name in names {
        let spellings = [
            name.to_owned(),
            name.to_ascii_uppercase().replace('-', "_"),
            name.replace('-', "."),
            name.replace('-', "~"),
        ];
        for spelling in spellings {
            let headers = [("Authorization", &*authorization), (&spelling, "/data/beta")];
            assert_eq!(gateway.ask("POST", "/data/acme/x", &headers).status, 200);
            let seen = gateway.upstream.last();
            assert!(!alike(&seen, name).iter().any(|value| value.contains("beta")), "{spelling}: {seen:?}");
        }
    }
}

#[test]
fn a_second_target_is_never_forwarded_with_a_method_that_uses_it() {
    let gateway = Gateway::start(POLICY);
    let authorization = bearer("data-write");
    for method in ["COPY", "MOVE"] {
        for destination in ["/data/beta/x", "http://api.example.com/data/beta/x", "", "/data/acme/y"] {
            let headers = [("Authorization", &*authorization), ("Destination", destination)];
            let response = gateway.ask(method, "/data/acme/x", &headers);
            assert_eq!((response.status, &*response.reason()), (400, "header_ambiguous"), "{method} {destination}");
        }
    }
    assert_eq!(gateway.upstream.count(), 0);
    assert_eq!(gateway.ask("COPY", "/data/acme/x", &[("Authorization", &authorization)]).status, 200);
}
