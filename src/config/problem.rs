//! What is wrong with a file, for people: on which line, in which words, and how it is shown.

use std::fmt::{self, Write};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use thiserror::Error;

use super::Source;
use super::finding::{Finding, Findings};
use super::locate::Text;
use super::places::Spot;
use super::remark::{Remark, Subjects};
use crate::policy::Policy;

/// All that is wrong with a file, in its order; never empty.
#[derive(Debug, Clone, Error)]
pub struct Problems {
    file: Arc<str>,
    list: Vec<Problem>,
    beyond: usize,
}

/// One thing that is wrong with a file, or to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the file is no good for it.
    pub severity: Severity,
    /// What kind of thing it is, as programs know it.
    pub code: &'static str,
    /// The file, as it was named.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right, where that is known.
    pub help: Option<String>,
    /// The key or entry that it is about, such as `apis[1].scopes[0].name`; empty where it is the text.
    pub path: String,
    excerpt: Option<Excerpt>,
}

/// What something means for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file is no good.
    Error,
    /// The file is good, and could be better.
    Advice,
}

/// The code of everything for which a file is no good.
pub const INVALID: &str = "invalid";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    line: Arc<str>,
    /// In bytes.
    start: usize,
    end: usize,
}

/// A line longer than this is not shown.
const LONGEST_EXCERPT: usize = 1 << 20;

impl Problems {
    /// Finds out where the findings are.
    pub(super) fn locate(findings: Findings, source: &Source<'_>) -> Self {
        let file: Arc<str> = source.shown.into();
        let (kept, beyond) = findings.into_parts();
        let kept = kept.into_iter().map(|finding| (finding, Severity::Error, INVALID)).collect();
        let mut list = located(kept, &file, source);
        if list.is_empty() {
            list.push(Problem::without_place(&file, "this file cannot be compiled, and it is not known why"));
        }
        Self { file, list, beyond }
    }

    /// In the order of the file.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// All of them with the lines they are on, and how many there are; with terminal colours if `styled`.
    pub fn render(&self, styled: bool) -> String {
        let mut text = rendered(&self.list, styled);
        text.push_str(&self.count());
        text.push('\n');
        text
    }

    /// How many there are, in a line.
    pub fn count(&self) -> String {
        let total = self.list.len() + self.beyond;
        let plural = if total == 1 { "" } else { "s" };
        let mut count = format!("{total} problem{plural} in {}", self.file);
        if self.beyond > 0 {
            // Writing to a text cannot fail.
            let _ = write!(count, ", of which {} are shown", self.list.len());
        }
        count
    }
}

/// What is said of a good file, in its order.
#[must_use]
pub fn remarked(remarks: &[Remark], policy: &Policy, source: &Source<'_>) -> Vec<Problem> {
    if remarks.is_empty() {
        return Vec::new();
    }
    let subjects = Subjects::of(policy);
    let found = remarks.iter().map(|remark| (subjects.finding(remark), Severity::Advice, remark.code));
    located(found.collect(), &source.shown.into(), source)
}

/// Each with the line it is on and a blank one after it; with terminal colours if `styled`.
#[must_use]
pub fn rendered(problems: &[Problem], styled: bool) -> String {
    let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
    problems.iter().map(|problem| problem.render(&renderer) + "\n\n").collect()
}

fn located(found: Vec<(Finding, Severity, &'static str)>, file: &Arc<str>, source: &Source<'_>) -> Vec<Problem> {
    let text = Text::new(super::without_mark(source.text));
    let mut located: Vec<_> = found.into_iter().map(|found| (text.spot(&found.0.place), found)).collect();
    located.sort_by_key(|(spot, _)| *spot);
    let mut excerpts = Excerpts { text: &text, last: None };
    let mut list: Vec<_> = located
        .into_iter()
        .map(|(spot, (finding, severity, code))| Problem {
            severity,
            code,
            file: file.clone(),
            line: spot.line,
            column: spot.start + 1,
            message: message(&finding, &text),
            path: finding.place.to_string(),
            help: finding.help,
            excerpt: excerpts.excerpt(spot),
        })
        .collect();
    // What stands behind an alias is met once for each time it is used.
    list.dedup_by(|one, other| one.is_same(other));
    list
}

/// One line for each.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.iter().try_for_each(|problem| writeln!(f, "{problem}"))?;
        f.write_str(&self.count())
    }
}

impl Problem {
    fn without_place(file: &Arc<str>, message: &str) -> Self {
        Self {
            severity: Severity::Error,
            code: INVALID,
            file: file.clone(),
            line: 1,
            column: 1,
            message: message.to_owned(),
            help: None,
            path: String::new(),
            excerpt: None,
        }
    }

    /// Whether people see the same, whichever path has led there.
    fn is_same(&self, other: &Self) -> bool {
        let shown = |own: &Self| (own.code, own.line, own.column, own.message.clone(), own.help.clone());
        shown(self) == shown(other)
    }

    fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Advice => Level::WARNING.with_name("advice"),
        };
        let title = level.primary_title(&*self.message);
        let group = match &self.excerpt {
            Some(Excerpt { line, start, end }) => {
                let snippet = Snippet::source(&**line).line_start(self.line).path(&*self.file);
                title.element(snippet.annotation(AnnotationKind::Primary.span(*start..*end)))
            }
            None => title.element(Origin::path(&*self.file).line(self.line).char_column(self.column)),
        };
        let group = match &self.help {
            Some(help) => group.element(Level::HELP.message(&**help)),
            None => group,
        };
        renderer.render(&[group])
    }
}

/// `gateway.yaml:3:5: message; help`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        self.help.iter().try_for_each(|help| write!(f, "; {help}"))
    }
}

fn message(finding: &Finding, text: &Text<'_>) -> String {
    match &finding.first {
        Some(first) => format!("{}, first on line {}", finding.message, text.spot(first).line),
        None => finding.message.clone(),
    }
}

/// The lines of problems, each held once for all that are on it.
struct Excerpts<'t> {
    text: &'t Text<'t>,
    last: Option<(usize, Arc<str>)>,
}

impl Excerpts<'_> {
    fn excerpt(&mut self, spot: Spot) -> Option<Excerpt> {
        let line = match &self.last {
            Some((number, line)) if *number == spot.line => line.clone(),
            Some(_) | None => {
                let line = self.text.line(spot.line);
                if line.len() > LONGEST_EXCERPT {
                    return None;
                }
                let line: Arc<str> = line.into();
                self.last = Some((spot.line, line.clone()));
                line
            }
        };
        if line.is_empty() {
            return None;
        }
        let byte = |place: usize| line.char_indices().nth(place).map_or(line.len(), |(byte, _)| byte);
        let (start, end) = (byte(spot.start), byte(spot.end.max(spot.start + 1)));
        // What goes on to the end of the line ends before a comment's or its break's blanks.
        let end = line.get(start..end).map_or(end, |shown| (start + shown.trim_end().len()).max(start));
        Some(Excerpt { line, start, end })
    }
}
