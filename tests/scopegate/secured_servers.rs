//! Servers behind a gateway that have TLS or speak HTTP/2, and remember what they got.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::harness::Recorded;
use ::harness::authority::{Authority, Issued};

/// What it takes to be spoken to over TLS.
pub(crate) fn tls(certificate: &Issued, clients: Option<&Authority>, protocols: &[&str]) -> Arc<ServerConfig> {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = match clients {
        None => builder.unwrap().with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.unwrap().with_client_cert_verifier(verifier)
        }
    };
    let mut configuration = builder.with_single_cert(vec![certificate.certificate.clone()], certificate.key()).unwrap();
    configuration.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(configuration)
}

/// How many frames of one byte an answer of that name has.
pub(crate) const TINY: usize = 100_000;

/// What is remembered.
#[derive(Clone)]
struct Shared {
    seen: Arc<Mutex<VecDeque<Recorded>>>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    /// Answers that go on, and those of them that somebody has ended.
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    /// Bytes of events that somebody took.
    taken: Arc<AtomicUsize>,
    /// What answers wait for that come in two pieces.
    go: Arc<Semaphore>,
}

/// A server on threads of its own. What it does with a request the last part of its path says; it
/// answers others with their path.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Shared,
    _runtime: Runtime,
}

impl Server {
    /// HTTP/1.1 without TLS.
    pub(crate) fn plain() -> Self {
        Self::start(None, false)
    }

    /// HTTP/1.1 over TLS. Each request is answered with its path.
    pub(crate) fn http1(tls: Arc<ServerConfig>) -> Self {
        Self::start(Some(tls), false)
    }

    /// HTTP/2, with TLS or with prior knowledge.
    pub(crate) fn http2(tls: Option<Arc<ServerConfig>>) -> Self {
        Self::start(tls, true)
    }

    fn start(tls: Option<Arc<ServerConfig>>, http2: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            seen: Arc::default(),
            connections: Arc::default(),
            open: Arc::default(),
            begun: Arc::default(),
            ended: Arc::default(),
            taken: Arc::default(),
            go: Arc::new(Semaphore::new(0)),
        };
        let given = shared.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                given.connections.fetch_add(1, Ordering::SeqCst);
                given.open.fetch_add(1, Ordering::SeqCst);
                let (tls, shared) = (tls.clone(), given.clone());
                tokio::spawn(async move {
                    take(stream, tls, http2, shared.clone()).await;
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, shared, _runtime: runtime }
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many of them are open.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How many answers go on or went on, and how many of them were ended from the other side.
    pub(crate) fn going_on(&self) -> (usize, usize) {
        (self.shared.begun.load(Ordering::SeqCst), self.shared.ended.load(Ordering::SeqCst))
    }

    /// How many bytes of a flood of events were taken.
    pub(crate) fn taken(&self) -> usize {
        self.shared.taken.load(Ordering::SeqCst)
    }

    /// Lets one answer that comes in two pieces go on.
    pub(crate) fn go(&self) {
        self.shared.go.add_permits(1);
    }

    /// How many requests reached it.
    pub(crate) fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    #[track_caller]
    pub(crate) fn last(&self) -> Recorded {
        self.shared.seen.lock().unwrap().back().cloned().expect("nothing reached the server")
    }
}

async fn take(stream: TcpStream, tls: Option<Arc<ServerConfig>>, http2: bool, shared: Shared) {
    match tls {
        None => serve(stream, http2, shared).await,
        Some(tls) => {
            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                serve(stream, http2, shared).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, http2: bool, shared: Shared) {
    if http2 { serve_http2(stream, shared).await } else { serve_http1(stream, shared).await }
}

/// Enough of HTTP/1.1 for the gateway's requests.
async fn serve_http1(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: Shared) {
    let mut read = Vec::new();
    loop {
        let end = loop {
            match read.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None if stream.read_buf(&mut read).await.is_ok_and(|length| length > 0) => {}
                None => return,
            }
        };
        let head = String::from_utf8(read.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let headers: Vec<_> =
            lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let says = |name: &str| headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        if says("upgrade").is_some() {
            stream.write_all(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await.unwrap();
            shared.seen.lock().unwrap().push_back(Recorded { line, headers, body: vec![] });
            shared.begun.fetch_add(1, Ordering::SeqCst);
            let mut bytes = [0; 1024];
            while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                stream.write_all(&bytes[..length]).await.unwrap();
                stream.flush().await.unwrap();
            }
            shared.ended.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let mut body = Vec::new();
        let chunked = says("transfer-encoding").is_some();
        let length = says("content-length").map_or(0, |length| length.parse().unwrap());
        let is_whole = |read: &[u8]| if chunked { read.ends_with(b"0\r\n\r\n") } else { read.len() >= length };
        while !is_whole(&read) {
            if stream.read_buf(&mut read).await.is_ok_and(|length| length == 0) {
                return;
            }
        }
        body.extend(read.drain(..if chunked { read.len() } else { length }));
        let path = line.split(' ').nth(1).unwrap().to_owned();
        shared.seen.lock().unwrap().push_back(Recorded { line, headers, body });
        let answer = match path.rsplit('/').next().unwrap_or_default() {
            "slow" => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow".to_owned()
            }
            "half" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await.unwrap();
                stream.flush().await.unwrap();
                tokio::time::sleep(Duration::from_secs(5)).await;
                return;
            }
            act @ ("events" | "sized" | "flood") => {
                let framing = if act == "sized" { "Content-Length: 1000" } else { "Transfer-Encoding: chunked" };
                let event = if act == "sized" { "data: 1\n\n" } else { "9\r\ndata: 1\n\n\r\n" };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n\r\n{event}");
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                shared.begun.fetch_add(1, Ordering::SeqCst);
                let events = format!("384\r\n{}\r\n", "data: 1\n\n".repeat(100));
                while act == "flood" && stream.write_all(events.as_bytes()).await.is_ok() {
                    shared.taken.fetch_add(events.len(), Ordering::SeqCst);
                }
                while stream.read(&mut [0; 64]).await.is_ok_and(|length| length > 0) {}
                shared.ended.fetch_add(1, Ordering::SeqCst);
                return;
            }
            "trickle" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na").await.unwrap();
                stream.flush().await.unwrap();
                shared.go.acquire().await.unwrap().forget();
                "b".to_owned()
            }
            "last" => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast".to_owned(),
            "chunks" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nchunks\r\n0\r\n\r\n".to_owned(),
            _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()),
        };
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.flush().await;
        if path.ends_with("/last") {
            return;
        }
    }
}

