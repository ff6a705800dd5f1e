//! Sets of every kind, good, weak and broken; and which of their keys a token selects.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::token::Jwt;
use crate::token::samples::{ASYMMETRIC, CERTIFICATE, KEYS, NOW, claims, pem, rules, set, token, with};

fn parse(text: &str) -> Result<ParsedKeys, InvalidKeySet> {
    KeySet::parse(text.as_bytes())
}

/// What is said of this key in a set beside a good one.
#[track_caller]
fn check_refused(jwk: &Value, expected: KeyFault) {
    let parsed = parse(&json!({ "keys": [KEYS.p384.jwk(), jwk] }).to_string()).unwrap();
    assert_eq!(parsed.keys.len(), 1, "{jwk}");
    let refused: Vec<_> = parsed.refused.iter().map(|it| (it.place, it.fault)).collect();
    match (expected, &*refused) {
        // Not in which words.
        (KeyFault::Malformed(_), [(2, KeyFault::Malformed(why))]) => assert!(!why.is_empty()),
        (expected, refused) => assert_eq!(refused, [(2, expected)], "{jwk}"),
    }
}

const MALFORMED: KeyFault = KeyFault::Malformed("");

#[track_caller]
fn check_set(bytes: impl AsRef<[u8]>, expected: &str) {
    let shown = KeySet::parse(bytes.as_ref()).map(|parsed| parsed.keys.len()).map_err(|fault| fault.to_string());
    assert_eq!(shown, Err(expected.to_owned()));
}

fn verify(token: &str, keys: &KeySet) -> Result<KeyFingerprint, TokenFault> {
    Jwt::parse(token)?.verify(&rules(), keys, NOW).map(|verified| verified.key)
}

