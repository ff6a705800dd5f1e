//! What differs beside the decision: issuers, who is believed, where requests go.
//!
//! Whether a token is good is not known from the file alone, so that these are listed and not worked
//! out: each with whether it can let more in, or less.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use crate::config::{Configuration, Issuer, Listener, Settings};
use crate::policy::{Api, ApiName, Mode, Policy, RateLimitSpec, Role};
use crate::token::{IssuerRules, TokenType};
use crate::workbench::rates::in_words;

/// A setting that is not the same in both files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// Which, as the file has it.
    pub key: String,
    /// What the old file says; `None`: nothing, or more than fits a line.
    pub old: Option<String>,
    /// What the new one says.
    pub new: Option<String>,
    /// What it can come to.
    pub effect: Effect,
}

/// What a setting's change can come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Requests that were refused can be let through.
    Allows,
    /// It depends on what tokens and peers say.
    Either,
    /// Requests that were let through can be refused.
    Denies,
    /// Who may call is the same.
    Neither,
}

/// Every setting that differs, those that can let more in first.
#[must_use]
pub fn settings(old: &Configuration, new: &Configuration) -> Vec<SettingChange> {
    let mut changes = Changes(Vec::new());
    issuers(&old.settings, &new.settings, &mut changes);
    peers(&old.settings, &new.settings, &mut changes);
    apis(old, new, &mut changes);
    rest(&old.settings, &new.settings, &mut changes);
    let Changes(mut changes) = changes;
    changes.sort_by_key(|change| change.effect);
    changes
}

struct Changes(Vec<SettingChange>);

impl Changes {
    fn add(&mut self, key: impl Into<String>, old: Option<String>, new: Option<String>, effect: Effect) {
        self.0.push(SettingChange { key: key.into(), old, new, effect });
    }

    fn differ<T: PartialEq>(&mut self, key: impl Into<String>, old: &T, new: &T, effect: Effect) {
        if old != new {
            self.add(key, None, None, effect);
        }
    }

    fn say<T: PartialEq>(&mut self, key: String, (old, new): (&T, &T), text: impl Fn(&T) -> String, effect: Effect) {
        if old != new {
            self.add(key, Some(text(old)), Some(text(new)), effect);
        }
    }

    /// More in the list lets more in.
    fn list(&mut self, key: &str, old: &BTreeSet<String>, new: &BTreeSet<String>) {
        let of = |set: Vec<&String>| set.into_iter().cloned().collect::<Vec<_>>().join(", ");
        let (gone, come) = (old.difference(new).collect::<Vec<_>>(), new.difference(old).collect::<Vec<_>>());
        if !come.is_empty() {
            self.add(key, None, Some(of(come)), Effect::Allows);
        }
        if !gone.is_empty() {
            self.add(key, Some(of(gone)), None, Effect::Denies);
        }
    }
}

fn issuers(old: &Settings, new: &Settings, changes: &mut Changes) {
    let find =
        |settings: &'_ Settings, name: &str| settings.issuers.iter().position(|issuer| &*issuer.rules.issuer == name);
    for issuer in &new.issuers {
        let name = &issuer.rules.issuer;
        match find(old, name).and_then(|at| old.issuers.get(at)) {
            None => changes.add("issuers", None, Some(name.to_string()), Effect::Allows),
            Some(before) => one_issuer(before, issuer, changes),
        }
    }
    for issuer in old.issuers.iter().filter(|issuer| find(new, &issuer.rules.issuer).is_none()) {
        changes.add("issuers", Some(issuer.rules.issuer.to_string()), None, Effect::Denies);
    }
}

fn one_issuer(old: &Issuer, new: &Issuer, changes: &mut Changes) {
    let key = |key: &str| format!("issuer {}: {key}", new.rules.issuer);
    rules(&old.rules, &new.rules, changes);
    changes.differ(key("keys"), &old.keys, &new.keys, Effect::Either);
    changes.differ(key("ca_file"), &old.ca_file, &new.ca_file, Effect::Either);
    changes.differ(key("introspection"), &old.introspection, &new.introspection, Effect::Either);
    let more = if new.stale_keys_for > old.stale_keys_for { Effect::Allows } else { Effect::Denies };
    changes.say(key("stale_keys_for"), (&old.stale_keys_for, &new.stale_keys_for), duration, more);
}

