//! Security requirements: which scopes an operation asks for.
//!
//! A requirement's schemes must all be satisfied, and one requirement of the list must. Scopes are what
//! `oauth2` and `openIdConnect` schemes name; other schemes are the upstream's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Notes, Services};
use crate::policy::ScopeName;

/// What an operation asks of its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing: it is public.
    Nothing,
    /// A token, whatever its scopes.
    AnyToken,
    /// The document does not say.
    Unsaid,
    /// All scopes of one of these.
    Scopes(Vec<BTreeSet<String>>),
    /// What no token can show.
    Impossible,
}

/// The document's security schemes.
pub(super) struct Schemes<'d> {
    schemes: BTreeMap<&'d str, &'d Value>,
}

impl<'d> Schemes<'d> {
    pub(super) fn of(document: &'d Value, notes: &mut Notes) -> Self {
        let named = document.pointer("/components/securitySchemes").and_then(Value::as_object);
        let schemes: BTreeMap<_, _> =
            named.into_iter().flatten().map(|(name, scheme)| (name.as_str(), scheme)).collect();
        for (name, scheme) in schemes.iter().filter(|(_, scheme)| !carries_tokens(scheme)) {
            let kind = scheme["type"].as_str().unwrap_or("unknown");
            notes.add(
                format!("not carried over: `{kind}` is no bearer token, and stays the upstream's to check"),
                *name,
            );
        }
        Self { schemes }
    }

    /// The issuer that an `openIdConnect` scheme names.
    pub(super) fn issuer(&self) -> Option<String> {
        let url = self.schemes.values().find_map(|scheme| scheme["openIdConnectUrl"].as_str())?;
        let issuer = url.strip_suffix("/.well-known/openid-configuration")?;
        (issuer.starts_with("https://") && !issuer.contains(['?', '#', '"', '\\'])).then(|| issuer.to_owned())
    }

    /// What flows say of scopes.
    pub(super) fn descriptions(&self) -> BTreeMap<String, String> {
        let flows = self.schemes.values().filter_map(|scheme| scheme["flows"].as_object());
        let scopes = flows.flat_map(|flows| flows.values()).filter_map(|flow| flow["scopes"].as_object()).flatten();
        let said = scopes.filter_map(|(name, text)| Some((name.clone(), text.as_str()?.trim().to_owned())));
        said.filter(|(_, text)| !text.is_empty()).collect()
    }

    pub(super) fn ask(&self, security: Option<&Value>, shown: &str, notes: &mut Notes) -> Ask {
        let Some(requirements) = security.and_then(Value::as_array) else { return Ask::Unsaid };
        if requirements.is_empty() {
            return Ask::Nothing;
        }
        let mut alternatives = Vec::new();
        for requirement in requirements.iter().filter_map(Value::as_object) {
            if requirement.is_empty() {
                notes.add(
                    "public: its security is optional, so the upstream sees requests with and without tokens",
                    shown,
                );
                return Ask::Nothing;
            }
            alternatives.extend(self.alternative(requirement, shown, notes));
        }
        if alternatives.is_empty() {
            notes.add("left out: nothing that it asks for is a bearer token", shown);
            return Ask::Impossible;
        }
        let (any_token, scoped): (Vec<_>, Vec<_>) = alternatives.into_iter().partition(BTreeSet::is_empty);
        if scoped.is_empty() {
            return Ask::AnyToken;
        }
        if !any_token.is_empty() {
            // Such a scheme has limits of its own, which no scope shows: whoever has none would pass.
            notes.add(
                "left out: of what it asks for, an alternative without scopes, by which any good token would do; \
                 those with scopes were carried over",
                shown,
            );
        }
        Ask::Scopes(scoped)
    }

    /// The scopes of a requirement; `None` if no token can meet it.
    fn alternative(
        &self,
        requirement: &serde_json::Map<String, Value>,
        shown: &str,
        notes: &mut Notes,
    ) -> Option<BTreeSet<String>> {
        let mut scopes = BTreeSet::new();
        let mut has_token = false;
        for (name, asked) in requirement {
            let Some(scheme) = self.schemes.get(name.as_str()) else {
                notes.add(
                    format!("left out: it asks for the security scheme `{name}`, which the document does not define"),
                    shown,
                );
                return None;
            };
            if !carries_tokens(scheme) {
                continue;
            }
            has_token = true;
            for scope in asked.as_array().into_iter().flatten().filter_map(Value::as_str) {
                if ScopeName::parse(scope).is_err() {
                    notes.add(format!("left out: {scope:?} is no scope that a token could carry"), shown);
                    return None;
                }
                scopes.insert(scope.to_owned());
            }
        }
        has_token.then_some(scopes)
    }
}

fn carries_tokens(scheme: &Value) -> bool {
    match scheme["type"].as_str() {
        Some("oauth2" | "openIdConnect") => true,
        Some("http") => scheme["scheme"].as_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer")),
        Some(_) | None => false,
    }
}

/// The scopes that each operation asks for, whichever way, where some ask for another beside them.
pub(super) fn common(asks: &[Ask]) -> Vec<String> {
    let mut alternatives = Vec::new();
    for ask in asks {
        match ask {
            Ask::Nothing | Ask::Impossible => {}
            Ask::AnyToken | Ask::Unsaid => return Vec::new(),
            Ask::Scopes(of) => alternatives.extend(of),
        }
    }
    let Some((first, rest)) = alternatives.split_first() else { return Vec::new() };
    if alternatives.iter().all(|scopes| scopes.len() == 1) {
        return Vec::new();
    }
    first.iter().filter(|scope| rest.iter().all(|scopes| scopes.contains(*scope))).cloned().collect()
}

/// The one scope of each alternative that is left beside the required ones; `None` where more are.
pub(super) fn single(alternatives: &[BTreeSet<String>], required: &[String]) -> Option<BTreeSet<String>> {
    let mut single = BTreeSet::new();
    for scopes in alternatives {
        let mut left = scopes.iter().filter(|scope| !required.contains(scope));
        match (left.next(), left.next()) {
            (Some(scope), None) => {
                single.insert(scope.clone());
            }
            // Nothing but what is required: that grants it then.
            (None, _) => single.extend(scopes.first().cloned()),
            // An alternative that cannot be carried over leaves the others.
            (Some(_), Some(_)) => {}
        }
    }
    (!single.is_empty()).then_some(single)
}

/// The name of a scope for operations that any token may call.
pub(super) fn made_up(api: &str) -> String {
    format!("{api}-access")
}

/// Names that differ in case only are one in a file: of such the required one is kept, else that which
/// grants most.
pub(super) fn drop_twins(scopes: &mut BTreeMap<String, Services>, required: &[String], notes: &mut Notes) {
    let mut order: Vec<_> =
        scopes.iter().map(|(name, services)| (required.contains(name), services.len(), name)).collect();
    order.sort_by(|one, other| (other.0, other.1).cmp(&(one.0, one.1)).then(one.2.cmp(other.2)));
    let mut seen = BTreeSet::new();
    let twins = order.into_iter().filter(|(_, _, name)| !seen.insert(name.to_ascii_lowercase()));
    let twins: Vec<_> = twins.map(|(_, _, name)| name.clone()).collect();
    for name in twins {
        scopes.remove(&name);
        notes.add("left out: another scope differs from it in letter case only", name);
    }
}
