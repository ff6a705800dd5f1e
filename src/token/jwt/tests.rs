//! Every attack on the form, the header and the signature of a token, by name.

mod any;

use serde_json::{Value, json};

use super::*;
use crate::policy::{Account, Binding};
use crate::token::base64url;
use crate::token::samples::{ASYMMETRIC, ISSUER, KEYS, NOW, claims, hmac_sign, pem, rules, set, token, with};

pub(in crate::token) const MALFORMED: TokenFault = TokenFault::Malformed("");

pub(in crate::token) fn judge(token: &str, rules: &IssuerRules, keys: &KeySet) -> Result<Caller, TokenFault> {
    Jwt::parse(token)?.verify(rules, keys, NOW).map(|verified| verified.caller)
}

/// What is wrong with it, if anything; of the malformed, not in which way.
#[track_caller]
pub(in crate::token) fn check(token: &str, expected: Result<(), TokenFault>) {
    check_under(token, &rules(), &KEYS.set(), expected);
}

#[track_caller]
pub(in crate::token) fn check_under(token: &str, rules: &IssuerRules, keys: &KeySet, expected: Result<(), TokenFault>) {
    let found = judge(token, rules, keys).map(drop).map_err(|fault| {
        let TokenFault::Malformed(why) = fault else { return fault };
        assert!(!why.is_empty());
        MALFORMED
    });
    assert_eq!(found, expected, "{token}");
}

/// A token by the P-256 key with this text as its header.
fn with_header(header: &str) -> String {
    KEYS.p256.token(Algorithm::ES256, header, &claims().to_string())
}

pub(in crate::token) fn with_payload(payload: &str) -> String {
    KEYS.p256.token(Algorithm::ES256, r#"{"alg":"ES256"}"#, payload)
}

pub(in crate::token) fn with_claims(members: &Value) -> String {
    token(Algorithm::ES256, &with(claims(), members))
}

#[test]
fn a_good_token_of_each_algorithm_is_a_caller() {
    for algorithm in ASYMMETRIC {
        let caller = judge(&token(algorithm, &claims()), &rules(), &KEYS.set()).unwrap();
        let expected = Caller {
            issuer: ISSUER.into(),
            subject: Some("alice".into()),
            client: Some("acme-integration".into()),
            accounts: [Account::parse("acme").unwrap()].into(),
            scopes: ["read".into(), "write".into()].into(),
            token_id: Some("t-1".into()),
            issued_at: Some(UnixTime(NOW.0 - 10)),
            not_before: None,
            expires_at: UnixTime(NOW.0 + 300),
            binding: Binding::default(),
        };
        assert_eq!(caller, expected, "{algorithm:?}");
    }
}

#[test]
fn secrets_verify_only_where_their_algorithms_are_named() {
    let keys = set(&json!({ "keys": [KEYS.secret.jwk()] }));
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let named = IssuerRules { algorithms: [algorithm].into(), ..rules() };
        check_under(&token(algorithm, &claims()), &named, &keys, Ok(()));
        check_under(&token(algorithm, &claims()), &rules(), &keys, Err(TokenFault::AlgorithmRejected));
    }
}

#[test]
fn alg_none_is_rejected_in_every_spelling() {
    let payload = base64url::encode(claims().to_string().as_bytes());
    for none in ["none", "None", "NONE", "nOnE", " none", "none ", ""] {
        let header = base64url::encode(json!({ "alg": none }).to_string().as_bytes());
        for signature in ["", "AAAA", &base64url::encode(&[0; 64])] {
            check(&format!("{header}.{payload}.{signature}"), Err(TokenFault::AlgorithmRejected));
        }
    }
}

#[test]
fn an_unknown_alg_is_rejected_and_a_missing_one_malformed() {
    for alg in ["ES512", "es256", "RS1", "HS1", "RSA-OAEP", "dir", "ES256K", "Ed448", "ES256 "] {
        check(&with_header(&json!({ "alg": alg }).to_string()), Err(TokenFault::AlgorithmRejected));
    }
    for header in ["{}", r#"{"alg":null}"#, r#"{"alg":1}"#, r#"{"alg":["ES256"]}"#, r#"{"alg":{"ES256":1}}"#] {
        check(&with_header(header), Err(MALFORMED));
    }
}

