//! `scopegate review --audit FILE`: rights that recorded requests made no use of, and a patch that
//! takes them away.

mod text;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use similar::TextDiff;

use super::{Exit, audit_log, file};
use crate::config::{Configuration, Narrowing, Source, SourceFile, compile, narrowed};
use crate::workbench::paint::Paint;
use crate::workbench::review::{Finding, Usage};

/// What `review` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
A right that is needed once a year is not in a week's log: read the proposal
before it is applied.

Examples:
  scopegate review --audit audit.jsonl gateway.yaml
  scopegate review --audit audit.jsonl --format patch | git apply

Exit codes: 0 reviewed, 2 a file cannot be read.")]
pub struct Arguments {
    /// The audit log: JSON, a line a request.
    #[arg(long, value_name = "FILE")]
    audit: PathBuf,
    /// The policy file.
    #[arg(default_value = "gateway.yaml")]
    file: PathBuf,
    /// How to print what is found.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How the review is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    #[value(alias = "human")]
    Text,
    /// For programs.
    Json,
    /// The proposal alone, for `git apply` or `patch -p1`.
    Patch,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let source = match SourceFile::read(&arguments.file) {
        Ok(source) => source,
        Err(error) => return file::unusable(&error),
    };
    let configuration = match compile(&source.source()) {
        Ok(configuration) => configuration,
        Err(problems) => return file::bad(&problems),
    };
    let policy = &configuration.policy;
    let usage = audit_log::read(&arguments.audit, |usage: &mut Usage, line, _| usage.add(policy, line), Usage::merge);
    let usage = match usage {
        Ok(usage) => usage,
        Err(error) => return file::unusable(&error),
    };
    let view = View {
        findings: usage.findings(policy),
        patch: patch(&source.source(), &configuration, &usage),
        usage: &usage,
    };
    let out = io::stdout();
    let paint = Paint { styled: super::is_styled(out.is_terminal()) };
    let printed = match arguments.format {
        Format::Text => text::text(&view, paint),
        Format::Json => written(&view),
        Format::Patch => view.patch.clone(),
    };
    // Whoever closed the output has no use for the rest.
    let _ = out.lock().write_all(printed.as_bytes());
    Exit::Good
}

/// What is found, and the proposal.
struct View<'u> {
    usage: &'u Usage,
    findings: Vec<Finding>,
    /// Empty if there is nothing to propose.
    patch: String,
}

/// The proposal as a unified diff. What would make the file one that is refused is left out of it.
fn patch(source: &Source<'_>, configuration: &Configuration, usage: &Usage) -> String {
    let narrowings = usage.narrowings(&configuration.policy, &ceilings(source.text));
    let is_good = |narrowings: &[Narrowing]| {
        let text = narrowed(source.text, narrowings);
        compile(&Source { text: &text, ..*source }).is_ok()
    };
    let good = if is_good(&narrowings) {
        narrowings
    } else {
        narrowings.into_iter().fold(Vec::new(), |mut good: Vec<Narrowing>, narrowing| {
            good.push(narrowing);
            if !is_good(&good) {
                good.pop();
            }
            good
        })
    };
    let text = narrowed(source.text, &good);
    if text == source.text {
        return String::new();
    }
    let name =
        std::path::Path::new(source.shown).file_name().map_or("gateway.yaml".into(), |name| name.to_string_lossy());
    let diff = TextDiff::from_lines(source.text, &text);
    diff.unified_diff().context_radius(3).header(&format!("a/{name}"), &format!("b/{name}")).to_string()
}

/// Each client's `scopes`, as the file writes them.
fn ceilings(text: &str) -> Vec<Vec<String>> {
    let document: serde_yaml::Value = serde_yaml::from_str(text).unwrap_or_default();
    let clients = document.get("clients").and_then(serde_yaml::Value::as_sequence);
    let of_client = |client: &serde_yaml::Value| {
        let scopes = client.get("scopes").and_then(serde_yaml::Value::as_sequence);
        let names = scopes.into_iter().flatten().map(|name| name.as_str().unwrap_or_default().to_owned());
        names.collect()
    };
    clients.into_iter().flatten().map(of_client).collect()
}

fn written(view: &View<'_>) -> String {
    let value = json!({
        "requests": view.usage.lines,
        "allowed": view.usage.allowed,
        "from": view.usage.first,
        "to": view.usage.last,
        "findings": view.findings.iter().map(finding).collect::<Vec<_>>(),
        "patch": view.patch,
    });
    format!("{value:#}\n")
}

fn finding(finding: &Finding) -> Value {
    match finding {
        Finding::ClientIdle { client } => json!({ "finding": "client_idle", "client": client }),
        Finding::CeilingUnused { client, scopes } => {
            json!({ "finding": "ceiling_unused", "client": client, "scopes": scopes })
        }
        Finding::CarriedUnused { client, scopes, used } => {
            json!({ "finding": "carried_unused", "client": client, "scopes": scopes, "used": used })
        }
        Finding::OwnWouldDo { scope, requests } => {
            json!({ "finding": "own_would_do", "scope": scope, "requests": requests })
        }
        Finding::ClientOwnWouldDo { client, scope, requests } => {
            json!({ "finding": "client_own_would_do", "client": client, "scope": scope, "requests": requests })
        }
        Finding::OtherAccounts { client, scope, accounts, count, has_more } => json!({
            "finding": "other_accounts",
            "client": client,
            "scope": scope,
            "accounts": accounts,
            "count": count,
            "has_more": has_more,
        }),
        Finding::ServicesIdle { api, services } => {
            json!({ "finding": "services_idle", "api": api, "services": services })
        }
        Finding::DeprecatedUsed { scope, clients } => {
            let clients = clients.iter().map(|(client, last)| json!({ "client": client, "last": last }));
            json!({ "finding": "deprecated_used", "scope": scope, "clients": clients.collect::<Vec<_>>() })
        }
        Finding::Reported { api, reasons } => json!({
            "finding": "reported",
            "api": api,
            "reasons": reasons.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
        }),
        Finding::DeprecatedIdle { scope } => json!({ "finding": "deprecated_idle", "scope": scope }),
    }
}
