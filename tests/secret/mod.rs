//! A secret behind real servers: nginx, Apache and Node.js have it, the policy denies it, and a table of ways around
//! proxies is tried on the gateway before each of them. Any answer that holds the secret is a bypass.
//!
//! `make test-secret` runs it. The same table is sent to the servers themselves, which shows that it would find the
//! secret if the gateway were not there. `target/secret/` has the table with what came of each line.

mod servers;
mod table;
mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, thread};

use harness::{Gateway, Signer, Upstream};
use serde_json::json;
use servers::{MARK, Server};
use table::Variation;

/// The caller's account is `acme`. Denied are `secret` by an exception, `beta` by the account, `locked` by its method
/// at the upstream, and `/admin` by no service taking it.
const DENYING: &str = r#"
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    public: ["GET /data/health"]
    scopes:
      - name: data-read
        services: ["GET,HEAD /data/{account}/**", "POST /data/{account}/inbox/**"]
        except: ["* /data/{account}/secret/**"]
identity_headers: { subject: X-Auth-Subject, client: X-Auth-Client, account: X-Auth-Account, scopes: X-Auth-Scopes }
"#;

/// One that allows what the other denies.
const ALLOWING: &str = r#"
apis:
  - name: data
    base_path: /
    upstream: backend
    scopes:
      - name: data-read
        services: ["* /**"]
"#;

#[test]
fn no_variation_gets_the_secret_past_the_gateway_from_nginx() {
    check(&Server::nginx());
}

#[test]
fn no_variation_gets_the_secret_past_the_gateway_from_apache() {
    check(&Server::apache());
}

#[test]
fn no_variation_gets_the_secret_past_the_gateway_from_a_careless_server() {
    check(&Server::node());
}

/// What came of one variation.
struct Tried {
    shown: String,
    status: u16,
    /// Whether the answer held the secret: of the gateway, of a gateway that allows it, of the server itself.
    leaked: bool,
    when_allowed: bool,
    directly: bool,
}

#[track_caller]
fn check(server: &Server) {
    let gateway = |policy: &str| {
        let policy = format!("\nupstreams:\n  backend:\n    servers: [\"{}\"]\n{policy}", server.address);
        Gateway::start_listening("http2: true", &policy, Upstream::start(), |_| {})
    };
    let (denying, allowing) = (gateway(DENYING), gateway(ALLOWING));
    let token = Signer::shared().token(json!({ "scope": "data-read", "account_id": "acme" }));
    let auth = format!("Authorization: Bearer {token}\r\n");
    let good = format!("GET /data/health HTTP/1.1\r\nHost: api.example.com\r\n{auth}Connection: close\r\n\r\n");
    let escaped = |text: &str| text.replace("\r\n", "\\r\\n");
    let variations = table::all(&[("auth", &escaped(&auth)), ("good", &escaped(&good))]);
    let tried = try_all(&variations, |variation| {
        let answer = wire::send(denying.address, variation, &auth);
        let is_http1 = !matches!(variation, Variation::Fields(_));
        Tried {
            shown: variation.shown().replace(&token, "TOKEN"),
            status: wire::status(variation, &answer),
            leaked: holds_secret(&answer),
            when_allowed: holds_secret(&wire::send(allowing.address, variation, &auth)),
            directly: is_http1 && holds_secret(&wire::send(server.address, variation, &auth)),
        }
    });
    report(server, &tried);
    let leaked: Vec<_> = tried.iter().filter(|one| one.leaked).map(|one| &*one.shown).collect();
    assert!(leaked.is_empty(), "{} of {} answers hold the secret: {leaked:#?}", leaked.len(), tried.len());
    // The table does find the secret where nobody denies it, and the gateway still serves what it allows.
    let count = |holds: fn(&Tried) -> bool| tried.iter().filter(|one| holds(one)).count();
    assert!(tried.len() >= 5_000, "{}", tried.len());
    assert!(count(|one| one.directly) >= 300, "{}", count(|one| one.directly));
    assert!(count(|one| one.when_allowed) >= 50, "{}", count(|one| one.when_allowed));
    assert!(count(|one| one.status == 200) >= 100, "{}", count(|one| one.status == 200));
    assert!(denying.get("/data/acme/public.txt", &token).body.starts_with(b"This is for everybody."));
}

/// All of them, a few at a time, in their order.
fn try_all(variations: &[Variation], one: impl Fn(&Variation) -> Tried + Sync) -> Vec<Tried> {
    const AT_ONCE: usize = 8;
    let size = variations.len().div_ceil(AT_ONCE);
    thread::scope(|scope| {
        let one = &one;
        let parts: Vec<_> =
            variations.chunks(size).map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

fn holds_secret(answer: &[u8]) -> bool {
    answer.windows(MARK.len()).any(|bytes| bytes == MARK)
}

/// The whole table, and how often each status came.
fn report(server: &Server, tried: &[Tried]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/secret");
    fs::create_dir_all(&folder).unwrap();
    let mut table = "status\tleaked\twhen allowed\tdirectly\tkind\tvariation\n".to_owned();
    let mut statuses = BTreeMap::<u16, usize>::new();
    for one in tried {
        *statuses.entry(one.status).or_default() += 1;
        let _ =
            writeln!(table, "{}\t{}\t{}\t{}\t{}", one.status, one.leaked, one.when_allowed, one.directly, one.shown);
    }
    fs::write(folder.join(format!("{}.tsv", server.name)), table).unwrap();
    let count = |holds: fn(&Tried) -> bool| tried.iter().filter(|one| holds(one)).count();
    println!(
        "{}: {} variations; the secret came {} times past the gateway, {} times where the policy allows it, {} times \
         from the server itself; statuses {statuses:?}",
        server.name,
        tried.len(),
        count(|one| one.leaked),
        count(|one| one.when_allowed),
        count(|one| one.directly),
    );
}
