//! Every known attack on JWTs by its name, over HTTP: each has its reason, and nothing is forwarded.
//!
//! Each token is sent twice: a verdict that is remembered must not be a better one.

mod cases;
mod claims;
mod forms;
pub(crate) mod proofs;

use scopegate::policy::Reason;
use serde_json::{Value, json};

use crate::harness::{Gateway, Signer, now};
use crate::harness::{encode, payload};

/// Four issuers: one with asymmetric keys, another with keys of the same `kid`s, and two whose set has
/// keys that nobody should trust beside good ones: one signs with secrets, the other does not.
const POLICY: &str = r#"
issuers:
  - issuer: https://issuer.example
    audiences: [https://api.example.com]
    keys: { file: jwks.json }
    claims: { scope: scope, account: account_id, client: client_id }
  - issuer: https://other.example
    audiences: [https://api.example.com]
    keys: { file: other.json }
    token_type: require
    claims: { scope: scope, account: account_id, client: client_id }
  - issuer: https://secret.example
    audiences: [https://api.example.com]
    algorithms: [HS256]
    keys: { file: weak.json }
    claims: { scope: scope, account: account_id, client: client_id }
  - issuer: https://weak.example
    audiences: [https://api.example.com]
    keys: { file: weak.json }
    claims: { scope: scope, account: account_id, client: client_id }
identity_headers: { subject: X-Auth-Subject, client: X-Auth-Client, account: X-Auth-Account, scopes: X-Auth-Scopes }
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    scopes:
      - name: data-read
        services: ["GET /data/{account}/**"]
"#;

/// An attack: what it is, the token, and what it must come to.
struct Attack {
    name: String,
    token: String,
    reason: Reason,
}

struct Stage {
    gateway: Gateway,
    /// The keys of `https://other.example`; their `kid`s are those of the first issuer's.
    other: Signer,
}

impl Stage {
    fn start() -> Self {
        let other = Signer::new();
        let gateway = Gateway::start_in(POLICY, |folder| {
            std::fs::write(folder.join("other.json"), other.jwks().to_string()).unwrap();
            std::fs::write(folder.join("weak.json"), weak_keys().to_string()).unwrap();
        });
        Self { gateway, other }
    }

    #[track_caller]
    fn check(&self, attacks: &[Attack]) {
        for Attack { name, token, reason } in attacks {
            for time in ["first", "again"] {
                let response = self.gateway.get("/data/acme/x", token);
                assert_eq!((response.status, &*response.reason()), (401, reason.as_str()), "{name} ({time}): {token}");
                let challenge = response.header("www-authenticate").unwrap_or_default();
                assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{name}: {challenge}");
            }
        }
        assert_eq!(self.gateway.upstream.count(), 0, "{:?}", self.gateway.upstream.seen());
        // The upstream was there to be reached.
        assert_eq!(self.gateway.get("/data/acme/x", &good()).status, 200);
    }
}

/// The first issuer's RSA key, a good secret, and keys by which anybody could sign.
fn weak_keys() -> Value {
    let mut keys = Signer::shared().jwks();
    let rsa = &keys["keys"][0];
    let exponent_one = json!({ "kty": "RSA", "kid": "e-1", "n": rsa["n"], "e": "AQ" });
    let list = keys["keys"].as_array_mut().unwrap();
    list.remove(1);
    list.extend([
        exponent_one,
        json!({ "kty": "RSA", "kid": "rsa-1024", "n": encode(&[0xc5; 128]), "e": "AQAB" }),
        json!({ "kty": "oct", "kid": "short", "k": encode(b"secret") }),
        json!({ "kty": "oct", "kid": "empty", "k": "" }),
        json!({ "kty": "oct", "kid": "good", "k": encode(&[7; 32]) }),
        json!({ "kty": "oct", "kid": "for-encryption", "use": "enc", "k": encode(&[8; 32]) }),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "small-order", "x": encode(&[0; 32]) }),
    ]);
    keys
}

fn attack(name: impl Into<String>, token: String, reason: Reason) -> Attack {
    Attack { name: name.into(), token, reason }
}

/// The claims of a token that may read the data of `acme`, with others put over them.
fn claims(over: Value) -> Value {
    let mut claims = payload(json!({ "scope": "data-read", "account_id": "acme" }));
    for (name, value) in over.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn header(over: Value) -> Value {
    let mut header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": "rsa-1" });
    for (name, value) in over.as_object().unwrap() {
        header[name] = value.clone();
    }
    header
}

fn good() -> String {
    Signer::shared().sign(&header(json!({})), &claims(json!({})))
}

#[test]
fn a_good_token_of_each_issuer_is_accepted() {
    let stage = Stage::start();
    let other = stage.other.sign(&header(json!({})), &claims(json!({ "iss": "https://other.example" })));
    let secret = cases::hmac(&header(json!({ "alg": "HS256", "kid": "good" })), &of("secret", json!({})), &[7; 32]);
    let ec = Signer::shared().sign(&header(json!({ "alg": "ES256", "kid": "ec-1" })), &claims(json!({})));
    for token in [good(), other, secret, ec] {
        assert_eq!(stage.gateway.get("/data/acme/x", &token).status, 200, "{token}");
    }
}

/// The same claims as another issuer's.
fn of(issuer: &str, over: Value) -> Value {
    let mut claims = claims(over);
    claims["iss"] = json!(format!("https://{issuer}.example"));
    claims
}

#[test]
fn attacks_on_algorithms_and_keys_have_their_reasons_and_reach_nobody() {
    let stage = Stage::start();
    let attacks = [
        cases::algorithms(),
        cases::confusion(),
        cases::brought_along(),
        cases::kids(),
        cases::signatures(),
        cases::weak_keys(),
        cases::other_issuers(&stage.other),
    ]
    .concat_all();
    println!("{} tokens", attacks.len());
    assert!(attacks.len() >= 120, "{}", attacks.len());
    stage.check(&attacks);
}

#[test]
fn attacks_on_the_form_and_claims_of_tokens_have_their_reasons_and_reach_nobody() {
    let stage = Stage::start();
    let attacks = [
        claims::types(&stage.other),
        claims::twice(),
        claims::extensions(),
        claims::wrong(),
        claims::times(),
        forms::forms(),
        forms::sizes(),
    ]
    .concat_all();
    println!("{} tokens", attacks.len());
    assert!(attacks.len() >= 180, "{}", attacks.len());
    stage.check(&attacks);
}

trait ConcatAll {
    fn concat_all(self) -> Vec<Attack>;
}

impl<const N: usize> ConcatAll for [Vec<Attack>; N] {
    fn concat_all(self) -> Vec<Attack> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn a_remembered_token_vouches_for_no_other() {
    let stage = Stage::start();
    let token = good();
    assert_eq!(stage.gateway.get("/data/acme/x", &token).status, 200);
    let parts: Vec<_> = token.split('.').collect();
    let other = Signer::shared().sign(&header(json!({})), &claims(json!({ "account_id": "beta" })));
    let others: Vec<_> = other.split('.').collect();
    let of_beta = format!("{}.{}.{}", parts[0], others[1], parts[2]);
    for (token, reason) in [
        (of_beta, "signature_invalid"),
        (format!("{}.{}.{}", parts[0], parts[1], others[2]), "signature_invalid"),
        (format!("{}.{}.", parts[0], parts[1]), "signature_invalid"),
        (token[..token.len() - 2].to_owned(), "signature_invalid"),
        (format!("{token}AAAA"), "signature_invalid"),
        (format!("{token}="), "token_malformed"),
    ] {
        assert_eq!(stage.gateway.get("/data/acme/x", &token).reason(), reason, "{token}");
    }
    assert_eq!(stage.gateway.get("/data/beta/x", &token).reason(), "account_forbidden");
    let dpop = format!("DPoP {token}");
    assert_eq!(stage.gateway.ask("GET", "/data/acme/x", &[("Authorization", &dpop)]).reason(), "binding_mismatch");
    assert_eq!(stage.gateway.upstream.count(), 1);
}

#[test]
fn an_id_token_whose_audience_is_the_api_holds_no_scope() {
    let stage = Stage::start();
    let claims = payload(json!({ "account_id": "acme", "nonce": "n", "at_hash": "x", "auth_time": now() }));
    let token = Signer::shared().sign(&header(json!({ "typ": "JWT" })), &claims);
    let response = stage.gateway.get("/data/acme/x", &token);
    assert_eq!((response.status, &*response.reason()), (403, "scope_insufficient"));
    assert_eq!(stage.gateway.upstream.count(), 0);
}

#[test]
fn a_credential_is_one_token_after_its_scheme() {
    let stage = Stage::start();
    let token = good();
    for (value, reason) in [
        (format!("Bearer {token}, Bearer {token}"), "token_malformed"),
        (format!("Bearer {token},{token}"), "token_malformed"),
        (format!("Bearer {token} x"), "token_malformed"),
        (format!("Bearer \"{token}\""), "token_malformed"),
        (format!("Bearer\t{token}"), "token_malformed"),
        (format!("Bearer={token}"), "token_malformed"),
        (format!("Bearer,{token}"), "token_malformed"),
        (format!("Bearer token={token}"), "token_malformed"),
        (format!("Bearer Bearer {token}"), "token_malformed"),
        ("Bearer".to_owned(), "token_malformed"),
        ("Bearer undefined".to_owned(), "token_malformed"),
        (token.clone(), "token_missing"),
        (format!("Basic {token}"), "token_missing"),
        (format!("Token {token}"), "token_missing"),
        (format!("JWT {token}"), "token_missing"),
        (format!("Bearer: {token}"), "token_malformed"),
        (format!("Bearer\u{a0}{token}"), "token_malformed"),
    ] {
        let response = stage.gateway.ask("GET", "/data/acme/x", &[("Authorization", &value)]);
        assert_eq!((response.status, &*response.reason()), (401, reason), "{value}");
    }
    // Tokens in other places are not looked at.
    for (target, headers) in [
        (format!("/data/acme/x?access_token={token}"), vec![]),
        ("/data/acme/x".to_owned(), vec![("Cookie", format!("access_token={token}; Authorization=Bearer {token}"))]),
        ("/data/acme/x".to_owned(), vec![("Proxy-Authorization", format!("Bearer {token}"))]),
        ("/data/acme/x".to_owned(), vec![("X-Authorization", format!("Bearer {token}"))]),
        ("/data/acme/x".to_owned(), vec![("Sec-WebSocket-Protocol", format!("bearer, {token}"))]),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(stage.gateway.ask("GET", &target, &headers).reason(), "token_missing", "{target} {headers:?}");
    }
    assert_eq!(stage.gateway.upstream.count(), 0);
}
