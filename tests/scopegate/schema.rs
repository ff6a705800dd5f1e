//! `scopegate schema`, `completions` and `man`: what editors, shells and `man` know cannot drift.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Command::new(env!("CARGO_BIN_EXE_scopegate")).args(arguments).current_dir(root).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
    String::from_utf8(output.stdout).unwrap()
}

const COMMANDS: [&str; 10] =
    ["serve", "demo", "check", "explain", "test", "scopes", "import", "schema", "completions", "man"];

#[test]
fn the_committed_schemas_are_what_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (of, file) in [("policy", "gateway.schema.json"), ("tests", "gateway.tests.schema.json")] {
        let committed: Value = serde_json::from_slice(&std::fs::read(root.join(file)).unwrap()).unwrap();
        let now: Value = serde_json::from_str(&printed(&["schema", of])).unwrap();
        assert!(now == committed, "{file} is not what the definitions say: `make schema` writes it anew");
    }
    assert_eq!(printed(&["schema"]), printed(&["schema", "policy"]));
}

#[test]
fn editors_find_the_schemas_by_the_first_line() {
    for (file, schema) in [
        (include_str!("../../gateway.yaml"), "gateway.schema.json"),
        (include_str!("../../gateway.tests.yaml"), "gateway.tests.schema.json"),
    ] {
        assert_eq!(file.lines().next().unwrap(), format!("# yaml-language-server: $schema=./{schema}"));
    }
}

#[test]
fn each_shell_can_complete_each_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
        assert!(script.contains("claims"), "{shell} does not know options");
        // The scripts of the other two complete no values.
        let knows_values = matches!(shell, "bash" | "zsh" | "fish");
        assert_eq!(script.contains("junit"), knows_values, "{shell} and the values of options");
    }
    assert_eq!(run(&["completions", "sh"]).status.code(), Some(2));
}

#[test]
fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    printed(&["man", pages.to_str().unwrap()]);
    for command in COMMANDS {
        let page = std::fs::read_to_string(pages.join(format!("scopegate-{command}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH OPTIONS"), "{command}: {page}");
    }
    let whole = std::fs::read_to_string(pages.join("scopegate.1")).unwrap();
    assert!(COMMANDS.iter().all(|command| whole.contains(&format!("scopegate\\-{command}"))), "{whole}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = run(&["man", file.to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.starts_with("error: cannot write pages to ")), (Some(2), true), "{said}");
}

#[test]
fn every_help_fits_in_80_columns() {
    let whole = [vec!["-h"], vec!["--help"]];
    for arguments in
        whole.into_iter().chain(COMMANDS.iter().flat_map(|command| [vec![*command, "-h"], vec![*command, "--help"]]))
    {
        let text = printed(&arguments);
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert_eq!(wide, Vec::<&str>::new(), "{arguments:?}");
    }
}
