//! How the servers of an upstream are spoken to, as `gateway.yaml` says it: TLS, the version of HTTP, times.

use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::ServerName;

/// How servers of an upstream are spoken to: connections are reused between policies as long as this stays
/// as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transport {
    /// To a TCP connection, with TLS to the end of its handshake.
    pub connect_timeout: Duration,
    /// From a request to the first byte of its answer.
    pub first_byte_timeout: Duration,
    /// Between two reads from the server.
    pub read_timeout: Duration,
    /// Between two writes to the server.
    pub write_timeout: Duration,
    /// For all of an exchange, further tries included; `None`: as long as it takes.
    pub total_timeout: Option<Duration>,
    /// How long a connection is kept that nobody uses.
    pub idle_timeout: Duration,
    /// How many such connections to one server are kept at most.
    pub idle_connections: usize,
    /// Whether HTTP/2 is spoken: by ALPN with TLS, without it with prior knowledge (RFC 9113 section 3.3).
    pub http2: bool,
    /// TLS, if it is used.
    pub tls: Option<UpstreamTls>,
}

/// TLS towards the servers of an upstream. The contents of its files are read again whenever they change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamTls {
    /// A PEM file with the authorities that the servers' certificates must come from, in the place of those
    /// that the machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Whose certificate the servers must show; if left out, each its own host's.
    pub server_name: Option<ServerName<'static>>,
    /// As whom the gateway shows itself there.
    pub identity: Option<ClientIdentity>,
}

/// A certificate that the gateway shows, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// A PEM file of the certificate, and after it those that lead to its root.
    pub certificate: PathBuf,
    /// A PEM file of the certificate's private key.
    pub key: PathBuf,
}

/// How many connections that nobody uses are kept for each server.
pub(super) const USUAL_IDLE: usize = 512;

impl Default for Transport {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            total_timeout: None,
            idle_timeout: Duration::from_secs(60),
            idle_connections: USUAL_IDLE,
            http2: false,
            tls: None,
        }
    }
}
