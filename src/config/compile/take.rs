//! How values are taken from the document's entries: what is missing, empty or not what it should be
//! is reported, and the rest goes on.

use std::hash::Hash;

use hashbrown::HashMap;

use crate::config::entry::{Entry, List, OneOrMany};
use crate::config::finding::{At, Finding, Findings, Place};

/// What is wrong with a value, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }
}

/// The value, which must be there; `help` says what would be right where it is not.
pub(super) fn required<T>(entry: Entry<T>, at: At<'_>, help: &str, findings: &mut Findings) -> Option<T> {
    match entry {
        Entry::Given(value) => Some(value),
        Entry::Faulty => None,
        Entry::Absent => {
            findings.add(Finding::new(at, format!("`{}` is missing", at.name())).help(help));
            None
        }
        Entry::Empty => {
            findings.add(Finding::at_key(at, format!("`{}` has no value", at.name())).help(help));
            None
        }
    }
}

/// The value, which may be left out with its key, but not without it.
pub(super) fn optional<T>(entry: Entry<T>, at: At<'_>, findings: &mut Findings) -> Option<T> {
    match entry {
        Entry::Given(value) => Some(value),
        Entry::Faulty | Entry::Absent => None,
        Entry::Empty => {
            let finding = Finding::at_key(at, format!("`{}` has no value", at.name()));
            findings.add(finding.help("give it one, or remove the key"));
            None
        }
    }
}

/// The text parsed, if there is one.
pub(super) fn parsed<T: AsRef<str>, R>(
    text: Option<T>,
    at: At<'_>,
    findings: &mut Findings,
    parse: impl FnOnce(&str) -> Result<R, Wrong>,
) -> Option<R> {
    checked(text, at, findings, |text| parse(text.as_ref()))
}

/// What is made of the value, if there is one.
pub(super) fn checked<T, R>(
    value: Option<T>,
    at: At<'_>,
    findings: &mut Findings,
    check: impl FnOnce(T) -> Result<R, Wrong>,
) -> Option<R> {
    match check(value?) {
        Ok(parsed) => Some(parsed),
        Err(Wrong { message, help }) => {
            findings.add(Finding::new(at, message).maybe_help(help));
            None
        }
    }
}

/// The entries of a list that may be left out or empty, with their places in it.
pub(super) fn items<T>(list: List<T>, at: At<'_>, findings: &mut Findings) -> Vec<(usize, T)> {
    match list {
        Entry::Given(entries) => entries_of(entries, at, findings),
        Entry::Absent | Entry::Empty | Entry::Faulty => Vec::new(),
    }
}

/// The entries of a list that must have one.
pub(super) fn at_least_one<T>(list: List<T>, at: At<'_>, help: &str, findings: &mut Findings) -> Vec<(usize, T)> {
    let Some(entries) = required(list, at, help, findings) else { return Vec::new() };
    if entries.is_empty() {
        findings.add(Finding::new(at, format!("`{}` has no entry", at.name())).help(help));
    }
    entries_of(entries, at, findings)
}

/// The values of a key that takes one or a list, with their places if it is a list.
pub(super) fn one_or_many<T>(values: OneOrMany<T>, at: At<'_>, findings: &mut Findings) -> Vec<(Option<usize>, T)> {
    match values {
        OneOrMany::One(value) => vec![(None, value)],
        OneOrMany::Many(entries) => {
            if entries.is_empty() {
                let finding = Finding::new(at, format!("`{}` has no entry", at.name()));
                findings.add(finding.help("give it one, or remove the key"));
            }
            entries_of(entries, at, findings).into_iter().map(|(place, value)| (Some(place), value)).collect()
        }
    }
}

fn entries_of<T>(entries: Vec<Entry<T>>, at: At<'_>, findings: &mut Findings) -> Vec<(usize, T)> {
    let mut taken = Vec::with_capacity(entries.len());
    for (place, entry) in entries.into_iter().enumerate() {
        match entry {
            Entry::Given(value) => taken.push((place, value)),
            Entry::Faulty => {}
            Entry::Absent | Entry::Empty => {
                let finding = Finding::new(at.nth(place), format!("an entry of `{}` is empty", at.name()));
                findings.add(finding.help("fill it, or remove it"));
            }
        }
    }
    taken
}

/// What to do about two things of one name.
pub(super) const RENAME: &str = "rename one of them, or remove it";

/// Names that must be there once, and where each was first.
#[derive(Debug)]
pub(super) struct Firsts<K>(HashMap<K, Place>);

impl<K: Hash + Eq> Firsts<K> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Reports the name if it is not new; `what` is what messages call the thing, `help` what to do then.
    pub(super) fn note(&mut self, name: K, at: At<'_>, what: &str, help: &str, findings: &mut Findings) {
        match self.0.entry(name) {
            hashbrown::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(Place::Value(at.path()));
            }
            hashbrown::hash_map::Entry::Occupied(first) => {
                let finding = Finding::new(at, format!("{what} is there twice")).first(first.get().clone());
                findings.add(finding.help(help));
            }
        }
    }
}
