//! Tokens and clients that are bound to certificates and proofs, over listeners that end TLS.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::encode;
use crate::harness::{Gateway, Response, Signer, Upstream, now};
use crate::http2_client::Http2;
use ::harness::authority::{Authority, Issued};
use ::harness::tls_client::TlsClient;

const OPTIONAL: &str = "http2: true, \
     tls: { certificate: server.pem, key: server.key, client_ca: clients.pem, client_certificate: optional }";

/// EZ Config: each customer has a client id and a certificate, and its tokens reach its account alone.
const EZ_CONFIG: &str = r#"
clients:
  - { id: acme-integration, account: acme, certificate: { sha256: "ACME" } }
  - { id: globex-integration, account: globex, certificate: { subject: "CN=globex" } }
  - { id: initech-integration, account: initech, certificate: { san_dns: initech.example.com } }
apis:
  - name: default-data
    base_path: /integration/default-data
    upstream: backend
    account: { path: account }
    public: ["GET /integration/default-data/health"]
    scopes:
      - name: wk-ezcfg-def-data-read
        services: ["GET /integration/default-data/{account}/**"]
"#;

const PLAIN: &str = r#"
apis:
  - name: data
    base_path: /data
    upstream: backend
    scopes:
      - name: data-read
        services: ["GET /data/**"]
"#;

/// A gateway that ends TLS, and who issues certificates to its clients.
struct Stage {
    gateway: Gateway,
    root: Authority,
    clients: Authority,
}

impl Stage {
    fn start(policy: &str, clients: Authority) -> Self {
        let root = Authority::new("root");
        let gateway = Gateway::start_listening(OPTIONAL, policy, Upstream::start(), |folder| {
            root.issue("server", &["api.example.com"]).write(folder);
            std::fs::write(folder.join("clients.pem"), &clients.pem).unwrap();
        });
        Self { gateway, root, clients }
    }

    /// A `GET` by a client that shows this certificate.
    fn get(&self, shown: Option<&Issued>, target: &str, headers: &[(&str, &str)]) -> Response {
        TlsClient::new(&self.root, shown).get(self.gateway.address, target, headers).expect("an answer")
    }

    fn get_with(&self, shown: Option<&Issued>, target: &str, token: &str) -> (u16, String) {
        let response = self.get(shown, target, &[("Authorization", &format!("Bearer {token}"))]);
        let reason = if response.status == 200 { String::new() } else { response.reason() };
        (response.status, reason)
    }
}

/// A token with these claims that only who has this certificate may use.
pub(crate) fn bound_to(certificate: &Issued, claims: Value) -> String {
    let mut claims = claims;
    claims["cnf"] = json!({ "x5t#S256": certificate.thumbprint() });
    Signer::shared().token(claims)
}

#[test]
fn ez_config_one_client_id_and_one_certificate_for_each_account_and_the_token_works_for_that_account_alone() {
    let clients = Authority::new("clients");
    let acme = clients.issue("acme", &[]);
    let globex = clients.issue("globex", &[]);
    let initech = clients.issue("initech", &["initech.example.com"]);
    let hex: String = acme.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    let stage = Stage::start(&EZ_CONFIG.replace("ACME", &hex), clients);
    let customers = [("acme", &acme), ("globex", &globex), ("initech", &initech)];
    let target = |account: &str| format!("/integration/default-data/{account}/packets");
    let claims =
        |account: &str| json!({ "client_id": format!("{account}-integration"), "scope": "wk-ezcfg-def-data-read" });
    for (customer, certificate) in customers {
        let bound = bound_to(certificate, claims(customer));
        let unbound = Signer::shared().token(claims(customer));
        for (account, shown) in customers {
            let own_account = account == customer;
            // Its own certificate: its own account, and no other.
            let expected = if own_account { (200, "") } else { (403, "account_forbidden") };
            let expected = (expected.0, expected.1.to_owned());
            assert_eq!(stage.get_with(Some(certificate), &target(account), &bound), expected, "{customer} {account}");
            assert_eq!(stage.get_with(Some(certificate), &target(account), &unbound), expected, "{customer} {account}");
            // Another's certificate: nothing, not even for that other's account.
            if !own_account {
                let stolen = stage.get_with(Some(shown), &target(account), &bound);
                assert_eq!(stolen, (401, "binding_mismatch".to_owned()), "{customer} {account}");
                let stolen = stage.get_with(Some(shown), &target(customer), &unbound);
                assert_eq!(stolen, (403, "certificate_mismatch".to_owned()), "{customer} {account}");
            }
        }
        assert_eq!(stage.get_with(None, &target(customer), &bound), (401, "binding_mismatch".to_owned()));
        assert_eq!(stage.get_with(None, &target(customer), &unbound), (403, "certificate_mismatch".to_owned()));
    }
    // Whoever asks for no account's data needs no certificate.
    assert_eq!(stage.get(None, "/integration/default-data/health", &[]).status, 200);
    // Twelve requests a customer, and the one for no account's data.
    let lines = stage.gateway.audit(12 * customers.len() + 1);
    let granted: Vec<_> = lines.iter().filter(|line| line["reason"] == "granted").collect();
    assert_eq!(granted.len(), 2 * customers.len());
    for line in granted {
        assert_eq!(line["client"], format!("{}-integration", line["account"].as_str().unwrap()));
    }
}

