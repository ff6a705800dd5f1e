//! The provider as a process: started, asked for things, slowed, frozen, killed and started again.
//!
//! What its clients ask of it is `tokens`'.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, mpsc};
use std::time::Instant;

use harness::{Connection, PATIENCE, Response, free_address};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::certificates::{Authority, Certified};
use super::holder::Holder;

/// An identity provider of its own, which keeps its address, its clients and its keys from one start
/// to the next. The clients:
///
/// | client | authenticates by | account | scopes |
/// |---|---|---|---|
/// | `acme`, `beta` | a secret | its own name | `data-read` |
/// | `operator` | a secret | none | `data-read data-all` |
/// | `assertive` | a signed assertion | `acme` | `data-read` |
/// | `prover` | a secret, and its tokens are bound to its `DPoP` key | `acme` | `data-read` |
/// | `certified` | a certificate of the authority, and its tokens are bound to it | `acme` | `data-read` |
/// | `self-certified` | its own certificate, and its tokens are bound to it | `acme` | `data-read` |
/// | `gateway` | a secret; it may ask about tokens, and gets none | | |
/// | `gateway-assertive` | a signed assertion; as `gateway` | | |
/// | `gateway-certified` | the certificate of `certified`; as `gateway` | | |
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) authority: Authority,
    /// The certificate of `certified`.
    pub(crate) certified: Certified,
    /// The certificate of `self-certified`.
    pub(crate) self_certified: Certified,
    /// The key of `assertive`.
    pub(crate) holder: Holder,
    control: SocketAddr,
    folder: TempDir,
    process: Mutex<Option<Child>>,
}

/// The secret of every client that has one.
pub(crate) const SECRET: &str = "a secret: with+signs";

impl Provider {
    /// One that runs, and whose tokens are good for ten minutes.
    pub(crate) fn start() -> Self {
        Self::start_with_lifetime(600)
    }

    /// One whose tokens are good for that many seconds.
    pub(crate) fn start_with_lifetime(seconds: u32) -> Self {
        let authority = Authority::new();
        let provider = Self {
            address: free_address(),
            tls: free_address(),
            control: free_address(),
            certified: authority.certify("certified", &["certified.example.com"]),
            self_certified: Certified::self_signed("self-certified"),
            authority,
            holder: Holder::new(),
            folder: tempfile::tempdir().unwrap(),
            process: Mutex::default(),
        };
        provider.write_files(seconds);
        provider.start_again();
        provider
    }

