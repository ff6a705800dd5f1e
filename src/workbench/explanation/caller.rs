//! Whose token it is, and which of its scopes count.

use serde::Serialize;

use crate::policy::{Caller, ClientType, Policy, Standing, UnixTime};
use crate::workbench::moments::{moment, since};

/// Whose token it is.
#[derive(Debug, Clone, Serialize)]
pub struct CallerStory {
    /// Who signed it.
    pub issuer: String,
    /// The client, by its id.
    pub client: Option<String>,
    /// `confidential` or `public`, where the file lists the client.
    pub client_type: Option<&'static str>,
    /// `sub`.
    pub subject: Option<String>,
    /// The accounts that count as its own.
    pub accounts: Vec<String>,
    /// The scopes that the token carries, or that these include.
    pub scopes: Vec<ScopeStory>,
    /// How long the token is good, where it was one.
    pub expires: Option<String>,
}

/// A scope of a token.
#[derive(Debug, Clone, Serialize)]
pub struct ScopeStory {
    /// As the token has it.
    pub name: String,
    /// Whether it counts.
    pub held: bool,
    /// What is to be said of it: where it is from, or why it does not count.
    pub note: Option<String>,
}

pub(super) fn caller_story(
    policy: &Policy,
    caller: &Caller,
    standing: &Standing,
    now: Option<UnixTime>,
) -> CallerStory {
    let listed = caller.client.as_deref().and_then(|id| policy.client(id));
    let scopes = caller.scopes.iter().map(|name| scope_story(policy, standing, name, listed.is_some()));
    let mut scopes: Vec<_> = scopes.collect();
    // What is included by a privilege, and not carried.
    for scope in standing.held().iter().filter_map(|id| policy.scope(id)) {
        if !scopes.iter().any(|known| known.name.eq_ignore_ascii_case(scope.name.as_str())) {
            let note = Some("included by a privilege".to_owned());
            scopes.push(ScopeStory { name: scope.name.to_string(), held: true, note });
        }
    }
    CallerStory {
        issuer: caller.issuer.to_string(),
        client: caller.client.as_deref().map(str::to_owned),
        client_type: listed.map(|client| match client.client_type {
            ClientType::Confidential => "confidential",
            ClientType::Public => "public",
        }),
        subject: caller.subject.as_deref().map(str::to_owned),
        accounts: standing.accounts().iter().map(ToString::to_string).collect(),
        scopes,
        expires: now.map(|now| format!("{}, {}", moment(caller.expires_at), since(caller.expires_at, now))),
    }
}

fn scope_story(policy: &Policy, standing: &Standing, name: &str, is_listed: bool) -> ScopeStory {
    let id = policy.scope_named(name);
    let held = id.is_some_and(|id| standing.held().contains(id));
    let deprecated = id.and_then(|id| policy.scope(id)).is_some_and(|scope| scope.marks.deprecated);
    let note = match id {
        None => Some("no api defines it"),
        Some(_) if held => deprecated.then_some("deprecated"),
        Some(_) if is_listed => Some("beyond what the file lets this client hold"),
        Some(_) => Some("its client is refused"),
    };
    ScopeStory { name: name.to_owned(), held, note: note.map(str::to_owned) }
}