#[test]
fn a_token_bound_to_a_certificate_needs_that_one() {
    let stage = Stage::start(PLAIN, Authority::new("clients"));
    let (own, others) = (stage.clients.issue("own", &[]), stage.clients.issue("others", &[]));
    let bound = bound_to(&own, json!({ "scope": "data-read" }));
    let unbound = Signer::shared().token(json!({ "scope": "data-read" }));
    // Twice, so that what is remembered of the token is asked too.
    for _ in 0..2 {
        for (token, shown, status) in [
            (&bound, Some(&own), 200),
            (&bound, None, 401),
            (&bound, Some(&others), 401),
            (&unbound, Some(&own), 200),
            (&unbound, None, 200),
        ] {
            let (found, reason) = stage.get_with(shown, "/data/x", token);
            assert_eq!(found, status, "{reason}");
            assert!(found == 200 || reason == "binding_mismatch", "{reason}");
            let client = TlsClient::with(&stage.root, shown, rustls::ALL_VERSIONS, &["h2"]);
            let mut http2 = Http2::tls(stage.gateway.address, &client);
            let authorization = format!("Bearer {token}");
            assert_eq!(http2.get("/data/x", &[("authorization", &authorization)]).status, status);
        }
    }
}

#[test]
fn a_certificate_in_a_header_counts_from_trusted_proxies_that_show_none_themselves() {
    for (trusted, policy) in [(true, format!("\ntrusted_proxies: [127.0.0.1]{PLAIN}")), (false, PLAIN.to_owned())] {
        let stage = Stage::start(&policy, Authority::new("clients"));
        let (own, others) = (stage.clients.issue("own", &[]), stage.clients.issue("others", &[]));
        let token = bound_to(&own, json!({ "scope": "data-read" }));
        let authorization = format!("Bearer {token}");
        let header = |certificate: &Issued| format!(":{}:", STANDARD.encode(&certificate.certificate));
        for (shown, told, passes) in [
            (None, Some(&own), trusted),
            (None, Some(&others), false),
            (Some(&own), Some(&others), true),
            (Some(&others), Some(&own), false),
            (Some(&own), None, true),
        ] {
            let told = told.map(header);
            let mut headers = vec![("Authorization", authorization.as_str())];
            headers.extend(told.as_deref().map(|told| ("Client-Cert", told)));
            let response = stage.get(shown, "/data/x", &headers);
            assert_eq!(response.status, if passes { 200 } else { 401 }, "trusted: {trusted}, {response:?}");
            if passes {
                assert!(stage.gateway.upstream.last().all("Client-Cert").is_empty());
            }
        }
        // What cannot be read is an error only where it counts.
        let headers = [("Authorization", authorization.as_str()), ("Client-Cert", "rubbish")];
        let status = |shown| stage.get(shown, "/data/x", &headers).status;
        assert_eq!((status(None), status(Some(&own))), (if trusted { 400 } else { 401 }, 200));
    }
}

