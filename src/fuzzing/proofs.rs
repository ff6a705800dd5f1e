//! `DPoP` proofs: what is accepted is for this request, this token and this time, by the key that it names.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::NOW;
use super::decoders::decoded;
use super::naive::has_no_member_twice;
use crate::token::{DpopRules, Proof, ProofRequest};

const TOKEN: &str = "the.access.token";
const URL: &str = "https://api.example.com/data/acme/x";

/// The key whose private number is 1, so that its public one is P-256's base point (SEC 2 section 2.4.2): it is no secret.
const POINT: [&str; 2] = ["axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"];

static KEY: LazyLock<EcdsaKeyPair> = LazyLock::new(|| {
    let number = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let point = [vec![4], number(POINT[0]), number(POINT[1])].concat();
    let one = [[0; 31].as_slice(), &[1]].concat();
    EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &one, &point).unwrap()
});

/// A header, a zero and claims, signed with that key.
pub fn proof(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == 0) else { return };
    let (header, payload) = (&data[..end], &data[end + 1..]);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    // Both are long and most inputs are no JSON: that is found out before they are signed.
    let (Ok(head), Ok(claims)) = (serde_json::from_slice::<Value>(header), serde_json::from_slice::<Value>(payload))
    else {
        let unsigned = format!("{signed}.AAAA");
        return assert!(verify(&unsigned, false).is_none(), "no JSON was accepted");
    };
    let signature = KEY.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let proof = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    for nonce in [false, true] {
        let Some(found) = verify(&proof, nonce) else { continue };
        assert!(has_no_member_twice(header, &head) && has_no_member_twice(payload, &claims), "a member is there twice");
        check_header(&head, &found);
        check_claims(&claims);
        assert!(!nonce || claims["nonce"] == "good");
    }
}

fn verify(proof: &str, nonce: bool) -> Option<Proof> {
    let is_ours = |nonce: &str| nonce == "good";
    let request = ProofRequest { method: "GET", url: URL, access_token: TOKEN, nonce: Some(&is_ours) };
    Proof::verify(proof, &request, DpopRules { max_age: 60, nonce, required: false }, 30, NOW).ok()
}

fn check_header(header: &Value, found: &Proof) {
    let typ = header["typ"].as_str().unwrap().to_ascii_lowercase();
    assert_eq!(typ.strip_prefix("application/").unwrap_or(&typ), "dpop+jwt");
    assert_eq!(header["alg"], "ES256");
    assert_eq!([&header["jwk"]["x"], &header["jwk"]["y"]], POINT);
    assert!(["d", "k", "p", "q"].iter().all(|name| header["jwk"].get(name).is_none()), "a private key was shown");
    // RFC 7638.
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, POINT[0], POINT[1]);
    assert_eq!(found.key, digest(&SHA256, canonical.as_bytes()).as_ref());
}

fn check_claims(claims: &Value) {
    assert_eq!(claims["htm"], "GET");
    assert_eq!(claims["ath"], URL_SAFE_NO_PAD.encode(digest(&SHA256, TOKEN.as_bytes())));
    let id = claims["jti"].as_str().unwrap();
    assert!(!id.is_empty() && id.len() <= 256);
    let issued = claims["iat"].as_f64().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "times of today are far below 2^53")]
    let age = NOW.0 as f64 - issued;
    assert!((-30.0..=60.0 + 1.0).contains(&age) || age > -31.0 && age < 0.0, "{age}");
    // Another reader of URLs takes it for the same.
    let url = reqwest::Url::parse(claims["htu"].as_str().unwrap()).expect("no URL");
    assert_eq!(url.origin(), reqwest::Url::parse(URL).unwrap().origin());
    assert_eq!(decoded(url.path().as_bytes()), b"/data/acme/x");
    assert!(url.username().is_empty() && url.password().is_none());
}
