//! Gateways that trust a provider, and what they are asked.

use std::path::Path;

use harness::{Gateway, Response, Upstream};

use super::holder::Holder;
use super::provider::{Provider, SECRET};

/// What the gateway is asked for, where it does not matter.
pub(crate) const TARGET: &str = "/data/acme/orders";

/// The URL of a target, as proofs name it.
pub(crate) fn url(target: &str) -> String {
    format!("http://api.example.com{target}")
}

/// A gateway that has the provider's keys.
pub(crate) fn start(provider: &Provider) -> Gateway {
    start_on(&policy(provider))
}

/// The same, on a policy that a test has changed.
pub(crate) fn start_on(policy: &str) -> Gateway {
    Gateway::start_in(policy, write_secret)
}

/// A gateway that ends TLS itself and asks clients for certificates of the provider's authority; no
/// proxy may tell of any.
pub(crate) fn start_with_tls(provider: &Provider) -> Gateway {
    let listener =
        "tls: { certificate: server.pem, key: server.key, client_ca: clients.pem, client_certificate: optional }";
    let policy = policy(provider).replace("127.0.0.1/32", "192.0.2.1/32");
    let server = provider.authority.certify("gateway", &["api.example.com"]);
    Gateway::start_listening(listener, &policy, Upstream::start(), |folder| {
        write_secret(folder);
        for (name, text) in
            [("server.pem", server.pem()), ("server.key", server.key_pem()), ("clients.pem", provider.authority.pem())]
        {
            std::fs::write(folder.join(name), text).unwrap();
        }
    })
}

/// A gateway that need not be ready.
pub(crate) fn launch(provider: &Provider) -> Gateway {
    Gateway::launch("", &policy(provider), Upstream::start(), write_secret)
}

/// Tokens of the provider, JWTs and others; one api whose accounts are `own` in one scope and `any`
/// in the other; a proxy on this machine that may tell of certificates.
pub(crate) fn policy(provider: &Provider) -> String {
    let issuer = provider.issuer();
    format!(
        r#"
issuers:
  - issuer: {issuer}
    audiences:
      - https://api.example.com
      - https://api.example.com/ps256
      - https://api.example.com/es256
      - https://api.example.com/eddsa
      - https://api.example.com/opaque
    token_type: require
    leeway: 0s
    keys: {{ url: {issuer}/jwks }}
    introspection:
      url: {issuer}/token/introspection
      client_id: gateway
      client_secret_file: secret
      cache_for: 30s
    claims: {{ scope: scope, account: account_id, client: client_id }}
    dpop: {{ max_age: 60s, nonce: false, required: false }}
trusted_proxies: [127.0.0.1/32]
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: {{ path: account }}
    scopes:
      - name: data-read
        accounts: own
        services: ["GET /data/{{account}}/**"]
      - name: data-all
        accounts: any
        services: ["GET,PUT /data/{{account}}/**"]
"#
    )
}

/// A `GET` of [`TARGET`] with a token that is bound to this key, and a proof for it.
pub(crate) fn get_with_proof(gateway: &Gateway, token: &str, holder: &Holder) -> Response {
    ask_with_proof(gateway, token, &holder.proof("GET", &url(TARGET), Some(token)))
}

/// The same with any proof.
pub(crate) fn ask_with_proof(gateway: &Gateway, token: &str, proof: &str) -> Response {
    gateway.ask("GET", TARGET, &[("Authorization", &format!("DPoP {token}")), ("DPoP", proof)])
}

/// How many fetches of the provider's keys ended like this.
pub(crate) fn fetches(gateway: &Gateway, provider: &Provider, result: &str) -> f64 {
    let series = format!(r#"scopegate_issuer_fetches_total{{issuer="{}",result="{result}"}}"#, provider.issuer());
    gateway.metric(&series).unwrap_or_default()
}

/// Whether a response is what was expected: its status and, unless it was let through, its reason.
#[track_caller]
pub(crate) fn check(what: &str, response: &Response, status: u16, reason: &str) {
    let found = if response.status == 200 { String::new() } else { response.reason() };
    let body = String::from_utf8_lossy(&response.body);
    assert_eq!((response.status, found.as_str()), (status, reason), "{what}: {body}");
}

fn write_secret(folder: &Path) {
    std::fs::write(folder.join("secret"), SECRET).unwrap();
}