#[test]
fn a_proof_names_the_https_url_of_a_listener_with_tls() {
    let stage = Stage::start(PLAIN, Authority::new("clients"));
    let signer = Signer::shared();
    let key = signer.jwks()["keys"][1].clone();
    let member = |name: &str| key[name].as_str().unwrap().to_owned();
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, member("x"), member("y"));
    let thumbprint = encode(digest(&SHA256, canonical.as_bytes()).as_ref());
    let token = signer.token(json!({ "scope": "data-read", "cnf": { "jkt": thumbprint } }));
    let proof = |scheme: &str, id: &str| {
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": member("x"), "y": member("y") });
        let payload = json!({
            "jti": id, "htm": "GET", "htu": format!("{scheme}://api.example.com/data/x"), "iat": now(),
            "ath": encode(digest(&SHA256, token.as_bytes()).as_ref()),
        });
        signer.sign(&json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": jwk }), &payload)
    };
    let authorization = format!("DPoP {token}");
    let ask = |proof: &str| {
        let headers = [("Authorization", authorization.as_str()), ("DPoP", proof)];
        stage.get(None, "/data/x", &headers).status
    };
    let good = proof("https", "1");
    assert_eq!(ask(&good), 200);
    assert_eq!(ask(&good), 401, "a proof was taken twice");
    assert_eq!(ask(&proof("http", "2")), 401);
    let mut http2 = Http2::tls(
        stage.gateway.address,
        &TlsClient::with(&stage.root, None, rustls::ALL_VERSIONS, &["h2", "http/1.1"]),
    );
    let good = proof("https", "3");
    assert_eq!(http2.get("/data/x", &[("authorization", &authorization), ("dpop", &good)]).status, 200);
}

/// Clients who ask for tokens, one of them with its certificate.
const TOKENS: &str = r#"
clients:
  - { id: acme-integration, scopes: [data-read], certificate: { sha256: "ACME" } }
  - { id: globex-integration, scopes: [data-read], certificate: { san_dns: globex.example.com } }
  - { id: nobody-asks }
apis:
  - name: login
    upstream: backend
    token_endpoint: { service: "POST /oauth/token", upstream: backend }
    scopes:
      - name: data-read
"#;

#[test]
fn a_token_is_asked_for_with_the_certificate_of_the_clients_entry() {
    let clients = Authority::new("clients");
    let acme = clients.issue("acme", &[]);
    let globex = clients.issue("globex", &["globex.example.com"]);
    let hex: String = acme.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    let stage = Stage::start(&TOKENS.replace("ACME", &hex), clients);
    let told = format!(":{}:", STANDARD.encode(&acme.certificate));
    let cases = [
        ("acme-integration", Some(&acme), "", 200),
        ("acme-integration", None, "", 401),
        ("acme-integration", Some(&globex), "", 401),
        ("globex-integration", Some(&globex), "", 200),
        ("globex-integration", Some(&acme), "", 401),
        ("globex-integration", None, "", 401),
        ("nobody-asks", None, "", 200),
        ("nobody-asks", Some(&acme), "", 200),
        // What a peer that nobody trusts tells of certificates counts for nothing.
        ("acme-integration", None, &*told, 401),
    ];
    for (client, shown, told, status) in cases {
        let before = stage.gateway.upstream.count();
        let form = format!("grant_type=client_credentials&client_id={client}&client_secret=s3cret");
        let told = if told.is_empty() { String::new() } else { format!("Client-Cert: {told}\r\n") };
        let request = format!(
            "POST /oauth/token HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: {}\r\n{told}\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        );
        let mut connection = TlsClient::new(&stage.root, shown).connect(stage.gateway.address).unwrap().connection;
        connection.write(request.as_bytes());
        let response = connection.read_response().expect("an answer");
        assert_eq!(response.status, status, "{client}: {response:?}");
        let forwarded = stage.gateway.upstream.count() - before;
        assert_eq!(forwarded, usize::from(status == 200), "{client}");
        if status == 200 {
            assert_eq!(stage.gateway.upstream.last().body, form.as_bytes());
        } else {
            assert_eq!(response.json()["error"], "invalid_client");
            assert!(response.header("www-authenticate").is_some_and(|value| value.starts_with("Basic ")));
        }
    }
    let lines = stage.gateway.audit(cases.len());
    let refused = lines.iter().filter(|line| line["reason"] == "certificate_mismatch").count();
    assert_eq!(refused, cases.iter().filter(|case| case.3 == 401).count(), "{lines:?}");
}
