//! RFC 9449: a proof that the caller holds the key that its token is bound to.
//!
//! Whether a proof was shown before, and which nonces were given out, is remembered by `issuer`;
//! whether its key is the one that the token is bound to is `binding`'s.

use jsonwebtoken::AlgorithmFamily;

use crate::policy::{TokenFault, UnixTime};

use super::claims::numeric_date;
use super::json::{Json, Object};
use super::jws::Jws;
use super::sha256::sha256;
use super::{DpopRules, base64url, htu, jwk};

/// What a proof must be a proof for.
#[derive(Clone, Copy)]
pub struct ProofRequest<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The `htu` expected: scheme, host and path; a query does not count.
    pub url: &'a str,
    /// The token that came with it.
    pub access_token: &'a str,
    /// Whether a nonce is one that this server gave out and still takes; without it, a rule that
    /// asks for nonces takes none.
    pub nonce: Option<&'a dyn Fn(&str) -> bool>,
}

/// A proof that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The RFC 7638 SHA-256 thumbprint of its key.
    pub key: [u8; 32],
    /// SHA-256 of key and `jti`: by it a replay is known.
    pub id: [u8; 32],
    /// Its `iat`; it is good until that and the rules' `max_age`.
    pub issued_at: UnixTime,
}

/// In bytes; RFC 9449 section 11.1 advises to bound it.
const LONGEST_ID: usize = 256;

impl Proof {
    /// Makes the checks of RFC 9449 section 4.3, but for those that need memory: that there is one
    /// `DPoP` header, and that [`Proof::id`] was not seen before.
    ///
    /// # Errors
    /// [`TokenFault::NonceRequired`] for a missing or stale nonce in a proof that is good otherwise,
    /// [`TokenFault::BindingMismatch`] for everything else.
    pub fn verify(
        proof: &str,
        request: &ProofRequest<'_>,
        rules: DpopRules,
        leeway: u64,
        now: UnixTime,
    ) -> Result<Self, TokenFault> {
        let jws = Jws::parse(proof).map_err(|_| TokenFault::BindingMismatch)?;
        let (id, issued_at) = read(&jws.payload, request).ok_or(TokenFault::BindingMismatch)?;
        let too_old = now.0 > issued_at.0.saturating_add(rules.max_age);
        let too_new = issued_at.0 > now.0.saturating_add(leeway);
        if too_old || too_new {
            return Err(TokenFault::BindingMismatch);
        }
        let key = signing_key(&jws).ok_or(TokenFault::BindingMismatch)?;
        check_nonce(&jws.payload, request, rules)?;
        Ok(Self { key, id: sha256(&[&key, id.as_bytes()]), issued_at })
    }
}

/// `jti` and `iat`, if `htm`, `htu` and `ath` are those of the request.
fn read<'p>(payload: &'p Object, request: &ProofRequest<'_>) -> Option<(&'p str, UnixTime)> {
    let text = |name| if let Some(Json::String(text)) = payload.get(name) { Some(&**text) } else { None };
    let id = text("jti").filter(|id| !id.is_empty() && id.len() <= LONGEST_ID)?;
    let issued_at = numeric_date(payload.get("iat")?, f64::floor)?;
    let is_for_this = text("htm")? == request.method
        && htu::normalized(text("htu")?)? == htu::normalized(request.url)?
        && base64url::decode_32(text("ath")?)? == sha256(&[request.access_token.as_bytes()]);
    is_for_this.then_some((id, issued_at))
}

/// The thumbprint of the key in the header, if the proof is what its `typ` says, the key is public
/// and the signature is by it.
fn signing_key(jws: &Jws<'_>) -> Option<[u8; 32]> {
    if jws.header.typ.as_deref() != Some("dpop+jwt") {
        return None;
    }
    let algorithm = jws.header.algorithm.filter(|algorithm| algorithm.family() != AlgorithmFamily::Hmac)?;
    let jwk = jwk::parse(jws.header.jwk.as_ref()?).ok()?;
    let fits = jwk.material.fits(algorithm) && jwk.algorithm.is_none_or(|pin| pin == algorithm);
    (fits && jws.is_signed_by(&jwk.material.decoding_key(), algorithm)).then(|| jwk.material.thumbprint())
}

