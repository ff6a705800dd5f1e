//! A TLS client that trusts, offers and shows what a test wants, and blocks.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::authority::{Authority, Issued};
use crate::{Connection, Response, connect};

/// Trusts one authority, and asks for `api.example.com`.
#[derive(Clone)]
pub struct TlsClient {
    /// What it trusts, offers and shows.
    pub configuration: Arc<ClientConfig>,
}

/// A connection that has shaken hands, as far as the client is concerned: with TLS 1.3 a server that
/// does not take the client's certificate says so later.
pub struct Secured {
    /// What is sent and read.
    pub connection: Connection,
    /// What was agreed upon by ALPN.
    pub protocol: Option<String>,
    /// What the server has shown.
    pub certificate: CertificateDer<'static>,
}

impl TlsClient {
    /// One that shows this certificate.
    pub fn new(authority: &Authority, shows: Option<&Issued>) -> Self {
        Self::with(authority, shows, rustls::ALL_VERSIONS, &[])
    }

    /// One that offers these protocols by ALPN.
    pub fn offering(authority: &Authority, protocols: &[&str]) -> Self {
        Self::with(authority, None, rustls::ALL_VERSIONS, protocols)
    }

    /// One that speaks these versions of TLS.
    pub fn with(
        authority: &Authority,
        shows: Option<&Issued>,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let mut configuration = match shows {
            None => builder.with_no_client_auth(),
            Some(shown) => builder.with_client_auth_cert(vec![shown.certificate.clone()], shown.key()).unwrap(),
        };
        configuration.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self { configuration: Arc::new(configuration) }
    }

    /// A connection that shakes hands once something is written.
    pub fn open(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("api.example.com").unwrap();
        StreamOwned::new(ClientConnection::new(Arc::clone(&self.configuration), name).unwrap(), connect(address))
    }

    /// # Errors
    /// What the handshake failed for.
    pub fn connect(&self, address: SocketAddr) -> Result<Secured, String> {
        let mut stream = connect(address);
        let name = ServerName::try_from("api.example.com").unwrap();
        let mut session = ClientConnection::new(Arc::clone(&self.configuration), name).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut stream).map_err(|error| error.to_string())?;
        }
        let protocol = session.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned());
        let certificate = session.peer_certificates().unwrap()[0].clone().into_owned();
        Ok(Secured { connection: Connection::over(StreamOwned::new(session, stream)), protocol, certificate })
    }

    /// A `GET` on a connection of its own; `None` if the server would not have it.
    pub fn get(&self, address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Option<Response> {
        let mut connection = self.connect(address).ok()?.connection;
        connection.try_write(request(target, headers).as_bytes());
        connection.read_response()
    }
}

/// A request's text.
pub fn request(target: &str, headers: &[(&str, &str)]) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\nHost: api.example.com\r\n{headers}\r\n")
}
