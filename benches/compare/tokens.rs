//! Keys and tokens for `compare.py`: `tokens FOLDER COUNT` writes them into the folder.
//!
//! `jwks.json` and `public.pem` are the issuer's key; `good` has COUNT good RS256 tokens, a line each,
//! `expired`, `wrong_scope` and `wrong_account` one of their kind.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a tool of the benches")]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicKeyComponents;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use harness::{Signer, now};

/// Longer than any comparison takes.
const DAY: u64 = 24 * 3600;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap());
    let count: usize = arguments.next().unwrap().parse().unwrap();
    let signer = Signer::shared();
    let write = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
    let token = |number: usize, scope: &str, account: &str, expires: u64| {
        signer.token(json!({
            "sub": format!("caller-{number}"), "jti": format!("{number:08}"), "exp": expires,
            "scope": format!("openid {scope}"), "account_id": account,
        }))
    };
    let later = now() + DAY;
    let mut good = String::new();
    for number in 0..count {
        writeln!(good, "{}", token(number, "scope-0", "acme", later)).unwrap();
    }
    write("good", good);
    write("expired", token(0, "scope-0", "acme", now() - DAY));
    write("wrong_scope", token(0, "scope-1", "acme", later));
    write("wrong_account", token(0, "scope-0", "globex", later));
    let jwks = signer.jwks();
    write("public.pem", pem(&jwks["keys"][0]));
    write("jwks.json", jwks.to_string());
}

/// An RSA key as a PEM file (RFC 7468).
fn pem(key: &Value) -> String {
    let number = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let der: PublicKeyX509Der<'_> = PublicKeyComponents { n: number("n"), e: number("e") }.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}
