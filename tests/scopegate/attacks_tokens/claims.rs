//! Attacks on what tokens are and what they claim.

use scopegate::policy::Reason;
use serde_json::{Value, json};

use super::{Attack, attack, claims, good, header};
use crate::harness::encode;
use crate::harness::{Signer, now};

pub(super) fn sign(over_header: Value, over_claims: Value) -> String {
    Signer::shared().sign(&header(over_header), &claims(over_claims))
}

/// Tokens that are good for something else.
pub(super) fn types(other: &Signer) -> Vec<Attack> {
    let mut attacks = Vec::new();
    for typ in [
        "id_token+jwt",
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "rt+jwt",
        "jose",
        "application/id_token+jwt",
        "at+jwt;x",
        "at+jwt ",
        "JOSE+JSON",
        "vc+sd-jwt",
        "",
    ] {
        attacks.push(attack(format!("typ {typ:?}"), sign(json!({ "typ": typ }), json!({})), Reason::TokenTypeRejected));
    }
    for typ in [Value::Null, json!(1), json!(["at+jwt"]), json!({})] {
        attacks.push(attack(format!("typ {typ}"), sign(json!({ "typ": typ }), json!({})), Reason::TokenMalformed));
    }
    // An ID token as it is mostly issued: for the client, not for the resource.
    let id_token = json!({ "aud": "app", "nonce": "n", "at_hash": "x", "auth_time": now() });
    attacks.push(attack("an ID token", sign(json!({ "typ": "JWT" }), id_token.clone()), Reason::AudienceMismatch));
    let mut untyped = header(json!({}));
    untyped.as_object_mut().unwrap().remove("typ");
    attacks.push(attack(
        "an ID token without typ",
        Signer::shared().sign(&untyped, &claims(id_token)),
        Reason::AudienceMismatch,
    ));
    // Where the type is required, a plain JWT is none.
    let theirs = claims(json!({ "iss": "https://other.example" }));
    attacks.push(attack(
        "a plain JWT",
        other.sign(&header(json!({ "typ": "JWT" })), &theirs),
        Reason::TokenTypeRejected,
    ));
    attacks.push(attack("no type", other.sign(&untyped, &theirs), Reason::TokenTypeRejected));
    attacks
}