#[test]
fn the_name_of_rfc_9864_is_ed25519() {
    let named = KEYS.ed25519.token(Algorithm::EdDSA, r#"{"alg":"Ed25519"}"#, &claims().to_string());
    check(&named, Ok(()));
}

#[test]
fn a_public_key_is_no_secret() {
    let spki = KEYS.rsa.spki();
    let n = base64url::decode(KEYS.rsa.jwk()["n"].as_str().unwrap()).unwrap();
    let text = pem("PUBLIC KEY", &spki);
    let jwk = KEYS.rsa.jwk().to_string();
    let everything = IssuerRules {
        algorithms: [Algorithm::RS256, Algorithm::HS256, Algorithm::HS384, Algorithm::HS512].into(),
        ..rules()
    };
    let payload = base64url::encode(claims().to_string().as_bytes());
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let header = json!({ "alg": format!("{algorithm:?}"), "kid": "rsa" }).to_string();
        let signed = format!("{}.{payload}", base64url::encode(header.as_bytes()));
        for secret in [&spki[..], &n, text.as_bytes(), text.trim_end().as_bytes(), jwk.as_bytes(), b""] {
            let signature = base64url::encode(&hmac_sign(algorithm, secret, signed.as_bytes()));
            let forged = format!("{signed}.{signature}");
            for keys in [KEYS.set(), KeySet::parse(text.as_bytes()).unwrap().keys] {
                check_under(&forged, &everything, &keys, Err(TokenFault::KeyUnknown));
                check_under(&forged, &rules(), &keys, Err(TokenFault::AlgorithmRejected));
            }
        }
    }
}

#[test]
fn keys_that_a_token_brings_along_are_never_used() {
    let payload = claims().to_string();
    let stranger = aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING);
    let stranger = crate::token::samples::Signer::P256(stranger.unwrap());
    for brought in [
        json!({ "jwk": stranger.jwk() }),
        json!({ "jwk": with(stranger.jwk(), &json!({ "kid": "p256" })), "kid": "p256" }),
        json!({ "jku": "https://evil.example/jwks" }),
        json!({ "x5u": "https://evil.example/chain.pem" }),
        json!({ "x5c": ["MIIB"], "x5t": "AAAA", "x5t#S256": "AAAA" }),
    ] {
        let header = with(json!({ "alg": "ES256" }), &brought).to_string();
        let forged = stranger.token(Algorithm::ES256, &header, &payload);
        check(&forged, Err(TokenFault::SignatureInvalid));
        check(&KEYS.p256.token(Algorithm::ES256, &header, &payload), Ok(()));
    }
}

