//! Request targets: whoever reads what is forwarded, with whatever decoder, reads the path that was judged.

use std::path::Path;
use std::sync::LazyLock;

use http::HeaderMap;

use super::decoders::{READINGS, decoded};
use crate::config::{Source, compile};
use crate::policy::{Account, Caller, Identity, MethodSet, Policy, Request, Standing, Target};

/// The caller's account is `acme`; `secret` is denied, and `beta` is somebody else's.
const POLICY: &str = r#"
version: 1
listeners: [{ address: "127.0.0.1:8080" }]
upstreams: { backend: { servers: ["127.0.0.1:9000"] } }
issuers: [{ issuer: https://login.example.com, audiences: [https://api.example.com], keys: { file: jwks.json } }]
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    public: ["GET /data/health"]
    scopes:
      - { name: data-read, services: ["GET /data/{account}/**"], except: ["* /data/{account}/secret/**"] }
"#;

static WORLD: LazyLock<(Policy, Standing)> = LazyLock::new(|| {
    let source = Source { shown: "gateway.yaml", directory: Path::new("/"), text: POLICY };
    let policy = compile(&source).unwrap().policy;
    let standing = policy.standing(&caller());
    (policy, standing)
});

/// Any bytes as a request's target.
pub fn target(data: &[u8]) {
    let Ok(target) = Target::parse(data) else { return };
    let query = target.query().map(|query| format!("?{query}")).unwrap_or_default();
    let forwarded = format!("{}{query}", target.path());
    let again = Target::parse(forwarded.as_bytes()).expect("what is forwarded would be refused");
    assert_eq!((again.path(), again.query()), (target.path(), target.query()));
    assert!(!again.is_rewritten());
    check_readings(&target, &forwarded);
    // Queries may have what this parser takes for none; those are forwarded as they are.
    if let Ok(uri) = forwarded.parse::<http::uri::PathAndQuery>() {
        assert_eq!((uri.path(), uri.query()), (target.path(), target.query()));
    }
    // What browsers and `curl` make of a URL.
    let url = reqwest::Url::parse(&format!("http://api.example.com{forwarded}")).expect("no URL");
    assert_eq!(url.path(), target.path());
    check_decision(&target, &forwarded);
}

/// Every reading has the segments that were judged, as they are or decoded once.
fn check_readings(target: &Target<'_>, forwarded: &str) {
    let judged: Vec<&str> = (0..).map_while(|place| target.segment(place)).collect();
    let plain: Vec<String> = judged.iter().map(|segment| read(segment)).collect();
    for reading in &READINGS {
        let seen = reading.segments(forwarded.as_bytes());
        assert!(seen == judged || seen == plain, "{forwarded}: {} reads {seen:?}", reading.name);
    }
}

fn read(segment: &str) -> String {
    String::from_utf8_lossy(&decoded(segment.as_bytes())).into_owned()
}

/// What the policy permits, it permits under every reading.
fn check_decision(target: &Target<'_>, forwarded: &str) {
    let (policy, standing) = &*WORLD;
    let headers = HeaderMap::new();
    let request = Request { method: MethodSet::of_request("GET"), target, host: "api.example.com", headers: &headers };
    let Ok(route) = policy.find(request) else { return };
    if policy.decide(&route, Identity::Known { standing, certificate: None }).is_err() {
        return;
    }
    for reading in &READINGS {
        let segments = reading.segments(forwarded.as_bytes());
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let is_meant = match *segments {
            ["data", "health" | "acme"] => true,
            // Some file systems drop dots and spaces at the end of a name.
            ["data", "acme", first, ..] => first.trim_end_matches(['.', ' ']) != "secret",
            _ => false,
        };
        assert!(is_meant, "{forwarded} is permitted, and {} reads {segments:?}", reading.name);
    }
}

fn caller() -> Caller {
    Caller {
        accounts: Account::parse("acme").into_iter().collect(),
        scopes: ["data-read".into()].into(),
        ..Caller::supposed("https://login.example.com")
    }
}
