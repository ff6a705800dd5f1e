//! Many targets, of which most are read in different ways by different servers: no plane forwards one that the gateway
//! would have refused in-line, going by what came to the upstream.
//!
//! `SCOPEGATE_TARGETS` is how many are tried on each plane, `SCOPEGATE_SEED` from where they are drawn.

use std::env;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use serde_json::json;

use super::forwarded;
use super::planes::{Plane, Stage};
use harness::refusals::token;
use harness::{Connection, Gateway, Recorded, Response, Upstream, connect};

const USUAL: usize = 250;

/// Where targets begin: in the caller's own reach, beside it, and nowhere.
const STARTS: [&str; 22] = [
    "/path/acme",
    "/path/acme",
    "/path/acme/x",
    "/path/acme/x",
    "/path/beta",
    "/path/",
    "/path",
    "/query/x",
    "/query/x",
    "/header/x",
    "/header/x",
    "/path/health",
    "//path/acme",
    "/./path/acme",
    "/%2e/path/acme",
    "/other/../path/acme",
    "http://api.example.com/path/acme",
    "http://other.example/path/acme",
    "http://u:p@api.example.com/path/acme",
    "path/acme",
    "*",
    "/",
];

/// What stands between and within segments.
const PIECES: [&str; 62] = [
    "/x",
    "/x",
    "/y",
    "/",
    "//",
    "/.",
    "/..",
    "/...",
    "/../beta",
    "/../../path/beta",
    "/%2e",
    "/%2E%2e",
    "/.%2e/beta",
    "/%252e%252e/beta",
    "%2f",
    "%2F..%2Fbeta",
    "%5c",
    "%5C..%5Cbeta",
    "\\",
    "\\..\\beta",
    "/..;/beta",
    ";a=b",
    "/x;y",
    "/;/",
    "%3b",
    "%3B/..",
    "%00",
    "%0a",
    "%0d%0aX-Injected:%20a",
    "%20",
    "%09",
    "/a b",
    "/a\tb",
    "+",
    "%25",
    "%2525",
    "%c3%a9",
    "\u{e9}",
    "%ff",
    "%c0%ae%c0%ae/beta",
    "%u002e",
    "%",
    "%z",
    "%4",
    "/%61",
    "/%41",
    "%7e",
    "~",
    "/{account}",
    "/*",
    "/**",
    "/a|b",
    "/<x>",
    "/\"x\"",
    "/^",
    "/`",
    "\u{7f}",
    "/Health",
    "/HEALTH",
    "/x.",
    "/x::$DATA",
    "/:x@y!$&'()*,=",
];

const QUERIES: [&str; 26] = [
    "",
    "",
    "",
    "",
    "?",
    "?a=b",
    "?account=acme",
    "?account=acme",
    "?account=beta",
    "?account=acme&account=beta",
    "?account=beta;account=acme",
    "?account=acme;x=y",
    "?a=b;account=acme",
    "?;account=beta&account=acme",
    "?ACCOUNT=beta&account=acme",
    "?account%3Dbeta",
    "?%61ccount=beta&account=acme",
    "?account=%61cme",
    "?account=acme%26account=beta",
    "?account[]=beta&account=acme",
    "??account=beta",
    "#x",
    "#?account=beta",
    "?account=acme#x",
    "?account=acme%00",
    "?account=acme%23&x=\u{e9}",
];

const METHODS: [&str; 10] = ["GET", "GET", "GET", "GET", "GET", "GET", "POST", "get", "DELETE", "HEAD"];

const ACCOUNTS: [&str; 10] = [
    "",
    "",
    "",
    "",
    "X-Account-Id: acme\r\n",
    "X-Account-Id: beta\r\n",
    "X-Account-Id: acme\r\nX-Account-Id: beta\r\n",
    "X-Account-Id: acme, beta\r\n",
    "X_Account_Id: beta\r\n",
    "x-account-id:\tacme \r\nConnection: X-Account-Id\r\n",
];

