//! What the complete file means, key by key.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;

use crate::config::entry::Entry;
use crate::config::finding::Findings;
use crate::config::{
    Access, Admin, Audit, Authorizer, Balance, ClientAuthentication, ClientCertificates, ClientIdentity, Ejection,
    FollowParents, HealthCheck, Http2Limits, IdentityHeaders, Introspection, Issuer, KeySource, Limits, Listener,
    ListenerTls, Plane, ResourceMetadata, Retries, RevocationList, Sampling, ServerAddress, Settings, Share,
    TokenEndpoint, Tracing, Transport, Upstream, UpstreamServer, UpstreamTls, reading, yaml,
};
use crate::policy::{
    Account, AccountSource, AccountWhenAbsent, ApiId, CertificateRule, ClientType, InsufficientScopeStatus, Marks,
    PolicySpec, Reach, ScopeName, ScopeNames, UndefinedScopes, UnregisteredClients, UpstreamId,
};
use crate::token::{
    AssertionAlgorithm, ClaimPath, ClaimPaths, DpopRules, IssuerRules, ScopeSyntax, TokenBounds, TokenType,
};

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

fn claim(names: &[&str]) -> ClaimPath {
    ClaimPath(names.iter().map(|name| (*name).into()).collect())
}

fn server(host: &str, port: u16, weight: u16) -> UpstreamServer {
    UpstreamServer { address: ServerAddress { host: host.into(), port }, weight }
}

fn upstreams() -> Vec<Upstream> {
    let file = |name: &str| PathBuf::from("/etc/scopegate/tls").join(name);
    vec![
        Upstream {
            name: "integration".into(),
            servers: vec![server("127.0.0.1", 9000, 1), server("backend.internal", 9000, 1)],
            balance: Balance::RoundRobin,
            transport: Transport {
                connect_timeout: Duration::from_millis(500),
                first_byte_timeout: Duration::from_secs(60),
                read_timeout: Duration::from_secs(60),
                write_timeout: Duration::from_secs(10),
                ..Transport::default()
            },
            health: None,
            ejection: None,
            retries: None,
            max_requests: 1_024,
        },
        Upstream {
            name: "plain".into(),
            servers: vec![server("::1", 9001, 3), server("::1", 9002, 1)],
            balance: Balance::Account,
            transport: Transport {
                first_byte_timeout: Duration::from_secs(5),
                total_timeout: Some(Duration::from_secs(60)),
                idle_timeout: Duration::from_secs(20),
                idle_connections: 8,
                http2: true,
                tls: Some(UpstreamTls {
                    ca_file: Some(file("ca.pem")),
                    server_name: Some("orders.internal".try_into().unwrap()),
                    identity: Some(ClientIdentity { certificate: file("gateway.pem"), key: file("gateway.key") }),
                }),
                ..Transport::default()
            },
            health: Some(HealthCheck {
                path: Some("/health".into()),
                interval: Duration::from_secs(2),
                timeout: Duration::from_secs(1),
                healthy_after: 2,
                unhealthy_after: 4,
            }),
            ejection: Some(Ejection { failures: 7, time: Duration::from_secs(10) }),
            retries: Some(Retries { attempts: 2, budget_percent: 20 }),
            max_requests: 300,
        },
    ]
}

fn tracing() -> Tracing {
    Tracing {
        otlp: "https://collector.example.com/v1/traces".into(),
        headers_file: Some("/etc/scopegate/secrets/collector-headers".into()),
        ca_file: Some("/etc/scopegate/tls/collector-ca.pem".into()),
        service_name: "edge".into(),
        sampling: Sampling { share: Share::new(0.25).unwrap(), parents: FollowParents::TrustedProxies },
        timeout: Duration::from_secs(5),
    }
}