/// RFC 9449 section 9.
fn check_nonce(payload: &Object, request: &ProofRequest<'_>, rules: DpopRules) -> Result<(), TokenFault> {
    match payload.get("nonce") {
        None if rules.nonce => Err(TokenFault::NonceRequired),
        Some(Json::String(nonce)) if rules.nonce => match request.nonce {
            Some(is_ours) if is_ours(nonce) => Ok(()),
            Some(_) | None => Err(TokenFault::NonceRequired),
        },
        None | Some(Json::String(_)) => Ok(()),
        Some(_) => Err(TokenFault::BindingMismatch),
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::Algorithm;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::token::samples::{ASYMMETRIC, KEYS, NOW, with};

    const RULES: DpopRules = DpopRules { max_age: 60, nonce: false, required: false };
    const URL: &str = "https://api.example.com/integration/a%20b";
    const TOKEN: &str = "the.access.token";

    fn request() -> ProofRequest<'static> {
        ProofRequest { method: "GET", url: URL, access_token: TOKEN, nonce: None }
    }

    fn payload() -> Value {
        let ath = base64url::encode(&sha256(&[TOKEN.as_bytes()]));
        json!({ "jti": "p-1", "htm": "GET", "htu": URL, "iat": NOW.0, "ath": ath })
    }

    fn proof(algorithm: Algorithm, header: &Value, payload: &Value) -> String {
        let signer = KEYS.of(algorithm);
        let plain = json!({ "typ": "dpop+jwt", "alg": format!("{algorithm:?}"), "jwk": signer.jwk() });
        signer.token(algorithm, &with(plain, header).to_string(), &payload.to_string())
    }

    fn judge(proof: &str) -> Result<Proof, TokenFault> {
        Proof::verify(proof, &request(), RULES, 30, NOW)
    }

    #[track_caller]
    fn check_payload(members: &Value, expected: Result<(), TokenFault>) {
        let proof = proof(Algorithm::ES256, &json!({}), &with(payload(), members));
        assert_eq!(judge(&proof).map(drop), expected, "{members}");
    }

    #[track_caller]
    fn check_header(members: &Value, expected: Result<(), TokenFault>) {
        let proof = proof(Algorithm::ES256, members, &payload());
        assert_eq!(judge(&proof).map(drop), expected, "{members}");
    }

    /// RFC 9449 section 7.1, with the thumbprint that section 6.1 binds its token to.
    #[test]
    fn the_example_of_the_rfc_is_good() {
        let proof = concat!(
            "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0Rsc",
            "EJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In",
            "19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZW",
            "N0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ",
            "9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA",
        );
        let request = ProofRequest {
            method: "GET",
            url: "https://resource.example.org/protectedresource",
            access_token: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
            nonce: None,
        };
        let at = |now| Proof::verify(proof, &request, RULES, 30, UnixTime(now));
        let good = at(1_562_262_618).unwrap();
        assert_eq!(base64url::encode(&good.key), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        assert_eq!(good.issued_at, UnixTime(1_562_262_618));
        assert_eq!(at(1_562_262_618 + 61), Err(TokenFault::BindingMismatch));
    }

    #[test]
    fn a_proof_of_each_asymmetric_algorithm_is_good_and_names_its_key() {
        for algorithm in ASYMMETRIC {
            let good = judge(&proof(algorithm, &json!({}), &payload())).unwrap();
            let jwk = KEYS.of(algorithm).jwk().to_string();
            let material = jwk::parse(&crate::token::json::object(jwk.as_bytes()).unwrap()).ok().unwrap().material;
            assert_eq!(good.key, material.thumbprint(), "{algorithm:?}");
        }
    }

    #[test]
    fn a_proof_by_a_secret_or_by_nothing_is_refused() {
        let plain = |alg: &str, jwk: Value| json!({ "typ": "dpop+jwt", "alg": alg, "jwk": jwk }).to_string();
        let by_secret = KEYS.secret.token(Algorithm::HS256, &plain("HS256", KEYS.secret.jwk()), &payload().to_string());
        assert!(judge(&by_secret).is_err());
        check_header(&json!({ "alg": "none" }), Err(TokenFault::BindingMismatch));
        check_header(&json!({ "alg": "HS256" }), Err(TokenFault::BindingMismatch));
        let good = proof(Algorithm::ES256, &json!({}), &payload());
        assert!(judge(good.rsplit_once('.').unwrap().0).is_err());
        assert!(judge(&format!("{}.", good.rsplit_once('.').unwrap().0)).is_err());
    }

    #[test]
    fn the_header_must_be_that_of_a_proof() {
        let refused = Err(TokenFault::BindingMismatch);
        for typ in [json!(null), json!("JWT"), json!("at+jwt"), json!(1), json!("dpop")] {
            check_header(&json!({ "typ": typ }), refused);
        }
        check_header(&json!({ "typ": "DPoP+JWT" }), Ok(()));
        for jwk in [
            json!(null),
            json!("x"),
            json!({}),
            KEYS.p384.jwk(),
            KEYS.rsa.jwk(),
            KEYS.secret.jwk(),
            with(KEYS.p256.jwk(), &json!({ "d": "AAAA" })),
            with(KEYS.p256.jwk(), &json!({ "x": "AAAA" })),
            with(KEYS.p256.jwk(), &json!({ "alg": "ES384" })),
            with(KEYS.p256.jwk(), &json!({ "use": "enc" })),
        ] {
            check_header(&json!({ "jwk": jwk }), refused);
        }
        check_header(&json!({ "crit": ["x"] }), refused);
    }

    #[test]
    fn a_proof_is_for_one_method_url_and_token() {
        let refused = Err(TokenFault::BindingMismatch);
        for members in [
            json!({ "htm": "POST" }),
            json!({ "htm": "get" }),
            json!({ "htm": null }),
            json!({ "htu": null }),
            json!({ "htu": "https://api.example.com/integration/other" }),
            json!({ "htu": "http://api.example.com/integration/a%20b" }),
            json!({ "htu": "https://api.example.com:8443/integration/a%20b" }),
            json!({ "htu": "https://evil.example/integration/a%20b" }),
            json!({ "htu": ["https://api.example.com/integration/a%20b"] }),
            json!({ "ath": null }),
            json!({ "ath": base64url::encode(&[0; 32]) }),
            json!({ "ath": "AAAA" }),
            json!({ "ath": 1 }),
        ] {
            check_payload(&members, refused);
        }
        check_payload(&json!({ "htu": "HTTPS://API.example.com:443/%69ntegration/a%20b?x=1#y" }), Ok(()));
    }

    #[test]
    fn a_proof_is_young_and_has_an_id() {
        let refused = Err(TokenFault::BindingMismatch);
        let now = NOW.0;
        for (iat, expected) in [
            (json!(now), Ok(())),
            (json!(now - 60), Ok(())),
            (json!(now - 61), refused),
            (json!(now + 30), Ok(())),
            (json!(now + 31), refused),
            (json!(null), refused),
            (json!(now.to_string()), refused),
            (json!(-1), refused),
            (json!(9e18), refused),
        ] {
            check_payload(&json!({ "iat": iat }), expected);
        }
        for jti in [json!(null), json!(""), json!(1), json!("x".repeat(257))] {
            check_payload(&json!({ "jti": jti }), refused);
        }
        check_payload(&json!({ "jti": "x".repeat(256) }), Ok(()));
    }

    #[test]
    fn an_id_is_the_keys_and_the_proofs() {
        let id = |algorithm, jti: &str| {
            judge(&proof(algorithm, &json!({}), &with(payload(), &json!({ "jti": jti })))).unwrap().id
        };
        assert_eq!(id(Algorithm::ES256, "a"), id(Algorithm::ES256, "a"));
        assert_ne!(id(Algorithm::ES256, "a"), id(Algorithm::ES256, "b"));
        assert_ne!(id(Algorithm::ES256, "a"), id(Algorithm::ES384, "a"));
    }

    #[test]
    fn a_nonce_is_asked_for_where_the_rules_say_so() {
        let rules = DpopRules { nonce: true, ..RULES };
        let is_ours: &dyn Fn(&str) -> bool = &|nonce| nonce == "n-1";
        let judge = |nonce: Value, remembered| {
            let members = json!({ "nonce": nonce });
            let proof = proof(Algorithm::ES256, &json!({}), &with(payload(), &members));
            let request = ProofRequest { nonce: remembered, ..request() };
            Proof::verify(&proof, &request, rules, 30, NOW).map(drop)
        };
        assert_eq!(judge(json!("n-1"), Some(is_ours)), Ok(()));
        assert_eq!(judge(json!("n-0"), Some(is_ours)), Err(TokenFault::NonceRequired));
        assert_eq!(judge(json!(null), Some(is_ours)), Err(TokenFault::NonceRequired));
        assert_eq!(judge(json!("n-1"), None), Err(TokenFault::NonceRequired));
        assert_eq!(judge(json!(1), Some(is_ours)), Err(TokenFault::BindingMismatch));
        check_payload(&json!({ "nonce": "any" }), Ok(()));
        // A proof that is bad otherwise learns no nonce.
        let stale = proof(Algorithm::ES256, &json!({}), &with(payload(), &json!({ "iat": 1 })));
        assert_eq!(Proof::verify(&stale, &request(), rules, 30, NOW), Err(TokenFault::BindingMismatch));
    }

    #[test]
    fn a_proof_changed_or_signed_by_another_key_is_refused() {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": with(KEYS.p256.jwk(), &json!({})) });
        let other = json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": KEYS.ed25519.jwk() });
        let (payload, changed) = (payload().to_string(), with(payload(), &json!({ "jti": "p-2" })).to_string());
        let good = KEYS.p256.token(Algorithm::ES256, &header.to_string(), &payload);
        let signature = good.rsplit_once('.').unwrap().1;
        let parts = |header: &Value, payload: &str| {
            let parts = [header.to_string(), payload.to_owned()].map(|part| base64url::encode(part.as_bytes()));
            format!("{}.{signature}", parts.join("."))
        };
        assert!(judge(&parts(&header, &payload)).is_ok());
        assert!(judge(&parts(&header, &changed)).is_err());
        assert!(judge(&parts(&other, &payload)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_refused(text in "[ -~]{0,80}") {
            prop_assert_eq!(judge(&text), Err(TokenFault::BindingMismatch));
        }
    }
}