/// Members that one reader takes from their first and another from their last place.
pub(super) fn twice() -> Vec<Attack> {
    let head = header(json!({})).to_string();
    let body = claims(json!({})).to_string();
    let end = |text: &str, member: &str| format!("{},{member}}}", &text[..text.len() - 1]);
    let start = |text: &str, member: &str| format!("{{{member},{}", &text[1..]);
    let mut attacks = Vec::new();
    for member in
        [r#""alg":"none""#, r#""alg":"RS256""#, r#""kid":"rsa-1""#, r#""typ":"at+jwt""#, r#""\u0061lg":"none""#]
    {
        for text in [start(&head, member), end(&head, member)] {
            attacks.push(attack(
                format!("header with {member}"),
                Signer::shared().sign_text(&text, &body),
                Reason::TokenMalformed,
            ));
        }
    }
    for member in [
        r#""exp":9999999999"#,
        r#""scope":"data-su""#,
        r#""account_id":"beta""#,
        r#""\u0061ccount_id":"beta""#,
        r#""iss":"https://issuer.example""#,
        r#""aud":"https://api.example.com""#,
        r#""sub":"root""#,
        r#""x":{"y":1,"y":2}"#,
        r#""x":[{"y":1,"y":1}]"#,
    ] {
        for text in [start(&body, member), end(&body, member)] {
            attacks.push(attack(
                format!("claims with {member}"),
                Signer::shared().sign_text(&head, &text),
                Reason::TokenMalformed,
            ));
        }
    }
    attacks
}

/// Extensions that must be understood or that change what the parts are, tokens in tokens, encrypted ones.
pub(super) fn extensions() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for over in [
        json!({ "crit": [] }),
        json!({ "crit": ["exp"] }),
        json!({ "crit": ["alg"] }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": "b64" }),
        json!({ "crit": null }),
        json!({ "b64": false }),
        json!({ "b64": true }),
        json!({ "zip": "DEF" }),
        json!({ "enc": "A128GCM" }),
        json!({ "enc": null }),
        json!({ "cty": "JWT" }),
        json!({ "cty": "application/jwt" }),
        json!({ "cty": 1 }),
    ] {
        attacks.push(attack(format!("header {over}"), sign(over, json!({})), Reason::TokenMalformed));
    }
    let inner = good();
    let head = header(json!({})).to_string();
    let nested = Signer::shared().sign_text(&head, &inner);
    attacks.push(attack("a token as the payload", nested, Reason::TokenMalformed));
    let quoted = Signer::shared().sign_text(&head, &json!(inner).to_string());
    attacks.push(attack("a token as a text", quoted, Reason::TokenMalformed));
    let encrypted = encode(br#"{"alg":"RSA-OAEP","enc":"A128GCM","cty":"JWT"}"#);
    for parts in ["AAAA.AAAA.AAAA.AAAA", "...", "AAAA..AAAA.AAAA"] {
        attacks.push(attack("an encrypted token", format!("{encrypted}.{parts}"), Reason::TokenMalformed));
    }
    attacks
}

/// Claims of the wrong type, which are never an absence; claims that are missing; audiences that are not ours.
pub(super) fn wrong() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let mut malformed = |name: &str, values: Vec<Value>| {
        for value in values {
            let token = sign(json!({}), json!({ name: value }));
            attacks.push(attack(format!("{name} {value}"), token, Reason::TokenMalformed));
        }
    };
    let times = || {
        vec![
            json!("1"),
            json!("9999999999"),
            json!(null),
            json!(true),
            json!([9_999_999_999_u64]),
            json!({}),
            json!(-1),
            json!(-0.5),
            json!(1e300),
            json!(9_007_199_254_740_992_u64),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(""),
        ]
    };
    for name in ["exp", "nbf", "iat"] {
        malformed(name, times());
    }
    for name in ["sub", "client_id", "jti"] {
        let injected = ["a\r\nX-Auth-Scopes: all", "a\0b", "a\u{7f}", "a\u{85}b", "\n", ""].map(Value::from);
        malformed(
            name,
            [vec![json!(null), json!(1), json!(true), json!(["someone"]), json!({})], injected.into()].concat(),
        );
    }
    malformed(
        "aud",
        vec![
            json!(null),
            json!(1),
            json!(true),
            json!({}),
            json!([1]),
            json!(["https://api.example.com", 1]),
            json!([null]),
        ],
    );
    malformed(
        "scope",
        vec![
            json!(null),
            json!(1),
            json!(true),
            json!({ "data-read": true }),
            json!(["data-read", 1]),
            json!(["data-read", null]),
            json!([["data-read"]]),
            json!([{}]),
            json!("data-read\tdata-su"),
            json!("data-read\ndata-su"),
            json!("data-read\u{a0}x"),
            json!("data-read\0"),
            json!(["data-read data-su"]),
            json!([""]),
            json!("d\u{430}ta-read"),
            json!("\"data-read\""),
        ],
    );
    malformed(
        "account_id",
        vec![
            json!(null),
            json!(1),
            json!(true),
            json!({}),
            json!(["acme", 1]),
            json!([["acme"]]),
            json!([null]),
            json!(""),
            json!([""]),
            json!("acme\0"),
            json!("acme\r\nX-Auth-Account: beta"),
        ],
    );
    malformed(
        "cnf",
        vec![
            json!(null),
            json!(1),
            json!("x"),
            json!([]),
            json!({ "jkt": 1 }),
            json!({ "x5t#S256": "short" }),
            json!({ "jkt": null }),
        ],
    );
    for cnf in [
        json!({}),
        json!({ "kid": "x" }),
        json!({ "jwk": {} }),
        json!({ "jkt": encode(&[1; 32]) }),
        json!({ "x5t#S256": encode(&[1; 32]) }),
    ] {
        attacks.push(attack(format!("cnf {cnf}"), sign(json!({}), json!({ "cnf": cnf })), Reason::BindingMismatch));
    }
    for name in ["exp", "iss", "aud"] {
        let mut claims = claims(json!({}));
        claims.as_object_mut().unwrap().remove(name);
        let token = Signer::shared().sign(&header(json!({})), &claims);
        attacks.push(attack(format!("no {name}"), token, Reason::TokenMalformed));
    }
    for audience in [
        json!(""),
        json!([]),
        json!("https://api.example.com/"),
        json!("https://API.example.com"),
        json!("https://api.example.com.other"),
        json!("https://api.example.com https://other"),
        json!(["https://other"]),
        json!("*"),
        json!(["https://api.example.com\u{0}"]),
    ] {
        attacks.push(attack(
            format!("aud {audience}"),
            sign(json!({}), json!({ "aud": audience })),
            Reason::AudienceMismatch,
        ));
    }
    attacks
}

/// Times beyond the leeway of 30 seconds, whichever way.
pub(super) fn times() -> Vec<Attack> {
    let now = now();
    let mut attacks = Vec::new();
    for exp in [json!(0), json!(1), json!(now - 31), json!(now - 3600), json!(0.9), json!(-0.0)] {
        attacks.push(attack(format!("exp {exp}"), sign(json!({}), json!({ "exp": exp })), Reason::TokenExpired));
    }
    for name in ["nbf", "iat"] {
        for time in [json!(now + 120), json!(now + 86_400), json!(9_007_199_254_740_991_u64), json!(4e12)] {
            attacks.push(attack(
                format!("{name} {time}"),
                sign(json!({}), json!({ name: time })),
                Reason::TokenNotYetValid,
            ));
        }
    }
    attacks
}
