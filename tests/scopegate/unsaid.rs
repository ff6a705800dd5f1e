//! Secrets are in no output: a gateway that logs all it can is given secrets of every kind, good and bad, and all that
//! it wrote and answered is searched for each of them.

use std::fs;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::encode;
use crate::harness::{Connection, Gateway, Response, Signer, Upstream, now, wait_for};
use crate::http2_client::Http2;
use ::harness::authority::Authority;
use ::harness::tls_client::TlsClient;

const LISTENER: &str = "http2: true, \
     tls: { certificate: server.pem, key: server.key, client_ca: clients.pem, client_certificate: optional }";

/// Its provider is asked with what a test says.
const POLICY: &str = r#"
issuers:
  - issuer: https://issuer.example
    audiences: [https://api.example.com]
    keys: { file: jwks.json }
    claims: { scope: scope, account: account_id, client: client_id }
    dpop: { max_age: 60s, nonce: true, required: false }
    introspection: { url: "http://PROVIDER/introspect", client_id: gateway, CREDENTIALS }
revocations: { file: revoked.jsonl, endpoint: /oauth/revoke }
resource_metadata: { resource: https://api.example.com }
trusted_proxies: [127.0.0.0/8]
identity_headers: { subject: X-Auth-Subject, client: X-Auth-Client, account: X-Auth-Account, scopes: X-Auth-Scopes }
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    public: ["GET /data/health"]
    token_endpoint: { service: POST /oauth/token, upstream: backend }
    scopes:
      - name: data-read
        services: ["GET /data/{account}/**"]
"#;

/// Everything that nobody may read: its name and its text.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, name: &'static str, text: impl Into<String>) -> String {
        let text = text.into();
        self.0.push((name, text.clone()));
        text
    }

    /// Each secret that a text has, whole, or its end: what cannot be guessed of a token is in its signature.
    fn found_in(&self, text: &str) -> Vec<&'static str> {
        let is_in = |secret: &str| {
            let encoded = [STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)];
            let parts =
                secret.split('.').chain(secret.lines()).filter(|part| part.len() >= 20 && !part.starts_with("-----"));
            parts.chain(encoded.iter().map(String::as_str)).chain([secret]).any(|part| text.contains(part))
        };
        self.0.iter().filter(|(_, secret)| is_in(secret)).map(|(name, _)| *name).collect()
    }
}

struct Stage {
    gateway: Gateway,
    client: TlsClient,
    secrets: Secrets,
    /// All that was answered.
    answers: String,
}

/// Says that tokens with `good` in them are.
fn provider() -> Upstream {
    Upstream::answering(|asked| {
        let body = String::from_utf8_lossy(&asked.body).into_owned();
        let answer = if body.contains("good") {
            json!({ "active": true, "exp": now() + 600, "scope": "data-read", "account_id": "acme", "client_id": "app" })
        } else {
            json!({ "active": false })
        };
        let answer = answer.to_string();
        let length = answer.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{answer}").into()
    })
}

impl Stage {
    fn start(provider: &Upstream, credentials: &str) -> Self {
        let (root, clients) = (Authority::new("root"), Authority::new("clients"));
        let mut secrets = Secrets::default();
        let server = root.issue("server", &["api.example.com"]);
        secrets.add("the listener's key", server.key_pem.clone());
        let assertion = root.issue("assertion", &[]);
        secrets.add("the assertion's key", assertion.key_pem.clone());
        let secret = secrets.add("the secret for the provider", "provider-secret-5d1f2c");
        let admin = secrets.add("the secret of the admin address", "admin-secret-77ab30f1e6c9d4b28835");
        let prepare = |folder: &Path| {
            server.write(folder);
            fs::write(folder.join("clients.pem"), &clients.pem).unwrap();
            fs::write(folder.join("assertion.key"), &assertion.key_pem).unwrap();
            fs::write(folder.join("secret"), &secret).unwrap();
            fs::write(folder.join("admin.secret"), &admin).unwrap();
        };
        let policy = POLICY.replace("PROVIDER", &provider.address.to_string()).replace("CREDENTIALS", credentials);
        let gateway = Gateway::start_saying_all(LISTENER, &policy, Upstream::start(), prepare);
        let text = fs::read_to_string(gateway.file()).unwrap();
        let address = format!("  address: {}\n", gateway.admin);
        gateway.replace_file(&text.replace(&address, &format!("{address}  revocations_token_file: admin.secret\n")));
        gateway.wait_for_policy("the admin address's secret", |policy| policy["generation"] == 2);
        Self { gateway, client: TlsClient::new(&root, None), secrets, answers: String::new() }
    }

