//! Timings of what a token costs: verified, by its algorithm, and found among those verified before.

#![allow(
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a bench that cannot be set up must stop; its macros document nothing"
)]

use std::hint::black_box;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaPublicKeyComponents, RsaSignatureEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use scopegate::config::{Source, compile};
use scopegate::policy::UnixTime;
use scopegate::token::{IssuerRules, Jwt, KeySet};
use serde_json::{Value, json};

mod known;

use known::Known;

/// A key pair of one algorithm: its public key as JWK members, and how it signs.
struct Signing {
    algorithm: &'static str,
    jwk: Value,
    sign: Box<Sign>,
}

type Sign = dyn Fn(&[u8]) -> Vec<u8>;

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa(algorithm: &'static str, encoding: &'static RsaSignatureEncoding) -> Signing {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
    let sign = move |message: &[u8]| {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), message, &mut signature).expect("a signature");
        signature
    };
    Signing { algorithm, jwk: json!({ "kty": "RSA", "n": encode(&n), "e": encode(&e) }), sign: Box::new(sign) }
}

fn ec(algorithm: &'static str, curve: &str, signing: &'static EcdsaSigningAlgorithm) -> Signing {
    let key = EcdsaKeyPair::generate(signing).expect("a key");
    // An uncompressed point: 4, x, y.
    let (x, y) = key.public_key().as_ref().split_at(1).1.split_at((key.public_key().as_ref().len() - 1) / 2);
    let jwk = json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) });
    let sign = move |message: &[u8]| key.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec();
    Signing { algorithm, jwk, sign: Box::new(sign) }
}

fn ed25519() -> Signing {
    let key = Ed25519KeyPair::generate().expect("a key");
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref()) });
    Signing { algorithm: "EdDSA", jwk, sign: Box::new(move |message: &[u8]| key.sign(message).as_ref().to_vec()) }
}

impl Signing {
    fn keys(&self) -> KeySet {
        KeySet::parse(json!({ "keys": [self.jwk] }).to_string().as_bytes()).expect("a key set").keys
    }

    fn token(&self) -> String {
        let header = json!({ "alg": self.algorithm, "typ": "at+jwt" });
        let payload = json!({
            "iss": "https://issuer.example", "aud": "https://api.example.com", "exp": harness::now() + 3600,
            "sub": "someone", "client_id": "app", "scope": "openid scope-0", "account_id": "acme",
        });
        let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload.to_string().as_bytes()));
        format!("{message}.{}", encode(&(self.sign)(message.as_bytes())))
    }
}

fn rules() -> Arc<IssuerRules> {
    let text = r#"
version: 1
listeners: [{ address: "127.0.0.1:8080" }]
upstreams: { one: { servers: ["127.0.0.1:9000"] } }
issuers: [{ issuer: https://issuer.example, audiences: [https://api.example.com], keys: { url: https://issuer.example/jwks } }]
apis: [{ name: one, base_path: /, upstream: one, scopes: [{ name: scope-0, services: ["GET /one"] }] }]
"#;
    let source = Source { shown: "gateway.yaml", directory: ".".as_ref(), text };
    let mut configuration = compile(&source).expect("a good file");
    configuration.settings.issuers.remove(0).rules
}

fn verify(criterion: &mut Criterion) {
    let (rules, now) = (rules(), UnixTime(harness::now()));
    let mut group = criterion.benchmark_group("verify");
    for signing in [
        rsa("RS256", &RSA_PKCS1_SHA256),
        rsa("PS256", &RSA_PSS_SHA256),
        ec("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
        ec("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
        ed25519(),
    ] {
        let (keys, token) = (signing.keys(), signing.token());
        group.bench_function(signing.algorithm, |bencher| {
            bencher.iter(|| {
                let jwt = Jwt::parse(black_box(&token)).expect("a JWT");
                jwt.verify(&rules, &keys, now).expect("a good token")
            });
        });
    }
    group.finish();
}

fn cached(criterion: &mut Criterion) {
    let known = Known::new();
    criterion.bench_function("cached", |bencher| bencher.iter(|| known.authenticate()));
}

fn recorded(criterion: &mut Criterion) {
    let known = Known::new();
    criterion.bench_function("recorded", |bencher| bencher.iter(|| known.record()));
}

criterion_group!(benches, verify, cached, recorded);
criterion_main!(benches);
