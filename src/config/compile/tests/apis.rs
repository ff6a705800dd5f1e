//! Apis, their scopes and token endpoints, and clients.

use std::path::Path;

use super::{complete, meaning};
use crate::config::finding::Findings;
use crate::config::{TokenEndpoint, reading, yaml};
use crate::policy::{
    Account, AccountSource, AccountWhenAbsent, ApiId, CertificateRule, ClientType, InsufficientScopeStatus, Marks,
    Reach, ScopeName, ScopeNames, UndefinedScopes, UnregisteredClients, UpstreamId,
};
use crate::token::ScopeSyntax;

#[test]
fn the_apis_are_what_the_file_says() {
    let (spec, _) = complete();
    let [data, certificates, open] = &*spec.apis else { panic!("{:?}", spec.apis) };
    assert_eq!(data.name.as_str(), "default-data");
    assert_eq!(data.display_name.as_deref(), Some("Default Data"));
    assert_eq!(data.base_path.to_string(), "/integration/default-data");
    assert_eq!(data.hosts, ["api.example.com", "api.example.com:8443"].map(Box::<str>::from));
    assert_eq!([data.upstream, certificates.upstream], [UpstreamId(0), UpstreamId(1)]);
    let sources = [
        AccountSource::Path("account".into()),
        AccountSource::Query("accountId".into()),
        AccountSource::Header("x-account-id".parse().unwrap()),
    ];
    assert_eq!(data.account, sources);
    assert_eq!(data.account_when_absent, AccountWhenAbsent::Inject);
    assert_eq!(data.insufficient_scope_status, InsufficientScopeStatus::Unauthorized);
    assert_eq!(data.public[0].as_str(), "GET /integration/default-data/health");
    assert_eq!(certificates.base_path.to_string(), "/");
    assert_eq!(certificates.account_when_absent, AccountWhenAbsent::Deny);
    assert_eq!(certificates.insufficient_scope_status, InsufficientScopeStatus::Forbidden);
    assert!(open.account.is_empty() && open.hosts.is_empty() && open.public.is_empty());
}

#[test]
fn the_token_endpoint_is_what_the_file_says() {
    let (spec, _) = complete();
    let [endpoint] = &*spec.token_endpoints else { panic!("{:?}", spec.token_endpoints) };
    assert_eq!((endpoint.api, endpoint.upstream), (ApiId(2), UpstreamId(0)));
    assert_eq!(endpoint.service.as_str(), "POST /oauth/token");
}

/// A file of two apis with these hosts, and one token endpoint each.
fn two_endpoints(first: &str, second: &str) -> String {
    let api = |name: &str, hosts: &str| {
        format!(
            "{{ name: {name}, upstream: u, hosts: [{hosts}],
                token_endpoint: {{ service: POST /token, upstream: u }} }}"
        )
    };
    format!(
        "{{ version: 1, listeners: [{{ address: 127.0.0.1:0 }}], upstreams: {{ u: {{ servers: ['localhost:1'] }} }},
            issuers: [{{ issuer: i, audiences: [a], keys: {{ file: k }}, scope_syntax: privileges }}],
            apis: [{}, {}] }}",
        api("one", first),
        api("two", second)
    )
}

#[test]
fn a_token_endpoint_needs_neither_an_issuers_name_nor_scopes_nor_another_path_for_another_host() {
    let (spec, settings) = meaning(&two_endpoints("a.example", "b.example"));
    assert_eq!(spec.token_endpoints.len(), 2);
    let expected = TokenEndpoint { scope_syntax: ScopeSyntax::Privileges, max_form_bytes: 32768 };
    assert_eq!(settings.token_endpoints, [expected.clone(), expected]);
    for (first, second) in [("", ""), ("a.example", ""), ("", "a.example"), ("a.example", "b.example, A.example")] {
        let mut findings = Findings::default();
        let document = yaml::parse(&two_endpoints(first, second)).unwrap();
        let document = reading::document(document, &mut findings).unwrap();
        crate::config::compile::meaning(document, Path::new(""), &mut findings);
        assert_eq!(findings.count(), 1, "{first} and {second}: {findings:?}");
    }
}

#[test]
fn the_scopes_are_what_the_file_says() {
    let (spec, _) = complete();
    let read = &spec.apis[0].scopes[0];
    assert_eq!(read.name.as_str(), "default-data-read");
    assert_eq!(read.display_name.as_deref(), Some("Read default data"));
    assert_eq!(read.description.as_deref(), Some("Reads the default data of the caller's own account."));
    let marks =
        Marks { required: true, emphasize: true, show_in_discovery: false, deprecated: true, confidential_only: true };
    assert_eq!(read.marks, marks);
    assert_eq!(read.services[0].as_str(), "GET /integration/default-data/{account}/**");
    assert_eq!(read.except[0].as_str(), "* /integration/default-data/{account}/admin/**");
    let all = &read.privileges[0];
    assert_eq!((all.name.as_str(), all.reach), ("default-data-read:all", Reach::Any));
    assert_eq!(all.services[0].as_str(), "/integration/default-data/**");
    assert_eq!(spec.apis[1].scopes[1].marks, Marks { required: true, ..Marks::default() });
}

#[test]
fn the_reach_is_own_where_the_api_names_an_account() {
    let (spec, _) = complete();
    let certificate = &spec.apis[1].scopes[0];
    assert_eq!([certificate.reach, certificate.privileges[0].reach], [Reach::Own, Reach::Own]);
    assert_eq!(spec.apis[2].scopes[0].reach, Reach::Any);
}

#[test]
fn the_clients_are_what_the_file_says() {
    let (spec, _) = complete();
    let clients = spec.clients.unwrap();
    let [acme, browser, job] = &*clients else { panic!("{clients:?}") };
    assert_eq!((acme.id.as_str(), &acme.account), ("acme-integration", &Account::parse("acme")));
    let ceiling = acme.scopes.as_ref().unwrap().iter().map(ScopeName::as_str);
    assert_eq!(ceiling.collect::<Vec<_>>(), ["default-data-read", "certificate:approve"]);
    assert_eq!([acme.client_type, browser.client_type], [ClientType::Confidential, ClientType::Public]);
    let mut sha256 = [0; 32];
    (0..32).for_each(|place| sha256[place] = u8::try_from(place % 16 * 0x11).unwrap());
    assert_eq!(acme.certificate, Some(CertificateRule::Sha256(sha256)));
    assert_eq!(browser.certificate, Some(CertificateRule::Subject("CN=browser,O=Acme".into())));
    assert_eq!(job.certificate, Some(CertificateRule::SanDns("nightly.acme.example".into())));
    assert!(browser.scopes.is_none() && job.scopes.as_ref().unwrap().is_empty());
    assert_eq!(spec.unregistered_clients, UnregisteredClients::Allow);
    assert_eq!(spec.undefined_scopes, UndefinedScopes::Reject);
    assert_eq!(spec.scope_names, ScopeNames::CaseInsensitive);
}
