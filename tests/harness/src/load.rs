//! Clients that ask again and again, each on a connection that it keeps, until they are told to stop.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::{Connection, PATIENCE};

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Asked>>,
}

/// What they got.
#[derive(Debug, Default)]
pub struct Asked {
    /// Answers with 200.
    pub answered: usize,
    /// Connections that were taken.
    pub connections: usize,
    /// Connections that nobody took.
    pub refused: usize,
    /// What was asked and not answered, or not as it must be.
    pub failed: Vec<String>,
}

impl Load {
    /// So many clients, who ask this and must get 200.
    pub fn start(clients: usize, address: SocketAddr, request: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let (stop, request) = (Arc::clone(&stop), request.to_owned());
            thread::spawn(move || ask(address, &request, &stop))
        };
        Self { clients: (0..clients).map(client).collect(), stop }
    }

    /// Ends them, and what all of them got.
    pub fn stop(self) -> Asked {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Asked::default();
        for client in self.clients {
            let asked = client.join().unwrap();
            all.answered += asked.answered;
            all.connections += asked.connections;
            all.refused += asked.refused;
            all.failed.extend(asked.failed);
        }
        all
    }
}

/// As every client does, it asks on the connection that it has until it is told that it was the last
/// time. A connection is never found closed.
fn ask(address: SocketAddr, request: &str, stop: &AtomicBool) -> Asked {
    let mut asked = Asked::default();
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else {
            asked.refused += 1;
            thread::sleep(std::time::Duration::from_millis(5));
            continue;
        };
        asked.connections += 1;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut connection = Connection::over(stream.try_clone().unwrap());
        let mut place = 0;
        while !stop.load(Ordering::Relaxed) {
            place += 1;
            let sent = stream.write_all(request.as_bytes());
            match connection.read_response() {
                Some(response) if response.status == 200 => {
                    asked.answered += 1;
                    if response.header("connection") == Some("close") {
                        break;
                    }
                }
                other => {
                    asked.failed.push(format!("request {place} of its connection: {sent:?} {other:?}"));
                    break;
                }
            }
        }
    }
    asked
}
