//! Files that no command can use: each is said in one message with its place, ends with exit code 2, and
//! leaves nothing behind. `check` alone ends with 1 where a file's text is what is wrong.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What each file holds.
const FILES: [(&str, &[u8]); 7] = [
    ("empty", b""),
    ("binary", b"\x7fELF\x02\x01\0\0\xff\xfe\n"),
    ("latin", b"version: 1\nname: caf\xe9\n"),
    ("html", b"<!doctype html>\n<html><body>no</body></html>\n"),
    ("cut.yaml", b"version: 1\nlisteners:\n  - address: 127.0.0.1:0\nupstreams: { backend: { serv"),
    ("cut.json", b"{\"openapi\": \"3.1.0\",\n \"paths\": {"),
    ("cut.jsonl", b"{\"event\":\"registry_changed\"}\n{\"time\":\"2026-11-22T01:00:00Z\",\"requ"),
];

const GOOD: &str = "version: 1\nlisteners: [{ address: 127.0.0.1:0 }]\nupstreams: { a: { servers: ['h:1'] } }\n\
                    issuers: [{ issuer: https://i, audiences: [a], keys: { file: k } }]\n\
                    apis: [{ name: a, base_path: /a, upstream: a, public: [GET /a] }]\n";

/// The arguments in which FILE is the file, and how the message begins for each: `FILE` is its path.
const TABLE: &[(&str, &[(&str, &str)])] = &[
    (
        "scopes FILE",
        &[
            ("none", "cannot read none: No such file"),
            ("folder", "cannot read folder: Is a directory"),
            ("huge", "cannot read huge: it is larger than 64 MiB"),
            ("empty", "the file is empty\n--> empty:1:1"),
            ("binary", "binary:1:9: this is not UTF-8"),
            ("latin", "latin:2:10: this is not UTF-8"),
            ("html", "expected a mapping, found the text"),
            ("cut.yaml", "this is not YAML"),
        ],
    ),
    (
        "diff FILE good.yaml",
        &[("none", "cannot read none"), ("cut.yaml", "this is not YAML"), ("binary", "binary:1:9:")],
    ),
    (
        "diff good.yaml FILE",
        &[("folder", "cannot read folder"), ("html", "expected a mapping"), ("latin", "latin:2:10:")],
    ),
    ("explain --path /a --config FILE", &[("none", "cannot read none"), ("empty", "the file is empty")]),
    (
        "explain --path /a --config good.yaml --token-file FILE",
        &[
            ("none", "cannot read the token from none"),
            ("folder", "cannot read the token from folder: Is a directory"),
            ("empty", "there is no token in empty"),
            ("binary", "cannot read the token from binary: it is no text"),
            ("html", "the token has a character that no header can have"),
        ],
    ),
    (
        "explain --path /a --config good.yaml --jwks FILE",
        &[
            ("folder", "cannot read folder"),
            ("empty", "empty: the key set is empty"),
            ("huge", "cannot read huge: it is longer than"),
            ("html", "html: the key set is an HTML page"),
            ("cut.json", "cut.json: the key set"),
        ],
    ),
    (
        "explain --path /a --config good.yaml --client-cert FILE",
        &[
            ("none", "cannot read none"),
            ("huge", "cannot read huge: it is longer than"),
            ("binary", "binary: this is not PEM"),
            ("empty", "empty: this is not PEM"),
        ],
    ),
    (
        "test good.yaml --tests FILE",
        &[
            ("none", "cannot read none"),
            ("empty", "there is no test in this file\n--> empty:1:1"),
            ("html", "expected a list, found the text"),
            ("cut.yaml", "this is not YAML"),
        ],
    ),
    (
        "replay --audit FILE good.yaml",
        &[
            ("none", "cannot read none"),
            ("folder", "cannot read folder"),
            ("empty", "empty: there is nothing in this log"),
            ("binary", "binary:1:1: this is no audit line: expected value"),
            ("html", "html:1:1: this is no audit line: expected value"),
            ("cut.json", "cut.json:1:20: this is no audit line: EOF while parsing a value"),
            ("cut.jsonl", "cut.jsonl:2: the last line is cut off"),
            ("huge", "huge:1: this is no audit line: it is longer than 16 MiB"),
        ],
    ),
    ("replay --audit good.yaml good.yaml", &[("none", "good.yaml:1:1: this is no audit line")]),
    (
        "review --audit FILE good.yaml",
        &[("empty", "empty: there is nothing in this log"), ("cut.jsonl", "cut.jsonl:2: the last line is cut off")],
    ),
    (
        "import openapi FILE --output made.yaml",
        &[
            ("none", "cannot read none"),
            ("folder", "cannot read folder"),
            ("huge", "cannot read huge: it is larger than 64 MiB"),
            ("empty", "empty: this is no OpenAPI document"),
            ("binary", "binary:1:9: this is not UTF-8"),
            ("html", "html: this is no OpenAPI document"),
            ("cut.json", "cut.json:2:11: this is not JSON: EOF while parsing an object"),
            ("cut.yaml", "cut.yaml:5:1: this is not YAML"),
            ("good.yaml", "good.yaml: this is no OpenAPI document"),
        ],
    ),
    (
        "serve --config FILE",
        &[("none", "cannot read none"), ("folder", "cannot read folder"), ("latin", "latin:2:10:")],
    ),
    ("demo --config FILE", &[("none", "cannot read none"), ("binary", "binary:1:9:")]),
    ("man FILE", &[("html", "cannot write pages to html")]),
];

#[test]
fn a_file_that_is_no_good_is_one_message_with_its_place_and_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (name, bytes) in FILES {
        fs::write(path.join(name), bytes).unwrap();
    }
    fs::write(path.join("good.yaml"), GOOD).unwrap();
    fs::create_dir(path.join("folder")).unwrap();
    File::create(path.join("huge")).unwrap().set_len(5 << 30).unwrap();
    let before = names(path);
    for (command, cases) in TABLE {
        for (file, said) in *cases {
            let command = command.replace("FILE", file);
            let output = run(path, &command);
            let err = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{command}: {err}");
            assert!(err.starts_with(&format!("error: {said}")), "{command}: {err}");
            assert_eq!(err.matches("error: ").count(), 1, "{command}: {err}");
            assert!(err.ends_with('\n') && !err.contains("panicked"), "{command}: {err}");
        }
    }
    assert_eq!(names(path), before, "something was written");
}

#[test]
fn a_text_that_is_no_good_is_what_check_is_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in FILES {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    for (file, exit) in [("none", 2), ("binary", 2), ("latin", 2), ("empty", 1), ("html", 1), ("cut.yaml", 1)] {
        let output = run(folder.path(), &format!("check {file}"));
        assert_eq!(output.status.code(), Some(exit), "{file}: {output:?}");
        assert!(output.stderr.starts_with(b"error: ") && output.stdout.is_empty(), "{file}: {output:?}");
    }
}

#[test]
fn an_output_that_nobody_reads_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("good.yaml"), GOOD).unwrap();
    for command in [
        "scopes good.yaml",
        "check --format json good.yaml",
        "schema",
        "completions bash",
        "help",
        "diff good.yaml good.yaml",
    ] {
        // A pipe whose other end is closed at once.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = command_of(folder.path(), command).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{command}");
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn run(folder: &Path, command: &str) -> Output {
    command_of(folder, command).output().unwrap()
}

fn command_of(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scopegate"));
    command.args(arguments.split(' ')).current_dir(folder).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}
