//! Attacks on algorithms, keys and signatures.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scopegate::policy::Reason;
use serde_json::{Value, json};

use super::{Attack, attack, claims, header, of};
use crate::harness::Signer;
use crate::harness::encode;

/// A token with an HMAC for its signature.
pub(super) fn hmac(header: &Value, payload: &Value, secret: &[u8]) -> String {
    let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload.to_string().as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{message}.{}", encode(hmac::sign(&key, message.as_bytes()).as_ref()))
}

/// A token with these bytes for its signature.
fn signed(header: &Value, payload: &Value, signature: &[u8]) -> String {
    let text = |part: &Value| encode(part.to_string().as_bytes());
    format!("{}.{}.{}", text(header), text(payload), encode(signature))
}

/// `none` in every spelling, with a signature and without; algorithms that are unknown, for
/// encryption, or no text.
pub(super) fn algorithms() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for name in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "none\0",
        "n\u{f6}ne",
        "",
        "null",
        "undefined",
        "HS1",
        "MD5",
        "RS1",
        "rs256",
        "RS256 ",
        "RS256,HS256",
        "ES256K",
        "ES512",
        "ES521",
        "HS256",
        "HS384",
        "HS512",
        "Hs256",
        "RSA1_5",
        "RSA-OAEP",
        "A256KW",
        "dir",
        "PBES2-HS256+A128KW",
        "ECDH-ES",
        "Ed448",
        "secp256k1",
        "ML-DSA-44",
    ] {
        let header = header(json!({ "alg": name }));
        attacks.push(attack(
            format!("alg {name:?}, signed"),
            Signer::shared().sign(&header, &claims(json!({}))),
            Reason::AlgorithmRejected,
        ));
        attacks.push(attack(
            format!("alg {name:?}, unsigned"),
            signed(&header, &claims(json!({})), b""),
            Reason::AlgorithmRejected,
        ));
    }
    for alg in [Value::Null, json!(256), json!(true), json!(["RS256"]), json!({ "alg": "RS256" })] {
        let token = Signer::shared().sign(&header(json!({ "alg": alg })), &claims(json!({})));
        attacks.push(attack(format!("alg {alg}"), token, Reason::TokenMalformed));
    }
    for (alg, kid) in [
        ("PS256", "rsa-1"),
        ("RS384", "rsa-1"),
        ("RS512", "rsa-1"),
        ("ES256", "rsa-1"),
        ("RS256", "ec-1"),
        ("ES384", "ec-1"),
        ("EdDSA", "rsa-1"),
        ("Ed25519", "ec-1"),
    ] {
        let token = Signer::shared().sign(&header(json!({ "alg": alg, "kid": kid })), &claims(json!({})));
        attacks.push(attack(format!("{alg} by {kid}"), token, Reason::KeyUnknown));
    }
    attacks
}

/// The public key, in all its forms, as the secret of an HMAC.
pub(super) fn confusion() -> Vec<Attack> {
    let signer = Signer::shared();
    let [info, pkcs1] = signer.rsa_der();
    let jwks = signer.jwks();
    let pem = |label: &str, der: &[u8], width: usize| {
        let text = STANDARD.encode(der);
        let lines: Vec<_> = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", lines.join("\n"))
    };
    let number = |name: &str| jwks["keys"][0][name].as_str().unwrap().to_owned();
    let secrets: Vec<Vec<u8>> = vec![
        pem("PUBLIC KEY", &info, 64).into(),
        (pem("PUBLIC KEY", &info, 64) + "\n").into(),
        pem("PUBLIC KEY", &info, 64).replace('\n', "\r\n").into(),
        pem("PUBLIC KEY", &info, 10_000).into(),
        pem("RSA PUBLIC KEY", &pkcs1, 64).into(),
        (pem("RSA PUBLIC KEY", &pkcs1, 64) + "\n").into(),
        STANDARD.encode(&info).into(),
        info,
        pkcs1,
        number("n").into(),
        jwks["keys"][0].to_string().into(),
        jwks.to_string().into(),
        b"rsa-1".to_vec(),
        vec![],
        vec![0; 32],
        b"secret".to_vec(),
    ];
    let mut attacks = Vec::new();
    for (place, secret) in secrets.iter().enumerate() {
        let head = header(json!({ "alg": "HS256" }));
        attacks.push(attack(
            format!("confusion {place}"),
            hmac(&head, &claims(json!({})), secret),
            Reason::AlgorithmRejected,
        ));
        // Where secrets are accepted, a key that is none is still no secret.
        attacks.push(attack(
            format!("confusion where secrets are {place}"),
            hmac(&head, &of("secret", json!({})), secret),
            Reason::KeyUnknown,
        ));
        let head = header(json!({ "alg": "HS256", "kid": "good" }));
        attacks.push(attack(
            format!("guessed {place}"),
            hmac(&head, &of("secret", json!({})), secret),
            Reason::SignatureInvalid,
        ));
    }
    // And a secret is no public key.
    let token = Signer::shared().sign(&header(json!({ "kid": "good" })), &of("weak", json!({})));
    attacks.push(attack("RS256 by a secret", token, Reason::KeyUnknown));
    let token = Signer::shared().sign(&header(json!({})), &of("secret", json!({})));
    attacks.push(attack("RS256 where secrets are", token, Reason::AlgorithmRejected));
    attacks
}

