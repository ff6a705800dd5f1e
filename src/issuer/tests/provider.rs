//! A provider on a real socket that answers as a test says, counts what it is asked, and can be
//! stopped and started again at the same address.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

/// The provider; it stops when this is dropped.
pub(super) struct Provider {
    address: SocketAddr,
    script: Arc<Script>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// What it says to everything.
#[derive(Debug, Clone)]
pub(super) struct Says {
    pub(super) status: &'static str,
    pub(super) headers: String,
    pub(super) body: Vec<u8>,
    /// How much of the body really comes.
    pub(super) cut_at: usize,
    /// Whether the length is said beforehand; else the connection's end tells it.
    pub(super) announced: bool,
}

/// A question that it was asked.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) head: String,
    pub(super) body: String,
}

struct Script {
    says: Mutex<Says>,
    /// Whether answers are held back.
    held: watch::Sender<bool>,
    questions: watch::Sender<Vec<Question>>,
}

impl Says {
    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: "200 OK", headers: String::new(), body: body.into(), cut_at: usize::MAX, announced: true }
    }
}

impl Provider {
    /// One that runs.
    pub(super) async fn start(says: Says) -> Self {
        let mut provider = Self::stopped(says).await;
        provider.run().await;
        provider
    }

    /// One whose address refuses connections until it runs.
    pub(super) async fn stopped(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Script {
            says: Mutex::new(says),
            held: watch::Sender::new(false),
            questions: watch::Sender::new(Vec::new()),
        };
        Self { address: listener.local_addr().unwrap(), script: Arc::new(script), running: None }
    }

    pub(super) async fn run(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let (stop, mut stopped) = oneshot::channel();
        let script = Arc::clone(&self.script);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        connections.spawn(serve(accepted.unwrap().0, Arc::clone(&script)));
                    }
                    _ = &mut stopped => break,
                }
            }
            drop(listener);
            connections.shutdown().await;
        });
        self.running = Some((stop, task));
    }

    /// Closes the listener and every connection.
    pub(super) async fn stop(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        drop(stop);
        task.await.unwrap();
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/endpoint", self.address)
    }

    pub(super) fn says(&self, says: Says) {
        *self.script.says.lock().unwrap() = says;
    }

    /// Holds answers back, or lets them go.
    pub(super) fn hold(&self, held: bool) {
        self.script.held.send_replace(held);
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.script.questions.borrow().len()
    }

    /// Returns when it has been asked that often.
    pub(super) async fn asked_times(&self, times: usize) {
        let mut questions = self.script.questions.subscribe();
        questions.wait_for(|questions| questions.len() >= times).await.unwrap();
    }

    pub(super) fn last_question(&self) -> Question {
        self.script.questions.borrow().last().unwrap().clone()
    }
}

/// Answers one question after another until the other side has no more.
async fn serve(stream: TcpStream, script: Arc<Script>) {
    let mut stream = BufReader::new(stream);
    while let Some(question) = read(&mut stream).await {
        script.questions.send_modify(|questions| questions.push(question));
        if script.held.subscribe().wait_for(|held| !held).await.is_err() {
            return;
        }
        let says = script.says.lock().unwrap().clone();
        let length = if says.announced { format!("Content-Length: {}\r\n", says.body.len()) } else { String::new() };
        let head = format!("HTTP/1.1 {}\r\n{length}{}\r\n", says.status, says.headers);
        let body = &says.body[..says.cut_at.min(says.body.len())];
        // The other side may have gone away, as it should from an answer that is too long.
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(body).await.is_err() {
            return;
        }
        if body.len() < says.body.len() || !says.announced {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Question> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Question { head, body: String::from_utf8(body).unwrap() })
}
