//! What the complete file means, key by key.

mod apis;
mod issuers;
mod settings;

use std::path::Path;

use crate::config::finding::Findings;
use crate::config::{Access, Audit, IdentityHeaders, Settings, reading, yaml};
use crate::policy::{PolicySpec, ScopeName, ScopeNames, UndefinedScopes, UnregisteredClients};

#[track_caller]
pub(super) fn meaning(text: &str) -> (PolicySpec, Settings) {
    let mut findings = Findings::default();
    let document = reading::document(yaml::parse(text).unwrap(), &mut findings).unwrap();
    let meaning = super::meaning(document, Path::new("/etc/scopegate"), &mut findings);
    assert!(findings.is_empty(), "{findings:?}");
    meaning
}

fn complete() -> (PolicySpec, Settings) {
    meaning(include_str!("../testdata/complete.yaml"))
}

/// The complete file with each of the texts, which it has once, replaced.
fn with(replaced: &[(&str, &str)]) -> Settings {
    let mut text = include_str!("../testdata/complete.yaml").to_owned();
    for (from, to) in replaced {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, to);
    }
    meaning(&text).1
}

#[test]
fn the_admin_address_may_take_revocations() {
    let address = "address: 127.0.0.1:9901";
    let settings = with(&[(address, &format!("{address}\n  revocations_token_file: secrets/revoker"))]);
    let file = settings.admin.unwrap().revocations_token_file;
    assert_eq!(file.as_deref(), Some(Path::new("/etc/scopegate/secrets/revoker")));
}

#[test]
fn what_may_be_left_out_has_its_default() {
    let (spec, settings) = meaning(
        "{ version: 1, listeners: [{ address: 127.0.0.1:0 }], upstreams: { u: { servers: ['localhost:1'] } },
           apis: [{ name: a, upstream: u, public: [/health], hosts: , scopes: }] }",
    );
    assert!(spec.clients.is_none());
    assert_eq!(spec.unregistered_clients, UnregisteredClients::Refuse);
    assert_eq!(spec.undefined_scopes, UndefinedScopes::Ignore);
    assert_eq!(spec.scope_names, ScopeNames::CaseSensitive);
    assert!(settings.threads >= 1);
    assert_eq!(settings.forward_authorization, [true]);
    assert_eq!(settings.identity_headers, IdentityHeaders::default());
    assert_eq!(settings.audit, Audit { file: None });
    let absent = (settings.admin, settings.resource_metadata, settings.revocations);
    assert_eq!(absent, (None, None, None));
    assert!(settings.issuers.is_empty() && settings.trusted_proxies.is_empty());
}

#[test]
fn access_to_the_registry_has_default_scopes() {
    let issuers = "issuers: [{ issuer: a, audiences: [b], keys: { file: c } }]";
    for (keys, view, manage) in [("", "scopegate:view", "scopegate:manage"), (", view: v, manage: m", "v", "m")] {
        let rest = "upstreams: { u: { servers: [\"[::1]:3\"] } }\napis: [{ name: n, upstream: u, public: [/] }]";
        let text = format!(
            "version: 1\n{rest}\nlisteners: [{{ address: \"[::1]:1\" }}]\n{issuers}\nremoval_guard: true\n\
             admin: {{ address: \"[::1]:2\", access: {{ issuer: a{keys} }} }}"
        );
        let (_, settings) = meaning(&text);
        assert!(settings.removal_guard);
        let name = |name| ScopeName::parse(name).unwrap();
        let expected = Access { issuer: "a".into(), view: name(view), manage: name(manage), url: None, sign_in: None };
        assert_eq!(settings.admin.unwrap().access, Some(expected));
    }
}

#[test]
fn the_console_has_an_origin_and_a_client_of_its_own() {
    let keys =
        "client_id: console, client_secret_file: s, resource: 'https://api.example.com', url: 'https://A.example:443/'";
    let text = format!(
        "version: 1\nlisteners: [{{ address: \"[::1]:1\" }}]\nupstreams: {{ u: {{ servers: [\"[::1]:3\"] }} }}\n\
         apis: [{{ name: n, upstream: u, public: [/] }}]\nissuers: [{{ issuer: a, audiences: [b], keys: {{ file: c }} }}]\n\
         admin: {{ address: \"[::1]:2\", access: {{ issuer: a, {keys} }} }}"
    );
    let (_, settings) = meaning(&text);
    let access = settings.admin.unwrap().access.unwrap();
    assert_eq!(access.url.as_deref(), Some("https://a.example"));
    let client = access.sign_in.unwrap();
    assert_eq!((&*client.client_id, client.resource.as_deref()), ("console", Some("https://api.example.com")));
    assert!(client.secret_file.unwrap().ends_with("s"));
}