    /// Its `iss`.
    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts it where it was stopped; when it began to listen.
    pub(crate) fn start_again(&self) -> Instant {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/idp");
        assert!(
            program.join("node_modules/oidc-provider").exists(),
            "oidc-provider is not installed: `make test-idp` installs it"
        );
        let mut child = Command::new("node")
            .arg(program.join("provider.mjs"))
            .arg(self.folder.path())
            // It ends when this does.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(self.open_log())
            .spawn()
            .unwrap_or_else(|error| panic!("node cannot be started ({error}): install Node.js 20.20 or later"));
        let output = BufReader::new(child.stdout.take().unwrap());
        *self.process() = Some(child);
        let (says, said) = mpsc::channel();
        // All that it says is read, so that it never waits for a reader.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = says.send((line, Instant::now()));
            }
        });
        match said.recv_timeout(PATIENCE) {
            Ok((line, since)) if line == "listening" => since,
            said => panic!("the provider did not start ({said:?}); it said:\n{}", self.log()),
        }
    }

    /// Kills it: who connects is refused.
    pub(crate) fn kill(&self) {
        let mut child = self.process().take().expect("a provider that runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops it in its tracks: who connects gets no answer.
    pub(crate) fn freeze(&self) {
        let process = self.process();
        let id = process.as_ref().expect("a provider that runs").id();
        assert!(Command::new("kill").args(["-STOP", &id.to_string()]).status().unwrap().success());
    }

    /// Puts a new signing key before the others.
    pub(crate) fn add_key(&self, kid: &str) {
        self.control("POST", &format!("/keys/add?kid={kid}"));
    }

    /// Takes a key out of the set.
    pub(crate) fn drop_key(&self, kid: &str) {
        self.control("POST", &format!("/keys/drop?kid={kid}"));
    }

    /// Makes answers to this path come that much later.
    pub(crate) fn slow(&self, path: &str, milliseconds: u64) {
        self.control("POST", &format!("/slow?path={path}&ms={milliseconds}"));
    }

    /// Makes it say how long its keys are fresh, until it is stopped.
    pub(crate) fn say_fresh_for(&self, seconds: u32) {
        self.control("POST", &format!("/fresh?seconds={seconds}"));
    }

    /// Has this person sign in to a console that takes them to `back` then.
    pub(crate) fn expect_person(&self, person: &str, back: &str) {
        self.control("POST", &format!("/people?back={back}&person={person}"));
    }

    /// How many requests for this path it has had since it was started.
    pub(crate) fn requests(&self, path: &str) -> u64 {
        self.control("GET", "/requests")[path].as_u64().unwrap_or_default()
    }

    fn control(&self, method: &str, target: &str) -> Value {
        let response =
            ask(self.control, &format!("{method} {target} HTTP/1.1\r\nHost: control\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(response.status, 200, "{target}: {}", response.json());
        response.json()
    }

    fn write_files(&self, lifetime: u32) {
        let server = self.authority.certify("provider", &["127.0.0.1"]);
        let settings = json!({
            "port": self.address.port(),
            "tlsPort": self.tls.port(),
            "controlPort": self.control.port(),
            "lifetime": lifetime,
            "scopes": ["data-read", "data-all", "scopegate:view", "scopegate:manage"],
            "tls": { "key": "server.key", "certificate": "server.pem", "clientAuthority": "authority.pem" },
            "clients": self.clients(),
        });
        for (name, content) in [
            ("server.key", server.key_pem()),
            ("server.pem", server.pem()),
            ("authority.pem", self.authority.pem()),
            ("provider.json", settings.to_string()),
        ] {
            std::fs::write(self.folder.path().join(name), content).unwrap();
        }
    }

    fn clients(&self) -> Value {
        let mut clients = self.callers();
        clients.extend(self.askers());
        clients.into()
    }

    /// Those that get tokens.
    fn callers(&self) -> Vec<Value> {
        vec![
            client("acme", json!({ "client_secret": SECRET })),
            client("beta", json!({ "client_secret": SECRET, "account_id": "beta" })),
            client("operator", json!({ "client_secret": SECRET, "account_id": null, "scope": "data-read data-all" })),
            client(
                "assertive",
                json!({
                    "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [self.holder.jwk()] },
                }),
            ),
            client("prover", json!({ "client_secret": SECRET, "dpop_bound_access_tokens": true })),
            client(
                "certified",
                json!({
                    "token_endpoint_auth_method": "tls_client_auth",
                    "tls_client_auth_san_dns": "certified.example.com",
                    "tls_client_certificate_bound_access_tokens": true,
                }),
            ),
            client(
                "self-certified",
                json!({
                    "token_endpoint_auth_method": "self_signed_tls_client_auth",
                    "jwks": { "keys": [self.self_certified.jwk()] },
                    "tls_client_certificate_bound_access_tokens": true,
                }),
            ),
        ]
    }

    /// Those that may ask about tokens.
    fn askers(&self) -> Vec<Value> {
        vec![
            client("gateway", json!({ "client_secret": SECRET, "grant_types": [] })),
            client(
                "gateway-assertive",
                json!({
                    "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [self.holder.jwk()] },
                    "grant_types": [],
                }),
            ),
            client(
                "gateway-certified",
                json!({
                    "token_endpoint_auth_method": "tls_client_auth",
                    "tls_client_auth_san_dns": "certified.example.com", "grant_types": [],
                }),
            ),
        ]
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap()
    }

    fn open_log(&self) -> std::fs::File {
        std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap()
    }

    /// What it has complained of so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Ok(Some(child)) = self.process.get_mut().map(Option::as_mut) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A client, by what it has of its own.
fn client(id: &str, own: Value) -> Value {
    let mut client = json!({
        "client_id": id, "account_id": "acme", "scope": "data-read",
        "grant_types": ["client_credentials"], "response_types": [], "redirect_uris": [],
    });
    let Value::Object(own) = own else { panic!("a client's own is an object") };
    client.as_object_mut().unwrap().extend(own);
    client
}

fn ask(address: SocketAddr, request: &str) -> Response {
    let mut connection = Connection::open(address);
    connection.write(request.as_bytes());
    connection.read_response().expect("an answer of the provider")
}
