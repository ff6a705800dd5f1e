//! The gateway's own private key at a provider, and the assertions that it signs with it (RFC 7523
//! section 2.2): who asks, proven without a shared secret.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding,
};
use serde::Serialize;
use thiserror::Error;

use crate::policy::UnixTime;

use super::{base64url, pem};

/// A private key that is ready to sign with.
pub struct ClientKey {
    pair: Pair,
    /// The JWS header, encoded.
    header: Box<str>,
}

/// How assertions are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssertionAlgorithm {
    /// RSA with PKCS #1 padding, which every provider knows.
    Rs256,
    /// RSA with PSS padding.
    Ps256,
    /// P-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// What an assertion says beside that it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// Who asks.
    pub client_id: &'a str,
    /// Who is asked.
    pub audience: &'a str,
    /// Never used before.
    pub id: &'a str,
    /// When it is made.
    pub now: UnixTime,
    /// How long it is good, in seconds.
    pub lifetime: u64,
}

/// Why a text holds no private key that is used; says nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidClientKey {
    /// No PEM block is a private key.
    #[error("it has no private key in PEM")]
    None,
    /// More than one is.
    #[error("it has more than one private key")]
    Several,
    /// A block cannot be read.
    #[error("{0}")]
    Pem(&'static str),
    /// Nobody is there to type a passphrase.
    #[error("its private key is encrypted; it must be readable without a passphrase")]
    Encrypted,
    /// Of a kind, curve or size that is not used.
    #[error("its private key is not RSA of 2048 to 8192 bits, P-256 or Ed25519")]
    Kind,
    /// `private_key_algorithm` is not one of the key's.
    #[error("its private key cannot sign with {}", .0.name())]
    Algorithm(AssertionAlgorithm),
}

/// The key could not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the private key cannot sign")]
pub struct Unsigned;

enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

/// RFC 7523 section 3. `aud` is one value, so that no other server can be meant too.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
}

impl ClientKey {
    /// Reads a key in PEM: PKCS #8, PKCS #1 (`RSA PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`). Without
    /// `algorithm` it signs with what is most common for its kind.
    ///
    /// # Errors
    /// If there is no such key, or it cannot sign with `algorithm`.
    pub fn parse(
        text: &str,
        algorithm: Option<AssertionAlgorithm>,
        key_id: Option<&str>,
    ) -> Result<Self, InvalidClientKey> {
        let pair = Pair::parse(text)?;
        let algorithm = algorithm.unwrap_or(pair.usual_algorithm());
        let pair = pair.signing_with(algorithm)?;
        let header = Header { alg: algorithm.name(), typ: "JWT", kid: key_id };
        Ok(Self { pair, header: encoded(&header).into() })
    }

    /// Signs an assertion.
    ///
    /// # Errors
    /// If the key cannot sign, which those that were read can.
    pub fn assertion(&self, assertion: &Assertion<'_>) -> Result<String, Unsigned> {
        let Assertion { client_id, audience, id, now, lifetime } = *assertion;
        let exp = now.0.saturating_add(lifetime);
        let claims = Claims { iss: client_id, sub: client_id, aud: audience, jti: id, iat: now.0, exp };
        let signed = format!("{}.{}", self.header, encoded(&claims));
        let signature = self.pair.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", base64url::encode(&signature)))
    }
}

/// Shows nothing of the key.
impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientKey").finish_non_exhaustive()
    }
}

