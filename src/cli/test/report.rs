//! What came out of the tests, as other programs take it: JSON and `JUnit`'s XML.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Results, Tested};
use crate::workbench::Explanation;
use crate::workbench::paint::Paint;
use crate::workbench::story;

#[derive(Serialize)]
struct Report<'a> {
    policy: String,
    tests_file: String,
    passed: usize,
    failed: usize,
    tests: Vec<ReportedTest<'a>>,
    coverage: ReportedCoverage<'a>,
}

#[derive(Serialize)]
struct ReportedTest<'a> {
    name: &'a str,
    line: usize,
    passed: bool,
    differences: &'a [String],
    decision: &'static str,
    reason: &'static str,
    api: Option<&'a str>,
    scope: Option<&'a str>,
    /// Of what is not as expected.
    explanation: Option<&'a Explanation>,
}

#[derive(Serialize)]
struct ReportedCoverage<'a> {
    scopes: usize,
    services: usize,
    untouched_scopes: Vec<&'a str>,
    untouched_services: Vec<ReportedService<'a>>,
    untouched_exceptions: Vec<ReportedService<'a>>,
}

#[derive(Serialize)]
struct ReportedService<'a> {
    api: &'a str,
    service: &'a str,
}

pub(super) fn json(results: &Results<'_>) -> String {
    let failed = results.failed().count();
    let policy = &results.configuration.policy;
    let services = results.uncovered.services.iter().map(|listing| ReportedService {
        api: policy.api(listing.api).map_or("", |api| api.name.as_str()),
        service: listing.service.as_str(),
    });
    let exceptions = results.uncovered.exceptions.iter().map(|except| ReportedService {
        api: policy.scope(except.scope).and_then(|scope| policy.api(scope.api)).map_or("", |api| api.name.as_str()),
        service: except.service.as_str(),
    });
    let report = Report {
        policy: results.policy_file.display().to_string(),
        tests_file: results.tests_file.display().to_string(),
        passed: results.tests.len() - failed,
        failed,
        tests: results.tests.iter().map(reported).collect(),
        coverage: ReportedCoverage {
            scopes: policy.scopes().len(),
            services: policy.services().len(),
            untouched_scopes: results.uncovered.scopes.iter().map(|scope| results.scope_name(*scope)).collect(),
            untouched_services: services.collect(),
            untouched_exceptions: exceptions.collect(),
        },
    };
    // INVARIANT: texts and numbers can always be written as JSON.
    serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
}

fn reported(tested: &Tested) -> ReportedTest<'_> {
    let explanation = &tested.explanation;
    let passed = tested.differences.is_empty();
    ReportedTest {
        name: &tested.expectation.name,
        line: tested.expectation.line,
        passed,
        differences: &tested.differences,
        decision: if explanation.allowed { "allow" } else { "deny" },
        reason: explanation.reason,
        api: explanation.api.as_deref(),
        scope: explanation.granted_by.as_deref(),
        explanation: (!passed).then_some(explanation),
    }
}

/// One suite with a case for each test.
pub(super) fn junit(results: &Results<'_>) -> String {
    let file = escaped(&results.tests_file.display().to_string());
    let (count, failed) = (results.tests.len(), results.failed().count());
    let total: f64 = results.tests.iter().map(|tested| tested.took.as_secs_f64()).sum();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let numbers = format!("tests=\"{count}\" failures=\"{failed}\" errors=\"0\" time=\"{total:.6}\"");
    // Writing to a text cannot fail.
    let _ = writeln!(text, "<testsuites {numbers}>\n  <testsuite name=\"{file}\" {numbers}>");
    for tested in &results.tests {
        let name = escaped(&tested.expectation.name);
        let _ = write!(
            text,
            "    <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{}\" time=\"{:.6}\"",
            tested.expectation.line,
            tested.took.as_secs_f64(),
        );
        if tested.differences.is_empty() {
            text.push_str("/>\n");
            continue;
        }
        let message = escaped(&tested.differences.join("; "));
        let story = escaped(&story(&tested.explanation, Paint { styled: false }));
        let _ = writeln!(text, ">\n      <failure message=\"{message}\">{story}</failure>\n    </testcase>");
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// As XML 1.0 has it: the five characters that mean something, and those that may not be in it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' | '\t' => escaped.push(character),
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_place_in_xml() {
        assert_eq!(escaped("<a b=\"c\">&'\u{1b}[31m\n"), "&lt;a b=&quot;c&quot;&gt;&amp;&apos;\u{fffd}[31m\n");
    }
}
