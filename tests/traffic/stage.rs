//! The gateway with all its servers, the policies that it is given one after another, and what its clients share.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;

use super::policy::{POLICY, UPSTREAMS, variant};
use super::scripted::Scripted;
use super::servers::Mortal;
use harness::{Gateway, Signer, Upstream, free_address, wait_for};

/// What a client tells of one request.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) id: String,
    /// The answer's, whose head may have been all of it; `None` if there was none.
    pub(crate) status: Option<u16>,
    /// Of a refusal or a failure: its code, if the client shows it.
    pub(crate) reason: Option<String>,
    /// Whether the answer came to its end and was what the request's server says.
    pub(crate) whole: bool,
}

/// What a client tells of many requests that it does not tell apart.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) ids: Vec<String>,
    pub(crate) statuses: Vec<u16>,
}

/// Tokens of each kind.
pub(crate) struct Tokens {
    pub(crate) good: String,
    pub(crate) poor: String,
    pub(crate) flip: String,
    pub(crate) expired: String,
    pub(crate) forged: String,
}

pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    /// Its listener with TLS; the other has none.
    pub(crate) secured: SocketAddr,
    pub(crate) items: [Mortal; 3],
    pub(crate) door: Scripted,
    pub(crate) grpc: [Mortal; 3],
    /// Never killed.
    pub(crate) steady: Mortal,
    pub(crate) tokens: Tokens,
    /// Where pages come from.
    pub(crate) origin: String,
    pub(crate) ledgers: PathBuf,
    pub(crate) told: Mutex<Vec<Told>>,
    pub(crate) counted: Mutex<Vec<Counted>>,
    policy: String,
    generation: AtomicU64,
    ends: AtomicBool,
    /// How often each client has been through all that it does.
    rounds: Mutex<HashMap<String, usize>>,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// With pages from `origin`.
    pub(crate) fn start(origin: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let items = ["items-0", "items-1", "items-2"].map(|name| Mortal::http(name, at));
        let grpc = ["grpc-0", "grpc-1", "grpc-2"].map(|name| Mortal::grpc(name, at));
        let scripted = ["scripted-0", "scripted-1", "scripted-2"].map(|name| Scripted::new(name, at));
        let (door, steady) = (Scripted::new("door", at), Mortal::http("steady", at));
        items.iter().chain(&grpc).chain([&steady]).for_each(Mortal::serves);
        let list = |addresses: &[SocketAddr]| {
            addresses.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ")
        };
        let policy = POLICY
            .replace("$SCRIPTED", &list(&scripted.each_ref().map(|server| server.address)))
            .replace("$GRPC", &list(&grpc.each_ref().map(|server| server.address)))
            .replace("$LIVE", &list(&[steady.address, items[1].address]))
            .replace("$ITEMS", &list(&[items[0].address, items[1].address, door.address, items[2].address]))
            .replace("$ORIGIN", origin);
        let secured = free_address();
        let listeners = format!(
            "http2: true }}\n  - {{ address: \"{secured}\", http2: true, tls: {{ certificate: server.pem, key: server.key }}"
        );
        let own = rcgen::generate_simple_self_signed(vec!["api.example.com".to_owned()]).unwrap();
        fs::write(at.join("root.pem"), own.cert.pem()).unwrap();
        let gateway = Gateway::start_listening(&listeners, &variant(&policy, 1), Upstream::start(), |folder| {
            fs::write(folder.join("server.pem"), own.cert.pem()).unwrap();
            fs::write(folder.join("server.key"), own.signing_key.serialize_pem()).unwrap();
        });
        Self {
            gateway,
            secured,
            items,
            door,
            grpc,
            steady,
            tokens: Tokens::new(),
            origin: origin.to_owned(),
            ledgers: at.to_owned(),
            told: Mutex::default(),
            counted: Mutex::default(),
            policy,
            generation: AtomicU64::new(1),
            ends: AtomicBool::new(false),
            rounds: Mutex::default(),
            _folder: folder,
        }
    }

    /// Puts the next policy in place, and awaits that it is in force.
    pub(crate) fn reload(&self) {
        let generation = self.generation.fetch_add(1, Ordering::SeqCst) + 1;
        self.gateway.rewrite(&variant(&self.policy, generation));
        self.gateway.wait_for_policy("the next generation", |policy| policy["generation"] == generation);
    }

    /// Puts a file in place that is no good, and awaits that it is refused.
    pub(crate) fn reload_in_vain(&self) {
        let generation = self.generation.load(Ordering::SeqCst);
        self.gateway.rewrite(&variant(&self.policy, generation).replace("retries:", "retires:"));
        let shown = self.gateway.wait_for_policy("the refusal", |policy| !policy["last_error"].is_null());
        assert_eq!(shown["generation"], generation);
    }

    pub(crate) fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::SeqCst)
    }

    /// Lets every client come to its end.
    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::SeqCst);
    }

    /// Does what a client does again and again, to the end.
    pub(crate) fn repeat(&self, client: &str, mut round: impl FnMut(usize) -> Vec<Told>) {
        self.rounds.lock().unwrap().insert(client.to_owned(), 0);
        for number in 0.. {
            if !self.goes_on() {
                return;
            }
            let told = round(number);
            self.told.lock().unwrap().extend(told);
            *self.rounds.lock().unwrap().get_mut(client).unwrap() += 1;
        }
    }

    /// Awaits that each client has been through all that it does, from its beginning to its end.
    pub(crate) fn pass(&self) {
        let before = self.rounds.lock().unwrap().clone();
        for (client, rounds) in before {
            wait_for(&client, || (self.rounds.lock().unwrap()[&client] >= rounds + 2).then_some(()));
        }
    }

    /// The number of the policy in force.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// How many descriptors the gateway has.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.gateway.id())).unwrap().count()
    }

    /// Awaits that nothing is under way.
    pub(crate) fn rests(&self) {
        for upstream in UPSTREAMS {
            let series = format!("scopegate_upstream_requests{{upstream=\"{upstream}\"}}");
            wait_for(&series, || (self.gateway.metric(&series)? == 0.0).then_some(()));
        }
        wait_for("connections to end", || (self.gateway.metric("scopegate_connections")? == 0.0).then_some(()));
    }

    /// How many clients there are.
    pub(crate) fn clients(&self) -> usize {
        self.rounds.lock().unwrap().len()
    }
}

impl Tokens {
    fn new() -> Self {
        let sign = |signer: &Signer, scope: &str, exp| {
            let mut claims = json!({ "scope": scope, "account_id": "acme" });
            if let Some(exp) = exp {
                claims["exp"] = json!(exp);
            }
            signer.token(claims)
        };
        let (signer, good) = (Signer::shared(), "items bulk scripted late live test");
        Self {
            good: sign(signer, good, None),
            poor: sign(signer, "items-other bulk-other test-other live-flop", None),
            flip: sign(signer, "flip live-flip", None),
            expired: sign(signer, good, Some(1)),
            forged: sign(&Signer::new(), good, None),
        }
    }
}
