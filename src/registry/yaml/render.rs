//! Values as YAML text, in the style of a file that people write.

use serde_yaml::Value;

/// Keys whose lists of texts have an entry a line.
const LINES: [&str; 3] = ["services", "except", "public"];
/// Keys whose mappings have an entry a line, whatever is in them.
const BLOCKS: [&str; 1] = ["privileges"];

/// `key: value` and the lines below it, without a final line end; each line begins with `indent` spaces.
pub(super) fn pair(key: &str, value: &Value, indent: usize, newline: &str) -> String {
    let pad = " ".repeat(indent);
    if is_inline(key, value) {
        return format!("{pad}{}: {}", text(key, false), inline(value, false));
    }
    format!("{pad}{}:{newline}{}", text(key, false), below(value, indent + 2, newline))
}

/// The lines of a collection that stands below its key.
pub(super) fn below(value: &Value, indent: usize, newline: &str) -> String {
    match value {
        Value::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| pair(&key_text(key), value, indent, newline));
            entries.collect::<Vec<_>>().join(newline)
        }
        Value::Sequence(items) => {
            let items = items.iter().map(|item| entry(item, indent, newline));
            items.collect::<Vec<_>>().join(newline)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => inline(value, false),
    }
}

/// An entry of a block list: `- ` and what it is.
pub(super) fn entry(value: &Value, indent: usize, newline: &str) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Mapping(entries) if !entries.is_empty() => {
            let lines = below(value, indent + 2, newline);
            format!("{pad}- {}", lines.trim_start_matches(' '))
        }
        Value::Mapping(_)
        | Value::Sequence(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Tagged(_) => format!("{pad}- {}", inline(value, false)),
    }
}

/// Whether the value stands beside its key.
pub(super) fn is_inline(key: &str, value: &Value) -> bool {
    match value {
        Value::Mapping(entries) => {
            let is_flat = entries.values().all(|value| !value.is_mapping() && !value.is_sequence());
            entries.is_empty() || is_flat && !BLOCKS.contains(&key)
        }
        Value::Sequence(items) => {
            let is_flat = items.iter().all(|item| !item.is_mapping() && !item.is_sequence());
            items.is_empty() || is_flat && !LINES.contains(&key)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => true,
    }
}

/// On one line; `flow` if it stands within brackets.
pub(super) fn inline(value: &Value, flow: bool) -> String {
    match value {
        Value::Null | Value::Tagged(_) => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => text(value, flow),
        Value::Sequence(items) => {
            format!("[{}]", items.iter().map(|item| inline(item, true)).collect::<Vec<_>>().join(", "))
        }
        Value::Mapping(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| flow_pair(&key_text(key), value));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// `key: value` within braces.
pub(super) fn flow_pair(key: &str, value: &Value) -> String {
    format!("{}: {}", text(key, true), inline(value, true))
}

/// Plain where that is the same text to every reader, in double quotes otherwise.
fn text(text: &str, flow: bool) -> String {
    if is_plain(text, flow) {
        return text.to_owned();
    }
    // What JSON writes is YAML too (YAML 1.2 section 1.3).
    serde_json::Value::from(text).to_string()
}

fn is_plain(text: &str, flow: bool) -> bool {
    let is_start = |c: char| c.is_alphanumeric() || matches!(c, '/' | '_');
    let is_good = |c: char| {
        c.is_alphanumeric()
            || matches!(
                c,
                ' ' | '-' | '_' | '.' | '/' | ':' | '*' | '(' | ')' | '\'' | '+' | '=' | ';' | '%' | '@' | '$'
            )
            || matches!(c, '{' | '}' | ',' | '?' | '&' | '!' | '~') && !flow
    };
    text.starts_with(is_start)
        && text.chars().all(is_good)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && matches!(serde_yaml::from_str(text), Ok(Value::String(read)) if read == text)
}

fn key_text(key: &Value) -> String {
    key.as_str().unwrap_or_default().to_owned()
}
