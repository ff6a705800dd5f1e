//! `scopegate test`: a policy held against what `gateway.tests.yaml` expects of it.

mod report;
mod text;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::{Exit, file};
use crate::config::{Configuration, Expectation, Expected, SourceFile, expectations};
use crate::gateway::{Head, Rehearsal};
use crate::policy::{Basis, ScopeId};
use crate::workbench::paint::Paint;
use crate::workbench::{Coverage, Ending, Explanation, Question, Rehearsed, Sent, TokenChecks, TokenKind, Uncovered};

/// What `test` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
A file of tests is a list:

  - name: acme reads its own orders
    request: GET /orders/acme
    as: { client: app, accounts: acme, scopes: [orders_read] }
    expect: allow
    scope: orders_read
  - request: GET /orders/acme
    as: anonymous
    expect: deny
    reason: token_missing

Exit codes: 0 all is as expected, 1 something is not, 2 a file cannot be read.")]
pub struct Arguments {
    /// The policy file.
    #[arg(default_value = "gateway.yaml")]
    file: PathBuf,
    /// The file of tests; if left out, it is beside the policy: `gateway.tests.yaml`.
    #[arg(long, value_name = "FILE")]
    tests: Option<PathBuf>,
    /// Fail too if some scope or service is touched by no test.
    #[arg(long)]
    covered: bool,
    /// How to print what came out.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    #[value(alias = "human")]
    Text,
    /// For programs.
    Json,
    /// For pipelines: XML, a case for each test.
    Junit,
}

/// What came out.
struct Results<'c> {
    policy_file: &'c Path,
    tests_file: &'c Path,
    configuration: &'c Configuration,
    tests: Vec<Tested>,
    uncovered: Uncovered<'c>,
}

/// One test.
struct Tested {
    expectation: Expectation,
    /// What is not as expected; empty where all is.
    differences: Vec<String>,
    explanation: Explanation,
    took: Duration,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let tests_file = arguments.tests.clone().unwrap_or_else(|| beside(&arguments.file));
    let configuration = match file::configuration(&arguments.file) {
        Ok(configuration) => configuration,
        Err(exit) => return exit,
    };
    let source = match SourceFile::read(&tests_file) {
        Ok(source) => source,
        Err(unreadable) => return file::unusable(&unreadable),
    };
    let expected = match expectations(&source.source(), &configuration) {
        Ok(expected) => expected,
        Err(problems) => return file::bad(&problems),
    };
    let (tests, coverage) = tested(&configuration, expected);
    let uncovered = coverage.uncovered(&configuration.policy);
    let (policy_file, tests_file) = (&*arguments.file, &*tests_file);
    let results = Results { policy_file, tests_file, configuration: &configuration, tests, uncovered };
    let out = io::stdout();
    let printed = match arguments.format {
        Format::Text => text::text(&results, Paint { styled: super::is_styled(out.is_terminal()) }),
        Format::Json => report::json(&results),
        Format::Junit => report::junit(&results),
    };
    // Whoever closed the output has no use for the rest.
    let _ = out.lock().write_all(printed.as_bytes());
    let is_covered = !arguments.covered || results.is_covered();
    if results.failed().next().is_none() && is_covered { Exit::Good } else { Exit::Bad }
}

/// `gateway.tests.yaml` for `gateway.yaml`.
fn beside(file: &Path) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    file.with_file_name(format!("{stem}.tests.yaml"))
}

impl Results<'_> {
    fn failed(&self) -> impl Iterator<Item = &Tested> {
        self.tests.iter().filter(|tested| !tested.differences.is_empty())
    }

    fn is_covered(&self) -> bool {
        let Uncovered { scopes, services, exceptions } = &self.uncovered;
        scopes.is_empty() && services.is_empty() && exceptions.is_empty()
    }

    fn scope_name(&self, scope: ScopeId) -> &str {
        self.configuration.policy.scope(scope).map_or("", |scope| scope.name.as_str())
    }
}

fn tested(configuration: &Configuration, expected: Vec<Expectation>) -> (Vec<Tested>, Coverage) {
    let rehearsal = Rehearsal::new(&configuration.policy, &configuration.settings);
    let mut coverage = Coverage::default();
    let tests = expected.into_iter().map(|expectation| {
        let started = Instant::now();
        let head = Head {
            method: &expectation.method,
            target: &expectation.target,
            headers: &expectation.headers,
            peer: None,
            certificate: expectation.certificate.as_ref(),
            form: expectation.form.as_bytes(),
        };
        let rehearsed = rehearsal.judge(&head, |_| Ok(expectation.caller.clone()));
        coverage.add(&configuration.policy, &rehearsed);
        let differences = differences(configuration, &expectation, &rehearsed);
        let explanation = explanation(configuration, &expectation, &rehearsed);
        Tested { differences, explanation, took: started.elapsed(), expectation }
    });
    (tests.collect(), coverage)
}

fn explanation(configuration: &Configuration, expectation: &Expectation, rehearsed: &Rehearsed<'_>) -> Explanation {
    let question = Question {
        policy: &configuration.policy,
        settings: &configuration.settings,
        method: expectation.method.as_str(),
        target: &expectation.target,
        host: expectation.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()),
        // A caller of tests is good at any time.
        now: None,
        kind: if expectation.caller.is_some() { TokenKind::Claims } else { TokenKind::None },
        checks: TokenChecks::default(),
    };
    Explanation::new(question, rehearsed)
}

/// What came of a request that is not as expected.
fn differences(configuration: &Configuration, expectation: &Expectation, rehearsed: &Rehearsed<'_>) -> Vec<String> {
    let policy = &configuration.policy;
    let (word, found, reason) = match &rehearsed.ending {
        Ending::Forwarded(Sent { reported: None, .. }) => ("allowed", Expected::Allow, rehearsed.reason),
        Ending::Forwarded(Sent { reported: Some(denial), .. }) => {
            ("let through by an api that only reports", Expected::Report, denial.reason())
        }
        Ending::Refused(..) => ("denied", Expected::Deny, rehearsed.reason),
        Ending::Answered(..) => ("answered by the gateway itself", Expected::Allow, rehearsed.reason),
    };
    let mut differences = Vec::new();
    if found != expectation.expected {
        let expected = expectation.expected.as_str();
        differences.push(format!("expected {expected}, and it is {word}: {reason}"));
    } else if let Some(expected) = expectation.reason.filter(|expected| *expected != reason) {
        differences.push(format!("expected the reason {expected}, and it is {reason}"));
    }
    if let Some(expected) = expectation.api.filter(|expected| rehearsed.api != Some(*expected)) {
        let name = |id| policy.api(id).map_or("none", |api| api.name.as_str());
        let found = rehearsed.api.map_or("none", name);
        differences.push(format!("expected the api {}, and it is {found}", name(expected)));
    }
    let by = match &rehearsed.ending {
        Ending::Forwarded(sent) => match sent.basis {
            Basis::Public | Basis::TokenEndpoint(_) | Basis::Reported => None,
            Basis::Scope(scope) => Some(scope),
        },
        Ending::Refused(..) | Ending::Answered(..) => None,
    };
    if let Some(expected) = expectation.scope.filter(|expected| by != Some(*expected)) {
        let name = |id| policy.scope(id).map_or("none", |scope| scope.name.as_str());
        let found = by.map_or("none", name);
        differences.push(format!("expected to be let through by the scope {}, and it is by {found}", name(expected)));
    }
    differences
}
