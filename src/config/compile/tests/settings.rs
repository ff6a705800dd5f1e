//! Listeners, upstreams, limits and all else that is no api's.

use std::path::PathBuf;
use std::time::Duration;

use super::complete;
use super::issuers::{legacy, login};
use crate::config::{
    Admin, Audit, Authorizer, Balance, ClientCertificates, ClientIdentity, Ejection, FollowParents, HealthCheck,
    Http2Limits, IdentityHeaders, Limits, Listener, ListenerTls, Plane, ResourceMetadata, Retries, RevocationList,
    Sampling, ServerAddress, Settings, Share, TokenEndpoint, Tracing, Transport, Upstream, UpstreamServer, UpstreamTls,
};
use crate::token::{ScopeSyntax, TokenBounds};

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

pub(super) const BOUNDS: TokenBounds = TokenBounds { scopes: 200, depth: 8 };

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
        tells_certificate: false,
    }
}

fn tls() -> ListenerTls {
    ListenerTls {
        certificate: "/etc/scopegate/tls/server.pem".into(),
        key: "/etc/scopegate/tls/server.key".into(),
        clients: Some(ClientCertificates { authorities: "/etc/tls/clients.pem".into(), required: false }),
    }
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

fn server(host: &str, port: u16, weight: u16) -> UpstreamServer {
    UpstreamServer { address: ServerAddress { host: host.into(), port }, weight }
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
