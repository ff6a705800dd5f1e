//! Targets: thousands of spellings of paths that the caller may not have, and every odd request line.

use std::collections::BTreeSet;

use serde_json::json;

use super::decoders::READINGS;
use crate::harness::{Connection, Gateway, Response, Signer};

/// The caller's account is `acme`; `secret` is denied, and `beta` is somebody else's.
pub(super) const POLICY: &str = r#"
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    public: ["GET /data/health"]
    scopes:
      - name: data-read
        services: ["GET /data/{account}/**"]
        except: ["* /data/{account}/secret/**"]
"#;

/// What some server takes for a slash, or for nothing; spaces between, here and below.
const SLASHES: &[u8] = b"/ // /// /./ /.// \\ \\\\ /\\ %2f %2F %5c %5C /%2f %2f/ /%5c %252f %255c %25252f %c0%af %c1%9c \
    %e0%80%af %f0%80%80%af %ef%bc%8f \xef\xbc\x8f \xe2\x88\x95 %u002f %u2215 %%32%66 ;/ /;/ /;a=b/ %3b/ /%20/ %00/ /%0d%0a/";

/// What some server takes for two dots, or for one.
const DOTS: &[u8] = b".. . %2e%2e %2E%2E .%2e %2e. %252e%252e %25%32%65%25%32%65 %25252e%25252e %c0%ae%c0%ae \
    %e0%80%ae%e0%80%ae %ef%bc%8e%ef%bc%8e \xef\xbc\x8e\xef\xbc\x8e %u002e%u002e ..; ..;a=b ..%3b ..%3B .;. ..%00 %00.. ..%0d \
    ..%09 %09.. ..%20 %20.. .%20.%20 .%20. ... .... ..%5c ..%2f ..? ..%3f ..# ..%23 ..%ff ..%c2%a0 .%00. ..\t ..\x01 ..\xff ..+";

/// What some server drops from the end of a segment, or ends the path at; the last lines are harmless.
const ENDS: &[u8] =
    b"/ // /. /./ /.. ; ;a=b %3b %3Bx %00 %00.json %0a %0d%0a %09 %1f %7f \\ %5c /%5c ? ?x=/data/acme/y %3f \
    %3F %3fx %253f # #x %23 %2523 %2500 %ff %c0%80 %e2%80%8b \xe2\x80\x8b \0 \t \x0b \x0c \x7f % %2 %zz %u0000 \
    %20x %7Ex + - .json :x ::$DATA @x ,x =x ' ! (x) * &x $x ~1";

/// Spellings of one name.
const SECRETS: &[u8] =
    b"secret %73ecret %73%65%63%72%65%74 s%65cret %2573ecret %25%37%33ecret %u0073ecret secre%74 %c1%b3ecret \
    %ef%bd%93ecret \xef\xbd\x93ecret ;secret ;x=y/secret %2fsecret";

