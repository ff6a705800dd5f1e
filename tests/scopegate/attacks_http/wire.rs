//! An upstream that keeps the bytes of its connections, and servers' ways to cut them into requests.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// An upstream that answers whatever it takes for a request, and closes nothing by itself.
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    streams: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// How a server finds the end of a request's body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cutting {
    /// By the last length, if there is one; else by chunks.
    LengthFirst,
    /// By chunks, if `chunked` is found anywhere; else by the first length.
    ChunkedFirst,
    /// A body of a method that has none is not read.
    NoBodies,
}

pub(super) const CUTTINGS: [Cutting; 3] = [Cutting::LengthFirst, Cutting::ChunkedFirst, Cutting::NoBodies];

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl Wire {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let streams = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&streams);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let place = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(Vec::new());
                    kept.len() - 1
                };
                let kept = Arc::clone(&kept);
                thread::spawn(move || serve(stream, &kept, place));
            }
        });
        Self { address, streams }
    }

    /// All that came so far, connection by connection.
    pub(super) fn streams(&self) -> Vec<Vec<u8>> {
        self.streams.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Vec<u8>>>, place: usize) {
    let (mut piece, mut answered) = ([0; 4096], 0);
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        let whole = {
            let mut kept = kept.lock().unwrap();
            kept[place].extend_from_slice(&piece[..length]);
            kept[place].clone()
        };
        let requests = requests(&whole, Cutting::ChunkedFirst).len();
        for _ in answered..requests {
            if stream.write_all(OK).is_err() {
                return;
            }
        }
        answered = requests;
    }
}

/// The request lines of a stream's whole requests; what is left over counts as one if it is not empty.
pub(super) fn requests(stream: &[u8], cutting: Cutting) -> Vec<String> {
    let (mut lines, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        let Some(end) = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { break };
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let Some(length) = body_length(&head, &rest[end + 4..], cutting) else { break };
        lines.push(head.lines().next().unwrap_or_default().to_owned());
        rest = &rest[end + 4 + length..];
        if head.to_ascii_lowercase().contains("\r\nconnection: close") {
            break;
        }
    }
    lines
}

fn body_length(head: &str, rest: &[u8], cutting: Cutting) -> Option<usize> {
    let lower = head.to_ascii_lowercase();
    let bodiless = ["get ", "head ", "delete ", "options "].iter().any(|method| lower.starts_with(method));
    let lengths: Vec<usize> = values(&lower, "content-length").filter_map(|value| value.trim().parse().ok()).collect();
    let chunked = values(&lower, "transfer-encoding").any(|value| value.contains("chunked"));
    let length = match cutting {
        Cutting::NoBodies if bodiless => Some(0),
        Cutting::LengthFirst => lengths.last().copied(),
        Cutting::ChunkedFirst | Cutting::NoBodies if chunked => None,
        Cutting::ChunkedFirst | Cutting::NoBodies => lengths.first().copied(),
    };
    match length {
        Some(length) => (rest.len() >= length).then_some(length),
        None if chunked => rest.windows(5).position(|bytes| bytes == b"0\r\n\r\n").map(|at| at + 5),
        None => Some(0),
    }
}

/// The values of headers that some server takes for the one of this name.
fn values<'h>(head: &'h str, name: &'static str) -> impl Iterator<Item = &'h str> {
    head.lines().filter_map(|line| line.split_once(':')).filter_map(move |(own, value)| {
        let written = own.trim().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        (written == name).then_some(value)
    })
}

#[test]
fn servers_cut_an_ambiguous_stream_differently() {
    let stream =
        b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
    assert_eq!(requests(stream, Cutting::LengthFirst), ["POST /a HTTP/1.1", "GET /b HTTP/1.1"]);
    let stream = b"GET /a HTTP/1.1\r\nContent-Length: 19\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
    assert_eq!(requests(stream, Cutting::NoBodies), ["GET /a HTTP/1.1", "GET /b HTTP/1.1"]);
    assert_eq!(requests(stream, Cutting::ChunkedFirst), ["GET /a HTTP/1.1"]);
}
