//! `shadow`: the candidate that live requests are judged by beside the file.

use std::path::{Component, Path, PathBuf};

use super::take::{optional, parsed, required};
use super::values;
use crate::config::document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Finding, Findings, Place};
use crate::config::{Settings, Source};

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be in force.
    Force,
    /// To be tried beside the one in force.
    Trial,
}

pub(super) fn shadow(
    entry: Entry<document::Shadow>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<PathBuf> {
    let document = optional(entry, at, findings)?;
    let at = at.key("file");
    let text = required(document.file, at, "write the candidate's file, such as `candidate.yaml`", findings);
    parsed(text, at, findings, |text| values::file(text, directory))
}

/// A file does not try itself, and a candidate tries no other.
pub(super) fn check(settings: &Settings, source: &Source<'_>, purpose: Purpose, findings: &mut Findings) {
    let Some(candidate) = &settings.shadow else { return };
    let at = At::ROOT.key("shadow");
    match purpose {
        Purpose::Trial => {
            let finding = Finding::placed(Place::Key(at.path()), "a candidate has no `shadow` of its own");
            findings.add(finding.help("remove the key from the candidate; it is the policy's own file that has it"));
        }
        Purpose::Force if plain(candidate) == plain(&own(source)) => {
            let finding = Finding::new(at.key("file"), "this is the file itself, from which nothing could differ");
            findings.add(finding.help("write another file, with what is to be tried"));
        }
        Purpose::Force => {}
    }
}

/// The file that is read.
fn own(source: &Source<'_>) -> PathBuf {
    source.directory.join(Path::new(source.shown).file_name().unwrap_or_default())
}

/// Without steps that lead nowhere.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}