fn words(list: &'static [u8]) -> impl Iterator<Item = &'static [u8]> + Clone {
    list.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

pub(super) fn variations() -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    for slash in words(SLASHES) {
        for dots in words(DOTS) {
            for parts in [
                // Up, into the secret; up, into another's; up and over the account; and from a public path.
                &[&b"/data/acme/a"[..], slash, dots, slash, b"secret/key"][..],
                &[b"/data/acme", slash, dots, slash, b"beta/key"],
                &[b"/data/acme", slash, dots, slash, dots, slash, b"data", slash, b"beta/key"],
                &[b"/data/health", slash, dots, slash, b"beta/key"],
            ] {
                all.insert(parts.concat());
            }
        }
        all.extend(words(SECRETS).map(|secret| [b"/data/acme", slash, secret, b"/key"].concat()));
        all.extend([b"/data".as_slice(), b"data", b""].map(|start| [start, slash, b"beta", slash, b"key"].concat()));
    }
    for end in words(ENDS).chain([&b""[..]]) {
        for secret in words(SECRETS) {
            all.insert([b"/data/acme/", secret, end].concat());
            all.insert([b"/data/acme/", secret, end, b"/key"].concat());
        }
        all.insert([b"/data/beta", end, b"/key"].concat());
        all.insert([b"/data/acme", end, b"/../beta/key"].concat());
        all.insert([b"/data/health", end].concat());
        all.insert([b"/data/health", end, b"/../beta/key"].concat());
    }
    all
}

#[test]
fn no_spelling_of_a_path_reaches_the_secret_or_anothers_account() {
    let variations: Vec<_> = variations().into_iter().collect();
    println!("{} targets", variations.len());
    assert!(variations.len() >= 5_000, "{}", variations.len());
    let gateway = Gateway::start(POLICY);
    let mut client = Client::new(&gateway);
    let mut forwarded = 0;
    for (place, target) in variations.iter().enumerate() {
        let head = [b"GET ", &**target, b" HTTP/1.1\r\n"].concat();
        match client.send(&head, place) {
            Some(response) if response.status == 200 => forwarded += 1,
            Some(response) => {
                assert!(matches!(response.status, 400 | 403 | 404), "{}: {response:?}", target.escape_ascii());
            }
            None => {}
        }
    }
    let seen = gateway.upstream.seen();
    assert_eq!(seen.len(), forwarded);
    // Some spellings are harmless, which shows that the upstream was there to be reached.
    assert!(forwarded >= 50, "{forwarded}");
    for request in seen {
        let place: usize = request.all("x-request-id")[0].parse().unwrap();
        check_line(&request.line, &variations[place]);
    }
}

/// Whether all readings of a request line are the caller's to have.
#[track_caller]
pub(super) fn check_line(line: &str, asked: &[u8]) {
    let target = line.strip_prefix("GET ").and_then(|line| line.strip_suffix(" HTTP/1.1")).unwrap();
    for reading in &READINGS {
        let segments = reading.segments(target.as_bytes());
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let is_permitted = match *segments {
            ["data", "health"] => true,
            ["data", "acme", ref rest @ ..] => rest.first() != Some(&"secret"),
            _ => false,
        };
        assert!(is_permitted, "{} was forwarded as {line}: {segments:?} {}", asked.escape_ascii(), reading.name);
    }
}

#[test]
fn a_request_line_is_one_path_or_refused() {
    let gateway = Gateway::start(POLICY);
    let mut client = Client::new(&gateway);
    let lines: [&[u8]; 56] = [
        b"GET http://api.example.com/data/acme/x HTTP/1.1\r\n",
        b"GET http://api.example.com/data/beta/x HTTP/1.1\r\n",
        b"GET http://other.example/data/acme/x HTTP/1.1\r\n",
        b"GET https://api.example.com/data/acme/x HTTP/1.1\r\n",
        b"GET HTTP://API.EXAMPLE.COM/data/acme/x HTTP/1.1\r\n",
        b"GET http:/data/acme/x HTTP/1.1\r\n",
        b"GET http:data/acme/x HTTP/1.1\r\n",
        b"GET ://api.example.com/data/acme/x HTTP/1.1\r\n",
        b"GET //api.example.com/data/acme/x HTTP/1.1\r\n",
        b"GET //data/acme/x HTTP/1.1\r\n",
        b"GET /\\api.example.com/data/acme/x HTTP/1.1\r\n",
        b"GET http://user@api.example.com/data/acme/x HTTP/1.1\r\n",
        b"GET http:\\\\api.example.com\\data\\acme\\x HTTP/1.1\r\n",
        b"GET file:///data/acme/x HTTP/1.1\r\n",
        b"GET gopher://api.example.com/data/acme/x HTTP/1.1\r\n",
        b"GET api.example.com/data/acme/x HTTP/1.1\r\n",
        b"GET api.example.com:80 HTTP/1.1\r\n",
        b"GET @api.example.com/data/acme/x HTTP/1.1\r\n",
        b"GET * HTTP/1.1\r\n",
        b"GET /* HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"GET data/acme/x HTTP/1.1\r\n",
        b"GET ?/data/acme/x HTTP/1.1\r\n",
        b"GET #/data/acme/x HTTP/1.1\r\n",
        b"GET ./data/acme/x HTTP/1.1\r\n",
        b"GET %2fdata/acme/x HTTP/1.1\r\n",
        b"GET /data/acme/x#/data/beta/x HTTP/1.1\r\n",
        b"GET /data/health#/../beta/x HTTP/1.1\r\n",
        b"GET /data/acme/x?y#z HTTP/1.1\r\n",
        b"GET /data/acme/x HTTP/1.1 HTTP/1.1\r\n",
        b"GET /data/acme/x HTTP/1.1 /../../beta/x HTTP/1.1\r\n",
        b"GET /data/beta/x HTTP/1.1 /data/acme/x HTTP/1.1\r\n",
        b"GET /data/acme/x /data/beta/x HTTP/1.1\r\n",
        b"GET /data/acme/../beta/x y HTTP/1.1\r\n",
        b"GET /data/acme/x<../beta HTTP/1.1\r\n",
        b"GET  /data/acme/x HTTP/1.1\r\n",
        b"GET\t/data/acme/x\tHTTP/1.1\r\n",
        b"GET\x0b/data/acme/x HTTP/1.1\r\n",
        b"GET /data/acme/x  HTTP/1.1\r\n",
        b"GET /data/acme/x\tHTTP/1.1\r\n",
        b"GET /data/acme/x HTTP/1.1 \r\n",
        b" GET /data/acme/x HTTP/1.1\r\n",
        b"GET /data/acme/x\r HTTP/1.1\r\n",
        b"GET /data/acme/x\0 HTTP/1.1\r\n",
        b"GET /data/acme/\xff\xfe HTTP/1.1\r\n",
        b"GET /data/acme/\xc3\xa9\" HTTP/1.1\r\n",
        b"GET /data/acme/x HTTP/2.0\r\n",
        b"GET /data/acme/x HTTP/1.2\r\n",
        b"GET /data/acme/x HTTP/0.9\r\n",
        b"GET /data/acme/x http/1.1\r\n",
        b"GET /data/acme/x HTTP/1.10\r\n",
        b"GET /data/acme/x HTTP/11\r\n",
        b"GET /data/acme/x ICY/1.1\r\n",
        b"GET /data/acme/x\r\n",
        b"GET \r\n",
        b"\x16\x03\x01GET /data/acme/x HTTP/1.1\r\n",
    ];
    for (place, line) in lines.iter().enumerate() {
        if let Some(response) = client.send(line, place)
            && response.status == 200
        {
            // Pingora encodes spaces and quotes that should have been; what it makes of them is judged.
            let seen = gateway.upstream.last();
            assert_eq!(seen.all("x-request-id"), [place.to_string()]);
            check_line(&seen.line, line);
        }
    }
    let seen: Vec<_> = gateway.upstream.seen().into_iter().map(|request| request.line).collect();
    assert_eq!(seen, ["GET /data/acme/x%20/data/beta/x HTTP/1.1", "GET /data/acme/x%20 HTTP/1.1"]);
}

/// Sends requests over one connection as long as the gateway keeps it.
pub(super) struct Client<'g> {
    gateway: &'g Gateway,
    connection: Option<Connection>,
    token: String,
}

impl<'g> Client<'g> {
    pub(super) fn new(gateway: &'g Gateway) -> Self {
        let token = Signer::shared().token(json!({ "scope": "data-read", "account_id": "acme" }));
        Self { gateway, connection: None, token }
    }

    /// Sends a request that starts so; its place is its id. `None`: the connection was closed instead.
    pub(super) fn send(&mut self, start: &[u8], place: usize) -> Option<Response> {
        let rest =
            format!("Host: api.example.com\r\nX-Request-Id: {place}\r\nAuthorization: Bearer {}\r\n\r\n", self.token);
        let connection = self.connection.get_or_insert_with(|| Connection::open(self.gateway.address));
        connection.try_write(&[start, rest.as_bytes()].concat());
        let response = connection.read_response();
        let ends = |response: &Response| response.header("connection").is_none_or(|value| value != "keep-alive");
        if response.as_ref().is_none_or(ends) {
            self.connection = None;
        }
        response
    }
}
