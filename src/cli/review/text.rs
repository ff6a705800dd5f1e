//! The review as people read it in a terminal.

use super::View;
use crate::workbench::paint::{Paint, plain, wrapped};
use crate::workbench::review::Finding;

/// More names than this are counted.
const MOST_NAMES: usize = 12;

pub(super) fn text(view: &View<'_>, paint: Paint) -> String {
    let mut lines = Vec::new();
    let (from, to) = (view.usage.first.as_deref().unwrap_or("?"), view.usage.last.as_deref().unwrap_or("?"));
    let all = format!(
        "{} requests from {} to {}, of which {} were let through. What they made no use of:",
        view.usage.lines,
        plain(from),
        plain(to),
        view.usage.allowed
    );
    lines.push(wrapped(&all, 0, 0));
    lines.push(String::new());
    for (title, body) in sections(&view.findings) {
        lines.push(paint.bold(title).to_string());
        lines.extend(body.iter().map(|text| wrapped(text, 2, 4)));
        lines.push(String::new());
    }
    if view.findings.is_empty() {
        lines.push("Nothing: every right was used.".to_owned());
    } else if view.patch.is_empty() {
        lines.push("There is nothing to propose that the log alone could tell.".to_owned());
    } else {
        let about = "The proposal; `--format patch` prints it alone, for `git apply` or `patch -p1`. A right that is \
                     needed once a year is not in a week's log.";
        lines.push(wrapped(about, 0, 0));
        lines.push(String::new());
        lines.push(view.patch.trim_end().to_owned());
    }
    lines.join("\n") + "\n"
}

fn sections(findings: &[Finding]) -> Vec<(&'static str, Vec<String>)> {
    let mut sections: Vec<(&'static str, Vec<String>)> = Vec::new();
    for finding in findings {
        let (title, line) = words(finding);
        match sections.iter_mut().find(|(known, _)| *known == title) {
            Some((_, lines)) => lines.push(line),
            None => sections.push((title, vec![line])),
        }
    }
    sections
}

fn words(finding: &Finding) -> (&'static str, String) {
    match finding {
        Finding::ClientIdle { client } => ("Clients that made no request", plain(client)),
        Finding::CeilingUnused { client, scopes } => {
            ("Scopes that a client may hold and never used", format!("{}: {}", plain(client), names(scopes)))
        }
        Finding::CarriedUnused { client, scopes, used } => {
            let used = if used.is_empty() { "none".to_owned() } else { names(used) };
            let text = format!("{}: {}; it has no ceiling, and used {used}", plain(client), names(scopes));
            ("Scopes that a client carries and never used", text)
        }
        Finding::OwnWouldDo { scope, requests } => (
            "Any account, where the own one would do",
            format!("{}: its {requests} requests were all for the caller's own account", plain(scope)),
        ),
        Finding::ClientOwnWouldDo { client, scope, requests } => (
            "Any account, where the own one would do",
            format!("{} by {}: its {requests} requests were for its own account", plain(client), plain(scope)),
        ),
        Finding::OtherAccounts { client, scope, accounts, count, has_more } => {
            let more = if *has_more { " and more" } else { "" };
            let shown = names(accounts);
            let text = format!("{} by {}: {count} accounts{more}, such as {shown}", plain(client), plain(scope));
            ("Accounts of others that were touched", text)
        }
        Finding::ServicesIdle { api, services } => {
            ("Services that nobody called", format!("{}: {}", plain(api), names(services)))
        }
        Finding::DeprecatedUsed { scope, clients } => {
            let by = clients.iter().map(|(client, last)| match last {
                Some(last) => format!("{} (last at {})", plain(client), plain(last)),
                None => plain(client),
            });
            let by: Vec<_> = by.take(MOST_NAMES).collect();
            ("Deprecated scopes that are still used", format!("{}: by {}", plain(scope), by.join(", ")))
        }
        Finding::Reported { api, reasons } => {
            let counts: Vec<_> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            ("Apis that only report what they would refuse", format!("{}: {}", plain(api), counts.join(", ")))
        }
        Finding::DeprecatedIdle { scope } => ("Deprecated scopes that nobody used", plain(scope)),
    }
}

fn names(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(MOST_NAMES).map(|name| plain(name)).collect();
    if names.len() > MOST_NAMES {
        shown.push(format!("{} more", names.len() - MOST_NAMES));
    }
    shown.join(", ")
}