#[test]
fn a_kid_only_ever_selects_among_the_issuers_keys() {
    for kid in ["", "../../dev/null", "/etc/passwd", "' UNION SELECT 'x' --", "p256 ", "P256", "p256\u{0}", "|id"] {
        check(&with_header(&json!({ "alg": "ES256", "kid": kid }).to_string()), Err(TokenFault::KeyUnknown));
    }
    check(&with_header(r#"{"alg":"ES256","kid":"p256"}"#), Ok(()));
    // The key of that `kid` is of another kind.
    check(&with_header(r#"{"alg":"ES256","kid":"rsa"}"#), Err(TokenFault::KeyUnknown));
    check(&with_header(r#"{"alg":"ES256","kid":"p384"}"#), Err(TokenFault::KeyUnknown));
    for kid in ["null", "1", "[]", "{}", "true"] {
        check(&with_header(&format!(r#"{{"alg":"ES256","kid":{kid}}}"#)), Err(MALFORMED));
    }
}

#[test]
fn psychic_signatures_are_invalid() {
    for (algorithm, length) in [(Algorithm::ES256, 64), (Algorithm::ES384, 96), (Algorithm::EdDSA, 64)] {
        let good = token(algorithm, &claims());
        let (signed, _) = good.rsplit_once('.').unwrap();
        let mut one = vec![0; length];
        one[length - 1] = 1;
        for signature in [vec![], vec![0; length], vec![0xff; length], one, vec![0; 2 * length], vec![0]] {
            let forged = format!("{signed}.{}", base64url::encode(&signature));
            check(&forged, Err(TokenFault::SignatureInvalid));
        }
    }
}

#[test]
fn a_der_encoded_ecdsa_signature_is_invalid() {
    let good = token(Algorithm::ES256, &claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let fixed = base64url::decode(signature).unwrap();
    let integer = |half: &[u8]| [&[2, 33, 0][..], half].concat();
    let der = [&[0x30, 70][..], &integer(&fixed[..32]), &integer(&fixed[32..])].concat();
    check(&format!("{signed}.{}", base64url::encode(&der)), Err(TokenFault::SignatureInvalid));
}

#[test]
fn a_changed_or_borrowed_part_makes_the_signature_invalid() {
    let good = token(Algorithm::ES256, &claims());
    let other = with_claims(&json!({ "account_id": "other" }));
    let (parts, others): (Vec<_>, Vec<_>) = (good.split('.').collect(), other.split('.').collect());
    check(&format!("{}.{}.{}", parts[0], others[1], parts[2]), Err(TokenFault::SignatureInvalid));
    check(&format!("{}.{}.{}", parts[0], parts[1], others[2]), Err(TokenFault::SignatureInvalid));
    let header = base64url::encode(br#"{"alg":"ES256"}"#);
    check(&format!("{header}.{}.{}", parts[1], parts[2]), Err(TokenFault::SignatureInvalid));
}

#[test]
fn an_algorithm_is_held_to_its_kind_and_curve() {
    let payload = claims().to_string();
    // ES256 in the header, and a signature by the P-384 key.
    let forged = KEYS.p384.token(Algorithm::ES384, r#"{"alg":"ES256"}"#, &payload);
    check(&forged, Err(TokenFault::SignatureInvalid));
    check_under(&forged, &rules(), &set(&json!({ "keys": [KEYS.p384.jwk()] })), Err(TokenFault::KeyUnknown));
    // A PS256 signature under RS256 and the other way round.
    let forged = KEYS.rsa.token(Algorithm::PS256, r#"{"alg":"RS256"}"#, &payload);
    check(&forged, Err(TokenFault::SignatureInvalid));
    let forged = KEYS.rsa.token(Algorithm::RS256, r#"{"alg":"PS256"}"#, &payload);
    check(&forged, Err(TokenFault::SignatureInvalid));
    // A key that is pinned to another algorithm of its kind.
    let pinned = set(&json!({ "keys": [with(KEYS.rsa.jwk(), &json!({ "alg": "RS256" }))] }));
    check_under(&token(Algorithm::RS256, &claims()), &rules(), &pinned, Ok(()));
    check_under(&token(Algorithm::PS256, &claims()), &rules(), &pinned, Err(TokenFault::KeyUnknown));
    check_under(&token(Algorithm::RS512, &claims()), &rules(), &pinned, Err(TokenFault::KeyUnknown));
}

#[test]
fn an_issuer_that_may_use_one_algorithm_may_use_no_other() {
    let only = IssuerRules { algorithms: [Algorithm::ES256].into(), ..rules() };
    for algorithm in ASYMMETRIC {
        let expected = if algorithm == Algorithm::ES256 { Ok(()) } else { Err(TokenFault::AlgorithmRejected) };
        check_under(&token(algorithm, &claims()), &only, &KEYS.set(), expected);
    }
}

#[test]
fn a_token_of_another_issuer_is_unknown_however_alike_its_name() {
    for issuer in ["https://evil.example", "https://login.example.com/", "HTTPS://login.example.com", "", " "] {
        check(&with_claims(&json!({ "iss": issuer })), Err(TokenFault::IssuerUnknown));
    }
}

#[test]
fn a_member_twice_is_malformed_in_header_and_payload() {
    check(&with_header(r#"{"alg":"none","alg":"ES256"}"#), Err(MALFORMED));
    check(&with_header(r#"{"alg":"ES256","\u0061lg":"none"}"#), Err(MALFORMED));
    check(&with_header(r#"{"alg":"ES256","x":{"a":1,"a":2}}"#), Err(MALFORMED));
    let twice = claims().to_string().replacen('{', r#"{"account_id":"other","#, 1);
    check(&with_payload(&twice), Err(MALFORMED));
    let twice = claims().to_string().replacen('{', r#"{"x":[{"a":1,"a":1}],"#, 1);
    check(&with_payload(&twice), Err(MALFORMED));
}

#[test]
fn extensions_that_change_the_meaning_are_malformed() {
    for header in [
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":null}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"ES256","b64":true}"#,
        r#"{"alg":"ES256","zip":"DEF"}"#,
        r#"{"alg":"ES256","enc":"A256GCM"}"#,
        r#"{"alg":"ES256","typ":1}"#,
        r#"{"alg":"ES256","typ":null}"#,
        r#"{"alg":"ES256","cty":1}"#,
        r#"{"alg":"ES256","cty":["JWT"]}"#,
    ] {
        check(&with_header(header), Err(MALFORMED));
    }
}

#[test]
fn nested_and_encrypted_tokens_are_malformed() {
    let inner = token(Algorithm::ES256, &claims());
    for cty in ["JWT", "jwt", "application/jwt", "application/JWT"] {
        check(&with_header(&json!({ "alg": "ES256", "cty": cty }).to_string()), Err(MALFORMED));
    }
    check(&KEYS.p256.token(Algorithm::ES256, r#"{"alg":"ES256"}"#, &inner), Err(MALFORMED));
    let header = base64url::encode(br#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#);
    check(&format!("{header}.AAAA.AAAA.AAAA.AAAA"), Err(MALFORMED));
    check(&format!("{header}.AAAA.AAAA"), Err(MALFORMED));
}

#[test]
fn a_token_is_three_parts_of_base64url_and_nothing_else() {
    let good = token(Algorithm::ES256, &claims());
    check(&good, Ok(()));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        signed.into(),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{signed}. {signature}"),
        format!("{signed}.{signature}\u{0}"),
        good.replacen('.', "=.", 1),
        good.replacen('.', "%2E", 1),
        format!("{}.{good}", "A".repeat(16 * 1024)),
        "é.é.é".into(),
    ] {
        check(&bad, Err(MALFORMED));
    }
}

#[test]
fn stray_bits_in_a_part_are_malformed() {
    // 64 bytes end in a character of which two bits count; each of its other spellings is stray.
    let good = token(Algorithm::ES256, &claims());
    let (rest, last) = good.split_at(good.len() - 1);
    let others = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for other in others.chars().filter(|other| !last.starts_with(*other)) {
        let expected = if "AQgw".contains(other) { TokenFault::SignatureInvalid } else { MALFORMED };
        check(&format!("{rest}{other}"), Err(expected));
    }
}

#[test]
fn header_and_payload_are_objects_with_nothing_after_them() {
    let payload = claims().to_string();
    for header in ["", "null", "[]", "\"ES256\"", r#"{"alg":"ES256"}x"#, r#"{"alg":"ES256"}{}"#, "{", "\u{feff}{}"] {
        check(&with_header(header), Err(MALFORMED));
    }
    for payload in ["", "null", "[]", "1", &payload.replace('}', "}x"), &format!("{payload} {payload}"), "{'iss':1}"] {
        check(&with_payload(payload), Err(MALFORMED));
    }
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    check(&with_payload(&payload.replacen('{', &format!("{{\"x\":{deep},"), 1)), Err(MALFORMED));
}

#[test]
fn an_id_token_is_no_access_token() {
    let typed = |typ: &str| with_header(&json!({ "alg": "ES256", "typ": typ }).to_string());
    let untyped = with_header(r#"{"alg":"ES256"}"#);
    let under = |token_type| IssuerRules { token_type, ..rules() };
    let (require, prefer, off) = (under(TokenType::Require), under(TokenType::Prefer), under(TokenType::Off));
    let keys = KEYS.set();
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        for rules in [&require, &prefer, &off] {
            check_under(&typed(typ), rules, &keys, Ok(()));
        }
    }
    for token in [typed("JWT"), typed("application/jwt"), untyped] {
        check_under(&token, &require, &keys, Err(TokenFault::TypeRejected));
        check_under(&token, &prefer, &keys, Ok(()));
    }
    for typ in ["id_token+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "", "at+jwt ", "x/at+jwt"] {
        check_under(&typed(typ), &require, &keys, Err(TokenFault::TypeRejected));
        check_under(&typed(typ), &prefer, &keys, Err(TokenFault::TypeRejected));
        check_under(&typed(typ), &off, &keys, Ok(()));
    }
    // An ID token without `typ` is meant for its client, not for us.
    check(&with_claims(&json!({ "aud": "acme-integration" })), Err(TokenFault::AudienceMismatch));
}

#[test]
fn what_can_be_said_without_keys_comes_before_what_cannot() {
    let strange = set(&json!({ "keys": [KEYS.p384.jwk()] }));
    let everything = json!({ "aud": "x", "exp": 1, "sub": 1, "iss": "x" });
    check_under(&with_claims(&everything), &rules(), &strange, Err(MALFORMED));
    let but_subject = with(everything, &json!({ "sub": null }));
    check_under(&with_claims(&but_subject), &rules(), &strange, Err(TokenFault::IssuerUnknown));
    let but_issuer = with(but_subject, &json!({ "iss": ISSUER }));
    check_under(&with_claims(&but_issuer), &rules(), &strange, Err(TokenFault::KeyUnknown));
    let broken = format!("{}AAAA", with_claims(&but_issuer));
    check(&broken, Err(TokenFault::SignatureInvalid));
    check(&with_claims(&but_issuer), Err(TokenFault::AudienceMismatch));
    check(&with_claims(&json!({ "exp": 1, "cnf": { "x": 1 } })), Err(TokenFault::Expired));
}

#[test]
fn debug_output_has_nothing_of_the_token() {
    let token = token(Algorithm::ES256, &claims());
    let shown = format!("{:?}", Jwt::parse(&token).unwrap());
    for part in token.split('.') {
        assert!(!shown.contains(part), "{shown}");
    }
}
