//! What is sent for an entry of the file: JSON, field by field, to the entry or to all that is wrong
//! with it.
//!
//! Only what could not be written into the file is refused here. What the values mean is `config`'s,
//! which judges the whole text afterwards.

use serde_json::{Map, Value as Json};
use serde_yaml::{Mapping, Value};

/// Something that is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldError {
    /// Such as `services[1]`; empty where it is the whole.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    YesNo,
    Number,
    Texts,
    Entry(&'static [(&'static str, Kind)]),
    Entries(&'static [(&'static str, Kind)]),
    Named(&'static [(&'static str, Kind)]),
    /// One of them, or a list.
    OneOrMany(&'static [(&'static str, Kind)]),
}

/// The fields of an entry of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields(&'static [(&'static str, Kind)]);

const PRIVILEGE: &[(&str, Kind)] = &[("services", Kind::Texts), ("accounts", Kind::Text)];

const SCOPE_FIELDS: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("display_name", Kind::Text),
    ("description", Kind::Text),
    ("accounts", Kind::Text),
    ("required", Kind::YesNo),
    ("emphasize", Kind::YesNo),
    ("show_in_discovery", Kind::YesNo),
    ("deprecated", Kind::YesNo),
    ("confidential_only", Kind::YesNo),
    ("services", Kind::Texts),
    ("except", Kind::Texts),
    ("privileges", Kind::Named(PRIVILEGE)),
];

/// Of an entry of `apis[].scopes`.
pub(super) const SCOPE: Fields = Fields(SCOPE_FIELDS);

/// Of an entry of `clients`.
pub(super) const CLIENT: Fields = Fields(&[
    ("id", Kind::Text),
    ("account", Kind::Text),
    ("scopes", Kind::Texts),
    ("type", Kind::Text),
    ("certificate", Kind::Entry(&[("sha256", Kind::Text), ("subject", Kind::Text), ("san_dns", Kind::Text)])),
]);

/// Of an entry of `apis`.
pub(super) const API: Fields = Fields(&[
    ("name", Kind::Text),
    ("display_name", Kind::Text),
    ("base_path", Kind::Text),
    ("hosts", Kind::Texts),
    ("upstream", Kind::Text),
    ("mode", Kind::Text),
    ("account", Kind::OneOrMany(&[("path", Kind::Text), ("query", Kind::Text), ("header", Kind::Text)])),
    ("account_when_absent", Kind::Text),
    ("insufficient_scope_status", Kind::Number),
    ("forward_authorization", Kind::YesNo),
    ("public", Kind::Texts),
    (
        "token_endpoint",
        Kind::Entry(&[
            ("service", Kind::Text),
            ("upstream", Kind::Text),
            ("issuer", Kind::Text),
            ("max_form_bytes", Kind::Number),
        ]),
    ),
    ("scopes", Kind::Entries(SCOPE_FIELDS)),
]);

/// In characters.
const LONGEST: usize = 2000;

impl Fields {
    /// The entry that was sent; a field of `null` is as if it were left out.
    ///
    /// # Errors
    /// All that is wrong with its fields.
    pub(super) fn entry(self, sent: &Map<String, Json>) -> Result<Mapping, Vec<FieldError>> {
        let mut errors = Vec::new();
        let entry = entry(sent, self.0, "", &mut errors);
        if errors.is_empty() { Ok(entry) } else { Err(errors) }
    }

    /// Whether that is one of them.
    pub(super) fn has(self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| *own == name)
    }
}

