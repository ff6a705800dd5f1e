//! `revocations`: where revoked tokens are listed, and who may add to the list.

use std::path::Path;

use super::take::{Wrong, optional, parsed, required};
use super::values;
use crate::config::document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Finding, Findings, Quoted};
use crate::config::{Admin, RevocationList};
use crate::policy::Target;

pub(super) fn revocations(
    entry: Entry<document::Revocations>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<RevocationList> {
    let document = optional(entry, at, findings)?;
    let (file, endpoint) = (at.key("file"), at.key("endpoint"));
    let text = required(document.file, file, "write the file that lists revoked tokens", findings);
    let list = parsed(text, file, findings, |text| values::file(text, directory));
    let text = optional(document.endpoint, endpoint, findings);
    let path = parsed(text, endpoint, findings, path);
    Some(RevocationList { file: list?, endpoint: path })
}

/// Who may revoke on the admin address needs a list to put entries on.
pub(super) fn check_admin(admin: Option<&Admin>, has_revocations: bool, at: At<'_>, findings: &mut Findings) {
    if !has_revocations && admin.is_some_and(|admin| admin.revocations_token_file.is_some()) {
        let key = at.key("revocations_token_file");
        let finding = Finding::at_key(key, "`revocations_token_file` needs `revocations`, which is missing");
        findings.add(finding.help("write `revocations: { file: revoked.jsonl }`, or remove this key"));
    }
}

/// A path in the one form that requests for it have.
fn path(text: &str) -> Result<Box<str>, Wrong> {
    const EXAMPLE: &str = "write a path such as `/oauth/revoke`";
    let is_whole = Target::parse(text.as_bytes()).is_ok_and(|target| target.path() == text);
    if !is_whole || text == "/" {
        return Err(Wrong::new(format!("{} is not a path that requests could have", Quoted(text)), EXAMPLE));
    }
    if text.starts_with("/.well-known/") {
        return Err(Wrong::new(format!("{} is where metadata is", Quoted(text)), EXAMPLE));
    }
    Ok(text.into())
}
