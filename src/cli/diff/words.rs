//! How lines of a difference are worded, the same in every format for people.

use crate::policy::Reach;
use crate::workbench::diff::{
    AccessChange, Affected, ClientAspect, ClientChange, Direction, Effect, Example, Grant, Risk, SettingChange,
    TokenAspect, TokenChange, Whole,
};
use crate::workbench::paint::plain;

/// More names than this are counted.
const MOST_NAMES: usize = 8;

/// What the line is about: `every service of scope orders.read`.
pub(super) fn subject(line: &AccessChange) -> String {
    let grant = line.grants.first();
    let scope = grant.and_then(|grant| grant.scope.as_ref());
    match (&line.whole, scope) {
        (Some(Whole::Api), _) => format!("every service of the api {}", line.api),
        (Some(Whole::Scope(scope)), _) => format!("every service of {scope}"),
        (None, Some(scope)) => format!("by {scope}"),
        (None, None) => "without a token".to_owned(),
    }
}

/// What a grant asks for beside its scope.
pub(super) fn terms(grant: &Grant) -> Vec<String> {
    let mut terms = Vec::new();
    match grant.reach {
        Some(Reach::Own) => terms.push("own account".to_owned()),
        Some(Reach::Any) => terms.push("any account".to_owned()),
        None => {}
    }
    if grant.confidential_only {
        terms.push("confidential clients only".to_owned());
    }
    let others = grant.required.iter().filter(|name| Some(*name) != grant.scope.as_ref());
    let others: Vec<String> = others.map(ToString::to_string).collect();
    if !others.is_empty() {
        terms.push(format!("with {} besides", others.join(", ")));
    }
    if let Some(hosts) = &grant.hosts {
        terms.push(format!("host {}", hosts.iter().map(|host| host_word(host)).collect::<Vec<_>>().join(", ")));
    }
    terms.extend(grant.when.clone());
    terms
}

fn host_word(host: &str) -> String {
    if host.ends_with("any.example") { "any other".to_owned() } else { plain(host) }
}

/// `GET /orders/** but /orders/~admin/**`, for each of its regions.
pub(super) fn endpoints(grant: &Grant) -> impl Iterator<Item = String> {
    grant.regions.iter().map(|region| format!("{} {region}", grant.methods.listed()))
}

/// Whom a line concerns.
pub(super) fn affected(clients: &Affected, direction: Direction) -> String {
    if clients.everyone {
        return "every client".to_owned();
    }
    let mut names: Vec<String> = clients.listed.iter().take(MOST_NAMES).map(|id| plain(id.as_str())).collect();
    if clients.listed.len() > MOST_NAMES {
        names.push(format!("{} more", clients.listed.len() - MOST_NAMES));
    }
    if clients.unlisted {
        names.push("clients that are not listed".to_owned());
    }
    match (names.is_empty(), direction) {
        (true, Direction::Allowed) => "no client may hold what it takes".to_owned(),
        (true, Direction::Denied) => "no client could hold what it took".to_owned(),
        (false, _) => names.join(", "),
    }
}

pub(super) fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
        Risk::Critical => "critical",
    }
}

pub(super) fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Allows => "can let more in",
        Effect::Either => "can let more in, or less",
        Effect::Denies => "lets less in",
        Effect::Neither => "changes nothing about who may call",
    }
}

/// What a client's entry changes.
pub(super) fn client(line: &ClientChange) -> String {
    let allowed = line.direction == Direction::Allowed;
    match &line.aspect {
        ClientAspect::Admission if allowed => "may call".to_owned(),
        ClientAspect::Admission => "may no longer call".to_owned(),
        ClientAspect::Certificate if allowed => "may call with other certificates, or none".to_owned(),
        ClientAspect::Certificate => "may no longer call with the same certificate, or none".to_owned(),
        ClientAspect::Account if allowed => "may reach another account, or come with a token of one".to_owned(),
        ClientAspect::Account => "may no longer reach the same account, or come with a token of it".to_owned(),
        ClientAspect::Type if allowed => "may use what is for confidential clients only".to_owned(),
        ClientAspect::Type => "may no longer use what is for confidential clients only".to_owned(),
        ClientAspect::Scope(scope) if allowed => format!("may hold {scope}"),
        ClientAspect::Scope(scope) => format!("may no longer hold {scope}"),
    }
}

/// Whose entries they are.
pub(super) fn whose(line: &ClientChange) -> String {
    let clients = Affected { everyone: false, listed: line.clients.clone(), unlisted: line.unlisted };
    affected(&clients, line.direction)
}

/// What becomes of tokens.
pub(super) fn token(line: &TokenChange) -> String {
    let refused = match line.direction {
        Direction::Allowed => "no longer refused",
        Direction::Denied => "refused",
    };
    match &line.aspect {
        TokenAspect::UndefinedScopes => format!("tokens with a scope that no api defines are {refused}"),
        TokenAspect::Scope(scope) => format!("tokens that carry {scope} are {refused}"),
        TokenAspect::LetterCase if line.direction == Direction::Allowed => {
            "scopes count in whatever letter case a token writes them".to_owned()
        }
        TokenAspect::LetterCase => "scopes that a token writes in other letter case no longer count".to_owned(),
    }
}

/// `threads: 2 → 4`.
pub(super) fn setting(change: &SettingChange) -> String {
    let key = plain(&change.key);
    match (change.old.as_deref().map(plain), change.new.as_deref().map(plain)) {
        (None, None) => format!("{key} differs"),
        (Some(old), None) => format!("{key}: {old} is gone"),
        (None, Some(new)) => format!("{key}: {new} is new"),
        (Some(old), Some(new)) => format!("{key}: {old} → {new}"),
    }
}

/// A request that shows it.
pub(super) fn example(example: &Example) -> String {
    let mut text = format!("{} {}", example.method, plain(&example.target));
    if example.host != "any.example" {
        text.extend([format!(" at {}", plain(&example.host))]);
    }
    for (name, value) in &example.headers {
        text.extend([format!(", {name}: {}", plain(value))]);
    }
    let Some(bearer) = &example.bearer else { return text + ", without a token" };
    if let Some(client) = &bearer.client {
        text.extend([format!(", by {}", plain(client))]);
    }
    if !bearer.accounts.is_empty() {
        text.extend([format!(" of {}", plain(&bearer.accounts.join(" and ")))]);
    }
    text + &format!(" with {}", plain(&bearer.scopes.join(" ")))
}
