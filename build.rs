//! What a release is built from, for `scopegate --version`: the commit, and the target.
//!
//! Nothing that differs between two builds of one source is asked for: no time, no name of a machine. In a
//! build for development the commit is left out, which would have it compiled anew after each commit.

use std::env;
use std::process::Command;

/// Tells the commit where there is no git: for packages that are built from a source archive.
const VARIABLE: &str = "SCOPEGATE_COMMIT";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let told = env::var(VARIABLE).ok().filter(|commit| is_plain(commit));
    let commit = told.or_else(|| if is_release { commit() } else { None });
    println!("cargo::rustc-env=SCOPEGATE_BUILD_COMMIT={}", commit.unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo::rustc-env=SCOPEGATE_BUILD_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=SCOPEGATE_BUILD_KIND={}", if is_release { "release" } else { "development" });
}

/// The commit of the checkout that this is, and whether something was changed since; `None` in a source
/// archive, wherever it was unpacked.
fn commit() -> Option<String> {
    let root = env::var("CARGO_MANIFEST_DIR").ok()?;
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if std::fs::canonicalize(top).ok()? != std::fs::canonicalize(root).ok()? {
        return None;
    }
    for file in ["HEAD", "index", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for source in ["src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={source}");
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    let is_changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if is_changed { commit + "-modified" } else { commit })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}

fn is_plain(commit: &str) -> bool {
    (1..=64).contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
