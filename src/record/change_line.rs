//! The audit line of a change to the registry: who changed what, from what, to what.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use crate::hex::hex;

/// A change that is in force.
#[derive(Debug, Clone, Copy)]
pub struct RegistryChange<'a> {
    /// The generation that it made.
    pub generation: u64,
    /// Who signed the editor's token.
    pub issuer: &'a str,
    /// The editor.
    pub subject: Option<&'a str>,
    /// The application that the editor used.
    pub client: Option<&'a str>,
    /// `create`, `edit` or `delete`.
    pub verb: &'a str,
    /// `api`, `scope` or `client`.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The entry as it was.
    pub before: Option<&'a Value>,
    /// The entry as it is.
    pub after: Option<&'a Value>,
    /// Of the file's text as it was.
    pub sha256_before: [u8; 32],
    /// Of the file's text as it is.
    pub sha256_after: [u8; 32],
}

/// As it is written.
#[derive(Serialize)]
struct Line<'a> {
    time: Option<String>,
    event: &'static str,
    generation: u64,
    issuer: &'a str,
    subject: Option<&'a str>,
    client: Option<&'a str>,
    change: &'a str,
    kind: &'a str,
    name: &'a str,
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    sha256_before: String,
    sha256_after: String,
}

/// Appends the change's line to `line`, with its final newline.
pub(super) fn append(change: &RegistryChange<'_>, time: SystemTime, line: &mut Vec<u8>) {
    let written = Line {
        time: jiff::Timestamp::try_from(time).ok().map(|time| format!("{time:.6}")),
        event: "registry_changed",
        generation: change.generation,
        issuer: change.issuer,
        subject: change.subject,
        client: change.client,
        change: change.verb,
        kind: change.kind,
        name: change.name,
        before: change.before,
        after: change.after,
        sha256_before: hex(&change.sha256_before),
        sha256_after: hex(&change.sha256_after),
    };
    // INVARIANT: texts and values of JSON can always be written as JSON.
    let _ = serde_json::to_writer(&mut *line, &written);
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_one_line_of_json() {
        let (before, after) = (json!({ "name": "a" }), json!({ "name": "a", "description": "two\nlines" }));
        let change = RegistryChange {
            generation: 3,
            issuer: "https://i",
            subject: Some("ops"),
            client: None,
            verb: "edit",
            kind: "scope",
            name: "a",
            before: Some(&before),
            after: Some(&after),
            sha256_before: [0xab; 32],
            sha256_after: [0; 32],
        };
        let mut line = Vec::new();
        append(&change, SystemTime::UNIX_EPOCH + Duration::from_secs(1), &mut line);
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["before"], &read["after"]), (&before, &after));
        assert_eq!((&read["change"], &read["client"]), (&json!("edit"), &Value::Null));
        assert_eq!(read["time"], "1970-01-01T00:00:01.000000Z");
        assert_eq!(read["sha256_before"], "ab".repeat(32));
    }
}
