//! Servers that do as a request's path says, fault by fault, and one whose door is shut and opened again.
//!
//! Each takes a request to its end before it does anything, and writes it down.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, RwLock, Weak};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::servers::{Entry, ledger, read};
use harness::{free_address, wait_for};

/// What is done with a request, by the segment before its id.
pub(crate) const FAULTS: [&str; 6] = ["plain", "once", "never", "half", "head", "busy"];

/// A server of this process.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    name: &'static str,
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Mutex<File>,
    path: PathBuf,
    is_open: AtomicBool,
    /// Whether nothing is acted upon any more.
    holds: RwLock<bool>,
    connections: Mutex<Vec<Weak<TcpStream>>>,
}

impl Scripted {
    pub(crate) fn new(name: &'static str, folder: &Path) -> Self {
        let path = ledger(folder, name);
        let file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let inner = Inner {
            ledger: Mutex::new(file),
            path,
            is_open: false.into(),
            holds: RwLock::default(),
            connections: Mutex::default(),
        };
        let scripted = Self { address: free_address(), name, inner: Arc::new(inner) };
        scripted.open();
        scripted
    }

    /// Takes connections.
    pub(crate) fn open(&self) {
        let listener = TcpListener::bind(self.address).unwrap();
        *self.inner.holds.write().unwrap() = false;
        self.inner.is_open.store(true, Ordering::SeqCst);
        let inner = Arc::clone(&self.inner);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if !inner.is_open.load(Ordering::SeqCst) {
                    return;
                }
                let (inner, stream) = (Arc::clone(&inner), Arc::new(stream));
                inner.connections.lock().unwrap().push(Arc::downgrade(&stream));
                thread::spawn(move || inner.serve(&stream));
            }
        });
    }

    /// Acts upon nothing more: what was not acted upon now never will be.
    pub(crate) fn hold(&self) {
        *self.inner.holds.write().unwrap() = true;
    }

    /// Takes no connections, and resets those that there are.
    pub(crate) fn close(&self) {
        self.inner.is_open.store(false, Ordering::SeqCst);
        // So that the listener looks, and is gone.
        drop(TcpStream::connect(self.address));
        wait_for(self.name, || TcpStream::connect(self.address).is_err().then_some(()));
        for stream in self.inner.connections.lock().unwrap().drain(..).filter_map(|stream| stream.upgrade()) {
            resets(&stream);
            // What is read meets its end, and with that the stream is closed.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    pub(crate) fn ledger(&self) -> HashMap<String, Entry> {
        read(&self.inner.path)
    }
}

impl Inner {
    fn note(&self, what: &str, id: &str) {
        self.ledger.lock().unwrap().write_all(format!("{what} {id}\n").as_bytes()).unwrap();
    }

    fn serve(&self, mut stream: &TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream);
        while let Some((method, path)) = request(&mut reader) {
            let mut ends = path.rsplit('/');
            let (id, fault) = (ends.next().unwrap(), ends.next().unwrap());
            // Whoever has the servers hold awaits what is under way.
            let holds = self.holds.read().unwrap();
            self.note("received", id);
            if *holds {
                drop(holds);
                // Until it is reset.
                let _ = reader.read_to_end(&mut Vec::new());
                return;
            }
            let body = if method == "HEAD" { "" } else { id };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", id.len());
            match fault {
                "once" if is_first(id) => return,
                "never" => return,
                "half" => {
                    let _ = stream.write_all(format!("{head}{}", &body[..body.len() / 2]).as_bytes());
                    resets(stream);
                    return;
                }
                "head" => {
                    let _ = stream.write_all(&head.as_bytes()[..head.len() / 2]);
                    return;
                }
                "late" => {
                    // Until the gateway has had enough.
                    let _ = reader.read_to_end(&mut Vec::new());
                    return;
                }
                "busy" => {
                    let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
                }
                _ => {
                    self.note("acted", id);
                    if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Whether no server of this process has seen a request before.
fn is_first(id: &str) -> bool {
    static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    SEEN.lock().unwrap().insert(id.to_owned())
}

/// A request's method and path, once all of it has come.
fn request(reader: &mut BufReader<&TcpStream>) -> Option<(String, String)> {
    let (mut first, mut length, mut chunked) = (None, 0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if first.is_none() {
            first = Some(line.to_owned());
        } else if let Some((name, value)) = line.split_once(": ") {
            length = if name.eq_ignore_ascii_case("content-length") { value.parse().ok()? } else { length };
            chunked |= name.eq_ignore_ascii_case("transfer-encoding");
        } else {
            break;
        }
    }
    while chunked {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        reader.read_exact(&mut vec![0; size + 2]).ok()?;
        chunked = size > 0;
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    let first = first?;
    let mut words = first.split(' ');
    Some((words.next()?.to_owned(), words.next()?.to_owned()))
}

/// Has a connection end with RST once it is closed.
fn resets(stream: &TcpStream) {
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}