#[test]
fn a_set_that_is_none_says_what_it_is_instead() {
    check_set("", "the key set is empty; it must be a JWKS (JSON) or PEM");
    check_set(" \n", "the key set is empty; it must be a JWKS (JSON) or PEM");
    check_set("<!DOCTYPE html><p>no", "the key set is an HTML page; is this the address of the JWKS itself?");
    check_set("not found", "the key set is neither a JWKS (JSON) nor PEM");
    check_set([0, 159, 146, 150], "the key set is neither a JWKS (JSON) nor PEM");
    let cut = &KEYS.jwks().to_string()[..100];
    check_set(cut, "the key set starts like a JWKS, but it is not JSON; it may be cut off");
    let twice = r#"{"keys":[],"keys":[]}"#;
    check_set(twice, "the key set starts like a JWKS, but its JSON has a member twice; it may be cut off");
    check_set(KEYS.rsa.jwk().to_string(), "this is a single key; a JWKS is `{\"keys\": [ ... ]}`");
    let discovery = r#"{"issuer":"https://a","jwks_uri":"https://a/jwks"}"#;
    check_set(discovery, "this is a discovery document; the JWKS is at its `jwks_uri`");
    check_set(r#"{"error":"x"}"#, "the key set has no member `keys` that is an array");
    check_set(r#"{"keys":{}}"#, "the key set has no member `keys` that is an array");
    check_set(r#"{"keys":[]}"#, "the key set has no key that can be used");
    check_set(
        r#"{"keys":[1,{"kty":"RSA","kid":"a\u001b[2J"}]}"#,
        "the key set has no key that can be used: key 1: it is not an object; key 2 (`a\\u{1b}[2J`): a member that its \
         `kty` asks for is missing",
    );
    check_set(b" ".repeat(2_000_000), "the key set is empty; it must be a JWKS (JSON) or PEM");
    let long = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(1024 * 1024));
    check_set(&long, &format!("the key set is {} bytes long, and 1048576 are the most", long.len()));
    let many = json!({ "keys": vec![KEYS.ed25519.jwk(); 257] }).to_string();
    check_set(many, "the key set has 257 keys, and 256 are the most");
}

#[test]
fn a_byte_order_mark_does_not_count() {
    for text in [KEYS.jwks().to_string(), pem("PUBLIC KEY", &KEYS.rsa.spki())] {
        assert!(parse(&format!("\u{feff}{text}")).is_ok());
    }
}

#[test]
fn weak_and_unsupported_keys_are_left_out_and_named() {
    let short = crate::token::base64url::encode(&[0xff; 128]);
    check_refused(&with(KEYS.rsa.jwk(), &json!({ "n": short })), KeyFault::RsaModulus(1024));
    for e in ["AQ", "Ag", "AAE", "AA", "", "AQAAAAE"] {
        check_refused(&with(KEYS.rsa.jwk(), &json!({ "e": e })), KeyFault::RsaExponent);
    }
    for (crv, kty) in [("P-521", "EC"), ("secp256k1", "EC"), ("p-256", "EC"), ("X25519", "OKP"), ("Ed448", "OKP")] {
        check_refused(&json!({ "kty": kty, "crv": crv, "x": "AAAA", "y": "AAAA" }), KeyFault::Curve);
    }
    for kty in ["rsa", "", "AKP", "oct ", "none"] {
        check_refused(&json!({ "kty": kty, "n": "AAAA" }), KeyFault::Kind);
    }
    let swapped = with(KEYS.p256.jwk(), &json!({ "x": KEYS.p256.jwk()["y"], "y": KEYS.p256.jwk()["x"] }));
    check_refused(&swapped, KeyFault::NotOnCurve);
    let point = crate::token::base64url::encode(&[0; 32]);
    check_refused(&with(KEYS.ed25519.jwk(), &json!({ "x": point })), KeyFault::SmallOrder);
    check_refused(&json!({ "kty": "oct", "k": "c2VjcmV0" }), KeyFault::ShortSecret(6));
    check_refused(&json!({ "kty": "oct", "k": "" }), KeyFault::ShortSecret(0));
}

#[test]
fn keys_that_are_not_for_signatures_are_left_out() {
    check_refused(&with(KEYS.rsa.jwk(), &json!({ "use": "enc" })), KeyFault::Use);
    check_refused(&with(KEYS.rsa.jwk(), &json!({ "key_ops": ["encrypt"] })), KeyFault::Use);
    check_refused(&with(KEYS.rsa.jwk(), &json!({ "key_ops": [] })), KeyFault::Use);
    for alg in ["RSA-OAEP", "ES256", "HS256", "none", "EdDSA"] {
        check_refused(&with(KEYS.rsa.jwk(), &json!({ "alg": alg })), KeyFault::Algorithm);
    }
    check_refused(&with(KEYS.p256.jwk(), &json!({ "alg": "ES384" })), KeyFault::Algorithm);
    check_refused(&with(KEYS.secret.jwk(), &json!({ "alg": "RS256" })), KeyFault::Algorithm);
    let good = json!({ "use": "sig", "key_ops": ["verify", "sign"], "alg": "RS256", "kid": "a" });
    assert!(parse(&json!({ "keys": [with(KEYS.rsa.jwk(), &good)] }).to_string()).is_ok());
}

#[test]
fn a_private_key_is_no_key_to_trust() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        check_refused(&with(KEYS.rsa.jwk(), &json!({ name: "AAAA" })), KeyFault::Private);
    }
    check_refused(&with(KEYS.p256.jwk(), &json!({ "d": "AAAA" })), KeyFault::Private);
    check_refused(&with(KEYS.ed25519.jwk(), &json!({ "d": 1 })), KeyFault::Private);
    let found = parse(&pem("PRIVATE KEY", &[1, 2, 3])).unwrap_err();
    assert!(matches!(&found, InvalidKeySet::NoUsableKey(refused) if refused[0].fault == KeyFault::Private), "{found}");
}

