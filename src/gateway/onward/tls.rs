//! TLS towards the servers of one upstream: whom it trusts and what it shows follow the upstream's files.
//!
//! What is no good never takes the place of what is in use. Where nothing was good yet there is nothing to
//! shake hands with, and so no connection. Sessions are not resumed: a resumed one's certificate would not be
//! verified again, whatever has happened to it.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{ClientIdentity, Upstream, UpstreamTls};
use crate::gateway::tls_changes::{Changes, Seen};
use crate::gateway::tls_files::{TlsFault, UnreadableFile, bytes, certificates, certified_key, digest_of};

/// What HTTP/2 is called in a handshake (RFC 9113 section 3.1).
const HTTP2: &[u8] = b"h2";

/// The TLS of all upstreams, as long as some generation has it.
#[derive(Debug, Default)]
pub(in crate::gateway) struct AllTls(Mutex<Vec<Weak<ServerTls>>>);

/// TLS towards the servers of one upstream.
#[derive(Debug)]
pub(in crate::gateway) struct ServerTls {
    upstream: Box<str>,
    files: UpstreamTls,
    http2: bool,
    current: ArcSwapOption<Current>,
    changes: std::sync::Mutex<Changes>,
}

/// What the files came to, when they were last good.
#[derive(Debug)]
struct Current {
    configuration: Arc<ClientConfig>,
    /// Which of them it is: connections of another are not used again.
    age: Age,
}

/// Which state of the files a connection was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) struct Age(u64);

/// The files as they are at one time.
struct Contents {
    ca: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl AllTls {
    /// That of an upstream, if it has any. One that is there already is the same, with the last files that
    /// were good; another's files are read now, which blocks as long as that takes.
    pub(in crate::gateway) fn of(&self, upstream: &Upstream) -> Option<Arc<ServerTls>> {
        let files = upstream.transport.tls.as_ref()?;
        let mut known = self.0.lock();
        known.retain(|tls| tls.strong_count() > 0);
        let is_it = |tls: &Arc<ServerTls>| tls.is(&upstream.name, files, upstream.transport.http2);
        if let Some(tls) = known.iter().filter_map(Weak::upgrade).find(is_it) {
            return Some(tls);
        }
        let tls = Arc::new(ServerTls::load(upstream.name.clone(), files.clone(), upstream.transport.http2));
        known.push(Arc::downgrade(&tls));
        Some(tls)
    }

    /// Whether there is any.
    pub(in crate::gateway) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Takes files into use that have changed. It blocks while it reads.
    pub(in crate::gateway) fn look(&self) {
        let known: Vec<_> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        for tls in known {
            tls.look();
        }
    }
}

impl ServerTls {
    fn load(upstream: Box<str>, files: UpstreamTls, http2: bool) -> Self {
        let contents = Contents::read(&files);
        let changes = Changes::since(Seen::of(&contents, Contents::digest)).into();
        let tls = Self { upstream, files, http2, current: ArcSwapOption::empty(), changes };
        match tls.make(contents) {
            Ok(configuration) => tls.put(configuration),
            Err(fault) => tracing::error!(
                upstream = &*tls.upstream, %fault,
                "the upstream's TLS cannot be set up; nothing is sent to its servers"
            ),
        }
        tls
    }

    fn is(&self, upstream: &str, files: &UpstreamTls, http2: bool) -> bool {
        *self.upstream == *upstream && self.files == *files && self.http2 == http2
    }

    /// Whose certificate a server at that host must show.
    ///
    /// # Errors
    /// If no certificate has such a name.
    pub(in crate::gateway) fn name(&self, host: &str) -> io::Result<ServerName<'static>> {
        match &self.files.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(host.to_owned()).map_err(io::Error::other),
        }
    }

    /// Which state of the files new connections are made with; `None` if none was good.
    pub(in crate::gateway) fn age(&self) -> Option<Age> {
        self.current.load().as_ref().map(|current| current.age)
    }

    /// Shakes hands; how long that may take is the caller's.
    ///
    /// # Errors
    /// If the server's certificate does not verify, or the two do not come to terms.
    pub(super) async fn connect(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Age)> {
        let Some(current) = self.current.load_full() else {
            return Err(io::Error::other("its TLS files are no good"));
        };
        let connector = TlsConnector::from(Arc::clone(&current.configuration));
        let stream = connector.connect(name, stream).await?;
        if self.http2 && stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
            return Err(io::Error::other("the server does not agree on HTTP/2"));
        }
        Ok((stream, current.age))
    }

    fn look(&self) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = Contents::read(&self.files);
        if !changes.settle(Seen::of(&contents, Contents::digest)) {
            return;
        }
        match self.make(contents) {
            Ok(configuration) => {
                self.put(configuration);
                tracing::info!(upstream = &*self.upstream, "the upstream's TLS files have changed and are in use");
            }
            Err(fault) => tracing::error!(
                upstream = &*self.upstream, %fault,
                "the upstream's TLS files have changed and are no good; what they were stays in use"
            ),
        }
    }

    fn put(&self, configuration: ClientConfig) {
        let age = self.age().map_or(Age(0), |Age(age)| Age(age + 1));
        self.current.store(Some(Arc::new(Current { configuration: Arc::new(configuration), age })));
    }

    fn make(&self, contents: Result<Contents, UnreadableFile>) -> Result<ClientConfig, TlsFault> {
        let contents = contents?;
        let provider = Arc::new(default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(setup)?;
        let builder = match self.files.ca_file.as_deref().zip(contents.ca.as_deref()) {
            None => builder.with_platform_verifier().map_err(setup)?,
            Some((file, pem)) => builder.with_root_certificates(roots(file, pem)?),
        };
        let shown = self.files.identity.as_ref().zip(contents.certificate.as_deref()).zip(contents.key.as_deref());
        let mut configuration = match shown {
            None => builder.with_no_client_auth(),
            Some(((ClientIdentity { certificate, key }, chain), pem)) => {
                let chain = certificates(chain, certificate)?;
                let certified = certified_key(chain, pem, (certificate, key), &provider)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
        };
        configuration.resumption = Resumption::disabled();
        configuration.alpn_protocols = vec![if self.http2 { HTTP2.to_vec() } else { b"http/1.1".to_vec() }];
        Ok(configuration)
    }
}

impl Contents {
    fn read(files: &UpstreamTls) -> Result<Self, UnreadableFile> {
        let identity = files.identity.as_ref();
        Ok(Self {
            ca: files.ca_file.as_deref().map(bytes).transpose()?,
            certificate: identity.map(|identity| bytes(&identity.certificate)).transpose()?,
            key: identity.map(|identity| bytes(&identity.key)).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        digest_of([self.ca.as_ref(), self.certificate.as_ref(), self.key.as_ref()])
    }
}

fn roots(file: &Path, pem: &[u8]) -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(pem, file)? {
        roots.add(authority).map_err(|_| TlsFault::BadCertificate { file: file.to_owned() })?;
    }
    Ok(roots)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what a result's error is mapped with")]
fn setup(error: rustls::Error) -> TlsFault {
    TlsFault::Setup(error.to_string())
}
