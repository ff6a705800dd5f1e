//! Keys, rules and tokens as tests want them; the keys that sign are made anew in each run.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair, RsaPublicKeyComponents,
};
use aws_lc_rs::{encoding, encoding::AsDer as _, hmac};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{ClaimPath, ClaimPaths, IssuerRules, KeySet, ScopeSyntax, TokenBounds, TokenType, base64url};
use crate::policy::UnixTime;

/// When everything happens.
pub(crate) const NOW: UnixTime = UnixTime(1_700_000_000);

pub(crate) const ISSUER: &str = "https://login.example.com";
pub(crate) const AUDIENCE: &str = "https://api.example.com";

pub(crate) const ASYMMETRIC: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// A certificate without a subject alternative name.
pub(crate) const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBUTCB+QIUGIConx9mALQ1X9BvGcA2q9qRGjAwCgYIKoZIzj0EAwIwLDEOMAwG
A1UECgwFT3RoZXIxCjAIBgMqAwQMAXgxDjAMBgNVBAMMBW90aGVyMB4XDTI2MTEy
MTE5MjgxNFoXDTM2MTExODE5MjgxNFowLDEOMAwGA1UECgwFT3RoZXIxCjAIBgMq
AwQMAXgxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
vB6PiYWpIB9P+PwW/KQMyVgkqmgF7GmzsnpNAanIs4uF/FvD6HjMO+/4rlCav/XD
8wSq5Jn22T6x1fDPnxcnLDAKBggqhkjOPQQDAgNHADBEAiBQFfXPd7ufWng1eTdR
SGZKDV9J89GYbm3CEaZ+x4D50wIgMb8HN1GspPr1/nfLl4RyjXSVRoqdlHRfZIrz
S6qy28Y=
-----END CERTIFICATE-----
";

/// What signs.
pub(crate) enum Signer {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

/// One key of each kind, for all tests of a run.
pub(crate) struct Keys {
    pub(crate) rsa: Signer,
    pub(crate) p256: Signer,
    pub(crate) p384: Signer,
    pub(crate) ed25519: Signer,
    pub(crate) secret: Signer,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    rsa: Signer::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
    p256: Signer::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
    p384: Signer::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
    ed25519: Signer::Ed25519(Ed25519KeyPair::generate().unwrap()),
    secret: Signer::Secret((0..64).collect()),
});

impl Keys {
    /// The key that signs with this algorithm.
    pub(crate) fn of(&self, algorithm: Algorithm) -> &Signer {
        match format!("{algorithm:?}").get(..5).unwrap() {
            "ES256" => &self.p256,
            "ES384" => &self.p384,
            "EdDSA" => &self.ed25519,
            "HS256" | "HS384" | "HS512" => &self.secret,
            _ => &self.rsa,
        }
    }

    /// The public ones as a JWKS, each with its kind as `kid`.
    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<_> = [(&self.rsa, "rsa"), (&self.p256, "p256"), (&self.p384, "p384"), (&self.ed25519, "ed25519")]
            .into_iter()
            .map(|(signer, kid)| with(signer.jwk(), &json!({ "kid": kid })))
            .collect();
        json!({ "keys": keys })
    }

    /// The public ones.
    pub(crate) fn set(&self) -> KeySet {
        set(&self.jwks())
    }
}

impl Signer {
    /// The key as others may know it, with nothing but its numbers.
    pub(crate) fn jwk(&self) -> Value {
        let text = base64url::encode;
        match self {
            Self::Rsa(pair) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": text(&n), "e": text(&e) })
            }
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) })
            }
            Self::P384(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-384", "x": text(&point[1..49]), "y": text(&point[49..]) })
            }
            Self::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
            Self::Secret(bytes) => json!({ "kty": "oct", "k": text(bytes) }),
        }
    }

    /// The public key's subject public key info in DER.
    pub(crate) fn spki(&self) -> Vec<u8> {
        type Der<'a> = encoding::PublicKeyX509Der<'a>;
        let der: Der<'_> = match self {
            Self::Rsa(pair) => pair.public_key().as_der().unwrap(),
            Self::P256(pair) | Self::P384(pair) => pair.public_key().as_der().unwrap(),
            Self::Ed25519(pair) => pair.public_key().as_der().unwrap(),
            Self::Secret(_) => panic!("a secret has no public key"),
        };
        der.as_ref().to_vec()
    }

    /// The private key in PKCS #8.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        let of = |der: encoding::Pkcs8V1Der<'_>| der.as_ref().to_vec();
        match self {
            Self::Rsa(pair) => of(pair.as_der().unwrap()),
            Self::P256(pair) | Self::P384(pair) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => of(pair.as_der().unwrap()),
            Self::Secret(_) => panic!("a secret is not written so"),
        }
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match &*format!("{algorithm:?}") {
                    "RS256" => &RSA_PKCS1_SHA256,
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    other => panic!("{other} is not for RSA"),
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::P256(pair) | Self::P384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Secret(bytes) => hmac_sign(algorithm, bytes, message),
        }
    }

    /// The token of a header and a payload as they are written, however bad they are.
    pub(crate) fn token(&self, algorithm: Algorithm, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", base64url::encode(&signature))
    }
}

pub(crate) fn hmac_sign(algorithm: Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let hash = match &*format!("{algorithm:?}") {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        other => panic!("{other} is not for secrets"),
    };
    hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec()
}

/// A good token with this algorithm and these claims.
pub(crate) fn token(algorithm: Algorithm, claims: &Value) -> String {
    let header = json!({ "alg": format!("{algorithm:?}"), "typ": "at+jwt" });
    KEYS.of(algorithm).token(algorithm, &header.to_string(), &claims.to_string())
}

/// Claims that every rule takes.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "acme-integration", "jti": "t-1",
        "iat": NOW.0 - 10, "exp": NOW.0 + 300, "scope": "read write", "account_id": "acme",
    })
}

/// An object with the members of another put over its own; a null takes a member away.
pub(crate) fn with(mut object: Value, members: &Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

pub(crate) fn set(jwks: &Value) -> KeySet {
    KeySet::parse(jwks.to_string().as_bytes()).unwrap().keys
}

/// A block of PEM.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A path split at its dots, as `config` splits it.
pub(crate) fn path(text: &str) -> ClaimPath {
    ClaimPath(text.split('.').map(Into::into).collect())
}

/// Rules that take every asymmetric algorithm.
pub(crate) fn rules() -> IssuerRules {
    IssuerRules {
        issuer: ISSUER.into(),
        audiences: ["https://other.example.com".into(), AUDIENCE.into()].into(),
        algorithms: ASYMMETRIC.into(),
        token_type: TokenType::Prefer,
        leeway: 30,
        claims: ClaimPaths {
            scope: [path("scope"), path("scp")].into(),
            account: [path("account_id")].into(),
            client: [path("client_id"), path("azp")].into(),
        },
        scope_syntax: ScopeSyntax::Words,
        bounds: TokenBounds::default(),
        dpop: None,
    }
}
