//! The TLS of one listener: handshakes, under a configuration that follows the listener's files.
//!
//! What the files must have in them is `tls_files`'. A change is for new connections: those that are
//! open go on as they were made.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::tls_changes::{Changes, Seen};
use super::tls_files::{Contents, TlsFault, UnreadableFile, Validity};
use crate::config::ListenerTls;
use crate::policy::Certificate;
use crate::token::certificate_from_der;

/// A listener's TLS.
pub(super) struct Tls {
    listener: SocketAddr,
    files: ListenerTls,
    http2: bool,
    current: ArcSwap<ServerConfig>,
    watch: Mutex<Watch>,
}

/// A connection after its handshake.
pub(super) struct Secured {
    pub(super) stream: TlsStream<TcpStream>,
    /// What the client has shown; that it holds the key, and who issued it, is verified.
    pub(super) certificate: Option<Certificate>,
    /// Whether HTTP/2 was agreed on.
    pub(super) http2: bool,
}

/// What was last seen of the files, and said of them.
struct Watch {
    changes: Changes,
    validity: Validity,
    lapse: Option<Lapse>,
}

/// Why clients that look at the clock will not take a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lapse {
    NotYetValid,
    Expired,
}

impl Tls {
    /// The TLS of a listener, whose files are read now.
    ///
    /// # Errors
    /// If they are no good.
    pub(super) fn load(listener: SocketAddr, files: &ListenerTls, http2: bool) -> Result<Self, TlsFault> {
        let contents = Contents::read(files)?;
        let made = contents.make(files, http2)?;
        let changes = Changes::since(Seen::Contents(contents.digest()));
        let mut watch = Watch { changes, validity: made.validity, lapse: None };
        watch.tell(listener);
        Ok(Self {
            listener,
            files: files.clone(),
            http2,
            current: ArcSwap::from_pointee(made.configuration),
            watch: Mutex::new(watch),
        })
    }

    /// Shakes hands; how long that may take is the caller's.
    ///
    /// # Errors
    /// If the two do not come to terms, or the client's certificate is not one that can be judged.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Secured> {
        let stream = TlsAcceptor::from(self.current.load_full()).accept(stream).await?;
        let (_, session) = stream.get_ref();
        let leaf = session.peer_certificates().and_then(<[_]>::first);
        let certificate = leaf.map(|leaf| certificate_from_der(leaf)).transpose();
        let certificate = certificate.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let http2 = session.alpn_protocol() == Some(b"h2");
        Ok(Secured { stream, certificate, http2 })
    }

    /// Takes the files into use if they have changed. What is no good is said once. It blocks while it reads.
    pub(super) fn look(&self) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = Contents::read(&self.files);
        if watch.changes.settle(Seen::of(&contents, Contents::digest)) {
            self.consider(contents, &mut watch);
        }
        watch.tell(self.listener);
    }

    fn consider(&self, contents: Result<Contents, UnreadableFile>, watch: &mut Watch) {
        match contents.map_err(TlsFault::from).and_then(|contents| contents.make(&self.files, self.http2)) {
            Ok(made) => {
                self.current.store(Arc::new(made.configuration));
                watch.validity = made.validity;
                watch.lapse = None;
                tracing::info!(listener = %self.listener, "the TLS files have changed and are in use");
            }
            Err(fault) => {
                tracing::error!(listener = %self.listener, %fault, "the TLS files have changed and are no good; what they were stays in use");
            }
        }
    }
}

impl Watch {
    /// Says once that clients will not take the certificate in use.
    fn tell(&mut self, listener: SocketAddr) {
        let lapse = self.validity.lapse(SystemTime::now());
        if lapse != self.lapse {
            self.lapse = lapse;
            match lapse {
                Some(Lapse::Expired) => tracing::warn!(%listener, "the certificate has expired"),
                Some(Lapse::NotYetValid) => tracing::warn!(%listener, "the certificate is not valid yet"),
                None => {}
            }
        }
    }
}

impl Validity {
    fn lapse(self, now: SystemTime) -> Option<Lapse> {
        // A clock before 1970 is before every certificate.
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(i64::MIN, |since| since.as_secs().cast_signed());
        if now < self.from { Some(Lapse::NotYetValid) } else { (now > self.to).then_some(Lapse::Expired) }
    }
}
