//! A plain client of HTTP/1.1, and the addresses that it connects to.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex};

use serde_json::Value;

use crate::PATIENCE;
use crate::watch::{self, Exchange};
use crate::wire::{read_body, read_head};

/// One connection of a plain HTTP/1.1 client.
pub struct Connection {
    stream: BufReader<Box<dyn ReadWrite>>,
    /// Who looks on.
    watch: Option<Box<dyn Exchange>>,
}

/// What a connection is over.
pub trait ReadWrite: Read + Write + Send {}

impl<T: Read + Write + Send> ReadWrite for T {}

impl Connection {
    /// One to `address`.
    pub fn open(address: SocketAddr) -> Self {
        Self { watch: watch::connected(address), ..Self::over(connect(address)) }
    }

    /// One over what is connected already, at which nobody looks.
    pub fn over(stream: impl ReadWrite + 'static) -> Self {
        Self { stream: BufReader::new(Box::new(stream)), watch: None }
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        self.watch.iter_mut().for_each(|watch| watch.sent(bytes));
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Bytes that a peer may well refuse to read to their end.
    pub fn try_write(&mut self, bytes: &[u8]) {
        self.watch.iter_mut().for_each(|watch| watch.sent(bytes));
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// The status of an answer that is not the last one (RFC 9110 section 15.2).
    pub fn read_interim_response(&mut self) -> Option<u16> {
        let (line, _) = read_head(&mut self.stream)?;
        line.split(' ').nth(1)?.parse().ok()
    }

    /// The status line of the next answer, whose head alone is read.
    pub fn read_head(&mut self) -> Option<String> {
        read_head(&mut self.stream).map(|(line, _)| line)
    }

    /// The next so many bytes, whatever they are.
    pub fn read_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    /// The next answer; `None` if the peer closed instead.
    #[track_caller]
    pub fn read_response(&mut self) -> Option<Response> {
        let (line, headers) = read_head(&mut self.stream)?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let body = if matches!(status, 204 | 304) { vec![] } else { read_body(&mut self.stream, &headers, true)? };
        let response = Response { status, headers, body };
        let goes_on = self.watch.as_mut().map(|watch| watch.answered(&response));
        if !goes_on.is_some_and(|goes_on| goes_on.unwrap_or_else(|wrong| panic!("{wrong}\n{response:?}"))) {
            self.watch = None;
        }
        Some(response)
    }
}

/// A TCP connection that does not wait for ever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads until what is read ends so.
#[track_caller]
pub fn read_until(stream: &mut TcpStream, end: &str) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} after {}", read.escape_ascii()));
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The fields in their order, their names as they were sent.
    pub headers: Vec<(String, String)>,
    /// The content, without the framing of a transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// The first field of this name, in any letter case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// The content, which is JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The `reason` of a refusal (RFC 9457).
    pub fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// An address that nothing listens on; each is given out once a process. Its port is below those that
/// systems give to outgoing connections, so that none of another test takes it meanwhile.
pub fn free_address() -> SocketAddr {
    static GIVEN: LazyLock<Mutex<Vec<SocketAddr>>> = LazyLock::new(Mutex::default);
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..32_000)));
        let mut given = GIVEN.lock().unwrap();
        if !given.contains(&address) && TcpListener::bind(address).is_ok() {
            given.push(address);
            return address;
        }
    }
}