fn rules(old: &IssuerRules, new: &IssuerRules, changes: &mut Changes) {
    let key = |key: &str| format!("issuer {}: {key}", new.issuer);
    let texts = |list: &[Box<str>]| list.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    changes.list(&key("audiences"), &texts(&old.audiences), &texts(&new.audiences));
    let names = |rules: &IssuerRules| rules.algorithms.iter().map(|name| format!("{name:?}")).collect::<BTreeSet<_>>();
    changes.list(&key("algorithms"), &names(old), &names(new));
    let strictness = |rules: &IssuerRules| match rules.token_type {
        TokenType::Off => 0,
        TokenType::Prefer => 1,
        TokenType::Require => 2,
    };
    let effect = if strictness(new) < strictness(old) { Effect::Allows } else { Effect::Denies };
    changes.say(key("token_type"), (&old.token_type, &new.token_type), word, effect);
    let effect = if new.leeway > old.leeway { Effect::Allows } else { Effect::Denies };
    changes.say(key("leeway"), (&old.leeway, &new.leeway), |seconds| format!("{seconds}s"), effect);
    changes.differ(key("claims"), &old.claims, &new.claims, Effect::Either);
    changes.say(key("scope_syntax"), (&old.scope_syntax, &new.scope_syntax), word, Effect::Either);
    let required = |rules: &IssuerRules| rules.dpop.is_some_and(|dpop| dpop.required);
    let effect = match (required(old), required(new)) {
        (true, false) => Effect::Allows,
        (false, true) => Effect::Denies,
        (true, true) | (false, false) => Effect::Either,
    };
    changes.differ(key("dpop"), &old.dpop, &new.dpop, effect);
}

fn peers(old: &Settings, new: &Settings, changes: &mut Changes) {
    let proxies = |settings: &Settings| settings.trusted_proxies.iter().map(ToString::to_string).collect();
    changes.list("trusted_proxies", &proxies(old), &proxies(new));
    let effect = match (&old.revocations, &new.revocations) {
        (Some(_), None) => Effect::Allows,
        (None, Some(_)) => Effect::Denies,
        (Some(_), Some(_)) | (None, None) => Effect::Either,
    };
    changes.differ("revocations", &old.revocations, &new.revocations, effect);
    let listening =
        |settings: &Settings| settings.listeners.iter().map(|listener| listener.address.to_string()).collect();
    changes.list("listeners", &listening(old), &listening(new));
    for after in &new.listeners {
        let Some(before) = old.listeners.iter().find(|before| before.address == after.address) else { continue };
        listener(before, after, changes);
    }
}

fn listener(old: &Listener, new: &Listener, changes: &mut Changes) {
    let key = |key: &str| format!("listener {}: {key}", new.address);
    let demand = |listener: &Listener| {
        listener.tls.as_ref().and_then(|tls| tls.clients.as_ref()).is_some_and(|clients| clients.required)
    };
    let effect = match (demand(old), demand(new)) {
        (true, false) => Effect::Allows,
        (false, true) => Effect::Denies,
        (true, true) | (false, false) => Effect::Either,
    };
    changes.differ(key("tls"), &old.tls, &new.tls, effect);
    changes.differ(key("http2"), &old.http2, &new.http2, Effect::Neither);
}

fn apis(old: &Configuration, new: &Configuration, changes: &mut Changes) {
    for (place, api) in new.policy.apis().iter().enumerate() {
        let Some((before_place, before)) =
            old.policy.apis().iter().enumerate().find(|(_, before)| before.name == api.name)
        else {
            mode(&api.name, Mode::Enforce, api.mode, changes);
            continue;
        };
        mode(&api.name, before.mode, api.mode, changes);
        let key = |key: &str| format!("api {}: {key}", api.name);
        let upstream = |configuration: &Configuration, api: &Api| {
            let upstream = configuration.settings.upstreams.get(api.upstream.0 as usize);
            upstream.map(|upstream| upstream.name.to_string()).unwrap_or_default()
        };
        let goes_to = (upstream(old, before), upstream(new, api));
        changes.say(key("upstream"), (&goes_to.0, &goes_to.1), Clone::clone, Effect::Neither);
        changes.differ(key("account"), &before.account, &api.account, Effect::Either);
        changes.say(
            key("insufficient_scope_status"),
            (&before.insufficient_scope_status, &api.insufficient_scope_status),
            word,
            Effect::Neither,
        );
        let cors =
            |configuration: &Configuration, place: usize| configuration.settings.cors.get(place).cloned().flatten();
        changes.differ(key("cors"), &cors(old, before_place), &cors(new, place), Effect::Neither);
        let forwards = |configuration: &Configuration, place: usize| {
            configuration.settings.forward_authorization.get(place).copied().unwrap_or_default()
        };
        let forwards = (forwards(old, before_place), forwards(new, place));
        rate_limits(&key("rate_limits"), (&old.policy, before_place), (&new.policy, place), changes);
        changes.say(key("forward_authorization"), (&forwards.0, &forwards.1), ToString::to_string, Effect::Neither);
    }
    for gone in old.policy.reporting_apis().filter(|gone| !new.policy.apis().iter().any(|api| api.name == gone.name)) {
        mode(&gone.name, gone.mode, Mode::Enforce, changes);
    }
    changes.list("token_endpoint", &token_endpoints(&old.policy), &token_endpoints(&new.policy));
    scopes(&old.policy, &new.policy, changes);
}

