//! Client certificates that a balancer, which has ended TLS, tells of in a header: from a trusted peer
//! they count, from anyone else they are nothing, and no upstream ever sees one.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::bound::bound_to;
use crate::harness::{Connection, Gateway, PATIENCE, Response, Signer};
use ::harness::authority::{Authority, Issued};

/// Whose requests come from another address than everybody else's.
const BALANCER: &str = "127.0.0.2";
const STRANGER: &str = "127.0.0.1";

const POLICY: &str = r#"
trusted_proxies: [127.0.0.2]
apis:
  - name: data
    base_path: /data
    upstream: backend
    public: ["GET /data/health"]
    scopes:
      - name: data-read
        services: ["GET /data/**"]
"#;

/// What speaks of certificates, also as servers behind CGI would read it.
const TELLING: [&str; 5] =
    ["Client-Cert", "Client-Cert-Chain", "X-Forwarded-Client-Cert", "Client_Cert", "X_FORWARDED_CLIENT_CERT"];

/// RFC 9440.
fn client_cert(certificate: &Issued) -> (&'static str, String) {
    ("Client-Cert", format!(":{}:", STANDARD.encode(&certificate.certificate)))
}

fn hash(certificate: &Issued) -> String {
    let hex: String = certificate.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    format!(r#"By=spiffe://mesh/gateway;Hash={hex};Subject="CN=someone,O=\"Some, one\"";URI="#)
}

/// As Envoy writes it where it is told to forward what the client has shown.
fn envoy(value: String) -> (&'static str, String) {
    ("X-Forwarded-Client-Cert", value)
}

fn whole(certificate: &Issued) -> String {
    let escaped: String = certificate.pem.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!(r#"{};Cert="{escaped}";Chain="{escaped}""#, hash(certificate))
}

/// A request from an address of this machine.
fn ask(gateway: &Gateway, from: &str, target: &str, headers: &[(&str, String)]) -> Response {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        socket.connect(gateway.address).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut connection = Connection::over(stream);
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    connection.write(format!("GET {target} HTTP/1.1\r\nHost: api.example.com\r\n{headers}\r\n").as_bytes());
    connection.read_response().expect("an answer")
}

#[track_caller]
fn check_unseen(gateway: &Gateway, what: &str) {
    let seen = gateway.upstream.last();
    for name in TELLING {
        assert!(seen.all(name).is_empty(), "{what}: {name} has reached the upstream");
    }
}

#[test]
fn a_bound_token_needs_its_certificate_as_the_balancer_tells_of_it_and_nobody_else_can() {
    let gateway = Gateway::start(POLICY);
    let clients = Authority::new("clients");
    let (own, others) = (clients.issue("own", &[]), clients.issue("own", &[]));
    let token = bound_to(&own, json!({ "scope": "data-read" }));
    let authorization = ("Authorization", format!("Bearer {token}"));
    // What is told, and what comes of it where it counts.
    let cases: [(&str, Vec<(&str, String)>, u16); 13] = [
        ("nothing", vec![], 401),
        ("its own by RFC 9440", vec![client_cert(&own)], 200),
        ("another's by RFC 9440", vec![client_cert(&others)], 401),
        ("its own by its hash", vec![envoy(hash(&own))], 200),
        ("another's by its hash", vec![envoy(hash(&others))], 401),
        ("its own, whole", vec![envoy(whole(&own))], 200),
        ("another's, whole", vec![envoy(whole(&others))], 401),
        ("its own, behind another proxy's", vec![envoy(format!("{},{}", hash(&others), hash(&own)))], 200),
        ("another's, behind its own", vec![envoy(format!("{},{}", hash(&own), hash(&others)))], 401),
        ("another's, in a second line", vec![envoy(hash(&own)), envoy(hash(&others))], 401),
        ("its own in both", vec![client_cert(&own), envoy(hash(&own))], 200),
        // One of them is the client's own: a proxy writes over the one that it knows.
        ("its own and another's", vec![client_cert(&own), envoy(hash(&others))], 400),
        ("another's and its own", vec![client_cert(&others), envoy(hash(&own))], 400),
    ];
    // Twice, so that what is remembered of the token is asked too.
    for _ in 0..2 {
        for (what, told, expected) in &cases {
            let headers: Vec<_> = told.iter().cloned().chain([authorization.clone()]).collect();
            let before = gateway.upstream.count();
            let response = ask(&gateway, BALANCER, "/data/x", &headers);
            assert_eq!(response.status, *expected, "{what}: {response:?}");
            match *expected {
                200 => check_unseen(&gateway, what),
                401 => assert_eq!(response.reason(), "binding_mismatch", "{what}"),
                _ => assert_eq!(response.reason(), "header_ambiguous", "{what}"),
            }
            // The very same bytes, sent again by whoever has seen them.
            let replayed = ask(&gateway, STRANGER, "/data/x", &headers);
            assert_eq!((replayed.status, &*replayed.reason()), (401, "binding_mismatch"), "{what}");
            assert_eq!(gateway.upstream.count() - before, usize::from(*expected == 200), "{what}");
        }
    }
}

#[test]
fn what_tells_of_certificates_reaches_no_upstream_whoever_sent_it() {
    let gateway = Gateway::start(POLICY);
    let shown = Authority::new("clients").issue("shown", &[]);
    let unbound = ("Authorization", format!("Bearer {}", Signer::shared().token(json!({ "scope": "data-read" }))));
    let told: Vec<_> = TELLING
        .iter()
        .map(|&name| (name, if name.starts_with('C') { client_cert(&shown).1 } else { hash(&shown) }))
        .collect();
    for from in [STRANGER, BALANCER] {
        for target in ["/data/health", "/data/x"] {
            let headers: Vec<_> = told.iter().cloned().chain([unbound.clone()]).collect();
            let response = ask(&gateway, from, target, &headers);
            assert_eq!(response.status, 200, "{from} {target}: {response:?}");
            check_unseen(&gateway, from);
        }
    }
    // What cannot be read is an error only from whom it would count.
    for bad in [("Client-Cert", "rubbish".to_owned()), envoy("Hash=00".to_owned()), envoy(String::new())] {
        let status = |from| ask(&gateway, from, "/data/x", &[unbound.clone(), bad.clone()]).status;
        assert_eq!((status(BALANCER), status(STRANGER)), (400, 200), "{bad:?}");
    }
}