/// Keys that the token brings along, or says where to find.
pub(super) fn brought_along() -> Vec<Attack> {
    let attacker = Signer::new();
    let keys = attacker.jwks();
    let certificate = STANDARD.encode(attacker.rsa_der()[0].as_slice());
    let mut attacks = Vec::new();
    for (name, value) in [
        ("jwk", keys["keys"][0].clone()),
        ("jwks", keys.clone()),
        ("jku", json!("https://attacker.example/jwks")),
        ("jku", json!("https://issuer.example/../attacker/jwks")),
        ("x5u", json!("https://attacker.example/cert.pem")),
        ("x5c", json!([certificate])),
        ("x5t", json!(encode(&[1; 20]))),
        ("x5t#S256", json!(encode(&[1; 32]))),
        ("key", json!(keys["keys"][0])),
    ] {
        let own = header(json!({ name: value }));
        attacks.push(attack(
            format!("{name} under the known kid"),
            attacker.sign(&own, &claims(json!({}))),
            Reason::SignatureInvalid,
        ));
        let named = header(json!({ name: value, "kid": "attacker" }));
        attacks.push(attack(
            format!("{name} under its own kid"),
            attacker.sign(&named, &claims(json!({}))),
            Reason::KeyUnknown,
        ));
        let mut bare = own.clone();
        bare.as_object_mut().unwrap().remove("kid");
        attacks.push(attack(
            format!("{name} without a kid"),
            attacker.sign(&bare, &claims(json!({}))),
            Reason::SignatureInvalid,
        ));
    }
    attacks
}

/// `kid`s that lead somewhere else, and such that are no text.
pub(super) fn kids() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for kid in [
        "",
        "rsa-2",
        "RSA-1",
        " rsa-1",
        "rsa-1 ",
        "rsa-1\0",
        "rsa-1\n",
        "rsa\u{2d}1\u{200b}",
        "../../../../dev/null",
        "/dev/null",
        "..\\..\\nul",
        "file:///dev/null",
        "https://attacker.example/key",
        "' OR '1'='1",
        "x' UNION SELECT 'secret' -- ",
        "| id",
        "$(id)",
        "`id`",
        "*",
        "%",
        "null",
        "0",
        "{\"kid\":\"rsa-1\"}",
        "ldap://attacker.example/x",
        "${jndi:ldap://attacker.example/x}",
    ] {
        let token = Signer::shared().sign(&header(json!({ "kid": kid })), &claims(json!({})));
        attacks.push(attack(format!("kid {kid:?}"), token, Reason::KeyUnknown));
        let empty = hmac(&header(json!({ "alg": "HS256", "kid": kid })), &claims(json!({})), b"");
        attacks.push(attack(format!("kid {kid:?} with an empty secret"), empty, Reason::AlgorithmRejected));
    }
    for kid in [Value::Null, json!(1), json!(true), json!(["rsa-1"]), json!({ "kid": "rsa-1" })] {
        let token = Signer::shared().sign(&header(json!({ "kid": kid })), &claims(json!({})));
        attacks.push(attack(format!("kid {kid}"), token, Reason::TokenMalformed));
    }
    attacks
}

