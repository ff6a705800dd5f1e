//! What the sources are held to: imports that point one way, a core without I/O, permits from one place.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the bottom up: each may import itself and what stands before it.
const LAYERS: &[(&str, &[&str])] = &[
    ("version", &[]),
    ("hex", &[]),
    ("policy", &[]),
    ("rates", &["policy"]),
    ("record", &["hex", "policy", "version"]),
    ("token", &["hex", "policy"]),
    ("config", &["hex", "policy", "token"]),
    ("workbench", &["hex", "policy", "token", "config", "record"]),
    ("fleet", &["policy", "rates", "config", "record"]),
    ("issuer", &["policy", "token", "config", "record", "fleet"]),
    ("spans", &["policy", "config", "record"]),
    ("gateway", &["policy", "rates", "token", "config", "workbench", "record", "fleet", "issuer", "spans"]),
    ("reload", &["policy", "config", "record", "issuer", "gateway"]),
    ("registry", &["hex", "policy", "config", "workbench", "record", "issuer", "gateway"]),
    (
        "console",
        &["hex", "policy", "token", "config", "workbench", "record", "issuer", "gateway", "registry", "reload"],
    ),
    ("admin", &["hex", "policy", "token", "config", "record", "issuer", "gateway", "registry", "reload", "console"]),
    ("demo", &["policy", "token", "config", "record", "issuer", "gateway", "registry", "reload", "console", "admin"]),
    (
        "cli",
        &[
            "version",
            "policy",
            "token",
            "config",
            "workbench",
            "record",
            "issuer",
            "gateway",
            "registry",
            "reload",
            "console",
            "admin",
            "demo",
        ],
    ),
];

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for (file, text) in code() {
        let Some(layer) = layer_of(&file) else { continue };
        let allowed = LAYERS.iter().find(|(name, _)| *name == layer).map(|(_, below)| *below);
        let allowed = allowed.unwrap_or_else(|| panic!("{layer} has no place in the order"));
        for name in imports(&text).filter(|name| *name != layer && !allowed.contains(name)) {
            wrong.push(format!("{} imports {name}", file.display()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn an_import_is_seen_however_it_is_written() {
    for (text, expected) in [
        ("use crate::gateway::Gateway;", vec!["gateway"]),
        ("use crate::gateway;", vec!["gateway"]),
        ("use crate::{gateway, policy::{Api, Policy as config}};", vec!["policy", "gateway"]),
        (
            "use crate::{\n    config::{self, a::{b}},\n    token as t,\n};\nuse other::{gateway};",
            vec!["token", "config"],
        ),
        ("use crate::{policy::Api};", vec!["policy"]),
        ("use crate::gateways::X;", vec![]),
        ("let x = crate::record::record();", vec!["record"]),
    ] {
        assert_eq!(imports(text).collect::<Vec<_>>(), expected, "{text}");
    }
}

/// The layers that a file names: `crate::x`, alone or in a group.
fn imports(text: &str) -> impl Iterator<Item = &'static str> {
    let mut named = Vec::new();
    for after in text.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(group) => named.extend(group_members(group)),
            None => named.push(after),
        }
    }
    let names = |text: &str, name: &str| {
        text.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let found: Vec<_> =
        LAYERS.iter().map(|(name, _)| *name).filter(|name| named.iter().any(|text| names(text, name))).collect();
    found.into_iter()
}

/// What stands in a group right after its `{`, or after a comma of its own.
fn group_members(group: &str) -> Vec<&str> {
    let (mut depth, mut members, mut begins) = (1, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => begins = true,
            c if begins && !c.is_whitespace() => {
                members.push(&group[at..]);
                begins = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    members
}

#[test]
fn only_the_gateway_knows_pingora() {
    let knowing = code().into_iter().filter(|(_, text)| text.contains("pingora::") || text.contains("use pingora"));
    let outside: Vec<_> =
        knowing.map(|(file, _)| file).filter(|file| layer_of(file).as_deref() != Some("gateway")).collect();
    assert_eq!(outside, Vec::<PathBuf>::new());
}

#[test]
fn the_core_does_no_io_reads_no_clock_and_logs_nothing() {
    let banned = [
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "std::process",
        "tokio",
        "SystemTime",
        "Instant",
        "tracing::",
        "reqwest",
        "println!",
        "eprintln!",
    ];
    let mut wrong = Vec::new();
    for (file, text) in code() {
        if !matches!(layer_of(&file).as_deref(), Some("policy" | "token" | "workbench")) {
            continue;
        }
        for word in banned.iter().filter(|word| text.contains(**word)) {
            wrong.push(format!("{} has {word}", file.display()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

fn makes_permit(text: &str) -> bool {
    ["Permit::new(", "Permit::reporting("].iter().any(|maker| text.contains(maker))
}

#[test]
fn only_the_decision_makes_permits() {
    let makers: Vec<_> = code().into_iter().filter(|(_, text)| makes_permit(text)).map(|(file, _)| file).collect();
    assert_eq!(makers, [PathBuf::from("policy/decision.rs")]);
}

#[test]
fn every_file_opens_with_what_it_owns() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(file, _)| file).collect();
    assert_eq!(silent, Vec::<PathBuf>::new());
}

#[test]
fn the_sources_have_no_error_texts_to_compare() {
    let comparing = |text: &str| text.contains(".to_string() ==") || text.contains(".to_string().contains(");
    let wrong: Vec<_> = code().into_iter().filter(|(_, text)| comparing(text)).map(|(file, _)| file).collect();
    assert_eq!(wrong, Vec::<PathBuf>::new());
}

/// The sources without their tests and what is fuzzed, which may read the clock and compare what they please.
fn code() -> Vec<(PathBuf, String)> {
    let is_test = |file: &Path| {
        let name = file.to_str().unwrap();
        file.iter().any(|part| part == "tests" || part == "fuzzing")
            || ["tests.rs", "fuzzing.rs"].iter().any(|end| name.ends_with(end))
    };
    let without_tests = |text: String| text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
    sources().into_iter().filter(|(file, _)| !is_test(file)).map(|(file, text)| (file, without_tests(text))).collect()
}

/// Every file under `src`, by its path below it, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    files.sort();
    files
}

/// The module that a file is of; `None` for the crate's own two roots.
fn layer_of(file: &Path) -> Option<String> {
    let first = file.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&name)).then(|| name.to_owned())
}
