//! A draft as the text of a `gateway.yaml`.

use std::fmt::Write as _;

use super::{Draft, Services};

/// Methods in the order of services.
pub(super) fn policy(draft: &Draft) -> String {
    let mut text = String::from("# yaml-language-server: $schema=./gateway.schema.json\n");
    let audience = draft.servers.iter().find(|url| url.starts_with("https://") && is_plain(url));
    let audience = audience.map_or("https://api.example.com", String::as_str);
    let issuer = draft.issuer.as_deref().unwrap_or("https://login.example.com");
    let about: Vec<_> = draft.servers.iter().filter(|url| is_plain(url)).map(String::as_str).collect();
    let about = if about.is_empty() { String::new() } else { format!("    # {}", about.join(" ")) };
    // Writing to a text cannot fail.
    let _ = write!(
        text,
        "# Imported. Put your own listener, upstream and issuer in place.\nversion: 1\n\nlisteners:\n  - address: 127.0.0.1:8080\n\n\
         upstreams:\n  {name}:\n    servers: [\"127.0.0.1:9000\"]{about}\n\n\
         issuers:\n  - issuer: {issuer}\n    audiences: [{audience}]\n    keys: {{ discover: true }}\n\n\
         apis:\n  - name: {name}\n    display_name: {title}\n    base_path: {base}\n    upstream: {name}\n",
        name = scalar(&draft.name),
        issuer = scalar(issuer),
        audience = scalar(audience),
        title = scalar(&draft.title),
        base = scalar(&draft.base_path),
    );
    services(&mut text, "    public", &draft.public);
    if draft.scopes.is_empty() {
        return text;
    }
    text.push_str("    scopes:\n");
    for (name, granted) in &draft.scopes {
        let _ = writeln!(text, "      - name: {}", scalar(name));
        if let Some(description) = draft.descriptions.get(name) {
            let _ = writeln!(text, "        description: {}", scalar(description));
        }
        if draft.required.contains(name) {
            text.push_str("        required: true\n");
        }
        services(&mut text, "        services", granted);
    }
    text
}

fn services(text: &mut String, key: &str, services: &Services) {
    if services.is_empty() {
        return;
    }
    let indent = " ".repeat(key.len() - key.trim_start().len() + 2);
    let _ = writeln!(text, "{key}:");
    for (path, methods) in services {
        let service = format!("{} {path}", methods.join(","));
        let _ = writeln!(text, "{indent}- {}", scalar(&service));
    }
}

/// Whether it can stand in a comment or a plain scalar.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '\'' | '`'))
}

/// A text as YAML, in quotes where it could be something else.
fn scalar(text: &str) -> String {
    let starts_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || " _-./{}*@+,()".contains(c));
    let in_flow = text.contains(['{', '}', ',']) && !text.contains(' ');
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&&*text.to_ascii_lowercase());
    if starts_plain && is_plain && !in_flow && !is_word && text.trim() == text {
        return text.to_owned();
    }
    // JSON's texts are YAML's.
    serde_json::Value::from(text).to_string()
}