    fn ask(&mut self, target: &str, headers: &[(&str, &str)]) -> u16 {
        let response = self.client.get(self.gateway.address, target, headers).expect("an answer");
        self.keep(response)
    }

    fn bearer(&mut self, token: &str) -> u16 {
        self.ask("/data/acme/x", &[("Authorization", &format!("Bearer {token}"))])
    }

    fn post(&mut self, target: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        let mut connection = self.client.connect(self.gateway.address).unwrap().connection;
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        connection.write(
            format!(
                "POST {target} HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: {length}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n{headers}\r\n{body}"
            )
            .as_bytes(),
        );
        let response = connection.read_response().expect("an answer");
        self.keep(response)
    }

    fn keep(&mut self, response: Response) -> u16 {
        self.answers += &format!("{:?} {}\n", response.headers, String::from_utf8_lossy(&response.body));
        response.status
    }

    /// Everything that was written anywhere but where it belongs.
    fn said(&self) -> Vec<(&'static str, String)> {
        let file = |name: &str| fs::read_to_string(self.gateway.folder.path().join(name)).unwrap_or_default();
        let admin = ["/healthz", "/readyz", "/metrics", "/policy", "/nothing"]
            .map(|path| String::from_utf8_lossy(&self.gateway.admin(path).body).into_owned());
        vec![
            ("the log", self.gateway.log()),
            ("the audit file", file("audit.jsonl")),
            ("the admin address", admin.concat()),
            ("the answers", self.answers.clone()),
        ]
    }
}

/// JWTs, good and bad in every way that is judged differently, over HTTP/1 and HTTP/2.
fn show_tokens(stage: &mut Stage) {
    let token = |claims: Value| {
        let mut all = json!({ "scope": "data-read", "account_id": "acme", "jti": fastrand::u64(..).to_string() });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        Signer::shared().token(all)
    };
    let good = stage.secrets.add("a good token", token(json!({})));
    assert_eq!(stage.bearer(&good), 200);
    for (name, text, status) in [
        ("an expired token", token(json!({ "exp": now() - 3600 })), 401),
        ("a token of nobody's", token(json!({ "iss": "https://nobody.example" })), 401),
        ("a token for others", token(json!({ "aud": "https://elsewhere.example" })), 401),
        ("a token without scope", token(json!({ "scope": "other" })), 403),
        ("a token of another account", token(json!({ "account_id": "beta" })), 403),
        ("a token of a wrong type", token(json!({ "exp": "soon" })), 401),
        ("a token of another key", Signer::new().token(json!({ "scope": "data-read" })), 401),
        ("a token that is cut", token(json!({})).rsplit_once('.').unwrap().0.to_owned(), 401),
        ("an opaque token", "opaque-good-0a3c5e7f9b1d2f4a6c8e".to_owned(), 200),
        ("an opaque token that is none", "opaque-bad-1b4d6f8a0c2e3a5b7d9f".to_owned(), 401),
    ] {
        let text = stage.secrets.add(name, text);
        assert_eq!(stage.bearer(&text), status, "{name}");
    }
    let spaced = stage.secrets.add("a token with spaces", "spaced-token-2c5e7a9b1d3f4b6c8e0a");
    assert_eq!(stage.ask("/data/acme/x", &[("Authorization", &format!("Bearer {spaced} {spaced}"))]), 401);
    let elsewhere = stage.secrets.add("a token in the query", token(json!({})));
    assert_eq!(stage.ask(&format!("/data/acme/x?access_token={elsewhere}"), &[]), 401);
    assert_eq!(stage.ask(&format!("/data/acme/../x?access_token={elsewhere}"), &[]), 400);
    let cookie = stage.secrets.add("a cookie", "cookie-3d6f8b0c2e4a5c7d9f1b");
    let password = stage.secrets.add("a password", "password-4e7a9c1d3f5b6d8e0a2c");
    let basic = stage.secrets.add("a password in base64", STANDARD.encode(format!("someone:{password}")));
    assert_eq!(stage.ask("/data/health", &[("Cookie", &format!("session={cookie}"))]), 200);
    assert_eq!(stage.ask("/data/acme/x", &[("Authorization", &format!("Basic {basic}"))]), 401);
    let mut http2 = Http2::tls(stage.gateway.address, &TlsClient { configuration: http2_configuration(&stage.client) });
    let authorization = format!("Bearer {good}");
    for headers in [&[("authorization", &*authorization), ("cookie", &*cookie)][..], &[("authorization", &*basic)]] {
        let response = http2.get("/data/acme/x", headers);
        stage.keep(response);
    }
}

