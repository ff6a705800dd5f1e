//! curl, over HTTP/1.1 and HTTP/2, with and without TLS: a process for each round, one connection for its requests.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::scripted::FAULTS;
use super::stage::{Stage, Told};
use harness::PATIENCE;

/// How it comes to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http1Tls,
    /// By ALPN.
    Http2Tls,
}

/// One request of a round.
struct Ask<'t> {
    method: &'static str,
    path: String,
    token: Option<&'t str>,
    body: Option<String>,
}

impl<'t> Ask<'t> {
    fn new(method: &'static str, path: String, token: Option<&'t str>) -> Self {
        let body = matches!(method, "POST" | "PUT" | "PATCH").then(|| "a body".to_owned());
        Self { method, path, token, body }
    }

    fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }
}

/// Requests that a retry can save, that must not be sent twice, and that are refused, among each other.
pub(crate) fn items(stage: &Stage, client: &str, speaks: Speaks) {
    let tokens = &stage.tokens;
    let (good, poor, expired, forged) = (&*tokens.good, &*tokens.poor, &*tokens.expired, &*tokens.forged);
    stage.repeat(client, |round| {
        let id = |class: &str, place: usize| format!("{class}-{client}-{round}-{place}");
        let refused = |reason: &str| format!("refused-{reason}-{client}-{round}");
        let mut asks = Vec::new();
        for (place, method) in ["GET", "PUT", "GET", "DELETE", "GET", "HEAD"].into_iter().enumerate() {
            asks.push(Ask::new(method, format!("/items/acme/things/{}", id("saved", place)), Some(good)));
            if place % 2 == 0 {
                asks.push(Ask::new("POST", format!("/items/acme/things/{}", id("once", place)), Some(good)));
            }
        }
        asks.push(Ask::new("GET", format!("/items/acme/flip/{}", id("flip", 0)), Some(&tokens.flip)));
        let refusals = [
            ("GET", "items/acme/things", None, "token_missing"),
            ("GET", "items/acme/things", Some(expired), "token_expired"),
            ("GET", "items/acme/things", Some(forged), "signature_invalid"),
            ("GET", "items/acme/things", Some(poor), "scope_insufficient"),
            ("POST", "items/acme/things", Some(poor), "scope_insufficient"),
            ("GET", "items/globex/things", Some(good), "account_forbidden"),
            ("GET", "items/acme/nothing", Some(good), "route_unknown"),
            ("POST", "items/acme/read", Some(good), "method_not_allowed"),
            ("GET", "items/acme/%2e%2e", Some(good), "path_ambiguous"),
        ];
        for (place, (method, path, token, reason)) in refusals.into_iter().enumerate() {
            let ask = Ask::new(method, format!("/{path}/{}-{place}", refused(reason)), token);
            asks.insert((place * 2).min(asks.len()), ask);
        }
        ask(stage, client, speaks, &asks)
    });
}

/// Requests to servers that do to each what its path says.
pub(crate) fn scripted(stage: &Stage, client: &str, speaks: Speaks) {
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"];
    stage.repeat(client, |round| {
        let mut asks = Vec::new();
        for place in 0..8 {
            // Each method meets each fault, one in so many rounds; most requests meet none.
            let number = round * 8 + place;
            let fault = if place % 2 == 1 { FAULTS[number / 2 % FAULTS.len()] } else { "plain" };
            let method = methods[number / 2 / FAULTS.len() % methods.len()];
            // There is no half of no body.
            let fault = if (fault, method) == ("half", "HEAD") { "plain" } else { fault };
            let id = format!("scripted-{fault}-{method}-{client}-{number}");
            asks.push(Ask::new(method, format!("/scripted/{fault}/{id}"), Some(&stage.tokens.good)));
        }
        if round.is_multiple_of(3) {
            let id = format!("scripted-late-{}-{client}-{round}", methods[round / 3 % methods.len()]);
            asks.push(Ask::new(
                methods[round / 3 % methods.len()],
                format!("/late/late/{id}"),
                Some(&stage.tokens.good),
            ));
        }
        // More than is kept to be sent again.
        let id = format!("scripted-once-LARGE-{client}-{round}");
        let large = Some("x".repeat(100_000));
        asks.push(Ask { body: large, ..Ask::new("PUT", format!("/scripted/once/{id}"), Some(&stage.tokens.good)) });
        ask(stage, client, speaks, &asks)
    });
}

