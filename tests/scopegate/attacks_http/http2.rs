//! The spellings of `targets`, as HTTP/2 sends them: `:path` need be no request line that any HTTP/1 server
//! would have let in.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::targets::{POLICY, check_line, variations};
use crate::harness::{Gateway, Signer, Upstream, connect};
use crate::http2_client::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, block_of, frame};

/// One connection, on which requests are asked one after another.
struct Client {
    stream: TcpStream,
    next: u32,
}

impl Client {
    fn open(address: SocketAddr) -> Self {
        let mut stream = connect(address);
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
        Self { stream, next: 1 }
    }

    /// Whether there was an answer, be it a reset; none if the connection is over.
    fn ask(&mut self, fields: &[(&[u8], &[u8])]) -> bool {
        let number = self.next;
        self.next += 2;
        let head = frame(HEADERS, END_HEADERS | END_STREAM, number, &block_of(fields));
        if self.stream.write_all(&head).is_err() {
            return false;
        }
        loop {
            let mut head = [0; 9];
            if self.stream.read_exact(&mut head).is_err() {
                return false;
            }
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            if self.stream.read_exact(&mut payload).is_err() || head[3] == GOAWAY {
                return false;
            }
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let ends = head[4] & END_STREAM != 0 || head[3] == RST_STREAM;
            if stream == number && ends {
                return true;
            }
        }
    }
}

#[test]
fn no_spelling_of_a_path_reaches_the_secret_over_http2() {
    let gateway = Gateway::start_listening("http2: true", POLICY, Upstream::start(), |_| {});
    let token = Signer::shared().token(serde_json::json!({ "scope": "data-read", "account_id": "acme" }));
    let bearer = format!("Bearer {token}");
    let mut client = Client::open(gateway.address);
    let variations: Vec<_> = variations().into_iter().collect();
    let mut over = 0;
    for (place, target) in variations.iter().enumerate() {
        let id = place.to_string();
        let fields: [(&[u8], &[u8]); 6] = [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"api.example.com"),
            (b":path", target),
            (b"authorization", bearer.as_bytes()),
            (b"x-request-id", id.as_bytes()),
        ];
        if !client.ask(&fields) {
            over += 1;
            client = Client::open(gateway.address);
        }
    }
    let seen = gateway.upstream.seen();
    assert!(seen.len() >= 50 && variations.len() >= 5_000, "{} of {}", seen.len(), variations.len());
    assert!(over < variations.len() / 10, "{over} connections were needed");
    for request in seen {
        let place: usize = request.all("x-request-id")[0].parse().unwrap();
        check_line(&request.line, &variations[place]);
    }
}