/// Psychic signatures (CVE-2022-21449), and such of the wrong form or of something else.
pub(super) fn signatures() -> Vec<Attack> {
    let order = [
        0xff_u8, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let one = [[0; 31].as_slice(), &[1]].concat();
    let ec = header(json!({ "alg": "ES256", "kid": "ec-1" }));
    let mut attacks = Vec::new();
    for (name, signature) in [
        ("zero", vec![0; 64]),
        ("r of zero", [vec![0; 32], one.clone()].concat()),
        ("s of zero", [one.clone(), vec![0; 32]].concat()),
        ("the order", [order, order].concat()),
        ("ones", [one.clone(), one].concat()),
        ("all bits", vec![0xff; 64]),
        ("DER of zeros", vec![0x30, 6, 2, 1, 0, 2, 1, 0]),
        ("nothing", vec![]),
        ("one byte", vec![0]),
        ("too short", vec![1; 63]),
        ("too long", vec![1; 65]),
        ("of a larger curve", vec![1; 96]),
    ] {
        attacks.push(attack(
            format!("ES256 {name}"),
            signed(&ec, &claims(json!({})), &signature),
            Reason::SignatureInvalid,
        ));
    }
    let rsa = header(json!({}));
    let message =
        format!("{}.{}", encode(rsa.to_string().as_bytes()), encode(claims(json!({})).to_string().as_bytes()));
    let real = Signer::shared().sign_rsa(message.as_bytes());
    for (name, signature) in [
        ("zero", vec![0; 256]),
        ("one", [vec![0; 255], vec![1]].concat()),
        ("the padded digest", padded(&message, 256)),
        ("nothing", vec![]),
        ("cut", real[..255].to_vec()),
        ("with a zero before", [vec![0], real.clone()].concat()),
        ("with a zero after", [real, vec![0]].concat()),
        ("by another", Signer::new().sign_rsa(message.as_bytes())),
    ] {
        attacks.push(attack(
            format!("RS256 {name}"),
            format!("{message}.{}", encode(&signature)),
            Reason::SignatureInvalid,
        ));
    }
    let good = Signer::shared().sign(&rsa, &claims(json!({ "account_id": "beta" })));
    let signature = good.rsplit_once('.').unwrap().1;
    attacks.push(attack("RS256 of other claims", format!("{message}.{signature}"), Reason::SignatureInvalid));
    attacks
}

/// PKCS #1 v1.5 as it is before it is signed; a signature itself where the exponent is 1.
fn padded(message: &str, length: usize) -> Vec<u8> {
    const SHA256_INFO: [u8; 19] = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
    let end = [&SHA256_INFO[..], digest(&SHA256, message.as_bytes()).as_ref()].concat();
    [&[0, 1][..], &vec![0xff; length - end.len() - 3], &[0], &end].concat()
}

/// Keys of the set that nobody should trust.
pub(super) fn weak_keys() -> Vec<Attack> {
    let one = header(json!({ "kid": "e-1" }));
    let message =
        format!("{}.{}", encode(one.to_string().as_bytes()), encode(of("weak", json!({})).to_string().as_bytes()));
    let forged = format!("{message}.{}", encode(&padded(&message, 256)));
    let small = signed(&header(json!({ "kid": "rsa-1024" })), &of("weak", json!({})), &[1; 128]);
    let mut attacks =
        vec![attack("an exponent of 1", forged, Reason::KeyUnknown), attack("1024 bits", small, Reason::KeyUnknown)];
    for (kid, secret) in [("short", &b"secret"[..]), ("empty", b""), ("for-encryption", &[8; 32])] {
        let head = header(json!({ "alg": "HS256", "kid": kid }));
        attacks.push(attack(
            format!("the secret {kid}"),
            hmac(&head, &of("secret", json!({})), secret),
            Reason::KeyUnknown,
        ));
    }
    let head = header(json!({ "alg": "EdDSA", "kid": "small-order" }));
    attacks.push(attack("a point of small order", signed(&head, &of("weak", json!({})), &[0; 64]), Reason::KeyUnknown));
    attacks
}

/// Tokens of one issuer shown as another's, and issuers that only look like one.
pub(super) fn other_issuers(other: &Signer) -> Vec<Attack> {
    let head = header(json!({}));
    let mut attacks = vec![
        attack("another issuer's key", other.sign(&head, &claims(json!({}))), Reason::SignatureInvalid),
        attack(
            "for another issuer",
            Signer::shared().sign(&head, &claims(json!({ "iss": "https://other.example" }))),
            Reason::SignatureInvalid,
        ),
    ];
    for issuer in [
        "",
        "https://issuer.example/",
        "https://ISSUER.example",
        "https://issuer.example ",
        " https://issuer.example",
        "https://issuer.example#",
        "https://issuer.example?x",
        "http://issuer.example",
        "https://issuer.example:443",
        "https://issuer.example.attacker.example",
        "https://issuer.example@attacker.example",
        "issuer.example",
        "https://issuer%2eexample",
        "https://\u{456}ssuer.example",
        "https://issuer.example\0",
        "https://issuer.example,https://other.example",
        "*",
        "null",
        "https://issuer.example\u{200b}",
    ] {
        let token = Signer::shared().sign(&head, &claims(json!({ "iss": issuer })));
        attacks.push(attack(format!("iss {issuer:?}"), token, Reason::IssuerUnknown));
    }
    for issuer in [
        Value::Null,
        json!(1),
        json!(["https://issuer.example"]),
        json!({ "iss": "https://issuer.example" }),
        json!(true),
    ] {
        let token = Signer::shared().sign(&head, &claims(json!({ "iss": issuer })));
        attacks.push(attack(format!("iss {issuer}"), token, Reason::TokenMalformed));
    }
    attacks
}
