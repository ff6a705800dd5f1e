//! Keys that sign the demo's tokens: made at start, never stored.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use thiserror::Error;

/// A private key and its public half as a JWK.
pub(super) struct SigningKey {
    algorithm: Algorithm,
    secret: EncodingKey,
    public: Jwk,
}

/// A key could not be made, or would not sign.
#[derive(Debug, Error)]
pub enum KeyFault {
    /// The source of randomness or the generator failed.
    #[error("a signing key cannot be made")]
    Generator(#[from] Unspecified),
    /// The key and what is done with it do not fit.
    #[error("a signing key cannot be used: {0}")]
    Use(#[from] jsonwebtoken::errors::Error),
}

impl SigningKey {
    /// RSA with 2048 bits, for RS256.
    pub(super) fn rs256() -> Result<Self, KeyFault> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let secret = EncodingKey::from_rsa_pem(pem(pair.as_der()?.as_ref()).as_bytes())?;
        Self::new(Algorithm::RS256, secret)
    }

    /// P-256, for ES256.
    pub(super) fn es256() -> Result<Self, KeyFault> {
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
        Self::new(Algorithm::ES256, EncodingKey::from_ec_der(pair.as_ref()))
    }

    fn new(algorithm: Algorithm, secret: EncodingKey) -> Result<Self, KeyFault> {
        let mut public = Jwk::from_encoding_key(&secret, algorithm)?;
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_id = Some(public.thumbprint(ThumbprintHash::SHA256)?);
        Ok(Self { algorithm, secret, public })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn public(&self) -> &Jwk {
        &self.public
    }

    /// A signed access token with these claims (RFC 9068 section 2).
    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<String, KeyFault> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some("at+jwt".to_owned());
        header.kid.clone_from(&self.public.common.key_id);
        Ok(jsonwebtoken::encode(&header, claims, &self.secret)?)
    }
}

/// RFC 7468: 64 characters a line.
fn pem(pkcs8: &[u8]) -> String {
    let mut text = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    for (place, character) in STANDARD.encode(pkcs8).chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text + "\n-----END PRIVATE KEY-----\n"
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_signed_verifies_with_the_public_half_and_no_other() {
        for (key, other) in [
            (SigningKey::rs256().unwrap(), SigningKey::rs256().unwrap()),
            (SigningKey::es256().unwrap(), SigningKey::es256().unwrap()),
        ] {
            let token = key.sign(&json!({"exp": 4_000_000_000_u64, "aud": "a"})).unwrap();
            let mut validation = Validation::new(key.algorithm());
            validation.set_audience(&["a"]);
            let verify = |key: &SigningKey| {
                let key = DecodingKey::from_jwk(key.public()).unwrap();
                jsonwebtoken::decode::<Value>(&token, &key, &validation)
            };
            let header = verify(&key).unwrap().header;
            assert_eq!((header.typ.as_deref(), header.alg), (Some("at+jwt"), key.algorithm()));
            assert_eq!(header.kid, key.public().common.key_id);
            assert!(verify(&other).is_err());
        }
    }

    #[test]
    fn a_public_key_says_what_it_is_for_and_nothing_private() {
        let key = serde_json::to_value(SigningKey::es256().unwrap().public()).unwrap();
        assert_eq!(
            (&key["kty"], &key["crv"], &key["use"], &key["alg"]),
            (&json!("EC"), &json!("P-256"), &json!("sig"), &json!("ES256"))
        );
        assert!(key.get("d").is_none());
    }
}
