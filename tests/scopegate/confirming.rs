//! JWTs of an issuer that is asked about them too: a revocation at the provider ends one, cache or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Gateway, Response, Signer, Upstream, wait_for};

const CACHE_FOR: Duration = Duration::from_secs(1);

/// What the provider says of every token.
const ACTIVE: u8 = 0;
const INACTIVE: u8 = 1;
const OUT_OF_ORDER: u8 = 2;

fn policy(provider: &Upstream) -> String {
    format!(
        r#"
issuers:
  - issuer: https://issuer.example
    audiences: [https://api.example.com]
    keys: {{ file: jwks.json }}
    introspection:
      url: "http://{}/introspect"
      client_id: gateway
      client_secret_file: secret
      cache_for: {}s
      jwts: true
apis:
  - name: data
    upstream: backend
    scopes:
      - name: data-read
        services: ["GET /data/**"]
      - name: data-write
        services: ["PUT /data/**"]
"#,
        provider.address,
        CACHE_FOR.as_secs()
    )
}

fn answer(status: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn told(response: &Response) -> (u16, String) {
    (response.status, if response.status == 200 { String::new() } else { response.reason() })
}

#[test]
fn a_jwt_that_is_revoked_at_its_provider_is_refused_within_the_time_that_answers_are_kept() {
    let says = Arc::new(AtomicU8::new(ACTIVE));
    let now = Arc::clone(&says);
    let provider = Upstream::answering(move |_| match now.load(Ordering::SeqCst) {
        // The provider has taken one of the scopes away since.
        ACTIVE => answer("200 OK", &json!({ "active": true, "scope": "data-read data-admin" })),
        INACTIVE => answer("200 OK", &json!({ "active": false })),
        _ => answer("500 Internal Server Error", &json!({ "active": true })),
    });
    let gateway =
        Gateway::start_in(&policy(&provider), |folder| std::fs::write(folder.join("secret"), "s3cret").unwrap());
    let signer = Signer::shared();
    let token = signer.token(json!({ "scope": "data-read data-write" }));
    let get = |token: &str| told(&gateway.get("/data/x", token));
    assert_eq!(get(&token), (200, String::new()));
    let put = gateway.ask("PUT", "/data/x", &[("Authorization", &format!("Bearer {token}"))]);
    assert_eq!(told(&put), (403, "scope_insufficient".to_owned()));
    // What does not verify is asked about by nobody.
    let asked = provider.count();
    assert_eq!(get(&Signer::new().token(json!({ "scope": "data-read" }))), (401, "signature_invalid".to_owned()));
    assert_eq!(get(&signer.token(json!({ "aud": "https://other" }))), (401, "audience_mismatch".to_owned()));
    assert_eq!(provider.count(), asked);

    says.store(INACTIVE, Ordering::SeqCst);
    let revoked = Instant::now();
    wait_for("the refusal", || (get(&token) == (401, "token_revoked".to_owned())).then_some(()));
    let passed = revoked.elapsed();
    println!("cache_for: {CACHE_FOR:?}: a JWT is refused {passed:?} after its revocation at the provider");
    // Times are whole seconds; what is beyond is what the machine takes.
    assert!(passed < CACHE_FOR + Duration::from_secs(2), "{passed:?}");
    let asked = provider.count();
    assert_eq!((get(&token), provider.count()), ((401, "token_revoked".to_owned()), asked));

    says.store(OUT_OF_ORDER, Ordering::SeqCst);
    let another = signer.token(json!({ "scope": "data-read", "jti": "another" }));
    assert_eq!(get(&another), (503, "issuer_unavailable".to_owned()));
    says.store(ACTIVE, Ordering::SeqCst);
    assert_eq!(get(&another), (200, String::new()));
}
