//! The difference as people read it in a terminal.

use super::{View, words};
use crate::workbench::diff::{AccessChange, Difference, Direction, Example, Grant, Whole};
use crate::workbench::paint::{Paint, plain, wrapped};

/// Of a whole scope or api, no more services are listed.
const MOST_SERVICES: usize = 6;

pub(super) fn text(view: &View, paint: Paint) -> String {
    let page = Page { view, paint };
    let mut lines = Vec::new();
    for (direction, title) in [(Direction::Allowed, "Newly allowed"), (Direction::Denied, "No longer allowed")] {
        page.section(title, page.changes(direction), &mut lines);
    }
    let idle = view.difference.without_effect.iter().flat_map(|line| page.access(line)).collect();
    page.section("Without effect: no client may hold what it takes", idle, &mut lines);
    let settings = view
        .settings
        .iter()
        .map(|change| wrapped(&format!("{} ({})", words::setting(change), words::effect(change.effect)), 2, 4));
    page.section("Settings", settings.collect(), &mut lines);
    lines.push(view.summary());
    lines.join("\n") + "\n"
}

struct Page<'v> {
    view: &'v View,
    paint: Paint,
}

impl Page<'_> {
    fn section(&self, title: &str, body: Vec<String>, lines: &mut Vec<String>) {
        if !body.is_empty() {
            lines.push(self.paint.bold(title).to_string());
            lines.extend(body);
            lines.push(String::new());
        }
    }

    fn changes(&self, direction: Direction) -> Vec<String> {
        let Difference { access, clients, tokens, .. } = &self.view.difference;
        let mut lines: Vec<String> =
            access.iter().filter(|line| line.direction == direction).flat_map(|line| self.access(line)).collect();
        for line in clients.iter().filter(|line| line.direction == direction) {
            lines.push(self.head(direction, "client", &format!("{} {}", words::whose(line), words::client(line))));
            lines.push(self.example(&line.example));
        }
        for line in tokens.iter().filter(|line| line.direction == direction) {
            lines.push(self.head(direction, "tokens", &words::token(line)));
            lines.push(self.example(&line.example));
        }
        lines
    }

    fn access(&self, line: &AccessChange) -> Vec<String> {
        let what = match (line.direction, line.risk) {
            (Direction::Denied, _) => format!("api {}", line.api),
            (Direction::Allowed, risk) => format!("api {}, {} risk", line.api, words::risk(risk)),
        };
        let mut lines = vec![self.head(line.direction, &what, &words::subject(line))];
        let shown = line.grants.iter().take(MOST_SERVICES);
        lines.extend(shown.flat_map(|grant| service(grant, line)));
        if line.grants.len() > MOST_SERVICES {
            lines.push(format!("      and {} more", line.grants.len() - MOST_SERVICES));
        }
        if !line.because.is_empty() {
            lines.push(wrapped(&format!("because {}", line.because.join(", ")), 4, 6));
        }
        if let Some(example) = &line.example {
            let takes_token = line.grants.iter().any(|grant| grant.scope.is_some());
            if takes_token {
                lines.push(wrapped(&format!("for {}", words::affected(&line.clients, line.direction)), 4, 6));
            }
            lines.push(self.example(example));
        }
        lines
    }

    fn head(&self, direction: Direction, what: &str, text: &str) -> String {
        let line = wrapped(&format!("{what}: {text}"), 4, 6);
        let line = line.trim_start();
        match direction {
            Direction::Allowed => format!("  {} {line}", self.paint.bad("+")),
            Direction::Denied => format!("  {} {line}", self.paint.good("-")),
        }
    }

    fn example(&self, example: &Example) -> String {
        self.paint.dim(wrapped(&format!("e.g. {}", words::example(example)), 4, 6)).to_string()
    }
}

fn service(grant: &Grant, line: &AccessChange) -> Vec<String> {
    let mut terms = words::terms(grant);
    if let (Some(Whole::Api), Some(scope)) = (&line.whole, &grant.scope) {
        terms.insert(0, format!("by {scope}"));
    } else if line.whole.is_some() && grant.scope.is_none() {
        terms.insert(0, "without a token".to_owned());
    }
    let terms = if terms.is_empty() { String::new() } else { format!("  ({})", terms.join(", ")) };
    words::endpoints(grant).map(|endpoint| wrapped(&plain(&format!("{endpoint}{terms}")), 6, 8)).collect()
}
