//! Tokens: what is no token is none, nothing is accepted that was not signed, and what is, says what was read.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::NOW;
use super::naive::{check_caller, has_no_member_twice};
use crate::token::{
    ClaimPath, ClaimPaths, IssuerRules, Jwt, KeySet, ScopeSyntax, TokenBounds, TokenType, credential, introspected,
    is_introspection_answer,
};

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "https://api.example.com";

/// Public keys whose private ones nobody has, and the tokens that they signed, one a line.
const KEYS: &str = include_str!("testdata/keys.json");
const TOKENS: &str = include_str!("testdata/tokens.txt");

static PUBLIC: LazyLock<KeySet> = LazyLock::new(|| KeySet::parse(KEYS.as_bytes()).unwrap().keys);

/// What signs in `claims`: it is no secret.
const SECRET: [u8; 64] = [7; 64];

static SECRETS: LazyLock<KeySet> = LazyLock::new(|| {
    let text = format!(r#"{{"keys":[{{"kty":"oct","k":"{}"}}]}}"#, URL_SAFE_NO_PAD.encode(SECRET));
    KeySet::parse(text.as_bytes()).unwrap().keys
});

/// Rules whose looser parts a number's bits choose.
pub(super) fn rules(choice: u8) -> IssuerRules {
    let path = |text: &str| ClaimPath([text.into()].into());
    IssuerRules {
        issuer: ISSUER.into(),
        audiences: ["https://other.example.com".into(), AUDIENCE.into()].into(),
        algorithms: [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA].into(),
        token_type: [TokenType::Prefer, TokenType::Require, TokenType::Off, TokenType::Prefer][usize::from(choice & 3)],
        leeway: 30,
        claims: ClaimPaths {
            scope: [path("scope"), path("scp")].into(),
            account: [path("account_id")].into(),
            client: [path("client_id"), path("azp")].into(),
        },
        scope_syntax: if choice & 4 == 0 { ScopeSyntax::Words } else { ScopeSyntax::Privileges },
        dpop: None,
        bounds: TokenBounds::default(),
    }
}

/// Any bytes as the value of `Authorization`: no token is accepted but those that were signed.
pub fn token(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    let Ok(Some(credential)) = credential(&headers) else { return };
    let token = credential.token;
    assert!(!token.is_empty() && token.len() < data.len() && token.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(!format!("{credential:?}").contains(token) || token.len() < 8, "a token is shown");
    let Ok(jwt) = Jwt::parse(token) else { return };
    assert!(Jwt::looks_like(token));
    assert!(!format!("{jwt:?}").contains(token), "a token is shown");
    for choice in [0, 2, 4] {
        if jwt.verify(&rules(choice), &PUBLIC, NOW).is_ok() {
            let signed = token.rsplit_once('.').unwrap().0;
            let is_known = TOKENS.lines().any(|known| known.rsplit_once('.').unwrap().0 == signed);
            assert!(is_known, "nobody signed {token}");
        }
    }
}

#[cfg(test)]
pub(super) fn is_accepted(token: &str) -> bool {
    Jwt::parse(token).is_ok_and(|jwt| jwt.verify(&rules(0), &PUBLIC, NOW).is_ok())
}

/// A byte that chooses rules, a header, a zero and claims, signed with a secret.
pub fn claims(data: &[u8]) {
    let Some((choice, parts)) = data.split_first() else { return };
    let Some(end) = parts.iter().position(|byte| *byte == 0) else { return };
    let (header, payload) = (&parts[..end], &parts[end + 1..]);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    let Ok(jwt) = Jwt::parse(&token) else { return };
    let rules = IssuerRules { algorithms: [Algorithm::HS256].into(), ..rules(*choice) };
    let Ok(verified) = jwt.verify(&rules, &SECRETS, NOW) else { return };
    check_header(header, rules.token_type);
    let claims: Value = serde_json::from_slice(payload).expect("claims that others cannot read");
    assert!(has_no_member_twice(payload, &claims), "a member is there twice");
    assert_eq!(claims["iss"], ISSUER);
    assert!(claims.get("aud").is_some(), "for anybody");
    check_caller(&verified.caller, &claims, &rules);
}

fn check_header(text: &[u8], token_type: TokenType) {
    let header: Value = serde_json::from_slice(text).expect("a header that others cannot read");
    assert!(has_no_member_twice(text, &header), "a member is there twice");
    assert_eq!(header["alg"], "HS256");
    for name in ["crit", "b64", "zip", "enc"] {
        assert!(header.get(name).is_none(), "{name} was not understood");
    }
    let media_type = |name: &str| {
        let text = header.get(name)?.as_str().expect("no string").to_ascii_lowercase();
        Some(text.strip_prefix("application/").unwrap_or(&text).to_owned())
    };
    assert_ne!(media_type("cty").as_deref(), Some("jwt"));
    let typ = media_type("typ");
    match token_type {
        TokenType::Off => {}
        TokenType::Prefer => assert!(matches!(typ.as_deref(), None | Some("at+jwt" | "jwt")), "{typ:?}"),
        TokenType::Require => assert_eq!(typ.as_deref(), Some("at+jwt")),
    }
}

/// A byte that chooses rules, and an introspection endpoint's answer.
pub fn introspection(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let rules = rules(*choice);
    let Ok(caller) = introspected(body, &rules, NOW) else { return };
    assert!(is_introspection_answer(body));
    let answer: Value = serde_json::from_slice(body).expect("an answer that others cannot read");
    assert!(has_no_member_twice(body, &answer), "a member is there twice");
    assert_eq!(answer["active"], true);
    assert!(answer.get("iss").is_none_or(|issuer| issuer == ISSUER));
    check_caller(&caller, &answer, &rules);
}
