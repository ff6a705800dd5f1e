//! Which build runs, as the binary and its metrics say, and where `build.rs` has it from.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Gateway, scopegate};

#[test]
fn the_version_names_the_commit_and_the_build_and_the_metrics_say_the_same() {
    let output = scopegate(&["--version"]).output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    let (version, build) = line.trim_end().split_once(" (commit ").expect("a commit");
    assert_eq!(version, concat!("scopegate ", env!("CARGO_PKG_VERSION")));
    let (commit, build) = build.split_once(", ").expect("a build");
    assert!(build.ends_with(')') && build.contains(" build for ") && build.contains("linux"), "{line}");
    let short = String::from_utf8(scopegate(&["-V"]).output().unwrap().stdout).unwrap();
    assert_eq!(short.trim_end(), version);
    let gateway = Gateway::start("apis: [{ name: a, upstream: backend, public: [/] }]");
    let series = format!("scopegate_build_info{{commit=\"{commit}\",version=\"{}\"}} ", env!("CARGO_PKG_VERSION"));
    assert_eq!(gateway.metric(&series), Some(1.0));
}

/// What `build.rs` tells the compiler of the sources in a folder.
struct Script(PathBuf);

impl Script {
    fn compile(folder: &Path) -> Self {
        let program = folder.join("build");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
        let compiled = Command::new("rustc").args(["--edition", "2024", "-o"]).arg(&program).arg(script).status();
        assert!(compiled.unwrap().success());
        Self(program)
    }

    fn commit(&self, folder: &Path, profile: &str, told: Option<&str>) -> String {
        let mut command = Command::new(&self.0);
        command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder).env("PROFILE", profile).env("TARGET", "a-b-c");
        command.env_remove("SCOPEGATE_COMMIT").env_remove("GIT_DIR");
        if let Some(told) = told {
            command.env("SCOPEGATE_COMMIT", told);
        }
        let output = command.output().unwrap();
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("cargo::rustc-env=SCOPEGATE_BUILD_TARGET=a-b-c\n"), "{said}");
        let commit = said.lines().find_map(|line| line.strip_prefix("cargo::rustc-env=SCOPEGATE_BUILD_COMMIT="));
        commit.unwrap().to_owned()
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let user = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").current_dir(folder).env_remove("GIT_DIR").args(user).args(arguments).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_release_names_its_commit_and_a_source_archive_that_of_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::compile(folder.path());
    let checkout = folder.path().join("checkout");
    std::fs::create_dir_all(checkout.join("src")).unwrap();
    std::fs::write(checkout.join("src/main.rs"), "fn main() {}").unwrap();
    // A source archive is no checkout, and neither is one that lies inside another project's.
    assert_eq!(script.commit(&checkout, "release", None), "unknown");
    git(folder.path(), &["init", "--quiet"]);
    git(folder.path(), &["add", "checkout"]);
    git(folder.path(), &["commit", "--quiet", "-m", "of another project"]);
    assert_eq!(script.commit(&checkout, "release", None), "unknown");

    git(&checkout, &["init", "--quiet"]);
    git(&checkout, &["add", "src"]);
    git(&checkout, &["commit", "--quiet", "-m", "first"]);
    let commit = git(&checkout, &["rev-parse", "HEAD"]);
    assert_eq!(script.commit(&checkout, "release", None), commit);
    assert_eq!(script.commit(&checkout, "release", None), commit, "the same from the same sources");
    assert_eq!(script.commit(&checkout, "debug", None), "unknown");
    std::fs::write(checkout.join("src/main.rs"), "fn main() { }").unwrap();
    assert_eq!(script.commit(&checkout, "release", None), format!("{commit}-modified"));
    // Whoever packages an archive can tell.
    assert_eq!(script.commit(&checkout, "debug", Some("abc123")), "abc123");
    for no_commit in ["", "a b", "x\"} 1"] {
        assert_eq!(script.commit(folder.path(), "debug", Some(no_commit)), "unknown", "{no_commit:?}");
    }
}
