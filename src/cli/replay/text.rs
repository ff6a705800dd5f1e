//! The result as people read it, in a terminal and in a pull request.

use super::{View, kind, why};
use crate::workbench::paint::{Paint, plain, wrapped};
use crate::workbench::replay::{Change, Count, Group, Sighting};

/// More groups of a kind than this are counted only; JSON has them.
const MOST_SHOWN: usize = 25;

const TITLES: [&str; 3] = ["Would be let through", "Would be refused", "Would be refused for another reason"];

pub(super) fn text(view: &View<'_>, paint: Paint) -> String {
    let mut lines = Vec::new();
    for (wanted, title) in (0..).zip(TITLES) {
        let groups: Vec<_> = view.groups.iter().filter(|(group, _)| kind(group.change) == wanted).collect();
        if groups.is_empty() {
            continue;
        }
        lines.push(paint.bold(title).to_string());
        for (group, count) in groups.iter().take(MOST_SHOWN) {
            lines.push(wrapped(&format!("{} {}", count.count, what(group, count)), 2, 6));
            lines.push(paint.dim(wrapped(&format!("e.g. {}", example(&count.example)), 6, 8)).to_string());
        }
        if groups.len() > MOST_SHOWN {
            lines.push(format!("  and {} more groups (--format json has them)", groups.len() - MOST_SHOWN));
        }
        lines.push(String::new());
    }
    if !view.unjudged.is_empty() {
        lines.push(paint.bold("Not judged again").to_string());
        for (unjudged, count) in &view.unjudged {
            lines.push(wrapped(&format!("{}: {}", count.count, why(**unjudged)), 2, 6));
            lines.push(paint.dim(wrapped(&format!("e.g. {}", example(&count.example)), 6, 8)).to_string());
        }
        lines.push(String::new());
    }
    lines.push(wrapped(&summary(view), 0, 0));
    lines.join("\n") + "\n"
}

fn summary(view: &View<'_>) -> String {
    let [allowed, denied, otherwise] = view.counts();
    let unjudged: u64 = view.unjudged.iter().map(|(_, count)| count.count).sum();
    let beyond = match view.tally.beyond {
        0 => String::new(),
        beyond => format!(" {beyond} more change in other ways than are kept apart."),
    };
    format!(
        "Of {} requests {} would be answered the same, {allowed} be let through that were refused, {denied} be \
         refused that were let through, {otherwise} be refused for another reason; {unjudged} could not be judged \
         again.{beyond}",
        view.tally.lines, view.tally.same
    )
}

/// Whose requests they are, and for what.
fn what(group: &Group, count: &Count) -> String {
    let client =
        group.client.as_deref().map_or_else(|| "without a client".to_owned(), |client| format!("of {}", plain(client)));
    let by = group.scope.as_deref().map(|scope| format!(" by {}", plain(scope))).unwrap_or_default();
    let service = group.service.as_deref().map(|service| format!(" for {}", plain(service))).unwrap_or_default();
    let end = match group.change {
        Change::Allowed => format!(", refused as {}", plain(&count.example.reason)),
        Change::Denied(reason) => format!(": {reason}"),
        Change::Otherwise(reason) => format!(": {reason} instead of {}", plain(&count.example.reason)),
    };
    format!("{client}{by}{service}{end}")
}

fn example(sighting: &Sighting) -> String {
    let time = sighting.time.as_deref().map(|time| format!(" at {}", plain(time))).unwrap_or_default();
    let (method, path) = (plain(&sighting.method), plain(&sighting.path));
    format!("{method} {path}{time}, request {}, line {}", plain(&sighting.request_id), sighting.line)
}

pub(super) fn markdown(view: &View<'_>) -> String {
    let mut text = format!("## What recorded requests come to\n\n{}\n", summary(view));
    for (wanted, title) in (0..).zip(TITLES) {
        let groups: Vec<_> = view.groups.iter().filter(|(group, _)| kind(group.change) == wanted).collect();
        if groups.is_empty() {
            continue;
        }
        text.extend([format!("\n### {title}\n\n| Requests | What | Example |\n|---:|---|---|\n")]);
        for (group, count) in groups.iter().take(MOST_SHOWN) {
            let cells = [count.count.to_string(), code(&what(group, count)), code(&example(&count.example))];
            text.extend(["| ", &cells.join(" | "), " |\n"]);
        }
    }
    if !view.unjudged.is_empty() {
        text += "\n### Not judged again\n\n";
        for (unjudged, count) in &view.unjudged {
            text.extend([format!("- {}: {}\n", count.count, why(**unjudged))]);
        }
    }
    text
}

/// A text as code; a backtick would end it and a bar the cell.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}
