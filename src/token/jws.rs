//! Compact JWS (RFC 7515): three parts, strictly; and whether a signature holds.
//!
//! What the header's `alg` and `typ` and the payload's members mean is for `jwt` and `dpop`.

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::policy::TokenFault;

use super::base64url;
use super::bearer::LONGEST_TOKEN;
use super::json::{self, Json, Object};

/// A signed object, parsed and not verified.
pub(super) struct Jws<'t> {
    pub(super) header: Header,
    pub(super) payload: Object,
    /// The text that the signature is of.
    signed: &'t str,
    signature: Vec<u8>,
}

/// The header's members that count. `jku`, `jwk`, `x5u` and `x5c` of an access token never do: its
/// keys are those of its issuer (RFC 8725 section 3.10).
pub(super) struct Header {
    /// `None` if it is none that is supported, `none` included.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) kid: Option<Box<str>>,
    /// In lower case and without `application/` (RFC 7515 section 4.1.9).
    pub(super) typ: Option<Box<str>>,
    /// The key that a proof brings along; for nothing else.
    pub(super) jwk: Option<Object>,
}

impl<'t> Jws<'t> {
    /// # Errors
    /// [`TokenFault::Malformed`].
    pub(super) fn parse(token: &'t str) -> Result<Self, TokenFault> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenFault::Malformed("it is longer than any that is accepted"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(NOT_THREE_PARTS)?;
        let (header, payload) = signed.split_once('.').ok_or(NOT_THREE_PARTS)?;
        match payload.matches('.').count() {
            0 => {}
            2 => return Err(TokenFault::Malformed("it has five parts, as an encrypted one has")),
            _ => return Err(NOT_THREE_PARTS),
        }
        let header = Header::parse(json::object(&decoded(header)?)?)?;
        let payload = json::object(&decoded(payload)?)?;
        Ok(Self { header, payload, signed, signature: decoded(signature)? })
    }

    /// Whether its signature is one by this key.
    pub(super) fn is_signed_by(&self, key: &DecodingKey, algorithm: Algorithm) -> bool {
        (DEFAULT_PROVIDER.verifier_factory)(&algorithm, key)
            .is_ok_and(|verifier| verifier.verify(self.signed.as_bytes(), &self.signature).is_ok())
    }
}

impl Header {
    fn parse(mut members: Object) -> Result<Self, TokenFault> {
        for (name, fault) in NOT_UNDERSTOOD {
            if members.contains_key(name) {
                return Err(TokenFault::Malformed(fault));
            }
        }
        let algorithm = match members.get("alg") {
            Some(Json::String(name)) => algorithm(name),
            Some(_) | None => return Err(TokenFault::Malformed("its header has no `alg` that is a string")),
        };
        let text = |name, fault| match members.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(&**text)),
            Some(_) => Err(TokenFault::Malformed(fault)),
        };
        let kid = text("kid", "its `kid` is not a string")?.map(Into::into);
        let typ = text("typ", "its `typ` is not a string")?.map(media_type);
        if text("cty", "its `cty` is not a string")?.is_some_and(|cty| &*media_type(cty) == "jwt") {
            return Err(TokenFault::Malformed("it has another token inside"));
        }
        let jwk = match members.remove("jwk") {
            Some(Json::Object(jwk)) => Some(jwk),
            Some(_) | None => None,
        };
        Ok(Self { algorithm, kid, typ, jwk })
    }
}

/// Every algorithm that is supported.
pub(super) const SUPPORTED: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
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

/// The algorithm of this name, if it is supported. Names are case-sensitive (RFC 7515 section 4.1.1).
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    // RFC 9864 names the curve in the algorithm; Ed25519 is the only one that is supported.
    if name == "Ed25519" { Some(Algorithm::EdDSA) } else { name.parse().ok() }
}

const NOT_THREE_PARTS: TokenFault = TokenFault::Malformed("it does not have three parts with dots between");

/// `crit` asks for extensions to be understood, and none is (RFC 7515 section 4.1.11); the others
/// change what the parts mean.
const NOT_UNDERSTOOD: [(&str, &str); 4] = [
    ("crit", "its header has a `crit`, and no extension is understood"),
    ("b64", "its header has a `b64`"),
    ("zip", "its header has a `zip`"),
    ("enc", "its header has an `enc`"),
];

fn decoded(part: &str) -> Result<Vec<u8>, TokenFault> {
    base64url::decode(part).ok_or(TokenFault::Malformed("a part of it is not base64url without padding"))
}

/// RFC 7515 section 4.1.9: `application/` may be left out; media types have no letter case.
fn media_type(text: &str) -> Box<str> {
    let text = text.to_ascii_lowercase();
    text.strip_prefix("application/").unwrap_or(&text).into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::token::jwk;

    const PAYLOAD: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    /// Whether the example holds, by itself and not with another byte at the end of its signature.
    #[track_caller]
    fn check(jwk: &Value, expected: Algorithm, header: &str, signature: &str) {
        let key = jwk::parse(&json::object(jwk.to_string().as_bytes()).unwrap()).ok().unwrap().material.decoding_key();
        let token = format!("{header}.{PAYLOAD}.{signature}");
        let mut jws = Jws::parse(&token).unwrap();
        assert_eq!(jws.header.algorithm, Some(expected));
        assert_eq!(jws.payload.get("iss"), Some(&Json::String("joe".into())));
        assert!(jws.is_signed_by(&key, expected));
        for other in SUPPORTED.into_iter().filter(|other| *other != expected) {
            assert!(!jws.is_signed_by(&key, other), "{other:?}");
        }
        *jws.signature.last_mut().unwrap() ^= 1;
        assert!(!jws.is_signed_by(&key, expected));
    }

    /// RFC 7515 appendixes A.1 to A.3.
    #[test]
    fn the_examples_of_rfc_7515_hold() {
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        check(
            &json!({ "kty": "oct", "k": secret }),
            Algorithm::HS256,
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        );
        let n = concat!(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ",
            "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2",
            "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD",
            "TW9gb54h4FRWyuXpoQ",
        );
        let signature = concat!(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU",
            "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d",
            "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig",
            "cN_IoypGlUPQGe77Rw",
        );
        check(&json!({ "kty": "RSA", "n": n, "e": "AQAB" }), Algorithm::RS256, "eyJhbGciOiJSUzI1NiJ9", signature);
        check(
            &json!({
                "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }),
            Algorithm::ES256,
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        );
    }

    /// RFC 8037 appendix A.4, whose payload is a text and no object.
    #[test]
    fn the_example_of_rfc_8037_holds() {
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let key = jwk::parse(&json::object(jwk.to_string().as_bytes()).unwrap()).ok().unwrap().material.decoding_key();
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let jws = |signed| Jws {
            header: Header { algorithm: Some(Algorithm::EdDSA), kid: None, typ: None, jwk: None },
            payload: Object::new(),
            signed,
            signature: base64url::decode(signature).unwrap(),
        };
        assert!(jws("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc").is_signed_by(&key, Algorithm::EdDSA));
        assert!(!jws("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmd").is_signed_by(&key, Algorithm::EdDSA));
    }
}