fn http2_configuration(client: &TlsClient) -> std::sync::Arc<rustls::ClientConfig> {
    let mut configuration = (*client.configuration).clone();
    configuration.alpn_protocols = vec![b"h2".to_vec()];
    configuration.into()
}

/// Bound tokens, with proofs good and bad.
fn show_proofs(stage: &mut Stage) {
    let key = Signer::new();
    let mut jwk = key.jwks()["keys"][1].clone();
    jwk.as_object_mut().unwrap().retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
    let thumbprint = encode(digest(&SHA256, canonical.as_bytes()).as_ref());
    let claims = json!({ "scope": "data-read", "account_id": "acme", "cnf": { "jkt": thumbprint } });
    let token = stage.secrets.add("a bound token", Signer::shared().token(claims));
    let proof = |nonce: Option<&str>, url: &str| {
        let head = json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": jwk });
        let mut payload = json!({
            "jti": fastrand::u64(..).to_string(), "htm": "GET", "htu": url, "iat": now(),
            "ath": encode(digest(&SHA256, token.as_bytes()).as_ref()),
        });
        if let Some(nonce) = nonce {
            payload["nonce"] = json!(nonce);
        }
        key.sign(&head, &payload)
    };
    let authorization = format!("DPoP {token}");
    let url = "https://api.example.com/data/acme/x";
    let first = stage.secrets.add("a proof without a nonce", proof(None, url));
    let headers = [("Authorization", &*authorization), ("DPoP", &*first)];
    let response = stage.client.get(stage.gateway.address, "/data/acme/x", &headers).unwrap();
    let nonce = response.header("dpop-nonce").expect("a nonce").to_owned();
    assert_eq!(stage.keep(response), 401);
    let good = stage.secrets.add("a proof", proof(Some(&nonce), url));
    let wrong = stage.secrets.add("a proof for elsewhere", proof(Some(&nonce), "https://other.example/x"));
    for (shown, status) in [(&good, 200), (&good, 401), (&wrong, 401)] {
        assert_eq!(stage.ask("/data/acme/x", &[("Authorization", &authorization), ("DPoP", shown)]), status);
    }
}

