//! A service as pages show it: its methods, told apart by what they do to data, and its path with the
//! segments that vary.

use serde::Deserialize;

use crate::policy::{MethodSet, Service};

/// A service, taken apart for show. A text that is none is shown as it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(super) struct ShownService {
    pub(super) text: String,
    pub(super) methods: Vec<ShownMethod>,
    pub(super) pieces: Vec<Piece>,
}

/// A method, or every one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShownMethod(String);

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Whether it is to be told apart: a segment of a path that varies, a match of a search, what stands
    /// literally in a message.
    pub(super) varies: bool,
}

impl ShownMethod {
    pub(super) fn name(&self) -> &str {
        if self.0 == "*" { "every" } else { &self.0 }
    }

    /// What it does to data, as the style sheet calls it.
    pub(super) fn kind(&self) -> &'static str {
        match &*self.0 {
            "*" => "all",
            "GET" | "HEAD" | "OPTIONS" | "QUERY" | "PROPFIND" | "REPORT" | "SEARCH" => "reads",
            "DELETE" | "PURGE" | "UNBIND" | "UNLINK" => "deletes",
            _ => "changes",
        }
    }
}

impl From<String> for ShownService {
    fn from(text: String) -> Self {
        let (methods, path) = match Service::parse(&text) {
            Ok(service) => (listed(service.methods()), service.pattern().to_string()),
            Err(_) => (Vec::new(), text.clone()),
        };
        let pieces = path.split_inclusive('/').flat_map(|segment| {
            let (own, slash) = segment.strip_suffix('/').map_or((segment, ""), |own| (own, "/"));
            let varies = own == "*" || own == "**" || own.starts_with('{');
            let piece = |text: &str, varies| (!text.is_empty()).then(|| Piece { text: text.to_owned(), varies });
            [piece(own, varies), piece(slash, false)].into_iter().flatten()
        });
        Self { methods, pieces: pieces.collect(), text }
    }
}

/// A message, with what it has in backticks told apart.
pub(super) fn told(message: &str) -> Vec<Piece> {
    let parts = message.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(place, part)| Piece { text: part.to_owned(), varies: place % 2 == 1 }).collect()
}

fn listed(methods: MethodSet) -> Vec<ShownMethod> {
    if methods == MethodSet::ALL {
        return vec![ShownMethod("*".to_owned())];
    }
    methods.names().map(|name| ShownMethod(name.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, methods: &[(&str, &str)], varying: &[&str]) {
        let shown = ShownService::from(text.to_owned());
        let seen: Vec<_> = shown.methods.iter().map(|method| (method.name(), method.kind())).collect();
        assert_eq!(seen, methods, "{text}");
        let pieces: Vec<_> = shown.pieces.iter().filter(|piece| piece.varies).map(|piece| &*piece.text).collect();
        assert_eq!(pieces, varying, "{text}");
    }

    #[test]
    fn a_service_is_taken_apart_for_show() {
        check("GET,DELETE /a/{b}/c/**", &[("GET", "reads"), ("DELETE", "deletes")], &["{b}", "**"]);
        check("/a/*", &[("every", "all")], &["*"]);
        check("POST /a", &[("POST", "changes")], &[]);
        check("<b>", &[], &[]);
    }

    #[test]
    fn what_a_message_has_in_backticks_is_told_apart() {
        let pieces = told("write `a` or `b`, not <c>");
        let shown: Vec<_> = pieces.iter().map(|piece| (&*piece.text, piece.varies)).collect();
        assert_eq!(shown, [("write ", false), ("a", true), (" or ", false), ("b", true), (", not <c>", false)]);
    }

    #[test]
    fn nothing_of_a_path_is_lost() {
        for (text, path) in [("GET /a/{b}/**", "/a/{b}/**"), ("a/b", "/a/b"), ("https://x.example/a", "/a")] {
            let shown = ShownService::from(text.to_owned());
            assert_eq!(shown.pieces.iter().map(|piece| &*piece.text).collect::<String>(), path);
        }
    }
}
