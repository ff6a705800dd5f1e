//! Search across everything that is in force: apis, scopes and their privileges, services, clients.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::Console;
use super::answer::page;
use super::frame::{Frame, Section};
use super::refusal::Refusal;
use super::service::{Piece, ShownService};
use super::shown::{Api, Client, Scope, typed};
use super::visitor::Visitor;
use crate::registry::{apis_view, clients_view};

/// What is looked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage<'a> {
    frame: Frame<'a>,
    found: Found,
}

/// What was found.
struct Found {
    text: String,
    groups: Vec<Group>,
}

/// Hits of one kind.
struct Group {
    anchor: &'static str,
    title: &'static str,
    /// How many there are in all.
    total: usize,
    hits: Vec<Hit>,
}

/// Something that fits.
struct Hit {
    address: String,
    name: Vec<Piece>,
    /// Where it belongs.
    within: String,
    deprecated: bool,
    /// Where else it fits.
    lines: Vec<Vec<Piece>>,
}

/// Hits that are shown of each kind.
const SHOWN: usize = 50;
/// Lines that are shown of each hit.
const LINES: usize = 5;

/// What fits a part of a text.
pub(super) async fn search(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let text: String = asked.map(|Query(asked)| asked.q).unwrap_or_default().trim().chars().take(200).collect();
    match console.found(text) {
        Ok(found) => {
            let frame = console.frame(Some(&visitor), Section::Search);
            page(StatusCode::OK, &SearchPage { frame, found })
        }
        Err(refusal) => console.refuse(Some(&visitor), &refusal),
    }
}

impl Console {
    fn found(&self, text: String) -> Result<Found, Refusal> {
        if text.is_empty() {
            return Ok(Found { text, groups: Vec::new() });
        }
        let (generation, metrics) = (self.generation(), self.registry.gateway().metrics());
        let mut view = apis_view(&generation, metrics);
        let apis: Vec<Api> =
            view.get_mut("apis").map(serde_json::Value::take).and_then(typed).ok_or(Refusal::Failed)?;
        let clients = clients_view(&generation, metrics);
        let ids = clients.get("clients").and_then(serde_json::Value::as_array).into_iter().flatten();
        let ids = ids.filter_map(|client| client.get("id")?.as_str());
        let scopes = apis.iter().flat_map(|api| api.scopes.iter().map(move |scope| (api, scope)));
        let groups = [
            group("scopes", "Scopes", scopes.filter_map(|(api, scope)| scope_hit(api, scope, &text))),
            group("apis", "APIs", apis.iter().filter_map(|api| api_hit(api, &text))),
            group("clients", "Clients", ids.filter_map(|id| client_hit(id, &text))),
        ];
        Ok(Found { groups: groups.into_iter().filter(|group| group.total > 0).collect(), text })
    }
}

impl Found {
    fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

fn group(anchor: &'static str, title: &'static str, hits: impl Iterator<Item = Hit>) -> Group {
    let mut hits: Vec<_> = hits.collect();
    let total = hits.len();
    hits.truncate(SHOWN);
    Group { anchor, title, total, hits }
}

fn scope_hit(api: &Api, scope: &Scope, text: &str) -> Option<Hit> {
    let fields = &scope.scope;
    let privileges = fields.privileges.iter().map(|(name, own)| (format!("{}:{name}", scope.name), own));
    let privileges: Vec<_> = privileges.collect();
    let own = [fields.display_name.as_deref(), fields.description.as_deref()];
    let services =
        fields.services.iter().chain(&fields.except).chain(privileges.iter().flat_map(|(_, own)| &own.services));
    let texts = own.into_iter().flatten();
    let texts = texts.chain(privileges.iter().map(|(name, _)| &**name)).chain(services.map(|service| &*service.text));
    let hit = hit(scope.address(), &scope.name, texts, text)?;
    Some(Hit { within: format!("in {}", api.title()), deprecated: fields.deprecated, ..hit })
}

fn api_hit(api: &Api, text: &str) -> Option<Hit> {
    let public = api.public.iter().map(|service: &ShownService| &*service.text);
    hit(api.address(), api.title(), [&*api.name, &api.base_path].into_iter().chain(public), text)
}

fn client_hit(id: &str, text: &str) -> Option<Hit> {
    hit(Client(id.to_owned()).address(), id, std::iter::empty(), text)
}

fn hit<'t>(address: String, name: &str, others: impl Iterator<Item = &'t str>, text: &str) -> Option<Hit> {
    let own = marked(name, text);
    let lines = others.filter_map(|other| marked(other, text)).take(LINES).collect::<Vec<_>>();
    if own.is_none() && lines.is_empty() {
        return None;
    }
    let name = own.unwrap_or_else(|| vec![Piece { text: name.to_owned(), varies: false }]);
    Some(Hit { address, name, within: String::new(), deprecated: false, lines })
}

/// The text with what fits told apart, whatever the letter case; `None` if nothing does.
fn marked(text: &str, wanted: &str) -> Option<Vec<Piece>> {
    let wanted: Vec<char> = wanted.chars().flat_map(char::to_lowercase).collect();
    let (mut pieces, mut rest, mut at) = (Vec::new(), text, 0);
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if let Some(length) = begins(tail, &wanted).filter(|length| *length > 0) {
            let (before, found) = (rest.get(..at)?, tail.get(..length)?);
            if !before.is_empty() {
                pieces.push(Piece { text: before.to_owned(), varies: false });
            }
            pieces.push(Piece { text: found.to_owned(), varies: true });
            rest = tail.get(length..)?;
            at = 0;
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    if pieces.is_empty() {
        return None;
    }
    if !rest.is_empty() {
        pieces.push(Piece { text: rest.to_owned(), varies: false });
    }
    Some(pieces)
}

/// How many bytes of the text's begin are the wanted letters.
fn begins(text: &str, wanted: &[char]) -> Option<usize> {
    let mut wanted = wanted.iter();
    let mut length = 0;
    for character in text.chars() {
        if wanted.as_slice().is_empty() {
            break;
        }
        if !character.to_lowercase().all(|lower| wanted.next() == Some(&lower)) {
            return None;
        }
        length += character.len_utf8();
    }
    wanted.as_slice().is_empty().then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: &str, expected: Option<&str>) {
        let shown = marked(text, wanted).map(|pieces| {
            let shown =
                pieces.iter().map(|piece| if piece.varies { format!("[{}]", piece.text) } else { piece.text.clone() });
            shown.collect::<String>()
        });
        assert_eq!(shown.as_deref(), expected, "{text} {wanted}");
    }

    #[test]
    fn what_fits_is_told_apart_whatever_the_case() {
        check("Read data", "DATA", Some("Read [data]"));
        check("aXaxA", "ax", Some("[aX][ax]A"));
        check("Größe", "GRÖ", Some("[Grö]ße"));
        check("orders", "order_", None);
        check("", "a", None);
        check("<b>", "<B", Some("[<b]>"));
    }
}