/// What clients send to the token endpoint and to the revocation endpoint, and what the admin address is sent.
fn show_forms(stage: &mut Stage) {
    let secret = stage.secrets.add("a client's secret", "client-secret-5f8b0d2e4a6c7e9f1b3d");
    let refresh = stage.secrets.add("a refresh token", "refresh-6a9c1e3f5b7d8f0a2c4e");
    let code = stage.secrets.add("a code", "code-7b0d2f4a6c8e9a1b3d5f");
    let basic = stage.secrets.add("a client's secret in base64", STANDARD.encode(format!("app:{secret}")));
    let authorization = format!("Basic {basic}");
    for (headers, body, status) in [
        (vec![("Authorization", &*authorization)], "grant_type=client_credentials&scope=data-read".to_owned(), 200),
        (vec![], format!("client_id=app&client_secret={secret}&refresh_token={refresh}&code={code}"), 200),
        (vec![], format!("client_id=app&client_secret={secret}&scope=undefined"), 400),
        (vec![], format!("client_id=app&client_id={secret}&client_secret={secret}"), 400),
        (vec![], format!("client_secret={secret}&refresh_token={refresh}"), 401),
        (vec![], format!("{secret}%zz"), 400),
    ] {
        assert_eq!(stage.post("/oauth/token", &headers, &body), status, "{body}");
    }
    let admin = stage.secrets.0.iter().find(|(name, _)| *name == "the secret of the admin address").unwrap().1.clone();
    let wrong = stage.secrets.add("a wrong secret for the admin address", "admin-wrong-8c1e3a5b7d9f0b2d4f6a");
    for (secret, status) in [(&admin, 201), (&wrong, 401)] {
        let entry = r#"{"jti":"some","iss":"https://issuer.example","exp":4000000000}"#;
        let mut connection = Connection::open(stage.gateway.admin);
        let head = format!("POST /revocations HTTP/1.1\r\nHost: admin\r\nAuthorization: Bearer {secret}");
        let length = entry.len();
        let head = format!("{head}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{entry}");
        connection.write(head.as_bytes());
        let response = connection.read_response().unwrap();
        assert_eq!(response.status, status, "{response:?}");
        stage.keep(response);
    }
    let revoked = Signer::shared().token(json!({ "scope": "data-read", "jti": "revoked" }));
    let revoked = stage.secrets.add("a revoked token", revoked);
    assert_eq!(stage.post("/oauth/revoke", &[], &format!("token={revoked}")), 200);
    assert_eq!(stage.post("/oauth/revoke", &[], &format!("token={revoked}&token={revoked}")), 400);
    assert_eq!(stage.bearer(&revoked), 401);
}

/// Files that say something else than they should, by a reload.
fn break_files(stage: &mut Stage) {
    let folder = stage.gateway.folder.path().to_owned();
    // Before anything changes: the gateway may say what is wrong before it is told to look.
    let lines = stage.gateway.log().lines().count();
    let key = stage.secrets.add("a private key in the wrong file", Authority::new("x").issue("y", &[]).key_pem);
    for file in ["jwks.json", "server.pem", "clients.pem", "revoked.jsonl", "assertion.key"] {
        let text = if file == "assertion.key" { key.replacen("PRIVATE", "PUBLIC", 1) } else { key.clone() };
        fs::write(folder.join(format!("{file}.new")), text).unwrap();
        fs::rename(folder.join(format!("{file}.new")), folder.join(file)).unwrap();
    }
    stage.gateway.signal("HUP");
    wait_for("what is wrong with the files", || {
        let log = stage.gateway.log();
        let new: Vec<_> = log.lines().skip(lines).collect();
        ["jwks.json", "server", "revoked.jsonl"]
            .iter()
            .all(|name| new.iter().any(|line| line.contains(name)))
            .then_some(())
    });
}

#[test]
fn no_secret_is_in_the_log_the_records_or_an_answer() {
    check("client_secret_file: secret");
}

#[test]
fn no_secret_is_in_any_output_where_the_provider_is_asked_with_an_assertion() {
    check("private_key_file: assertion.key");
}

#[track_caller]
fn check(credentials: &str) {
    let provider = provider();
    let mut stage = Stage::start(&provider, credentials);
    show_tokens(&mut stage);
    show_proofs(&mut stage);
    show_forms(&mut stage);
    let revoked = fs::read_to_string(stage.gateway.folder.path().join("revoked.jsonl")).unwrap();
    break_files(&mut stage);
    stage.gateway.audit(25);
    let asked = String::from_utf8(provider.seen().into_iter().flat_map(|asked| asked.body).collect()).unwrap();
    assert!(asked.contains("opaque-good"), "the provider was not asked");
    for pair in asked.split('&').filter_map(|pair| pair.strip_prefix("client_assertion=")) {
        stage.secrets.add("an assertion", pair);
    }
    let mut said = stage.said();
    said.push(("the list of revoked tokens", revoked));
    assert!(stage.secrets.0.len() >= 30, "{}", stage.secrets.0.len());
    for (place, text) in &said {
        assert!(!text.is_empty(), "{place} says nothing");
        assert_eq!(stage.secrets.found_in(text), [""; 0], "{place}: {text}");
    }
    // The log is the most that there is, and a secret in it would be seen.
    assert!(said[0].1.contains("TRACE"), "{}", said[0].1);
    for (name, secret) in &stage.secrets.0 {
        assert!(stage.secrets.found_in(&format!("…{secret}…")).contains(name), "{name}");
    }
}