#[test]
fn a_member_of_the_wrong_type_makes_no_key() {
    for name in ["kty", "n", "e", "kid", "use", "alg", "key_ops"] {
        for value in ["null", "1", "{}", "true", "[1]"] {
            let jwk = with(KEYS.rsa.jwk(), &json!({ name: null })).to_string();
            let jwk = jwk.replacen('{', &format!("{{\"{name}\":{value},"), 1);
            let found = parse(&format!("{{\"keys\":[{jwk}]}}"));
            assert!(matches!(found, Err(InvalidKeySet::NoUsableKey(_))), "{name}: {value}");
        }
    }
    let x = KEYS.p256.jwk()["x"].as_str().unwrap().to_owned();
    for x in [format!("{x}="), format!(" {x}"), x[1..].to_owned(), String::new(), format!("AA{x}")] {
        check_refused(&with(KEYS.p256.jwk(), &json!({ "x": x })), MALFORMED);
    }
    check_refused(&json!({ "kty": "EC", "x": "AAAA", "y": "AAAA" }), MALFORMED);
    check_refused(&json!([]), MALFORMED);
}

#[test]
fn every_kind_of_pem_is_a_key() {
    let rsa_pkcs1 = {
        let spki = KEYS.rsa.spki();
        // The bit string of a 2048 bit key begins after 24 bytes of algorithm and lengths.
        spki[24..].to_vec()
    };
    let blocks = [
        pem("PUBLIC KEY", &KEYS.rsa.spki()),
        pem("RSA PUBLIC KEY", &rsa_pkcs1),
        pem("PUBLIC KEY", &KEYS.p256.spki()),
        pem("PUBLIC KEY", &KEYS.p384.spki()),
        pem("PUBLIC KEY", &KEYS.ed25519.spki()),
    ];
    for (block, algorithm) in
        blocks.iter().zip([Algorithm::RS256, Algorithm::PS512, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA])
    {
        let keys = parse(block).unwrap().keys;
        assert!(verify(&token(algorithm, &claims()), &keys).is_ok(), "{algorithm:?}");
    }
    let all = parse(&blocks.join("# a comment\n")).unwrap();
    assert_eq!((all.keys.len(), all.refused.len()), (5, 0));
    for algorithm in ASYMMETRIC {
        assert!(verify(&token(algorithm, &claims()), &all.keys).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn a_certificate_is_its_key() {
    let parsed = parse(CERTIFICATE).unwrap();
    let bare = parse(&format!("x\n{CERTIFICATE_KEY}")).unwrap();
    assert_eq!(parsed.keys.keys[0].fingerprint, bare.keys.keys[0].fingerprint);
    assert!(parse(&CERTIFICATE.replace("BEGIN CERTIFICATE", "BEGIN PUBLIC KEY")).is_err());
}

#[test]
fn bad_pem_blocks_among_good_ones_are_named() {
    let rsa_1024 = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC5BeKrfaxVN0Q2azyhuEkGJvGAY3ETTdrSRLBsKKTis2FF+4fvg1To4WqLuv/fOZ\
                    BGPpj8Jb0J34rKbUj7n2fPTbWt8+e0Tg4/1IY0KpSXEG1Aj4vCUMaRQQeBEfbT40wuiyDvAqphm/MYQ+nD/VwVjtl+NoI4RptyK+fL\
                    fCkMFQIDAQAB";
    let p521 = "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQByYGtWdgxiE2E2jS63M3G6gDfpkK6gRwfl+1CKZx5IckC/BSzgC1LyDvj9kvCt6Csf/G5H2Y\
                3wkcdoWBLGwRRu5wA8l8I5uhkEcw6M4sxHDvG0iF2xbC0ZOdtGpwp8OWLWMc0vB3/+PdBiCFgUHPZPz1Z+AfKXCAW3QP1i2k3kgBIlcQ=";
    // A curve that is spelled out, P-256 here, could as well be one of the attacker's (CVE-2020-0601).
    let explicit = "MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAAAAAAAAAAAAAA////////////////MFsEIP////8A\
                    AAABAAAAAAAAAAAAAAAA///////////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSdNgiG5wSTamZ44R\
                    OdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIh\
                    AP////8AAAAA//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABErOFtqEUV3cs9AkXt1tj4uqjkZxiF0eTkOSwSbyv7/ve5efsL\
                    AwEMAxryPrt3niS3Xr6C+60qda69HckQpSIYk=";
    let compressed = "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADy0R6H2ZBngJSSpm7QFmciyFeatPmefS2khjHbprPD1g=";
    let x25519 = "MCowBQYDK2VuAyEAGOVFXhjdfE6z0Dh5tTcOqRK/cK0E6/IPohAfOS9XJkA=";
    let good = pem("PUBLIC KEY", &KEYS.p256.spki());
    for (label, body, expected) in [
        ("PUBLIC KEY", rsa_1024, KeyFault::RsaModulus(1024)),
        ("PUBLIC KEY", p521, KeyFault::Curve),
        ("PUBLIC KEY", explicit, KeyFault::Curve),
        ("PUBLIC KEY", compressed, MALFORMED),
        ("PUBLIC KEY", x25519, KeyFault::Kind),
        ("PUBLIC KEY", "AAAA", MALFORMED),
        ("PUBLIC KEY", "?", MALFORMED),
        ("RSA PUBLIC KEY", x25519, MALFORMED),
        ("CERTIFICATE", x25519, MALFORMED),
        ("EC PRIVATE KEY", "AAAA", KeyFault::Private),
        ("SSH2 PUBLIC KEY", "AAAA", KeyFault::Kind),
    ] {
        let parsed = parse(&format!("{good}-----BEGIN {label}-----\n{body}\n-----END {label}-----")).unwrap();
        let faults: Vec<_> = parsed.refused.iter().map(|it| (it.place, it.fault)).collect();
        match (expected, &*faults) {
            (KeyFault::Malformed(_), [(2, KeyFault::Malformed(_))]) => {}
            (expected, faults) => assert_eq!(faults, [(2, expected)], "{body}"),
        }
    }
    let longer = [KEYS.p256.spki(), vec![0]].concat();
    assert!(parse(&pem("PUBLIC KEY", &longer)).is_err());
}

#[test]
fn a_token_with_a_kid_selects_keys_of_that_kid_or_of_none() {
    let token = |kid: Option<&str>| {
        let header = with(json!({ "alg": "ES256" }), &json!({ "kid": kid }));
        KEYS.p256.token(Algorithm::ES256, &header.to_string(), &claims().to_string())
    };
    let one = |kid: Option<&str>| set(&json!({ "keys": [with(KEYS.p256.jwk(), &json!({ "kid": kid }))] }));
    for (of_token, of_key, expected) in [
        (Some("a"), Some("a"), Ok(())),
        (Some("a"), Some("b"), Err(TokenFault::KeyUnknown)),
        (Some("a"), None, Ok(())),
        (None, Some("a"), Ok(())),
        (None, None, Ok(())),
    ] {
        assert_eq!(verify(&token(of_token), &one(of_key)).map(drop), expected, "{of_token:?} {of_key:?}");
    }
    assert!(one(Some("a")).knows_kid("a") && !one(Some("a")).knows_kid("b") && !one(None).knows_kid(""));
    assert_eq!(verify(&token(None), &KeySet::default()), Err(TokenFault::KeyUnknown));
}

/// A P-256 key of its own.
fn stranger() -> Value {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    crate::token::samples::Signer::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()).jwk()
}

#[test]
fn several_keys_of_one_kid_are_tried_and_not_more_than_a_few() {
    let with_strangers = |strangers: usize, kid: Option<&str>| {
        let mut keys = vec![stranger(); strangers];
        keys.push(KEYS.p256.jwk());
        let keys: Vec<_> = keys.into_iter().map(|jwk| with(jwk, &json!({ "kid": kid }))).collect();
        set(&json!({ "keys": keys }))
    };
    let of_a = KEYS.p256.token(Algorithm::ES256, r#"{"alg":"ES256","kid":"a"}"#, &claims().to_string());
    let of_none = token(Algorithm::ES256, &claims());
    assert!(verify(&of_a, &with_strangers(3, Some("a"))).is_ok());
    assert_eq!(verify(&of_a, &with_strangers(4, Some("a"))), Err(TokenFault::SignatureInvalid));
    assert!(verify(&of_none, &with_strangers(7, None)).is_ok());
    assert_eq!(verify(&of_none, &with_strangers(8, None)), Err(TokenFault::SignatureInvalid));
    // Keys that do not fit the algorithm do not count.
    let mut others = vec![KEYS.rsa.jwk(); 20];
    others.push(KEYS.p256.jwk());
    assert!(verify(&of_none, &set(&json!({ "keys": others }))).is_ok());
}

#[test]
fn a_fingerprint_is_the_keys_its_kids_and_its_algorithms() {
    let fingerprint = |jwk: &Value| set(&json!({ "keys": [jwk] })).keys[0].fingerprint;
    let plain = KEYS.rsa.jwk();
    let variants = [
        plain.clone(),
        with(plain.clone(), &json!({ "kid": "" })),
        with(plain.clone(), &json!({ "kid": "RS256" })),
        with(plain.clone(), &json!({ "alg": "RS256" })),
        with(plain.clone(), &json!({ "alg": "RS512" })),
        KEYS.p256.jwk(),
    ];
    for (place, one) in variants.iter().enumerate() {
        for other in &variants[place + 1..] {
            assert_ne!(fingerprint(one), fingerprint(other), "{one} {other}");
        }
    }
    assert_eq!(fingerprint(&plain), fingerprint(&with(plain.clone(), &json!({ "use": "sig", "x5t": "x" }))));
    let used = verify(&token(Algorithm::RS256, &claims()), &set(&json!({ "keys": [plain] }))).unwrap();
    assert!(!KEYS.set().contains(used), "it has a `kid` there");
    assert!(set(&json!({ "keys": [KEYS.p256.jwk(), plain] })).contains(used));
}

#[test]
fn nothing_shows_key_material() {
    let jwks =
        json!({ "keys": [KEYS.secret.jwk(), KEYS.rsa.jwk(), with(KEYS.secret.jwk(), &json!({ "use": "enc" }))] });
    let parsed = parse(&jwks.to_string()).unwrap();
    let shown = format!("{parsed:?} {:#?} {}", parsed.keys, parsed.refused[0]);
    let failed = parse(&json!({ "keys": [with(KEYS.secret.jwk(), &json!({ "alg": "x" }))] }).to_string()).unwrap_err();
    let shown = format!("{shown} {failed} {failed:?}");
    for member in [&KEYS.secret.jwk()["k"], &KEYS.rsa.jwk()["n"]] {
        assert!(!shown.contains(member.as_str().unwrap()), "{shown}");
    }
    assert!(!shown.contains("1, 2, 3, 4, 5"), "{shown}");
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), start in "[{<-]?") {
        let _ = KeySet::parse(&[start.as_bytes(), &bytes].concat());
    }

    #[test]
    fn a_changed_set_is_answered(place: usize, byte: u8) {
        for text in [KEYS.jwks().to_string(), pem("PUBLIC KEY", &KEYS.p384.spki()), CERTIFICATE.to_owned()] {
            let mut bytes = text.into_bytes();
            let place = place % bytes.len();
            bytes[place] = byte;
            let _ = KeySet::parse(&bytes);
        }
    }

    #[test]
    fn changed_der_is_answered(place: usize, byte: u8) {
        let mut der = KEYS.rsa.spki();
        let place = place % der.len();
        der[place] = byte;
        let _ = parse(&pem("PUBLIC KEY", &der));
        let _ = parse(&pem("RSA PUBLIC KEY", &der[24..]));
    }
}

const CERTIFICATE_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvB6PiYWpIB9P+PwW/KQMyVgkqmgF
7GmzsnpNAanIs4uF/FvD6HjMO+/4rlCav/XD8wSq5Jn22T6x1fDPnxcnLA==
-----END PUBLIC KEY-----
";