fn entry(
    sent: &Map<String, Json>,
    fields: &[(&'static str, Kind)],
    above: &str,
    errors: &mut Vec<FieldError>,
) -> Mapping {
    let unknown = sent.keys().filter(|key| !fields.iter().any(|(name, _)| name == *key));
    for key in unknown {
        let known: Vec<_> = fields.iter().map(|(name, _)| format!("`{name}`")).collect();
        let message = format!("there is no such field; there are {}", known.join(", "));
        errors.push(FieldError { field: join(above, &shortened(key)), message });
    }
    let mut made = Mapping::new();
    for (name, kind) in fields {
        let Some(value) = sent.get(*name).filter(|value| !value.is_null()) else { continue };
        let made_of_it = of_kind(value, *kind, &join(above, name), errors);
        if let Some(value) = made_of_it {
            made.insert((*name).into(), value);
        }
    }
    made
}

fn of_kind(value: &Json, kind: Kind, field: &str, errors: &mut Vec<FieldError>) -> Option<Value> {
    let mut wrong = |message: &str| {
        errors.push(FieldError { field: field.to_owned(), message: message.to_owned() });
        None
    };
    match (kind, value) {
        (Kind::Text, Json::String(text)) => match text_fault(text) {
            None => Some(text.as_str().into()),
            Some(fault) => wrong(&fault),
        },
        (Kind::Text, _) => wrong("expected a text"),
        (Kind::YesNo, Json::Bool(value)) => Some((*value).into()),
        (Kind::YesNo, _) => wrong("expected `true` or `false`"),
        (Kind::Number, Json::Number(number)) => match number.as_u64() {
            Some(number) => Some(number.into()),
            None => wrong("expected a whole number"),
        },
        (Kind::Number, _) => wrong("expected a whole number"),
        (Kind::Texts, Json::Array(items)) => {
            let items = items.iter().enumerate();
            let texts =
                items.filter_map(|(place, item)| of_kind(item, Kind::Text, &format!("{field}[{place}]"), errors));
            Some(texts.collect::<Vec<_>>().into())
        }
        (Kind::Texts, _) => wrong("expected a list of texts"),
        (Kind::Entry(fields) | Kind::OneOrMany(fields), Json::Object(sent)) => {
            Some(entry(sent, fields, field, errors).into())
        }
        (Kind::Entry(_), _) => wrong("expected an object"),
        (Kind::Entries(fields) | Kind::OneOrMany(fields), Json::Array(items)) => {
            let items = items.iter().enumerate();
            let made = items
                .filter_map(|(place, item)| of_kind(item, Kind::Entry(fields), &format!("{field}[{place}]"), errors));
            Some(made.collect::<Vec<_>>().into())
        }
        (Kind::Entries(_), _) => wrong("expected a list of objects"),
        (Kind::OneOrMany(_), _) => wrong("expected an object, or a list of them"),
        (Kind::Named(fields), Json::Object(sent)) => Some(named(sent, fields, field, errors).into()),
        (Kind::Named(_), _) => wrong("expected an object of names"),
    }
}

/// Entries by their names.
fn named(
    sent: &Map<String, Json>,
    fields: &'static [(&'static str, Kind)],
    field: &str,
    errors: &mut Vec<FieldError>,
) -> Mapping {
    let mut made = Mapping::new();
    for (name, value) in sent {
        let field = join(field, &shortened(name));
        if let Some(fault) = text_fault(name) {
            errors.push(FieldError { field, message: fault });
        } else if let Some(value) = of_kind(value, Kind::Entry(fields), &field, errors) {
            made.insert(name.as_str().into(), value);
        }
    }
    made
}

/// What keeps a text out of the file.
fn text_fault(text: &str) -> Option<String> {
    let length = text.chars().count();
    if length > LONGEST {
        return Some(format!("it is {length} characters long, and {LONGEST} are the most"));
    }
    if let Some(control) = text.chars().find(|c| c.is_control() || is_invisible(*c)) {
        return Some(format!("it has the character {}, which nobody can see; remove it", control.escape_unicode()));
    }
    let mut after = text.split('<').skip(1);
    let is_tag = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
    after.any(is_tag).then(|| "it has what looks like markup, such as `<b>`; write plain text".to_owned())
}

/// What changes how a text around it is shown, or is not shown itself.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}')
}

fn join(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
}

/// A name that somebody sent, for a message.
fn shortened(name: &str) -> String {
    let mut short: String = name.chars().take(64).flat_map(char::escape_debug).collect();
    if name.chars().nth(64).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(fields: Fields, sent: &Json, expected: &[(&str, &str)]) {
        let errors = fields.entry(sent.as_object().unwrap()).err().unwrap_or_default();
        let seen: Vec<_> = errors.iter().map(|error| (&*error.field, &*error.message)).collect();
        assert_eq!(seen.len(), expected.len(), "{seen:?}");
        for ((field, message), (wanted_field, wanted)) in seen.iter().zip(expected) {
            assert!(field == wanted_field && message.contains(wanted), "{field}: {message}");
        }
    }

    #[test]
    fn every_field_that_is_wrong_is_named_at_once() {
        let sent = json!({
            "colour": 1, "name": 5, "description": "a\u{1b}b", "required": "yes", "services": ["/x", 7, "<b>x</b>"],
            "privileges": { "p": { "services": "x", "more": 1 }, "q\n": {} }, "display_name": "x".repeat(3000),
        });
        let expected = [
            ("colour", "no such field"),
            ("name", "expected a text"),
            ("display_name", "3000 characters"),
            ("description", "\\u{1b}"),
            ("required", "`true` or `false`"),
            ("services[1]", "expected a text"),
            ("services[2]", "markup"),
            ("privileges.p.more", "no such field"),
            ("privileges.p.services", "a list of texts"),
            ("privileges.q\\n", "\\u{a}"),
        ];
        check(SCOPE, &sent, &expected);
        check(CLIENT, &json!({ "certificate": [1], "scopes": "a" }), &[("scopes", "list"), ("certificate", "object")]);
        check(
            API,
            &json!({ "account": 1, "scopes": [{ "x": 1 }] }),
            &[("account", "list of them"), ("scopes[0].x", "no such")],
        );
    }

    #[test]
    fn what_is_good_becomes_an_entry_in_the_files_order() {
        let sent = json!({ "services": ["GET /x"], "name": "a < b & c", "required": false, "description": null });
        let entry = SCOPE.entry(sent.as_object().unwrap()).unwrap();
        let expected: Value = serde_yaml::from_str("{name: a < b & c, required: false, services: [GET /x]}").unwrap();
        assert_eq!(Value::from(entry.clone()), expected);
        assert_eq!(entry.keys().next().and_then(Value::as_str), Some("name"));
    }
}
