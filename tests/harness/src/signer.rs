//! An issuer's keys, and tokens of any shape signed with them, good and bad.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// One RSA and one P-256 key, `rsa-1` and `ec-1`.
pub struct Signer {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
}

impl Signer {
    /// The one whose public keys every test's gateway trusts.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Signer> = LazyLock::new(Signer::new);
        &SHARED
    }

    /// One whose keys are its own.
    pub fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        }
    }

    /// The public keys (RFC 7517).
    pub fn jwks(&self) -> Value {
        let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public_key());
        let point = self.ec.public_key().as_ref();
        json!({ "keys": [
            { "kty": "RSA", "kid": "rsa-1", "use": "sig", "alg": "RS256", "n": encode(&n), "e": encode(&e) },
            { "kty": "EC", "kid": "ec-1", "use": "sig", "alg": "ES256", "crv": "P-256",
              "x": encode(&point[1..33]), "y": encode(&point[33..65]) },
        ]})
    }

    /// A good access token for an hour, with these claims put over its own; `null` takes one away.
    pub fn token(&self, claims: Value) -> String {
        self.sign(&json!({ "alg": "RS256", "typ": "at+jwt", "kid": "rsa-1" }), &payload(claims))
    }

    /// A token of exactly this header and payload, signed as the header's `alg` says.
    pub fn sign(&self, header: &Value, payload: &Value) -> String {
        self.sign_text(&header.to_string(), &payload.to_string())
    }

    /// The same of texts, which need not be JSON.
    pub fn sign_text(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
        let signature =
            if header.contains("ES256") { self.sign_ec(message.as_bytes()) } else { self.sign_rsa(message.as_bytes()) };
        format!("{message}.{}", encode(&signature))
    }

    fn sign_ec(&self, message: &[u8]) -> Vec<u8> {
        self.ec.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// A signature by the RSA key, as RS256 has it (RFC 7518 section 3.3).
    pub fn sign_rsa(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    /// The RSA key as `SubjectPublicKeyInfo` and as `RSAPublicKey`.
    pub fn rsa_der(&self) -> [Vec<u8>; 2] {
        let info: PublicKeyX509Der = self.rsa.public_key().as_der().unwrap();
        [info.as_ref().to_vec(), self.rsa.public_key().as_ref().to_vec()]
    }
}

/// The claims of a good token for an hour, with `claims` put over them; `null` takes one away.
pub fn payload(claims: Value) -> Value {
    let mut payload = json!({
        "iss": "https://issuer.example", "aud": "https://api.example.com", "sub": "someone", "client_id": "app",
        "iat": now(), "exp": now() + 3600, "jti": "1",
    });
    let (Value::Object(all), Value::Object(own)) = (&mut payload, claims) else { panic!("claims are an object") };
    for (name, value) in own {
        if value.is_null() {
            all.remove(&name);
        } else {
            all.insert(name, value);
        }
    }
    payload
}

/// Base64url without padding (RFC 7515 section 2).
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The time, in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