/// The rate limits of an api, by their names. More scopes in the list of a limit limit more.
fn rate_limits(key: &str, old: (&Policy, usize), new: (&Policy, usize), changes: &mut Changes) {
    let of = |(policy, place): (&Policy, usize)| -> BTreeMap<String, RateLimitSpec> {
        let limits = policy.rate_limits().iter().filter(|limit| limit.spec.api.0 as usize == place);
        limits.map(|limit| (limit.spec.name.to_string(), limit.spec.clone())).collect()
    };
    let (old, new) = (of(old), of(new));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for name in names {
        let (was, is) = (old.get(name), new.get(name));
        let effect = match (was, is) {
            (Some(was), Some(is)) if is_same(was, is) => continue,
            (Some(was), Some(is)) => effect_of(was, is),
            (None, _) => Effect::Denies,
            (_, None) => Effect::Allows,
        };
        changes.add(format!("{key} {name}"), was.map(in_words), is.map(in_words), effect);
    }
}

/// Whatever the place of its api.
fn is_same(old: &RateLimitSpec, new: &RateLimitSpec) -> bool {
    *old == RateLimitSpec { api: old.api, ..new.clone() }
}

fn effect_of(old: &RateLimitSpec, new: &RateLimitSpec) -> Effect {
    let (was, is) = (old.pace(), new.pace());
    let is_no_slower = is.interval <= was.interval && new.burst >= old.burst;
    let is_no_faster = is.interval >= was.interval && new.burst <= old.burst;
    match (old.by == new.by && old.scopes == new.scopes, is_no_slower, is_no_faster) {
        (true, true, false) => Effect::Allows,
        (true, false, true) => Effect::Denies,
        (true | false, _, _) => Effect::Either,
    }
}

/// An api that only reports lets through what the rest of the difference says that it refuses.
fn mode(api: &ApiName, old: Mode, new: Mode, changes: &mut Changes) {
    let effect = if new == Mode::ReportOnly { Effect::Allows } else { Effect::Denies };
    changes.say(format!("api {api}: mode"), (&old, &new), word, effect);
}

fn token_endpoints(policy: &Policy) -> BTreeSet<String> {
    let endpoints = policy.listings().into_iter().filter(|listing| matches!(listing.role, Role::TokenEndpoint(_)));
    endpoints.map(|listing| listing.service.to_string()).collect()
}

/// What people are told of scopes.
fn scopes(old: &Policy, new: &Policy, changes: &mut Changes) {
    for scope in new.scopes().iter().filter(|scope| scope.includes.is_none()) {
        let before = old.scope_named(scope.name.as_str()).and_then(|id| old.scope(id));
        let Some(before) = before else { continue };
        let key = |key: &str| format!("scope {}: {key}", scope.name);
        for (name, was, is) in [
            ("deprecated", before.marks.deprecated, scope.marks.deprecated),
            ("show_in_discovery", before.marks.show_in_discovery, scope.marks.show_in_discovery),
            ("emphasize", before.marks.emphasize, scope.marks.emphasize),
        ] {
            changes.say(key(name), (&was, &is), ToString::to_string, Effect::Neither);
        }
        let texts = |scope: &crate::policy::Scope| (scope.display_name.clone(), scope.description.clone());
        changes.differ(key("display_name, description"), &texts(before), &texts(scope), Effect::Neither);
    }
}

fn rest(old: &Settings, new: &Settings, changes: &mut Changes) {
    changes.differ("upstreams", &old.upstreams, &new.upstreams, Effect::Neither);
    changes.differ("identity_headers", &old.identity_headers, &new.identity_headers, Effect::Neither);
    changes.differ("resource_metadata", &old.resource_metadata, &new.resource_metadata, Effect::Neither);
    changes.differ("admin", &old.admin, &new.admin, Effect::Neither);
    changes.differ("tracing", &old.tracing, &new.tracing, Effect::Neither);
    changes.differ("shadow", &old.shadow, &new.shadow, Effect::Neither);
    changes.differ("audit", &old.audit, &new.audit, Effect::Neither);
    changes.say("threads".to_owned(), (&old.threads, &new.threads), ToString::to_string, Effect::Neither);
}

fn duration(duration: &Duration) -> String {
    humantime::format_duration(*duration).to_string()
}

/// A variant's name as the file has it.
fn word<T: Debug>(value: &T) -> String {
    let mut word = String::new();
    for (place, letter) in format!("{value:?}").chars().enumerate() {
        if letter.is_uppercase() && place > 0 {
            word.push('_');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}
