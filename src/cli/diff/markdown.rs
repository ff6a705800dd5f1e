//! The difference as a pull request shows it.

use super::{View, words};
use crate::workbench::diff::{AccessChange, Difference, Direction};

pub(super) fn markdown(view: &View) -> String {
    let mut text = format!("## What the policy change means\n\n{}\n", view.summary());
    let Difference { access, clients, tokens, without_effect } = &view.difference;
    for (direction, title) in [(Direction::Allowed, "Newly allowed"), (Direction::Denied, "No longer allowed")] {
        let rows: Vec<String> = access.iter().filter(|line| line.direction == direction).map(row).collect();
        let others = clients.iter().filter(|line| line.direction == direction).map(|line| {
            let what = format!("{} {}", words::whose(line), words::client(line));
            format!("- {}; e.g. {}\n", cell(&what), code(&words::example(&line.example)))
        });
        let tokens = tokens
            .iter()
            .filter(|line| line.direction == direction)
            .map(|line| format!("- {}; e.g. {}\n", cell(&words::token(line)), code(&words::example(&line.example))));
        let others: String = others.chain(tokens).collect();
        if rows.is_empty() && others.is_empty() {
            continue;
        }
        text += &format!("\n### {title}\n\n");
        if !rows.is_empty() {
            text += "| Risk | Api | What | Requests | Clients | Example |\n|---|---|---|---|---|---|\n";
            text += &rows.concat();
        }
        if !others.is_empty() {
            text += &format!("{}{others}", if rows.is_empty() { "" } else { "\n" });
        }
    }
    if !without_effect.is_empty() {
        text += "\n### Without effect: no client may hold what it takes\n\n";
        text += "| Risk | Api | What | Requests | Clients | Example |\n|---|---|---|---|---|---|\n";
        text += &without_effect.iter().map(row).collect::<String>();
    }
    if !view.settings.is_empty() {
        text += "\n### Settings\n\n";
        for change in &view.settings {
            text += &format!("- {} ({})\n", cell(&words::setting(change)), words::effect(change.effect));
        }
    }
    text
}

fn row(line: &AccessChange) -> String {
    let endpoints = line.grants.iter().flat_map(|grant| {
        let terms = words::terms(grant);
        let terms = if terms.is_empty() { String::new() } else { format!(" ({})", cell(&terms.join(", "))) };
        words::endpoints(grant).map(move |endpoint| format!("{}{terms}", code(&endpoint)))
    });
    let mut what = cell(&words::subject(line));
    if !line.because.is_empty() {
        what += &format!("; {}", cell(&line.because.join(", ")));
    }
    let risk = match line.direction {
        Direction::Allowed => words::risk(line.risk),
        Direction::Denied => "",
    };
    format!(
        "| {risk} | {} | {what} | {} | {} | {} |\n",
        line.api,
        endpoints.collect::<Vec<_>>().join("<br>"),
        cell(&words::affected(&line.clients, line.direction)),
        line.example.as_ref().map(|example| code(&words::example(example))).unwrap_or_default(),
    )
}

/// A text in a cell or list: what Markdown or HTML would read is escaped.
fn cell(text: &str) -> String {
    text.chars().fold(String::new(), |mut cell, c| {
        match c {
            '<' => cell.push_str("&lt;"),
            '&' => cell.push_str("&amp;"),
            '\\' | '|' | '*' | '_' | '[' | ']' | '~' => cell.extend(['\\', c]),
            _ => cell.push(c),
        }
        cell
    })
}

/// A text as code; a backtick would end it and a bar the cell.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}
