//! What was found as other programs take it: JSON, the annotations of GitHub's workflows, SARIF.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::{INVALID, Problem, Severity};
use crate::workbench::AdviceKind;

#[derive(Serialize)]
struct Shown<'a> {
    severity: &'static str,
    code: &'static str,
    file: &'a str,
    line: usize,
    column: usize,
    message: &'a str,
    help: Option<&'a str>,
}

/// A list, in the order of the file.
pub(super) fn json(problems: &[Problem]) -> Value {
    let shown = |problem: &'_ Problem| {
        json!(Shown {
            severity: match problem.severity {
                Severity::Error => "error",
                Severity::Advice => "advice",
            },
            code: problem.code,
            file: &problem.file,
            line: problem.line,
            column: problem.column,
            message: &problem.message,
            help: problem.help.as_deref(),
        })
    };
    problems.iter().map(shown).collect()
}

/// A workflow command each: `::error file=…,line=…,col=…,title=…::message`.
pub(super) fn github(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let command = match problem.severity {
            Severity::Error => "error",
            Severity::Advice => "warning",
        };
        let file = property(&problem.file);
        let Problem { line, column, code, .. } = problem;
        let message = data(&said(problem));
        // Writing to a text cannot fail.
        let _ = writeln!(text, "::{command} file={file},line={line},col={column},title={code}::{message}");
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// One run, with a rule for each kind of advice and one for what makes a file no good.
pub(super) fn sarif(file: &str, problems: &[Problem]) -> Value {
    let rule = |id: &str, about: &str| json!({ "id": id, "shortDescription": { "text": about } });
    let rules = AdviceKind::ALL.iter().map(|kind| rule(kind.as_str(), kind.about()));
    let rules: Vec<_> = std::iter::once(rule(INVALID, "The file is no good.")).chain(rules).collect();
    let result = |problem: &Problem| {
        let region = json!({ "startLine": problem.line, "startColumn": problem.column });
        let place = json!({ "artifactLocation": { "uri": uri(&problem.file) }, "region": region });
        let level = match problem.severity {
            Severity::Error => "error",
            Severity::Advice => "warning",
        };
        let message = json!({ "text": said(problem) });
        json!({ "ruleId": problem.code, "level": level, "message": message, "locations": [{ "physicalLocation": place }] })
    };
    let driver = json!({ "name": "scopegate", "version": env!("CARGO_PKG_VERSION"), "rules": rules });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver },
            "columnKind": "unicodeCodePoints",
            "artifacts": [{ "location": { "uri": uri(file) } }],
            "results": problems.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn said(problem: &Problem) -> String {
    let help = problem.help.as_ref().map_or(String::new(), |help| format!("; {help}"));
    format!("{}{help}", problem.message)
}

/// A path as a URI reference (RFC 3986): what is more than a path is encoded.
fn uri(path: &str) -> String {
    let kept = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
    path.bytes().map(|byte| if kept(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