impl AssertionAlgorithm {
    /// Those that there are.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// As JWS headers write it (RFC 7518 section 3.1, RFC 8037 section 3.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl Pair {
    fn parse(text: &str) -> Result<Self, InvalidClientKey> {
        let mut found = None;
        for block in pem::blocks(text) {
            let block = block.map_err(InvalidClientKey::Pem)?;
            let pair = match block.label {
                "PRIVATE KEY" => Self::pkcs8(&block.der),
                "RSA PRIVATE KEY" => RsaKeyPair::from_der(&block.der).ok().map(Self::rsa),
                "EC PRIVATE KEY" => {
                    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &block.der);
                    pair.ok().map(Self::P256)
                }
                "ENCRYPTED PRIVATE KEY" => return Err(InvalidClientKey::Encrypted),
                // Certificates and parameters often stand beside a key.
                _ => continue,
            };
            if found.replace(pair.ok_or(InvalidClientKey::Kind)?).is_some() {
                return Err(InvalidClientKey::Several);
            }
        }
        found.ok_or(InvalidClientKey::None)
    }

    fn pkcs8(der: &[u8]) -> Option<Self> {
        let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok().map(Self::P256);
        let ed25519 = || Ed25519KeyPair::from_pkcs8(der).ok().map(Self::Ed25519);
        RsaKeyPair::from_pkcs8(der).ok().map(Self::rsa).or_else(p256).or_else(ed25519)
    }

    fn rsa(pair: RsaKeyPair) -> Self {
        Self::Rsa(pair, &RSA_PKCS1_SHA256)
    }

    fn usual_algorithm(&self) -> AssertionAlgorithm {
        match self {
            Self::Rsa(..) => AssertionAlgorithm::Rs256,
            Self::P256(_) => AssertionAlgorithm::Es256,
            Self::Ed25519(_) => AssertionAlgorithm::EdDsa,
        }
    }

    fn signing_with(self, algorithm: AssertionAlgorithm) -> Result<Self, InvalidClientKey> {
        match (self, algorithm) {
            (Self::Rsa(pair, _), AssertionAlgorithm::Rs256) => Ok(Self::Rsa(pair, &RSA_PKCS1_SHA256)),
            (Self::Rsa(pair, _), AssertionAlgorithm::Ps256) => Ok(Self::Rsa(pair, &RSA_PSS_SHA256)),
            (pair @ Self::P256(_), AssertionAlgorithm::Es256)
            | (pair @ Self::Ed25519(_), AssertionAlgorithm::EdDsa) => Ok(pair),
            (Self::Rsa(..) | Self::P256(_) | Self::Ed25519(_), other) => Err(InvalidClientKey::Algorithm(other)),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unsigned> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).map_err(|_| Unsigned)?;
                Ok(signature)
            }
            Self::P256(pair) => Ok(pair.sign(&random, message).map_err(|_| Unsigned)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

fn encoded(value: &impl Serialize) -> String {
    // INVARIANT: texts and numbers can always be written as JSON.
    base64url::encode(&serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use serde_json::Value;

    use super::*;
    use crate::token::samples::{KEYS, NOW, Signer, pem};

    const ASSERTION: Assertion<'_> =
        Assertion { client_id: "gateway", audience: "https://login.example.com", id: "fresh", now: NOW, lifetime: 60 };

    /// What an independent reader makes of an assertion.
    fn read(assertion: &str, signer: &Signer, algorithm: AssertionAlgorithm) -> (Value, Value) {
        let jwk = serde_json::from_value(signer.jwk()).unwrap();
        let mut validation = Validation::new(algorithm.name().parse().unwrap());
        validation.set_audience(&[ASSERTION.audience]);
        validation.validate_exp = false;
        let decoded = decode::<Value>(assertion, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).unwrap();
        (serde_json::to_value(decoded.header).unwrap(), decoded.claims)
    }

    #[test]
    fn each_kind_of_key_signs_with_its_algorithms_and_no_other() {
        for (signer, usual, fitting) in [
            (&KEYS.rsa, AssertionAlgorithm::Rs256, &[AssertionAlgorithm::Rs256, AssertionAlgorithm::Ps256][..]),
            (&KEYS.p256, AssertionAlgorithm::Es256, &[AssertionAlgorithm::Es256]),
            (&KEYS.ed25519, AssertionAlgorithm::EdDsa, &[AssertionAlgorithm::EdDsa]),
        ] {
            let text = pem("PRIVATE KEY", &signer.pkcs8());
            for algorithm in AssertionAlgorithm::ALL {
                let key = ClientKey::parse(&text, Some(algorithm), None);
                if !fitting.contains(&algorithm) {
                    assert_eq!(key.unwrap_err(), InvalidClientKey::Algorithm(algorithm));
                    continue;
                }
                let (header, _) = read(&key.unwrap().assertion(&ASSERTION).unwrap(), signer, algorithm);
                assert_eq!(header["alg"], algorithm.name());
            }
            let key = ClientKey::parse(&text, None, None).unwrap();
            read(&key.assertion(&ASSERTION).unwrap(), signer, usual);
        }
    }

    #[test]
    fn an_assertion_says_what_rfc_7523_asks_for() {
        let text = pem("PRIVATE KEY", &KEYS.p256.pkcs8());
        let key = ClientKey::parse(&text, None, Some("k-1")).unwrap();
        let (header, claims) = read(&key.assertion(&ASSERTION).unwrap(), &KEYS.p256, AssertionAlgorithm::Es256);
        assert_eq!((&header["kid"], &header["typ"]), (&"k-1".into(), &"JWT".into()));
        let expected = serde_json::json!({
            "iss": "gateway", "sub": "gateway", "aud": "https://login.example.com", "jti": "fresh",
            "iat": NOW.0, "exp": NOW.0 + 60,
        });
        assert_eq!(claims, expected);
    }

    #[test]
    fn older_forms_of_pem_are_read_beside_other_blocks() {
        let Signer::P256(pair) = &KEYS.p256 else { panic!() };
        let sec1: aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
        let text = pem("EC PARAMETERS", &[6]) + &pem("EC PRIVATE KEY", sec1.as_ref()) + &pem("CERTIFICATE", &[0x30]);
        let key = ClientKey::parse(&text, None, None).unwrap();
        read(&key.assertion(&ASSERTION).unwrap(), &KEYS.p256, AssertionAlgorithm::Es256);
        // PKCS #1 is what is inside PKCS #8 after its header of 26 bytes (version, algorithm, octets).
        let pkcs8 = KEYS.rsa.pkcs8();
        let text = pem("RSA PRIVATE KEY", &pkcs8[26..]);
        let key = ClientKey::parse(&text, Some(AssertionAlgorithm::Ps256), None).unwrap();
        read(&key.assertion(&ASSERTION).unwrap(), &KEYS.rsa, AssertionAlgorithm::Ps256);
    }

    #[test]
    fn what_is_no_usable_key_says_why() {
        let good = pem("PRIVATE KEY", &KEYS.p256.pkcs8());
        for (text, fault) in [
            (String::new(), InvalidClientKey::None),
            (pem("PUBLIC KEY", &KEYS.p256.spki()), InvalidClientKey::None),
            (good.clone() + &good, InvalidClientKey::Several),
            (pem("ENCRYPTED PRIVATE KEY", &[1]), InvalidClientKey::Encrypted),
            (pem("PRIVATE KEY", &[1]), InvalidClientKey::Kind),
            (pem("PRIVATE KEY", &KEYS.p384.pkcs8()), InvalidClientKey::Kind),
            (pem("EC PRIVATE KEY", &[1]), InvalidClientKey::Kind),
            (good.replace("-----END", "--END"), InvalidClientKey::Pem("its PEM block has no end")),
        ] {
            assert_eq!(ClientKey::parse(&text, None, None).unwrap_err(), fault, "{text}");
        }
        assert!(!format!("{:?}", ClientKey::parse(&good, None, None).unwrap()).contains("pair"));
    }
}
