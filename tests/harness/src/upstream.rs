//! An upstream that answers what it is told to, and remembers what it got.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::wire::{read_body, read_head};

/// A request as it reached the upstream.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The request line.
    pub line: String,
    /// The fields in their order, their names as they were sent.
    pub headers: Vec<(String, String)>,
    /// The content, without the framing of a transfer coding.
    pub body: Vec<u8>,
}

impl Recorded {
    /// The values of all fields of this name, in any letter case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }
}

/// An upstream that remembers what it got.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Recorded>>>,
}

impl Upstream {
    /// One that answers with 200 and JSON.
    pub fn start() -> Self {
        Self::answering(|_| {
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"upstream\":true}"
                .to_vec()
        })
    }

    /// One that answers as `answer` says; an empty answer closes the connection.
    pub fn answering(answer: impl Fn(&Recorded) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Self { address, seen }
    }

    /// Everything that reached it so far.
    pub fn seen(&self) -> Vec<Recorded> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests reached it so far.
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The one that reached it last.
    #[track_caller]
    pub fn last(&self) -> Recorded {
        self.seen().pop().expect("nothing reached the upstream")
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Recorded>>, answer: &dyn Fn(&Recorded) -> Vec<u8>) {
    stream.set_nodelay(true).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some((line, headers)) = read_head(&mut reader) {
        let Some(body) = read_body(&mut reader, &headers, false) else { return };
        let recorded = Recorded { line, headers, body };
        seen.lock().unwrap().push(recorded.clone());
        let bytes = answer(&recorded);
        if bytes.is_empty() || writer.write_all(&bytes).is_err() {
            return;
        }
    }
}