#[test]
fn the_settings_are_what_the_file_says() {
    let (_, settings) = complete();
    let expected = Settings {
        threads: 2,
        listeners: listeners(),
        admin: Some(Admin { address: "127.0.0.1:9901".parse().unwrap(), revocations_token_file: None, access: None }),
        upstreams: upstreams(),
        issuers: vec![login(), legacy()],
        token_endpoints: vec![TokenEndpoint { scope_syntax: ScopeSyntax::Privileges, max_form_bytes: 16384 }],
        identity_headers: IdentityHeaders {
            subject: Some("x-auth-subject".parse().unwrap()),
            client: Some("x-auth-client".parse().unwrap()),
            account: Some("x-auth-account".parse().unwrap()),
            scopes: Some("x-auth-scopes".parse().unwrap()),
        },
        forward_authorization: vec![false, true, true],
        body_bytes: vec![None, None, Some(1_048_576)],
        cors: vec![None, None, None],
        limits: limits(),
        resource_metadata: Some(ResourceMetadata { resource: "https://api.example.com".into() }),
        revocations: Some(RevocationList {
            file: "/etc/scopegate/revoked.jsonl".into(),
            endpoint: Some("/oauth/revoke".into()),
        }),
        shared_state: None,
        trusted_proxies: ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"].map(|net| net.parse().unwrap()).into(),
        audit: Audit { file: Some("/etc/scopegate/audit.jsonl".into()) },
        tracing: Some(tracing()),
        removal_guard: false,
        shadow: Some("/etc/scopegate/candidate.yaml".into()),
    };
    assert_eq!(settings, expected);
}

fn limits() -> Limits {
    Limits {
        request_line_bytes: 4096,
        header_count: 64,
        header_bytes: 32_768,
        token_bytes: 8192,
        token: BOUNDS,
        head_timeout: Duration::from_secs(5),
        body_timeout: Duration::from_secs(20),
        body_bytes_per_second: 1000,
        idle_timeout: Duration::from_secs(30),
        send_timeout: Duration::from_secs(40),
        drain_timeout: Duration::from_secs(15),
        connections: 5000,
        connections_per_address: 100,
        rate_limit_keys: 100_000,
        http2: Http2Limits { streams: 50, resets: 10, errors: 500 },
    }
}

const BOUNDS: TokenBounds = TokenBounds { scopes: 200, depth: 8 };

fn listeners() -> Vec<Listener> {
    vec![
        Listener { address: "0.0.0.0:8080".parse().unwrap(), http2: false, tls: None, authorizer: None },
        Listener {
            address: "[::1]:8081".parse().unwrap(),
            http2: true,
            tls: Some(tls()),
            authorizer: Some(authorizer()),
        },
    ]
}

