//! A client's own key: what it signs to show that it holds it.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{encode, now};
use serde_json::{Value, json};

/// A P-256 key.
pub(crate) struct Holder(EcdsaKeyPair);

impl Holder {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
    }

    /// The private key, in PEM.
    pub(crate) fn pem(&self) -> String {
        let text = STANDARD.encode(self.0.to_pkcs8v1().unwrap());
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    /// A `DPoP` proof (RFC 9449 section 4.2) for one request, with an access token if it carries one.
    pub(crate) fn proof(&self, method: &str, url: &str, access_token: Option<&str>) -> String {
        self.proof_with_nonce(method, url, access_token, None)
    }

    pub(crate) fn proof_with_nonce(&self, method: &str, url: &str, token: Option<&str>, nonce: Option<&str>) -> String {
        let mut claims = json!({ "jti": unique(), "htm": method, "htu": url, "iat": now() });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        if let Some(token) = token {
            claims["ath"] = encode(digest(&SHA256, token.as_bytes()).as_ref()).into();
        }
        self.sign(&json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": self.jwk() }), &claims)
    }

    /// What a client with `private_key_jwt` authenticates with (RFC 7523 section 3).
    pub(crate) fn assertion(&self, client: &str, audience: &str) -> String {
        let claims = json!({ "iss": client, "sub": client, "aud": audience, "jti": unique(), "exp": now() + 60 });
        self.sign(&json!({ "alg": "ES256" }), &claims)
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", encode(signature.as_ref()))
    }
}

/// What nothing else is called.
pub(crate) fn unique() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    encode(&bytes)
}
