//! What the tests over real sockets stand on: a gateway in this process, a backend, a client.

use std::io::{BufRead, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use http::header::HeaderName;

use crate::config::{
    Balance, Configuration, IdentityHeaders, Limits, Listener, ResourceMetadata, ServerAddress, Settings, Transport,
    Upstream, UpstreamServer,
};
use crate::gateway::{Gateway, Server, Sockets};
use crate::issuer::Issuers;
use crate::policy::{ApiName, ApiSpec, BasePath, Policy, PolicySpec, Service, UpstreamId};
use crate::record::{AuditGuard, AuditSink, Metrics};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// One upstream connection's requests, as text, one after another.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    pub(super) heads: Receiver<String>,
}

impl Backend {
    /// Answers each request with `answer` and keeps the connection.
    pub(super) fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heads) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Some(head) = head(&mut stream) {
                        let upgrade = head.to_ascii_lowercase().contains("upgrade: websocket");
                        let body = length(&head);
                        std::io::copy(&mut stream.by_ref().take(body), &mut std::io::sink()).unwrap();
                        let _ = sender.send(head);
                        stream.get_mut().write_all(answer.as_bytes()).unwrap();
                        if upgrade {
                            let mut byte = [0];
                            while stream.read(&mut byte).is_ok_and(|read| read == 1) {
                                stream.get_mut().write_all(&[byte[0].to_ascii_uppercase()]).unwrap();
                            }
                        }
                    }
                });
            }
        });
        Self { address, heads }
    }
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\r\nhi";

pub(super) fn head(stream: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn length(head: &str) -> u64 {
    let line = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    line.and_then(|length| length.parse().ok()).unwrap_or(0)
}

pub(super) fn configuration(version: u8, upstreams: &[SocketAddr]) -> Configuration {
    let api = ApiSpec {
        display_name: Some("The API".into()),
        public: vec![Service::parse("GET,POST,HEAD /public/**").unwrap(), Service::parse("/any").unwrap()],
        ..ApiSpec::new(ApiName::parse("api").unwrap(), BasePath::default(), UpstreamId(0))
    };
    let upstream = Upstream {
        name: "backend".into(),
        servers: upstreams
            .iter()
            .map(|address| ServerAddress { host: address.ip().to_string().into(), port: address.port() })
            .map(|address| UpstreamServer { address, weight: 1 })
            .collect(),
        balance: Balance::RoundRobin,
        health: None,
        ejection: None,
        retries: None,
        transport: Transport {
            connect_timeout: Duration::from_secs(1),
            read_timeout: Duration::from_millis(300),
            first_byte_timeout: Duration::from_millis(300),
            write_timeout: Duration::from_secs(5),
            ..Transport::default()
        },
        max_requests: 1_024,
    };
    let settings = Settings {
        threads: 2,
        listeners: vec![Listener {
            address: "127.0.0.1:0".parse().unwrap(),
            http2: false,
            tls: None,
            authorizer: None,
        }],
        upstreams: vec![upstream],
        identity_headers: IdentityHeaders {
            subject: Some(HeaderName::from_static("x-auth-subject")),
            ..IdentityHeaders::default()
        },
        forward_authorization: vec![true],
        resource_metadata: Some(ResourceMetadata { resource: "https://api.example/v1".into() }),
        ..Settings::bare()
    };
    let policy = Policy::compile(PolicySpec { apis: vec![api], ..PolicySpec::default() }).unwrap();
    Configuration { policy, settings, sha256: [version; 32] }
}

/// A gateway in front of a backend, and what it has written of requests.
pub(super) struct Stage {
    pub(super) gateway: Arc<Gateway>,
    pub(super) server: Option<Server>,
    pub(super) address: SocketAddr,
    directory: tempfile::TempDir,
    guard: Option<AuditGuard>,
    // After the gateway, whose issuers have tasks on it.
    _runtime: tokio::runtime::Runtime,
}

impl Stage {
    pub(super) fn start(upstreams: &[SocketAddr]) -> Self {
        Self::start_with(upstreams, Limits::default())
    }

    pub(super) fn start_with(upstreams: &[SocketAddr], limits: Limits) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let metrics = Metrics::new().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (audit, guard) = AuditSink::open(Some(&directory.path().join("audit")), &metrics).unwrap();
        let issuers = Issuers::new(Arc::clone(&metrics), runtime.handle().clone());
        let mut configuration = configuration(1, upstreams);
        configuration.settings.limits = limits;
        let gateway = Arc::new(Gateway::new(configuration, issuers, metrics, audit));
        let server = Server::start(Arc::clone(&gateway), &mut Sockets::default()).unwrap();
        let address = server.addresses()[0];
        Self { gateway, server: Some(server), address, directory, guard: Some(guard), _runtime: runtime }
    }

    pub(super) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub(super) fn ask(&self, request: &str) -> (u16, String, String) {
        let mut client = self.connect();
        client.send(request);
        client.answer().unwrap()
    }

    /// Ends it, and gives its audit lines.
    pub(super) fn audit(mut self) -> Vec<serde_json::Value> {
        self.server.take().unwrap().stop(|| false);
        drop(self.guard.take());
        let text = std::fs::read_to_string(self.directory.path().join("audit")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub(super) struct Client(pub(super) BufReader<TcpStream>);

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Whether it is closed, of which it is waited for.
    pub(super) fn is_at_its_end(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(length) => length == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    pub(super) fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Status, head and body; `None` where the connection was closed.
    pub(super) fn answer(&mut self) -> Option<(u16, String, String)> {
        let head = head(&mut self.0)?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = vec![0; usize::try_from(length(&head)).unwrap()];
        self.0.read_exact(&mut body).unwrap();
        Some((status, head, String::from_utf8(body).unwrap()))
    }
}

pub(super) fn reason(body: &str) -> String {
    serde_json::from_str::<serde_json::Value>(body).unwrap()["reason"].as_str().unwrap().to_owned()
}
