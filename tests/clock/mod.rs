//! The built binary with a clock that is set forth an hour and back, and back an hour and forth, under load. No
//! request fails that should be served, and nothing passes that should not: what is remembered ages by a clock that is
//! never set.
//!
//! `make test-clock` runs it: Debian's `libfaketime` stands between the process and the system's clock. The clock that
//! is never set and the time stamps of files are left as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use harness::{Gateway, Load, Response, Signer, Upstream, encode, now, scopegate, wait_for};
use serde_json::{Value, json};

const HOUR: i64 = 3600;

/// How long what an issuer says of an opaque token is kept.
const CACHE_FOR: Duration = Duration::from_secs(3);

/// As Debian has it.
fn faketime() -> String {
    format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH)
}

fn policy(provider: &Upstream, apis: &str) -> String {
    format!(
        r#"
removal_guard: true
revocations: {{ file: revoked.jsonl, endpoint: /oauth/revoke }}
issuers:
  - issuer: https://issuer.example
    audiences: [https://api.example.com]
    keys: {{ file: jwks.json }}
    introspection:
      url: "http://{}/introspect"
      client_id: gateway
      client_secret_file: secret
      cache_for: {}s
apis:
  - name: data
    base_path: /data
    upstream: backend
    scopes:
      - {{ name: data-read, services: ["GET /data/**"] }}
{apis}"#,
        provider.address,
        CACHE_FOR.as_secs()
    )
}

const GOING: &str = r#"
  - name: extra
    base_path: /extra
    upstream: backend
    scopes:
      - { name: going, services: ["GET /extra/**"] }
"#;

/// A gateway whose clock can be set.
struct Stage {
    gateway: Gateway,
    clock: PathBuf,
    provider: Upstream,
    is_active: Arc<AtomicBool>,
}

impl Stage {
    fn start() -> Self {
        let is_active = Arc::new(AtomicBool::new(true));
        let active = Arc::clone(&is_active);
        let provider = Upstream::answering(move |_| {
            let good = json!({
                "active": true, "iss": "https://issuer.example", "aud": "https://api.example.com",
                "scope": "data-read", "exp": now() + 300,
            });
            let body =
                if active.load(Ordering::SeqCst) { good.to_string() } else { json!({ "active": false }).to_string() };
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        });
        let mut gateway = Gateway::start_in(&policy(&provider, GOING), |folder| {
            fs::write(folder.join("secret"), "s3cret").unwrap();
            fs::write(folder.join("revoked.jsonl"), "").unwrap();
        });
        gateway.kill();
        wait_for("its end", || (!gateway.is_running()).then_some(()));
        let clock = gateway.folder.path().join("clock");
        let mut command = scopegate(&["serve", "--config", "gateway.yaml"]);
        command
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
        write(&clock, "+0");
        drop(gateway.start_again(command));
        gateway.wait_until_ready();
        Self { gateway, clock, provider, is_active }
    }

    /// Sets the clock so many seconds off, and waits until the process goes by it.
    #[track_caller]
    fn set_clock(&self, off: i64) {
        write(&self.clock, &format!("{off:+}"));
        wait_for("the clock to be set", || {
            let before = self.gateway.audit(1).len();
            self.gateway.ask("GET", "/nowhere", &[]);
            let line = self.gateway.audit(before + 1).into_iter().rfind(|line| line["path"] == "/nowhere")?;
            let time: jiff::Timestamp = line["time"].as_str()?.parse().unwrap();
            let found = time.as_second() - now().cast_signed();
            ((found - off).abs() <= 2).then_some(())
        });
    }

    fn get(&self, token: &str) -> (u16, String) {
        told(&self.gateway.get("/data/x", token))
    }

    fn prove(&self, token: &str, proof: &str) -> (u16, String) {
        let authorization = format!("DPoP {token}");
        told(&self.gateway.ask("GET", "/data/x", &[("Authorization", &authorization), ("DPoP", proof)]))
    }

    fn revoke(&self, token: &str) -> u16 {
        let body = format!("token={token}");
        let head = format!(
            "POST /oauth/revoke HTTP/1.1\r\nHost: api.example.com\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.gateway.send(format!("{head}{body}").as_bytes()).status
    }

    /// Puts a line on the list by hand, and waits until it counts.
    #[track_caller]
    fn revoke_by_hand(&self, id: &str) {
        let file = self.gateway.folder.path().join("revoked.jsonl");
        let line = json!({ "jti": id, "iss": "https://issuer.example" });
        write(&file, &format!("{}{line}\n", fs::read_to_string(&file).unwrap()));
        let token = token(id, -2 * HOUR, 4 * HOUR);
        wait_for("the list to be read", || (self.get(&token).1 == "token_revoked").then_some(()));
    }
}

fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn told(response: &Response) -> (u16, String) {
    (response.status, if response.status == 200 { String::new() } else { response.reason() })
}

fn claims(id: &str, issued: i64, expires: i64) -> Value {
    let at = |offset: i64| now().saturating_add_signed(offset);
    json!({ "jti": id, "iat": at(issued), "exp": at(expires), "scope": "data-read going" })
}

/// Issued and expiring so many seconds from now.
fn token(id: &str, issued: i64, expires: i64) -> String {
    Signer::shared().token(claims(id, issued, expires))
}

/// A token that is bound to the signer's other key, and a maker of proofs with this id and age.
fn bound() -> (String, impl Fn(&str, i64) -> String) {
    let signer = Signer::shared();
    let key = signer.jwks()["keys"][1].clone();
    let member = move |name: &str| key[name].as_str().unwrap().to_owned();
    let jwk = json!({ "crv": "P-256", "kty": "EC", "x": member("x"), "y": member("y") });
    let thumbprint = encode(digest(&SHA256, jwk.to_string().as_bytes()).as_ref());
    let mut claims = claims("bound", -2 * HOUR, 4 * HOUR);
    claims["cnf"] = json!({ "jkt": thumbprint });
    let token = signer.token(claims);
    let ath = encode(digest(&SHA256, token.as_bytes()).as_ref());
    let proof = move |id: &str, offset: i64| {
        let payload = json!({
            "jti": id, "htm": "GET", "htu": "http://api.example.com/data/x",
            "iat": now().saturating_add_signed(offset), "ath": ath,
        });
        signer.sign(&json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": jwk }), &payload)
    };
    (token, proof)
}

fn good() -> (u16, String) {
    (200, String::new())
}

fn refused(reason: &str) -> (u16, String) {
    (401, reason.to_owned())
}

/// Clients with a token that is good whatever the clock says here.
fn load(stage: &Stage) -> Load {
    let token = token("load", -2 * HOUR, 4 * HOUR);
    let request = format!("GET /data/x HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n\r\n");
    Load::start(4, stage.gateway.address, &request)
}

#[track_caller]
fn end(what: &str, load: Load) {
    let asked = load.stop();
    println!("{what}: {} requests of the load served, {} failed", asked.answered, asked.failed.len());
    assert!(asked.failed.is_empty() && asked.refused == 0, "{:?}", asked.failed.first());
    assert!(asked.answered > 100, "{asked:?}");
}

#[test]
fn a_clock_that_is_set_forth_and_back_brings_nothing_back_and_keeps_nothing_away() {
    let stage = Stage::start();
    let load = load(&stage);
    let short = token("short", 0, 300);
    let revoked = token("revoked", 0, 300);
    let (held, proof) = bound();
    let used = proof("used", 0);
    assert_eq!((stage.get(&short), stage.get(&revoked), stage.prove(&held, &used)), (good(), good(), good()));
    assert_eq!(stage.revoke(&revoked), 200);
    assert_eq!(stage.get(&revoked), refused("token_revoked"));
    let generation = stage.gateway.admin("/policy").json()["generation"].clone();

    stage.set_clock(HOUR);
    assert_eq!(stage.get(&short), refused("token_expired"));
    assert_eq!(stage.prove(&held, &used), refused("binding_mismatch"));
    // Of another token it is first heard now; its issuer says that it is good for five minutes of the true time.
    assert_eq!(stage.get("opaque"), refused("token_expired"));
    // The list is read by a clock by which what was revoked has long expired, and one more such is revoked.
    stage.revoke_by_hand("by-hand");
    let revoked_late = token("revoked-late", 0, 300);
    assert_eq!(stage.revoke(&revoked_late), 200);
    // A scope that tokens carry is not given up for lack of any that has not expired.
    stage.gateway.rewrite(&policy(&stage.provider, ""));
    let after = stage.gateway.wait_for_policy("the refusal", |policy| policy["last_error"].is_string());
    assert_eq!(after["generation"], generation, "{after}");

    stage.set_clock(0);
    for token in [&short, "opaque"] {
        assert_eq!(stage.get(token), good());
    }
    for token in [&revoked, &revoked_late] {
        assert_eq!(stage.get(token), refused("token_revoked"));
    }
    assert_eq!(stage.prove(&held, &used), refused("binding_mismatch"));
    assert_eq!(stage.prove(&held, &proof("fresh", 0)), good());
    assert_eq!(told(&stage.gateway.get("/extra/x", &short)), good());
    end("forth an hour and back", load);
}

#[test]
fn a_clock_that_is_set_back_and_forth_makes_nothing_last_longer() {
    let stage = Stage::start();
    let load = load(&stage);
    let short = token("short", 0, 300);
    let (held, proof) = bound();
    let early = proof("early", -HOUR);
    assert_eq!((stage.get(&short), stage.get("opaque")), (good(), good()));
    let answered = Instant::now();
    stage.is_active.store(false, Ordering::SeqCst);

    stage.set_clock(-HOUR);
    // What was said of a token is kept for its seconds, and not for an hour more.
    let asked = AtomicUsize::new(0);
    wait_for("the refusal", || {
        asked.fetch_add(1, Ordering::SeqCst);
        (stage.get("opaque") == refused("token_revoked")).then_some(())
    });
    let passed = answered.elapsed();
    println!("an answer that is kept for {CACHE_FOR:?} was asked for again {passed:?} after it came");
    assert!(passed < CACHE_FOR + Duration::from_secs(5), "{passed:?}");
    assert_eq!(stage.get(&short), refused("token_not_yet_valid"));
    assert_eq!(stage.prove(&held, &proof("of-now", 0)), refused("binding_mismatch"));
    // A token of that hour may be revoked, though it is not good yet.
    let revoked = token("revoked", 0, 300);
    assert_eq!(stage.revoke(&revoked), 200);
    assert_eq!((stage.prove(&held, &early), stage.prove(&held, &early)), (good(), refused("binding_mismatch")));

    stage.set_clock(0);
    assert_eq!(stage.get(&short), good());
    assert_eq!(stage.get(&revoked), refused("token_revoked"));
    assert_eq!(stage.prove(&held, &early), refused("binding_mismatch"));
    assert_eq!(stage.prove(&held, &proof("of-later", 0)), good());
    end("back an hour and forth", load);
}
