//! `scopegate check`: all that is wrong with a file, or one line that says that it is good.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{Exit, Format};
use crate::config::{self, Problem, Problems, SourceFile};
use crate::policy::Policy;

/// What `check` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The file to check.
    #[arg(default_value = "gateway.yaml")]
    file: PathBuf,
    /// How to print what is wrong: text on standard error, JSON on standard output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let stderr = io::stderr();
    let styled = super::is_styled(stderr.is_terminal());
    // Whoever closed the output has no use for the rest; the exit code still says how it is.
    check(arguments, &mut io::stdout().lock(), &mut stderr.lock(), styled).1
}

/// The exit, and whether all could be written.
fn check(arguments: &Arguments, out: &mut dyn Write, err: &mut dyn Write, styled: bool) -> (io::Result<()>, Exit) {
    let file = match SourceFile::read(&arguments.file) {
        Ok(file) => file,
        Err(unreadable) => return (writeln!(err, "error: {unreadable}"), Exit::Unusable),
    };
    let source = file.source();
    match (config::compile(&source), arguments.format) {
        (Ok(configuration), Format::Text) => {
            (writeln!(out, "{} is good: {}", source.shown, summary(&configuration.policy)), Exit::Good)
        }
        (Ok(_), Format::Json) => (writeln!(out, "[]"), Exit::Good),
        (Err(problems), Format::Text) => (err.write_all(problems.render(styled).as_bytes()), Exit::Bad),
        (Err(problems), Format::Json) => (write_json(&problems, out), Exit::Bad),
    }
}

/// `5 apis, 12 scopes, 40 services`; privileges are of their scopes, and not counted.
fn summary(policy: &Policy) -> String {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let scopes = policy.scopes().iter().filter(|scope| scope.includes.is_none()).count();
    let parts = [count(policy.apis().len(), "api"), count(scopes, "scope"), count(policy.services().len(), "service")];
    parts.join(", ")
}

#[derive(Serialize)]
struct Shown<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    message: &'a str,
    help: Option<&'a str>,
}

fn write_json(problems: &Problems, out: &mut dyn Write) -> io::Result<()> {
    let shown: Vec<_> = problems.list().iter().map(shown).collect();
    serde_json::to_writer_pretty(&mut *out, &shown)?;
    writeln!(out)
}

fn shown(problem: &Problem) -> Shown<'_> {
    Shown {
        file: &problem.file,
        line: problem.line,
        column: problem.column,
        message: &problem.message,
        help: problem.help.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const GOOD: &str = "\
version: 1
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { u: { servers: [\"127.0.0.1:9000\"] } }
apis: [{ name: a, upstream: u, public: [/health, /ready] }]
";

    /// The exit, standard output and standard error, with the directory's name taken out.
    fn checked(text: &[u8], format: Format) -> (Exit, String, String) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gateway.yaml");
        std::fs::write(&file, text).unwrap();
        printed(&file, format, directory.path())
    }

    fn printed(file: &Path, format: Format, directory: &Path) -> (Exit, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (written, exit) = check(&Arguments { file: file.to_owned(), format }, &mut out, &mut err, false);
        written.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(&format!("{}/", directory.display()), "");
        (exit, text(out), text(err))
    }

    #[test]
    fn a_good_file_is_one_line_and_0() {
        let out = "gateway.yaml is good: 1 api, 0 scopes, 2 services\n".to_owned();
        assert_eq!(checked(GOOD.as_bytes(), Format::Text), (Exit::Good, out, String::new()));
        assert_eq!(checked(GOOD.as_bytes(), Format::Json), (Exit::Good, "[]\n".to_owned(), String::new()));
    }

    #[test]
    fn a_bad_file_is_its_problems_on_standard_error_and_1() {
        let (exit, out, err) = checked(GOOD.replace("version: 1", "version: 2").as_bytes(), Format::Text);
        assert_eq!((exit, &*out), (Exit::Bad, ""));
        assert!(err.starts_with("error: `2` is not a version that is known\n --> gateway.yaml:1:10\n"), "{err}");
        assert!(err.ends_with("\n1 problem in gateway.yaml\n"), "{err}");
    }

    #[test]
    fn a_bad_file_is_a_list_on_standard_output_for_programs() {
        let (exit, out, err) = checked(GOOD.replace("version: 1", "version: 2").as_bytes(), Format::Json);
        assert_eq!((exit, &*err), (Exit::Bad, ""));
        let mut list: serde_json::Value = serde_json::from_str(&out).unwrap();
        // What the file is called depends on where the test runs.
        assert!(list[0]["file"].take().as_str().unwrap().ends_with("gateway.yaml"));
        let message = "`2` is not a version that is known";
        let expected = serde_json::json!([
            { "file": null, "line": 1, "column": 10, "message": message, "help": "write `version: 1`" }
        ]);
        assert_eq!(list, expected);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_2() {
        let (exit, out, err) = checked(b"a: \xff", Format::Text);
        assert_eq!((exit, &*out), (Exit::Unusable, ""));
        assert_eq!(err, "error: gateway.yaml:1:4: this is not UTF-8; save the file as UTF-8\n");
        let directory = tempfile::tempdir().unwrap();
        let (exit, _, err) = printed(&directory.path().join("none.yaml"), Format::Json, directory.path());
        assert_eq!(exit, Exit::Unusable);
        assert!(err.starts_with("error: cannot read none.yaml: "), "{err}");
    }
}
