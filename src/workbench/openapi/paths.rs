//! Paths: templates as patterns, servers as a base path, titles as names.

use serde_json::Value;

use super::Notes;
use crate::policy::{BasePath, Service};

/// A path's pattern, and what is to be said of it; or why there is none.
pub(super) fn pattern(base_path: &str, path: &str) -> Result<(String, Option<String>), String> {
    let (plain, query) = match path.split_once(['?', '#']) {
        Some((plain, _)) => (plain, true),
        None => (path, false),
    };
    let mut names: Vec<String> = Vec::new();
    let mut widened = false;
    let segments = plain.trim_matches('/').split('/').filter(|segment| !segment.is_empty() || plain.contains("//"));
    let segments = segments.map(|segment| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) if !name.contains(['{', '}']) => {
            let name: String = name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' })
                .collect();
            if name.is_empty() || names.contains(&name) {
                return "*".to_owned();
            }
            names.push(name.clone());
            format!("{{{name}}}")
        }
        Some(_) => {
            widened = true;
            "*".to_owned()
        }
        None if segment.contains(['{', '}', '*']) => {
            widened = true;
            "*".to_owned()
        }
        None => segment.to_owned(),
    });
    let joined = segments.collect::<Vec<_>>().join("/");
    let base = base_path.trim_end_matches('/');
    let whole = if joined.is_empty() && !base.is_empty() { base.to_owned() } else { format!("{base}/{joined}") };
    Service::parse(&format!("GET {whole}")).map_err(|invalid| format!("no policy can have this path: {invalid}"))?;
    let note = match (widened, query) {
        (true, _) => Some("widened: a part of a segment is a parameter, and the whole segment became `*`".to_owned()),
        (false, true) => Some("widened: what follows the path was cut off, as policies look at paths alone".to_owned()),
        (false, false) => None,
    };
    Ok((whole, note))
}

/// The base path of the first server, and every server as the document has it.
pub(super) fn servers(document: &Value, notes: &mut Notes) -> (String, Vec<String>) {
    let servers = document["servers"].as_array().map_or(&[][..], |servers| servers);
    let urls: Vec<_> = servers.iter().filter_map(url).collect();
    let bases: Vec<_> = urls.iter().map(|url| path_of(url)).collect();
    let Some(first) = bases.first().filter(|base| !base.is_empty()) else { return ("/".to_owned(), urls) };
    if BasePath::parse(first).is_err() {
        notes.add("the base path is `/`: the server's path is no literal one", first.as_str());
        return ("/".to_owned(), urls);
    }
    for (other, url) in bases.iter().zip(&urls).filter(|(base, _)| *base != first) {
        notes.add(format!("not carried over: a server with the base path `{other}`, as an api has one"), url.as_str());
    }
    (first.clone(), urls)
}

/// A server's URL with the defaults of its variables.
fn url(server: &Value) -> Option<String> {
    let mut url = server["url"].as_str()?.to_owned();
    for (name, variable) in server["variables"].as_object().into_iter().flatten() {
        if let Some(default) = variable["default"].as_str() {
            url = url.replace(&format!("{{{name}}}"), default);
        }
    }
    Some(url)
}

/// Of an absolute URL or one that is relative to the document; without a trailing slash.
fn path_of(url: &str) -> String {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|start| rest.get(start..)).unwrap_or_default(),
        None => url,
    };
    let path = rest.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    if path.is_empty() || path == "." { String::new() } else { format!("/{path}") }
}

/// A title as a name: letters, digits and `-`.
pub(super) fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
    let slug: String = slug.chars().take(64).collect();
    if slug.is_empty() { "imported".to_owned() } else { slug.trim_end_matches('-').to_owned() }
}
