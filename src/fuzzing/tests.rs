//! Every seed, every input that has ever broken something, and changes of them, whatever the toolchain.
//!
//! Fuzzers find new inputs; these tests hold what they found, and try a fixed number of changes beside it.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use fastrand::Rng;

use super::{
    certificate, claims, config, form, introspection, keys, patterns, proof, question, rendering, revocations, scopes,
    target, token,
};

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 14] = [
    ("certificate", certificate),
    ("claims", claims),
    ("config", config),
    ("form", form),
    ("introspection", introspection),
    ("keys", keys),
    ("patterns", patterns),
    ("proof", proof),
    ("question", question),
    ("rendering", rendering),
    ("revocations", revocations),
    ("scopes", scopes),
    ("target", target),
    ("token", token),
];

/// How many changes of its inputs each target is given; `SCOPEGATE_FUZZ_CHANGES` says another number, and
/// `SCOPEGATE_FUZZ_TARGET` one target that is given them alone.
const CHANGES: usize = 2_000;

/// Texts that mean something somewhere.
const WORDS: &[&[u8]] = &[
    b"%2e",
    b"%2f",
    b"%25",
    b"%00",
    b"..",
    b"//",
    b"\\",
    b";",
    b"?",
    b"#",
    b"\r\n",
    b"\0",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"-1",
    b"1e999",
    b"\xff",
    b"\xc0\xae",
    b"\xef\xbc\x8f",
    b"\\u0000",
    b"**",
    b"*",
    b"{a}",
    b"=",
    b"&",
    b"+",
    b" ",
    b"\t",
    b"\x7f",
    b"\xc2\x85",
    b"GET ",
    b"Hash=",
    b"scope=",
    b"0",
];

/// The committed inputs of a target.
fn inputs(name: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut inputs = Vec::new();
    for folder in ["corpus", "regressions"] {
        for entry in fs::read_dir(root.join(folder).join(name)).into_iter().flatten() {
            let path = entry.unwrap().path();
            inputs.push((path.display().to_string(), fs::read(path).unwrap()));
        }
    }
    inputs.sort();
    inputs
}

#[test]
fn every_seed_and_every_input_that_once_broke_something_holds() {
    for (name, check) in TARGETS {
        let inputs = inputs(name);
        assert!(inputs.len() >= 3, "{name} has no seeds");
        for (path, input) in inputs {
            assert!(catch_unwind(|| check(&input)).is_ok(), "{path}");
        }
    }
}

#[test]
fn changes_of_the_seeds_hold() {
    let changes = std::env::var("SCOPEGATE_FUZZ_CHANGES").map_or(CHANGES, |text| text.parse().unwrap());
    let only = std::env::var("SCOPEGATE_FUZZ_TARGET").ok();
    for (name, check) in TARGETS.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let inputs: Vec<_> = inputs(name).into_iter().map(|(_, input)| input).collect();
        let (mut rng, start) = (Rng::with_seed(7), std::time::Instant::now());
        for _ in 0..changes {
            let input = changed(&inputs, &mut rng);
            assert!(catch_unwind(|| check(&input)).is_ok(), "{name}: {}", input.escape_ascii());
        }
        println!("{name}: {changes} in {:?}", start.elapsed());
    }
}

/// One of the inputs with one to four changes.
fn changed(inputs: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = inputs[rng.usize(..inputs.len())].clone();
    for _ in 0..rng.usize(1..=4) {
        let at = rng.usize(..=input.len());
        let end = (at + rng.usize(..8)).min(input.len());
        match rng.u8(..6) {
            0 => drop(input.splice(at..at, WORDS[rng.usize(..WORDS.len())].iter().copied())),
            1 => drop(input.splice(at..end, WORDS[rng.usize(..WORDS.len())].iter().copied())),
            2 => drop(input.drain(at..end)),
            3 => input[at..end].iter_mut().for_each(|byte| *byte ^= 1 << rng.u8(..8)),
            4 => {
                let again = input[at..end].to_vec();
                drop(input.splice(at..at, again));
            }
            _ => {
                // The rest of another.
                let other = &inputs[rng.usize(..inputs.len())];
                input.truncate(at);
                input.extend_from_slice(&other[rng.usize(..=other.len())..]);
            }
        }
    }
    input
}

#[test]
fn a_check_sees_what_it_is_for() {
    // A token that was signed is taken, so that nothing else being taken says something.
    let signed = include_str!("testdata/tokens.txt").lines().next().unwrap();
    assert!(super::tokens::is_accepted(signed));
    // What one reader drops another does not.
    let twice = br#"{"a":1,"b":{"c":1,"c":2}}"#;
    let value = serde_json::from_slice(twice).unwrap();
    assert!(!super::naive::has_no_member_twice(twice, &value));
    assert!(super::naive::has_no_member_twice(br#"{"a":":"}"#, &serde_json::json!({ "a": ":" })));
}
