//! Writes a tour for a person: what was asked and what came of it, then lines to paste.

use std::fmt::Write;

use super::tour::{ActSeen, AskSeen, Tour};
use crate::policy::Reason;

impl Tour {
    /// The table of requests and what came of them; one line a request under one a token.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut product = "";
        for seen in &self.acts {
            if seen.act.product != product {
                product = seen.act.product;
                text = text + "\n" + product + "\n";
            }
            text += &heading(seen);
            for ask in &seen.asks {
                text += &row(ask);
            }
        }
        text.push('\n');
        let (all, good) = (self.seen().count(), self.seen().filter(|seen| seen.is_as_expected()).count());
        if good == all {
            text + &format!("All {all} answers are as expected.\n")
        } else {
            text + &format!("{} of {all} answers are not as expected; the lines above say which.\n", all - good)
        }
    }

    /// Lines for a shell, each after the status that it prints.
    #[must_use]
    pub fn curl_lines(&self) -> String {
        let mut text = String::new();
        for seen in &self.acts {
            for ask in seen.asks.iter().filter(|seen| seen.ask.pasted) {
                let who = if seen.act.who.is_empty() { "no token" } else { seen.act.who };
                // A text to a `String` cannot fail to be written.
                let _ = writeln!(text, "# {} {}, {who}", ask.status, ask.reason.as_deref().unwrap_or("allowed"));
                text += &curl(seen, ask, &self.gateway);
            }
        }
        text
    }
}

fn heading(seen: &ActSeen) -> String {
    let note = if seen.act.note.is_empty() { String::new() } else { format!(" ({})", seen.act.note) };
    match &seen.token {
        None => format!("  no token{note}\n"),
        Some(_) => format!("  {}, token for {}{note}\n", seen.act.who, seen.scope),
    }
}

fn row(seen: &AskSeen) -> String {
    let ask = seen.ask;
    let decision = match seen.reason.as_deref() {
        Some(reason) if [Reason::Granted, Reason::Public].iter().any(|allows| allows.as_str() == reason) => "allow",
        None if seen.status < 400 => "allow",
        Some(_) | None => "deny",
    };
    let reason = seen.reason.as_deref().unwrap_or("-");
    let from = ask.header.map(|(name, value)| format!("  ({name}: {value})")).unwrap_or_default();
    let mut row = format!("    {decision:<5} {} {reason:<20} {} {}{from}\n", seen.status, ask.method, ask.path);
    if !seen.is_as_expected() {
        let _ = writeln!(row, "          ^ expected {} {}", ask.status, ask.reason);
    }
    row
}

fn curl(seen: &ActSeen, ask: &AskSeen, gateway: &str) -> String {
    let mut line = "curl -s -o /dev/null -w '%{http_code}\\n'".to_owned();
    if ask.ask.method != "GET" {
        let _ = write!(line, " -X {}", ask.ask.method);
    }
    if let Some((name, value)) = ask.ask.header {
        let _ = write!(line, " -H '{name}: {value}'");
    }
    if let Some(token) = &seen.token {
        let _ = write!(line, " -H 'Authorization: Bearer {token}'");
    }
    let _ = writeln!(line, " '{gateway}{}'", ask.ask.path);
    line
}
