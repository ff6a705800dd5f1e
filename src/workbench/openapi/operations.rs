//! The operations of a document: each method of each path, and what it says of security.

use serde_json::Value;

use super::{Notes, paths};

/// An operation.
#[derive(Debug)]
pub(super) struct Operation<'d> {
    /// The method and path as the document has them.
    pub(super) shown: String,
    pub(super) method: &'static str,
    /// As a pattern, base path and all.
    pub(super) path: String,
    /// Its own security requirements, or the document's; `None` where neither says anything.
    pub(super) security: Option<&'d Value>,
}

/// OpenAPI's fields for methods, and whether a service can list them.
const METHODS: [(&str, &str); 7] = [
    ("get", "GET"),
    ("head", "HEAD"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
];

pub(super) fn operations<'d>(document: &'d Value, base_path: &str, notes: &mut Notes) -> Vec<Operation<'d>> {
    let mut found = Vec::new();
    if document["webhooks"].as_object().is_some_and(|hooks| !hooks.is_empty()) {
        notes.add("not carried over: webhooks are requests of the API's own", "webhooks");
    }
    let Some(items) = document["paths"].as_object() else { return found };
    for (path, item) in items {
        let Some(item) = resolved(document, item) else {
            notes.add("left out: it is a reference to another file", path);
            continue;
        };
        let pattern = match paths::pattern(base_path, path) {
            Ok((pattern, None)) => pattern,
            Ok((pattern, Some(why))) => {
                notes.add(why, path);
                pattern
            }
            Err(why) => {
                notes.add(format!("left out: {why}"), path);
                continue;
            }
        };
        if item.get("trace").is_some() {
            notes.add("left out: TRACE is never forwarded", path);
        }
        let has_servers = |of: &Value| of["servers"].as_array().is_some_and(|servers| !servers.is_empty());
        for (field, method) in METHODS {
            let Some(operation) = item.get(field).filter(|operation| operation.is_object()) else { continue };
            let shown = format!("{method} {path}");
            if has_servers(item) || has_servers(operation) {
                notes.add("has servers of its own, and was put under the base path of the others", &shown);
            }
            let security = operation.get("security").or_else(|| document.get("security"));
            found.push(Operation { shown, method, path: pattern.clone(), security });
        }
    }
    found
}

/// The path item, or that to which it refers within the document.
fn resolved<'d>(document: &'d Value, item: &'d Value) -> Option<&'d Value> {
    match item["$ref"].as_str() {
        None => Some(item),
        // A reference to a reference is followed once more, and a circle so ends.
        Some(reference) => {
            let found = document.pointer(reference.strip_prefix('#')?)?;
            match found["$ref"].as_str() {
                None => Some(found),
                Some(next) => document.pointer(next.strip_prefix('#')?).filter(|item| item.get("$ref").is_none()),
            }
        }
    }
}
