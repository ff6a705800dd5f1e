//! `scopegate check`: all that is wrong with a file, or that it is good, and what is to be said of it.

mod written;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Exit;
use crate::config::{self, Configuration, Problem, Remark, SourceFile, Subject, remarked, rendered};
use crate::policy::Policy;
use crate::workbench::{AdviceKind, advice};

/// What `check` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Errors make a file useless, and the gateway refuses it. Advice is what a
reviewer would ask about a file that is good.

Examples:
  scopegate check gateway.yaml --strict
  scopegate check gateway.yaml --format sarif > scopegate.sarif

Exit codes: 0 good, 1 there are errors (or advice, with --strict), 2 the file
cannot be read.")]
pub struct Arguments {
    /// The file to check.
    #[arg(default_value = "gateway.yaml")]
    file: PathBuf,
    /// Fail if there is advice.
    #[arg(long)]
    strict: bool,
    /// How to print what is found: text on standard error, all else on standard output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How what is found is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    #[value(alias = "human")]
    Text,
    /// For programs.
    Json,
    /// Annotations of GitHub's workflows.
    Github,
    /// SARIF 2.1.0, for code scanners.
    Sarif,
}

/// What was found of a file.
struct Found<'a> {
    shown: &'a str,
    problems: Vec<Problem>,
    /// What errors there are beside them.
    trailer: String,
    /// Where it is good.
    configuration: Option<Configuration>,
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
    let found = find(&file);
    let is_bad = found.configuration.is_none() || arguments.strict && !found.problems.is_empty();
    let written = match arguments.format {
        Format::Text => text(&found, out, err, styled),
        Format::Json => writeln!(out, "{:#}", written::json(&found.problems)),
        Format::Github => out.write_all(written::github(&found.problems).as_bytes()),
        Format::Sarif => writeln!(out, "{:#}", written::sarif(found.shown, &found.problems)),
    };
    (written, if is_bad { Exit::Bad } else { Exit::Good })
}

fn find(file: &SourceFile) -> Found<'_> {
    let source = file.source();
    match config::compile(&source) {
        Ok(configuration) => {
            let mut remarks = advice(&configuration);
            remarks.extend(configuration.settings.shadow.as_deref().and_then(unusable));
            let problems = remarked(&remarks, &configuration.policy, &source);
            Found { shown: source.shown, problems, trailer: String::new(), configuration: Some(configuration) }
        }
        Err(problems) => {
            let (list, trailer) = (problems.list().to_vec(), problems.count() + "\n");
            Found { shown: source.shown, problems: list, trailer, configuration: None }
        }
    }
}

/// What keeps a candidate from being tried, the first of it.
fn unusable(candidate: &Path) -> Option<Remark> {
    let why = match SourceFile::read(candidate) {
        Err(unreadable) => unreadable.to_string(),
        Ok(file) => match config::compile_candidate(&file.source()) {
            Ok(_) => return None,
            Err(problems) => problems.list().first().map(ToString::to_string).unwrap_or_default(),
        },
    };
    Some(Remark {
        code: AdviceKind::ShadowUnusable.as_str(),
        subject: Subject::Shadow,
        message: format!("the candidate cannot be tried: {why}"),
        help: format!("`scopegate check {}` says all of it", candidate.display()),
    })
}

fn text(found: &Found<'_>, out: &mut dyn Write, err: &mut dyn Write, styled: bool) -> io::Result<()> {
    err.write_all(rendered(&found.problems, styled).as_bytes())?;
    err.write_all(found.trailer.as_bytes())?;
    let Some(configuration) = &found.configuration else { return Ok(()) };
    let advice = match found.problems.len() {
        0 => String::new(),
        1 => "; 1 piece of advice".to_owned(),
        count => format!("; {count} pieces of advice"),
    };
    writeln!(out, "{} is good: {}{advice}", found.shown, summary(&configuration.policy))
}

/// `5 apis, 12 scopes, 40 services`; privileges are of their scopes, and not counted.
fn summary(policy: &Policy) -> String {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let scopes = policy.scopes().iter().filter(|scope| scope.includes.is_none()).count();
    let parts = [count(policy.apis().len(), "api"), count(scopes, "scope"), count(policy.services().len(), "service")];
    parts.join(", ")
}

#[cfg(test)]
mod tests {
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
        let (written, exit) =
            check(&Arguments { file: file.to_owned(), strict: false, format }, &mut out, &mut err, false);
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
            { "severity": "error", "code": "invalid", "file": null, "line": 1, "column": 10, "message": message,
              "help": "write `version: 1`" }
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
