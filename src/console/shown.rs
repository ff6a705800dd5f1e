//! What the registry shows of apis and scopes, typed for pages.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::service::ShownService;

/// An api with its scopes.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Api {
    pub(super) name: String,
    display_name: Option<String>,
    pub(super) base_path: String,
    upstream: Option<String>,
    pub(super) insufficient_scope_status: u16,
    pub(super) public: Vec<ShownService>,
    pub(super) required: Vec<String>,
    pub(super) scopes: Vec<Scope>,
}

/// A scope with what is known of its use.
#[derive(Debug, Clone, Deserialize)]
#[expect(clippy::struct_field_names, reason = "as the registry's view has them")]
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) api: String,
    pub(super) scope: Fields,
    pub(super) usage: Usage,
    pub(super) privilege_usage: BTreeMap<String, Usage>,
    pub(super) allowed_to_clients: Vec<Client>,
    pub(super) seen_with_clients: BTreeMap<Client, Option<Moment>>,
    pub(super) advice: Vec<String>,
}

/// What the file says of a scope, with what is meant where it says nothing.
#[derive(Debug, Clone, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are keys of the file")]
pub(super) struct Fields {
    pub(super) display_name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) accounts: String,
    pub(super) required: bool,
    pub(super) emphasize: bool,
    pub(super) show_in_discovery: bool,
    pub(super) deprecated: bool,
    pub(super) confidential_only: bool,
    pub(super) services: Vec<ShownService>,
    pub(super) except: Vec<ShownService>,
    pub(super) privileges: BTreeMap<String, Privilege>,
}

/// A privilege of a scope.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Privilege {
    pub(super) services: Vec<ShownService>,
    pub(super) accounts: String,
}

/// Since the gateway's start.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Usage {
    pub(super) allowed: u64,
    pub(super) denied: u64,
    pub(super) last_allowed: Option<Moment>,
    pub(super) last_expiry: Option<Moment>,
    pub(super) live: bool,
}

/// A client's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(super) struct Client(pub(super) String);

/// A time as RFC 3339 has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Moment(pub(super) String);

/// A view of the registry, typed; `None` would be a fault of the program.
pub(super) fn typed<T: DeserializeOwned>(view: Json) -> Option<T> {
    match serde_json::from_value(view) {
        Ok(typed) => Some(typed),
        Err(error) => {
            tracing::error!(%error, "a view of the registry is not what the console takes it for");
            None
        }
    }
}

/// A name as a segment of a path (RFC 3986 section 2.3).
pub(super) fn encoded(name: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let encode = |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(encode).collect()
}

pub(super) fn api_address(name: &str) -> String {
    format!("/console/apis/{}", encoded(name))
}

pub(super) fn scope_address(name: &str) -> String {
    format!("/console/scopes/{}", encoded(name))
}

impl Api {
    /// What people call it.
    pub(super) fn title(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.name)
    }

    pub(super) fn upstream_name(&self) -> &str {
        self.upstream.as_deref().unwrap_or_default()
    }

    pub(super) fn address(&self) -> String {
        api_address(&self.name)
    }

    fn count(&self, is: impl Fn(&Fields) -> bool) -> usize {
        self.scopes.iter().filter(|scope| is(&scope.scope)).count()
    }

    /// How many scopes reach the caller's own account.
    pub(super) fn own(&self) -> usize {
        self.count(|scope| scope.accounts == "own")
    }

    /// How many reach every account.
    pub(super) fn any(&self) -> usize {
        self.count(|scope| scope.accounts == "any")
    }

    pub(super) fn deprecated(&self) -> usize {
        self.count(|scope| scope.deprecated)
    }

    /// How many services there are, public ones among them.
    pub(super) fn services(&self) -> usize {
        let of_privileges = |fields: &Fields| fields.privileges.values().map(|own| own.services.len()).sum::<usize>();
        let of_scope = |scope: &Scope| scope.scope.services.len() + of_privileges(&scope.scope);
        self.public.len() + self.scopes.iter().map(of_scope).sum::<usize>()
    }

    /// How many requests its scopes let through since the gateway's start.
    pub(super) fn allowed(&self) -> u64 {
        let of_scope = |scope: &Scope| {
            scope.usage.allowed + scope.privilege_usage.values().map(|usage| usage.allowed).sum::<u64>()
        };
        self.scopes.iter().map(of_scope).sum()
    }
}

impl Scope {
    /// What people call it.
    pub(super) fn title(&self) -> &str {
        self.scope.display_name.as_deref().unwrap_or(&self.name)
    }

    pub(super) fn address(&self) -> String {
        scope_address(&self.name)
    }
}

impl Client {
    pub(super) fn address(&self) -> String {
        format!("/console/clients/{}", encoded(&self.0))
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Moment {
    /// For machines.
    pub(super) fn iso(&self) -> &str {
        &self.0
    }

    /// For people: `2026-11-22 01:05:09 UTC`.
    pub(super) fn words(&self) -> String {
        let text = self.0.replacen('T', " ", 1);
        let seconds = text.split(['.', 'Z']).next().unwrap_or_default();
        format!("{seconds} UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_whatever_it_has() {
        assert_eq!(scope_address("a:b/c"), "/console/scopes/a%3Ab%2Fc");
        assert_eq!(api_address("ä ?#"), "/console/apis/%C3%A4%20%3F%23");
    }

    #[test]
    fn a_moment_is_shown_to_the_second() {
        for text in ["2026-11-22T01:05:09Z", "2026-11-22T01:05:09.123Z"] {
            assert_eq!(Moment(text.to_owned()).words(), "2026-11-22 01:05:09 UTC");
        }
    }
}
