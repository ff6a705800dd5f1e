//! What came out of the tests, as people read it in a terminal.

use super::{Results, Tested};
use crate::policy::Role;
use crate::workbench::paint::{Paint, plain, wrapped};
use crate::workbench::story;

pub(super) fn text(results: &Results<'_>, paint: Paint) -> String {
    let mut parts: Vec<_> = results.failed().map(|tested| failure(results, tested, paint)).collect();
    parts.extend(untouched(results, paint));
    parts.push(summary(results, paint));
    parts.join("\n")
}

fn failure(results: &Results<'_>, tested: &Tested, paint: Paint) -> String {
    let place = format!("{}:{}", results.tests_file.display(), tested.expectation.line);
    let mut lines = vec![format!("{} {}", paint.bad("FAILED"), paint.bold(plain(&tested.expectation.name)))];
    lines.push(paint.dim(format!("  {place}")).to_string());
    lines.extend(tested.differences.iter().map(|difference| wrapped(difference, 2, 4)));
    lines.push(String::new());
    let story = story(&tested.explanation, paint);
    lines.extend(story.lines().map(|line| if line.is_empty() { String::new() } else { format!("    {line}") }));
    lines.join("\n") + "\n"
}

/// What no test touches.
fn untouched(results: &Results<'_>, paint: Paint) -> Option<String> {
    if results.is_covered() {
        return None;
    }
    let mut lines = Vec::new();
    if !results.uncovered.scopes.is_empty() {
        lines.push(paint.bold("Scopes by which no test is let through").to_string());
        lines.extend(results.uncovered.scopes.iter().map(|scope| format!("  {}", results.scope_name(*scope))));
    }
    if !results.uncovered.services.is_empty() {
        lines.push(paint.bold("Services that no test asks for").to_string());
        lines.extend(results.uncovered.services.iter().map(|listing| {
            let of = match listing.role {
                Role::Public => "public".to_owned(),
                Role::Grant { scope, .. } => results.scope_name(scope).to_owned(),
                Role::TokenEndpoint(_) => "token endpoint".to_owned(),
            };
            format!("  {}  {}", listing.service, paint.dim(format!("({of})")))
        }));
    }
    if !results.uncovered.exceptions.is_empty() {
        lines.push(paint.bold("Exceptions that take nothing from any test").to_string());
        lines.extend(results.uncovered.exceptions.iter().map(|except| {
            let of = paint.dim(format!("({})", results.scope_name(except.scope))).to_string();
            format!("  {}  {of}", except.service)
        }));
    }
    Some(lines.join("\n") + "\n")
}

fn summary(results: &Results<'_>, paint: Paint) -> String {
    let failed = results.failed().count();
    let passed = results.tests.len() - failed;
    let policy = &results.configuration.policy;
    let scopes = policy.scopes().len();
    let services = policy.services().len() + policy.exceptions().count();
    let verdict = if failed == 0 {
        paint.good(format!("{passed} passed")).to_string()
    } else {
        format!("{passed} passed, {}", paint.bad(format!("{failed} failed")))
    };
    format!(
        "{}: {verdict}; {} of {scopes} scopes and privileges and {} of {services} services and exceptions are touched\n",
        results.tests_file.display(),
        scopes - results.uncovered.scopes.len(),
        services - results.uncovered.services.len() - results.uncovered.exceptions.len(),
    )
}
