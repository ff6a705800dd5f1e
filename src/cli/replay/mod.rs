//! `scopegate replay --audit FILE NEW`: recorded requests judged again by another policy.

mod text;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Exit, ReportFormat, audit_log, file};
use crate::workbench::paint::Paint;
use crate::workbench::replay::{Change, Count, Group, Sighting, Tally, Unjudged};

/// What `replay` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
What the log does not hold is not guessed: such requests are counted apart, with
the reason.

Example:
  scopegate replay --audit audit.jsonl candidate.yaml

Exit codes: 0 judged (1 with --exit-code, if an answer changes), 2 a file cannot
be read.")]
pub struct Arguments {
    /// The audit log: JSON, a line a request.
    #[arg(long, value_name = "FILE")]
    audit: PathBuf,
    /// The policy file to judge by.
    new: PathBuf,
    /// How to print what changes.
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Exit with 1 if a request would be answered in another way.
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let configuration = match file::configuration(&arguments.new) {
        Ok(configuration) => configuration,
        Err(exit) => return exit,
    };
    let policy = &configuration.policy;
    let tally =
        audit_log::read(&arguments.audit, |tally: &mut Tally, line, at| tally.add(policy, line, at), Tally::merge);
    let tally = match tally {
        Ok(tally) => tally,
        Err(error) => return file::unusable(&error),
    };
    let out = io::stdout();
    let paint = Paint { styled: super::is_styled(out.is_terminal()) };
    let view = View::new(&tally);
    let printed = match arguments.format {
        ReportFormat::Text => text::text(&view, paint),
        ReportFormat::Json => json(&view),
        ReportFormat::Markdown => text::markdown(&view),
    };
    // Whoever closed the output has no use for the rest.
    let _ = out.lock().write_all(printed.as_bytes());
    let changes = tally.beyond > 0 || !tally.groups.is_empty();
    if arguments.exit_code && changes { Exit::Bad } else { Exit::Good }
}

/// The tally in the order in which it is shown.
struct View<'t> {
    tally: &'t Tally,
    /// What is let through first, the most frequent first.
    groups: Vec<(&'t Group, &'t Count)>,
    unjudged: Vec<(&'t Unjudged, &'t Count)>,
}

impl<'t> View<'t> {
    fn new(tally: &'t Tally) -> Self {
        let mut groups: Vec<_> = tally.groups.iter().collect();
        groups.sort_by_key(|(group, count)| (kind(group.change), std::cmp::Reverse(count.count), *group));
        let mut unjudged: Vec<_> = tally.unjudged.iter().collect();
        unjudged.sort_by_key(|(why, count)| (std::cmp::Reverse(count.count), **why));
        Self { tally, groups, unjudged }
    }

    /// How many become allowed, become denied, and are denied for another reason.
    fn counts(&self) -> [u64; 3] {
        [0, 1, 2].map(|wanted| self.tally.changed(|change| kind(change) == wanted))
    }
}

fn kind(change: Change) -> u8 {
    match change {
        Change::Allowed => 0,
        Change::Denied(_) => 1,
        Change::Otherwise(_) => 2,
    }
}

fn why(unjudged: Unjudged) -> &'static str {
    match unjudged {
        Unjudged::Ambiguous => "they were ambiguous",
        Unjudged::Token => "their tokens were no good, or could not be checked",
        Unjudged::NotForApi => "they were for the gateway itself, or for a token",
        Unjudged::OldLine => "they were recorded by a version that did not write down what it takes",
        Unjudged::AccountElsewhere => "the new file looks for their account where it was not looked for",
        Unjudged::AccountAmbiguous => "they named different accounts, which the log does not have",
        Unjudged::Unreadable => "their path, host, account or certificate cannot be read as it was",
    }
}

fn json(view: &View<'_>) -> String {
    let [allowed, denied, otherwise] = view.counts();
    let groups = view.groups.iter().map(|(group, count)| {
        let (change, reason) = match group.change {
            Change::Allowed => ("allowed", None),
            Change::Denied(reason) => ("denied", Some(reason.as_str())),
            Change::Otherwise(reason) => ("denied_otherwise", Some(reason.as_str())),
        };
        json!({
            "change": change,
            "reason": reason,
            "client": group.client,
            "scope": group.scope,
            "service": group.service,
            "count": count.count,
            "example": example(&count.example),
        })
    });
    let unjudged = view.unjudged.iter().map(
        |(unjudged, count)| json!({ "why": why(**unjudged), "count": count.count, "example": example(&count.example) }),
    );
    let value = json!({
        "requests": view.tally.lines,
        "same": view.tally.same,
        "allowed": allowed,
        "denied": denied,
        "denied_otherwise": otherwise,
        "changes": groups.collect::<Vec<_>>(),
        "changes_beyond_those": view.tally.beyond,
        "not_judged_again": unjudged.collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn example(sighting: &Sighting) -> Value {
    json!({
        "line": sighting.line,
        "time": sighting.time,
        "request_id": sighting.request_id,
        "method": sighting.method,
        "path": sighting.path,
        "reason": sighting.reason,
    })
}