fn drawn(from: &[&'static str], by: &mut Rng) -> &'static str {
    from[by.usize(..from.len())]
}

/// A request's text without its token: a few pieces, and now and then a byte that was changed.
fn request(by: &mut Rng) -> Vec<u8> {
    let mut target = drawn(&STARTS, by).to_owned();
    for _ in 0..by.usize(..3) {
        target += if by.bool() { "/x" } else { drawn(&PIECES, by) };
    }
    target += drawn(&QUERIES, by);
    let mut target = target.into_bytes();
    if by.u8(..16) == 0 {
        let place = by.usize(..target.len());
        target[place] = by.u8(1..).max(b'\x0e');
    }
    let (method, account) = (drawn(&METHODS, by), drawn(&ACCOUNTS, by));
    let host = "Host: api.example.com\r\nContent-Length: 0\r\n";
    [method.as_bytes(), b" ", &target, b" HTTP/1.1\r\n", host.as_bytes(), account.as_bytes()].concat()
}

/// A gateway whose upstream's requests can be taken.
struct Trial {
    stage: Stage,
    token: String,
    came: Arc<Mutex<Vec<Recorded>>>,
}

impl Trial {
    fn start() -> Self {
        let came = Arc::new(Mutex::new(Vec::new()));
        let stage = Stage::start("", |listener, more| {
            let came = Arc::clone(&came);
            let upstream = Upstream::answering(move |recorded| {
                came.lock().unwrap().push(recorded.clone());
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()
            });
            Gateway::start_listening(listener, &format!("{more}{}", forwarded::POLICY), upstream, |_| {})
        });
        let token = token(json!({ "scope": "one two three", "account_id": "acme", "sub": "s-1" }));
        Self { stage, token, came }
    }

    /// What comes of a request: the answer, if there is one, and what came to the upstream.
    fn send(&self, to: std::net::SocketAddr, request: &[u8]) -> (Option<u16>, Vec<Recorded>) {
        let mut connection = Connection::over(connect(to));
        let rest = format!("Authorization: Bearer {}\r\n\r\n", self.token);
        connection.try_write(&[request, rest.as_bytes()].concat());
        // The body of an answer to HEAD is none, whatever its length.
        let status = if request.starts_with(b"HEAD ") {
            connection.read_head().and_then(|line| line.split(' ').nth(1)?.parse().ok())
        } else {
            connection.read_response().map(|Response { status, .. }| status)
        };
        (status, std::mem::take(&mut *self.came.lock().unwrap()))
    }

    /// Whether the gateway forwards, for the same account, what came to the upstream by a plane.
    fn check(&self, plane: &Plane, sent: &[u8], came: &Recorded) {
        let accounts: String =
            came.all("x-account-id").into_iter().map(|account| format!("X-Account-Id: {account}\r\n")).collect();
        let host = "Host: api.example.com\r\nContent-Length: 0\r\n";
        let (status, by_gateway) =
            self.send(self.stage.gateway.address, format!("{}\r\n{host}{accounts}", came.line).as_bytes());
        let shown = format!("{}: {} came as {:?}", plane.kind.name(), sent.escape_ascii(), came.line);
        assert_eq!((status, by_gateway.len()), (Some(200), 1), "{shown}");
        for name in ["x-auth-account", "x-auth-subject", "x-account-id"] {
            assert_eq!(came.all(name), by_gateway[0].all(name), "{shown}");
        }
        assert!(!came.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-injected")), "{shown}");
    }
}

fn number(name: &str, usual: u64) -> u64 {
    env::var(name).map_or(usual, |text| text.parse().unwrap())
}

#[test]
fn nothing_reaches_an_upstream_that_the_gateway_would_have_refused() {
    let trial = Trial::start();
    let count = usize::try_from(number("SCOPEGATE_TARGETS", USUAL as u64)).unwrap();
    let seed = number("SCOPEGATE_SEED", fastrand::u64(..));
    println!("SCOPEGATE_SEED={seed}");
    for plane in &trial.stage.planes {
        let mut by = Rng::with_seed(seed);
        let (mut forwarded, mut refused) = (0, 0);
        for _ in 0..count {
            let sent = request(&mut by);
            let (status, came) = trial.send(plane.address, &sent);
            assert!(came.len() <= 1, "{}: {}", plane.kind.name(), sent.escape_ascii());
            match came.first() {
                Some(came) => trial.check(plane, &sent, came),
                None => assert!(
                    status.is_none_or(|status| status >= 400 || status == 301),
                    "{status:?}: {}",
                    sent.escape_ascii()
                ),
            }
            if came.is_empty() { refused += 1 } else { forwarded += 1 }
        }
        println!("{}: {forwarded} forwarded as in-line, {refused} refused", plane.kind.name());
        assert!(forwarded > count / 30, "{}: {forwarded}", plane.kind.name());
    }
}