fn authorizer() -> Authorizer {
    Authorizer {
        plane: Plane::Nginx,
        peers: vec!["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()],
        applies_account: true,
        applies_target: false,
    }
}

fn tls() -> ListenerTls {
    ListenerTls {
        certificate: "/etc/scopegate/tls/server.pem".into(),
        key: "/etc/scopegate/tls/server.key".into(),
        clients: Some(ClientCertificates { authorities: "/etc/tls/clients.pem".into(), required: false }),
    }
}

fn login() -> Issuer {
    let rules = IssuerRules {
        issuer: "https://login.example.com".into(),
        audiences: ["https://api.example.com".into(), "api".into()].into(),
        algorithms: [Algorithm::RS256, Algorithm::ES256].into(),
        token_type: TokenType::Require,
        leeway: 10,
        claims: ClaimPaths {
            scope: [claim(&["scope"]), claim(&["realm_access", "roles"])].into(),
            account: [claim(&["https://example.com/account"])].into(),
            client: [claim(&["client_id"])].into(),
        },
        scope_syntax: ScopeSyntax::Words,
        bounds: BOUNDS,
        dpop: Some(DpopRules { max_age: 90, nonce: true, required: false }),
    };
    Issuer {
        rules: Arc::new(rules),
        keys: Some(KeySource::Url("https://login.example.com/jwks".into())),
        stale_keys_for: Duration::from_secs(3600),
        refetch_interval: Duration::from_secs(10),
        ca_file: None,
        introspection: Some(Introspection {
            url: Some("https://login.example.com/introspect".into()),
            client_id: "gateway".into(),
            authentication: ClientAuthentication::Secret { file: "/etc/scopegate/secrets/idp".into() },
            cache_for: Duration::from_secs(15),
            jwts: false,
        }),
    }
}

fn legacy() -> Issuer {
    let rules = IssuerRules {
        issuer: "legacy".into(),
        audiences: ["legacy".into()].into(),
        algorithms: [Algorithm::HS256].into(),
        token_type: TokenType::Off,
        leeway: 30,
        claims: ClaimPaths {
            scope: [claim(&["scope"])].into(),
            account: [claim(&["account_id"])].into(),
            client: [claim(&["client_id"])].into(),
        },
        scope_syntax: ScopeSyntax::Privileges,
        bounds: BOUNDS,
        dpop: None,
    };
    Issuer {
        rules: Arc::new(rules),
        keys: Some(KeySource::File(PathBuf::from("/etc/keys/legacy.json"))),
        stale_keys_for: Duration::from_secs(24 * 3600),
        refetch_interval: Duration::from_secs(10),
        ca_file: None,
        introspection: None,
    }
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
fn keys_and_the_introspection_endpoint_can_be_discovered() {
    let settings = with(&[
        ("keys: { url: https://login.example.com/jwks }", "keys: { discover: true }\n    ca_file: tls/ca.pem"),
        ("      url: https://login.example.com/introspect\n", ""),
    ]);
    let issuer = &settings.issuers[0];
    assert_eq!(issuer.keys, Some(KeySource::Discover));
    assert_eq!(issuer.ca_file.as_deref(), Some(Path::new("/etc/scopegate/tls/ca.pem")));
    assert_eq!(issuer.introspection.as_ref().unwrap().url, None);
}

#[test]
fn an_issuer_with_keys_may_be_asked_about_jwts_too() {
    for jwts in [true, false] {
        let settings = with(&[("cache_for: 15s", &format!("jwts: {jwts}"))]);
        assert_eq!(settings.issuers[0].introspection.as_ref().unwrap().jwts, jwts);
    }
}

#[test]
fn unknown_keys_are_asked_for_as_often_as_the_file_says() {
    for (text, expected) in
        [("1s", Duration::from_secs(1)), ("2500ms", Duration::from_millis(2500)), ("10m", Duration::from_secs(600))]
    {
        let settings = with(&[("stale_keys_for: 1h", &format!("refetch_interval: {text}"))]);
        assert_eq!(settings.issuers[0].refetch_interval, expected);
    }
}

#[test]
fn the_gateway_proves_who_it_is_in_one_of_three_ways() {
    let check = |keys: &str, expected: ClientAuthentication| {
        let settings = with(&[("client_secret_file: secrets/idp", keys)]);
        assert_eq!(settings.issuers[0].introspection.as_ref().unwrap().authentication, expected, "{keys}");
    };
    let private_key = |algorithm, key_id: Option<&str>| ClientAuthentication::PrivateKey {
        file: "/etc/scopegate/a.pem".into(),
        algorithm,
        key_id: key_id.map(Into::into),
    };
    check("private_key_file: a.pem", private_key(None, None));
    for (name, algorithm) in AssertionAlgorithm::ALL.map(|algorithm| (algorithm.name(), algorithm)) {
        let keys = format!("private_key_file: a.pem\n      private_key_algorithm: {name}\n      private_key_id: k-1");
        check(&keys, private_key(Some(algorithm), Some("k-1")));
    }
    let certificate =
        ClientAuthentication::Certificate { file: "/etc/scopegate/a.pem".into(), key_file: "/b.pem".into() };
    check("certificate_file: a.pem\n      certificate_key_file: /b.pem", certificate);
}

#[test]
fn the_admin_address_may_take_revocations() {
    let address = "address: 127.0.0.1:9901";
    let settings = with(&[(address, &format!("{address}\n  revocations_token_file: secrets/revoker"))]);
    let file = settings.admin.unwrap().revocations_token_file;
    assert_eq!(file.as_deref(), Some(Path::new("/etc/scopegate/secrets/revoker")));
}

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
        super::meaning(document, Path::new(""), &mut findings);
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
fn every_asymmetric_algorithm_is_the_default() {
    let rules = super::issuers::issuers(
        Entry::Given(vec![Entry::Given(super::document::Issuer {
            issuer: Entry::Given("i".to_owned()),
            ..super::document::Issuer::default()
        })]),
        BOUNDS,
        super::At::ROOT,
        Path::new(""),
        &mut Findings::default(),
    );
    let names: Vec<_> = rules.list[0].rules.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    assert_eq!(names, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]);
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