/// Has one curl ask for all of it, one after another.
fn ask(stage: &Stage, client: &str, speaks: Speaks, asks: &[Ask<'_>]) -> Vec<Told> {
    let folder = stage.ledgers.join(client);
    fs::create_dir_all(&folder).unwrap();
    let config = config(stage, &folder, speaks, asks);
    fs::write(folder.join("config"), config).unwrap();
    let output = Command::new("curl")
        .args(["--disable", "--config", "config"])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .expect("curl is there");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), asks.len(), "{lines:?} {}", String::from_utf8_lossy(&output.stderr));
    let told = asks.iter().zip(lines).map(|(ask, line)| told(&folder, speaks, ask, line)).collect();
    fs::remove_dir_all(&folder).unwrap();
    told
}

/// What curl reads of what it is to do.
fn config(stage: &Stage, folder: &Path, speaks: Speaks, asks: &[Ask<'_>]) -> String {
    let (scheme, address) = match speaks {
        Speaks::Http1 => ("http", stage.gateway.address),
        Speaks::Http1Tls | Speaks::Http2Tls => ("https", stage.secured),
    };
    let version = match speaks {
        Speaks::Http1 | Speaks::Http1Tls => "http1.1",
        Speaks::Http2Tls => "http2",
    };
    let mut config = String::new();
    for (place, ask) in asks.iter().enumerate() {
        let port = address.port();
        if place > 0 {
            config += "next\n";
        }
        let _ = write!(
            config,
            "url = \"{scheme}://api.example.com:{port}{}\"\nresolve = \"api.example.com:{port}:127.0.0.1\"\nnoproxy = \"*\"\n\
             cacert = \"{}\"\n{version}\nsilent\npath-as-is\nmax-time = {}\noutput = \"{}\"\n\
             write-out = \"%{{exitcode}} %{{http_code}} %{{http_version}}\\n\"\n",
            ask.path,
            stage.ledgers.join("root.pem").display(),
            PATIENCE.as_secs(),
            folder.join(ask.id()).display(),
        );
        match (ask.method, &ask.body) {
            ("HEAD", _) => config += "head\n",
            (method, None) => drop(writeln!(config, "request = \"{method}\"")),
            (method, Some(body)) => drop(writeln!(config, "request = \"{method}\"\ndata = \"{body}\"")),
        }
        if let Some(token) = ask.token {
            let _ = writeln!(config, "header = \"Authorization: Bearer {token}\"");
        }
    }
    config
}

/// What became of one request.
fn told(folder: &Path, speaks: Speaks, ask: &Ask<'_>, line: &str) -> Told {
    let body = fs::read(folder.join(ask.id())).unwrap_or_default();
    let words: Vec<_> = line.split(' ').collect();
    let [exit, status, version] = words[..] else { panic!("curl says {line}") };
    let status: u16 = status.parse().unwrap();
    let expected = match speaks {
        Speaks::Http1 | Speaks::Http1Tls => "1.1",
        Speaks::Http2Tls => "2",
    };
    assert!(status == 0 || version == expected, "{line}");
    let problem: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let reason = problem.and_then(|problem| problem["reason"].as_str().map(str::to_owned));
    // Curl writes the head where there is no body to be.
    let whole = exit == "0" && (ask.method == "HEAD" || status != 200 || body == ask.id().as_bytes());
    Told { id: ask.id().to_owned(), status: (status != 0).then_some(status), reason, whole }
}