async fn serve_http2(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, shared: Shared) {
    // However small the pieces of a request are that it lets wait.
    let mut builder = h2::server::Builder::new();
    let Ok(mut connection) = builder.data_frame_budget(1 << 30).handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        if request.uri().path().ends_with("/goaway") {
            connection.graceful_shutdown();
        }
        tokio::spawn(answer(request, respond, shared.clone()));
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, shared: Shared) {
    let (head, mut body) = request.into_parts();
    let act = head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let mut read = Vec::new();
    if act == "early" {
        // Answers before it has read, and wants no more.
        respond.send_response(response(413), true).unwrap();
        return;
    }
    if act == "echo" {
        let mut send = respond.send_response(response(200), false).unwrap();
        while let Some(Ok(bytes)) = body.data().await {
            let _ = body.flow_control().release_capacity(bytes.len());
            write(&mut send, bytes).await;
        }
        let _ = send.send_data(Bytes::new(), true);
        return;
    }
    if act == "silent" {
        shared.begun.fetch_add(1, Ordering::SeqCst);
        let _ = poll_fn(|context| respond.poll_reset(context)).await;
        shared.ended.fetch_add(1, Ordering::SeqCst);
        return;
    }
    if let "events" | "sized" | "flood" | "tiny" | "call" = &*act {
        go_on(&act, respond, &shared).await;
        return;
    }
    while let Some(Ok(bytes)) = body.data().await {
        let _ = body.flow_control().release_capacity(bytes.len());
        read.extend_from_slice(&bytes);
    }
    let trailers_sent = body.trailers().await.ok().flatten().unwrap_or_default();
    let line = format!("{} {} {}", head.method, head.uri, "HTTP/2");
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers =
        head.headers.iter().chain(&trailers_sent).map(|(name, value)| (name.to_string(), text(value))).collect();
    shared.seen.lock().unwrap().push_back(Recorded { line, headers, body: read });
    let refuses = shared.seen.lock().unwrap().iter().filter(|seen| seen.line.contains("/refuse-once")).count() == 1;
    match &*act {
        "trailers" => {
            let mut send = respond.send_response(response(200), false).unwrap();
            write(&mut send, "body".into()).await;
            send.send_trailers(trailers()).unwrap();
        }
        "trailers-only" => {
            let mut head = response(200);
            head.headers_mut().insert("grpc-status", "7".parse().unwrap());
            respond.send_response(head, true).unwrap();
        }
        "refuse-once" if refuses => respond.send_reset(Reason::REFUSED_STREAM),
        "cancel" => respond.send_reset(Reason::CANCEL),
        "half" => {
            let mut send = respond.send_response(response(200), false).unwrap();
            write(&mut send, "half".into()).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            send.send_reset(Reason::INTERNAL_ERROR);
        }
        "trickle" => {
            let mut head = response(200);
            head.headers_mut().insert("content-length", "2".parse().unwrap());
            let mut send = respond.send_response(head, false).unwrap();
            write(&mut send, "a".into()).await;
            shared.go.acquire().await.unwrap().forget();
            write(&mut send, "b".into()).await;
            let _ = send.send_data(Bytes::new(), true);
        }
        "stall" => {
            let mut send = respond.send_response(response(200), false).unwrap();
            write(&mut send, "half".into()).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        "slow" => {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let _ = respond.send_response(response(200), true);
        }
        "large" => {
            let mut send = respond.send_response(response(200), false).unwrap();
            for _ in 0..64 {
                write(&mut send, vec![b'x'; 64 * 1024].into()).await;
            }
            let _ = send.send_data(Bytes::new(), true);
        }
        "head" => {
            let mut head = response(200);
            head.headers_mut().insert("x-large", "y".repeat(100_000).parse().unwrap());
            let _ = respond.send_response(head, true);
        }
        "empty" => drop(respond.send_response(response(204), true)),
        _ => {
            let target = head.uri.path_and_query().unwrap().to_string();
            let mut answer = response(200);
            answer.headers_mut().insert("content-length", target.len().into());
            let mut send = respond.send_response(answer, false).unwrap();
            write(&mut send, target.into()).await;
            let _ = send.send_data(Bytes::new(), true);
        }
    }
}

/// Answers with one event or message, or with no end of them, until somebody ends it.
async fn go_on(act: &str, mut respond: SendResponse<Bytes>, shared: &Shared) {
    let mut head = response(200);
    let kind = if act == "call" { "application/grpc" } else { "text/event-stream" };
    head.headers_mut().insert("content-type", kind.parse().unwrap());
    if act == "sized" {
        head.headers_mut().insert("content-length", "1000".parse().unwrap());
    }
    let mut send = respond.send_response(head, false).unwrap();
    write(&mut send, if act == "call" { "\0\0\0\0\x02hi" } else { "data: 1\n\n" }.into()).await;
    if act == "tiny" {
        for _ in 0..TINY {
            write(&mut send, ":".into()).await;
        }
    }
    shared.begun.fetch_add(1, Ordering::SeqCst);
    if act == "flood" {
        let events = "data: 1\n\n".repeat(100);
        let before = shared.taken.load(Ordering::SeqCst);
        while write(&mut send, events.clone().into()).await {
            shared.taken.fetch_add(events.len(), Ordering::SeqCst);
        }
        assert!(shared.taken.load(Ordering::SeqCst) > before);
    } else {
        let _ = poll_fn(|context| send.poll_reset(context)).await;
    }
    shared.ended.fetch_add(1, Ordering::SeqCst);
}

fn response(status: u16) -> Response<()> {
    Response::builder().status(status).header("x-answer", "yes").header("te", "trailers").body(()).unwrap()
}

fn trailers() -> HeaderMap {
    let fields = [("grpc-status", "0"), ("x-request-id", "forged"), ("content-length", "9"), ("x_mine", "kept")];
    fields.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// Whether somebody takes it.
async fn write(send: &mut SendStream<Bytes>, mut bytes: Bytes) -> bool {
    while !bytes.is_empty() {
        send.reserve_capacity(bytes.len());
        let Some(Ok(room)) = poll_fn(|context| send.poll_capacity(context)).await else { return false };
        let part = bytes.split_to(room.min(bytes.len()));
        if send.send_data(part, false).is_err() {
            return false;
        }
    }
    true
}
