//! Tokens that are bound: shown with the right key and once, or refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use super::*;
use crate::issuer::sha256::sha256;
use crate::policy::Certificate;
use crate::token::DpopRules;

const URL: &str = "https://api.example.com/x";

/// Issuers with this to say of proofs, and a key of theirs.
async fn world(dpop: Option<DpopRules>) -> (Provider, World, Key) {
    let key = Key::new("a");
    let provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let rules = IssuerRules { dpop, ..rules() };
    let issuer = config::Issuer { rules: Arc::new(rules), ..with_keys_at(provider.url()) };
    (provider, World::ready(unhurried(), vec![issuer]).await, key)
}

/// A token bound to the holder's key.
fn bound(key: &Key, holder: &Key) -> String {
    let jwk = holder.signer.jwk();
    let thumbprint = sha256(format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]).as_bytes());
    key.token(&json!({ "cnf": { "jkt": BASE64URL.encode(thumbprint) } }))
}

fn proof(holder: &Key, token: &str, id: &str, members: &Value) -> String {
    let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": holder.signer.jwk() });
    let ath = BASE64URL.encode(sha256(token.as_bytes()));
    let payload = json!({ "jti": id, "htm": "GET", "htu": URL, "iat": NOW.0, "ath": ath });
    holder.signer.token(Algorithm::ES256, &header.to_string(), &with(payload, members).to_string())
}

impl World {
    async fn show(&self, token: &str, proof: Option<&str>) -> Result<Arc<Authenticated>, Denial> {
        let credential = Credential { scheme: Scheme::Dpop, token };
        let presented = Presented { credential, proof, url: URL, ..bearer(token) };
        self.set.authenticate(&presented, &self.policy, 1, moment(NOW)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_asked_for_each_time_and_taken_once() {
    let (_provider, world, key) = world(None).await;
    let (holder, thief) = (Key::new("holder"), Key::new("thief"));
    let token = bound(&key, &holder);
    let first = proof(&holder, &token, "one", &json!({}));
    world.show(&token, Some(&first)).await.unwrap();
    refused(world.show(&token, Some(&first)).await, TokenFault::BindingMismatch);
    refused(world.show(&token, None).await, TokenFault::BindingMismatch);
    refused(world.ask(&token).await, TokenFault::BindingMismatch);
    refused(world.show(&token, Some(&proof(&thief, &token, "two", &json!({})))).await, TokenFault::BindingMismatch);
    refused(
        world.show(&token, Some(&proof(&holder, &token, "three", &json!({ "htm": "POST" })))).await,
        TokenFault::BindingMismatch,
    );
    world.show(&token, Some(&proof(&holder, &token, "four", &json!({})))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_does_not_use_up_its_proof() {
    let (_provider, world, key) = world(None).await;
    let holder = Key::new("holder");
    let token = bound(&key, &holder);
    let shown = proof(&holder, &token, "one", &json!({}));
    let credential = Credential { scheme: Scheme::Bearer, token: &token };
    let wrong_scheme = Presented { credential, proof: Some(&shown), url: URL, ..bearer(&token) };
    refused(world.set.authenticate(&wrong_scheme, &world.policy, 1, moment(NOW)).await, TokenFault::BindingMismatch);
    world.show(&token, Some(&shown)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_nothing_asks_for_is_not_looked_at() {
    let (_provider, world, key) = world(None).await;
    let token = key.token(&json!({}));
    let presented = Presented { proof: Some("rubbish"), ..bearer(&token) };
    for _ in 0..2 {
        world.set.authenticate(&presented, &world.policy, 1, moment(NOW)).await.unwrap();
    }
    refused(world.show(&token, Some("rubbish")).await, TokenFault::BindingMismatch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_asked_for_where_the_rules_say_so() {
    let (_provider, world, key) = world(Some(DpopRules { max_age: 60, nonce: true, required: true })).await;
    let holder = Key::new("holder");
    let token = bound(&key, &holder);
    let nonce = world.set.proof_nonce(moment(NOW).instant).unwrap();
    let with_nonce = |nonce: &str| proof(&holder, &token, "one", &json!({ "nonce": nonce }));
    refused(world.show(&token, Some(&proof(&holder, &token, "one", &json!({})))).await, TokenFault::NonceRequired);
    refused(world.show(&token, Some(&with_nonce("made up"))).await, TokenFault::NonceRequired);
    world.show(&token, Some(&with_nonce(nonce.to_str().unwrap()))).await.unwrap();
    refused(world.ask(&key.token(&json!({}))).await, TokenFault::BindingMismatch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_compared_each_time() {
    let (_provider, world, key) = world(None).await;
    let token = key.token(&json!({ "cnf": { "x5t#S256": BASE64URL.encode([7; 32]) } }));
    let certificate = |sha256| Certificate { sha256, subject: "CN=acme".into(), san_dns: [].into() };
    for (shown, good) in [(Some([7; 32]), true), (Some([8; 32]), false), (None, false), (Some([7; 32]), true)] {
        let certificate = shown.map(certificate);
        let presented = Presented { certificate: certificate.as_ref(), ..bearer(&token) };
        let answer = world.set.authenticate(&presented, &world.policy, 1, moment(NOW)).await;
        assert_eq!(answer.is_ok(), good, "{shown:?}");
        if !good {
            refused(answer, TokenFault::BindingMismatch);
        }
    }
}
