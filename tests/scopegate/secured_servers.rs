//! Servers behind a gateway that have TLS or speak HTTP/2, and remember what they got.

mod http1;
mod http2;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
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
    if http2 { http2::serve(stream, shared).await } else { http1::serve(stream, shared).await }
}
