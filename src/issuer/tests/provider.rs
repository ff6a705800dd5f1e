//! A provider on a real socket that answers as a test says, counts what it is asked, and can be
//! stopped and started again at the same address.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// The provider; it stops when this is dropped.
pub(super) struct Provider {
    address: SocketAddr,
    script: Arc<Script>,
    /// If it speaks TLS.
    tls: Option<TlsAcceptor>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// Before it runs, if connections to it are neither accepted nor refused.
    silent: Option<Silent>,
}

/// A listener whose queue is full, so that who connects gets no answer at all, and who fills it.
struct Silent {
    listener: TcpListener,
    _filled_by: Vec<TcpStream>,
}

/// What it says to a question.
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
    /// The client certificate that was shown, in DER.
    pub(super) certificate: Option<Vec<u8>>,
}

struct Script {
    says: Mutex<Says>,
    /// What it says at some paths instead.
    at: Mutex<HashMap<String, Says>>,
    /// Whether answers are held back.
    held: watch::Sender<bool>,
    questions: watch::Sender<Vec<Question>>,
}

impl Says {
    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: "200 OK", headers: String::new(), body: body.into(), cut_at: usize::MAX, announced: true }
    }

    pub(super) fn not_found() -> Self {
        Self { status: "404 Not Found", ..Self::ok("nothing here") }
    }
}

impl Provider {
    /// One that runs.
    pub(super) async fn start(says: Says) -> Self {
        let mut provider = Self::stopped(says).await;
        provider.run().await;
        provider
    }

    /// One that runs behind TLS.
    pub(super) async fn start_tls(says: Says, tls: TlsAcceptor) -> Self {
        let mut provider = Self { tls: Some(tls), ..Self::stopped(says).await };
        provider.run().await;
        provider
    }

    /// One whose address refuses connections until it runs.
    pub(super) async fn stopped(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Script {
            says: Mutex::new(says),
            at: Mutex::default(),
            held: watch::Sender::new(false),
            questions: watch::Sender::new(Vec::new()),
        };
        let address = listener.local_addr().unwrap();
        Self { address, script: Arc::new(script), tls: None, running: None, silent: None }
    }

    /// One that answers nobody who connects, as if every packet were lost, until it runs.
    pub(super) async fn silent(says: Says) -> Self {
        let provider = Self::stopped(says).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(provider.address).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut filled_by = Vec::new();
        let connect = || timeout(Duration::from_millis(100), TcpStream::connect(provider.address));
        while let Ok(connected) = connect().await {
            filled_by.push(connected.unwrap());
        }
        Self { silent: Some(Silent { listener, _filled_by: filled_by }), ..provider }
    }

    pub(super) async fn run(&mut self) {
        let listener = match self.silent.take() {
            Some(silent) => silent.listener,
            None => TcpListener::bind(self.address).await.unwrap(),
        };
        let (stop, mut stopped) = oneshot::channel();
        let (script, tls) = (Arc::clone(&self.script), self.tls.clone());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (stream, script) = (accepted.unwrap().0, Arc::clone(&script));
                        match tls.clone() {
                            None => connections.spawn(serve(stream, None, script)),
                            Some(tls) => connections.spawn(async move {
                                // Who does not trust it, or is not trusted, goes away.
                                let Ok(stream) = tls.accept(stream).await else { return };
                                let shown = stream.get_ref().1.peer_certificates();
                                let shown = shown.map(|chain| chain[0].as_ref().to_vec());
                                serve(stream, shown, script).await;
                            }),
                        };
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
        self.url_of("/endpoint")
    }

    pub(super) fn url_of(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Says something else at one path.
    pub(super) fn says_at(&self, path: &str, says: Says) {
        self.script.at.lock().unwrap().insert(path.to_owned(), says);
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

    /// The paths of the questions so far.
    pub(super) fn paths(&self) -> Vec<String> {
        self.script.questions.borrow().iter().map(|question| question.path().to_owned()).collect()
    }

    pub(super) fn last_question(&self) -> Question {
        self.script.questions.borrow().last().unwrap().clone()
    }
}

impl Question {
    fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

/// Answers one question after another until the other side has no more.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, certificate: Option<Vec<u8>>, script: Arc<Script>) {
    let mut stream = BufReader::new(stream);
    while let Some(question) = read(&mut stream).await {
        let question = Question { certificate: certificate.clone(), ..question };
        let path = question.path().to_owned();
        script.questions.send_modify(|questions| questions.push(question));
        if script.held.subscribe().wait_for(|held| !held).await.is_err() {
            return;
        }
        let elsewhere = script.at.lock().unwrap().get(&path).cloned();
        let says = elsewhere.unwrap_or_else(|| script.says.lock().unwrap().clone());
        let length = if says.announced { format!("Content-Length: {}\r\n", says.body.len()) } else { String::new() };
        let head = format!("HTTP/1.1 {}\r\n{length}{}\r\n", says.status, says.headers);
        let body = &says.body[..says.cut_at.min(says.body.len())];
        // The other side may have gone away, as it should from an answer that is too long.
        let written = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await?;
            stream.flush().await
        };
        if written.await.is_err() {
            return;
        }
        if body.len() < says.body.len() || !says.announced {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Question> {
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
    Some(Question { head, body: String::from_utf8(body).unwrap(), certificate: None })
}
