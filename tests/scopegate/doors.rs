//! Where clients come to a gateway: without TLS, or with it.

use std::net::SocketAddr;

use ::harness::ReadWrite;
use ::harness::authority::Authority;
use ::harness::tls_client::TlsClient;

use crate::harness::{Gateway, Upstream, connect};
use crate::http2_client::Http2;

/// An address, and how connections to it are secured.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    tls: Option<Tls>,
}

/// Clients that trust the gateway.
#[derive(Clone)]
struct Tls {
    http1: TlsClient,
    http2: TlsClient,
}

impl Door {
    /// A gateway that listens without TLS, and the way to it.
    pub(crate) fn plain(policy: &str) -> (Gateway, Self) {
        let gateway = Gateway::start_listening("http2: true", policy, Upstream::start(), |_| {});
        let address = gateway.address;
        (gateway, Self { address, tls: None })
    }

    /// The same with TLS.
    pub(crate) fn secured(policy: &str) -> (Gateway, Self) {
        let authority = Authority::new("root");
        let listener = "http2: true, tls: { certificate: server.pem, key: server.key }";
        let gateway = Gateway::start_listening(listener, policy, Upstream::start(), |folder| {
            authority.issue("server", &["api.example.com"]).write(folder);
        });
        let address = gateway.address;
        let http1 = TlsClient::new(&authority, None);
        let tls = Some(Tls { http1, http2: TlsClient::offering(&authority, &["h2"]) });
        (gateway, Self { address, tls })
    }

    pub(crate) fn http1(&self) -> Box<dyn ReadWrite> {
        match &self.tls {
            None => Box::new(connect(self.address)),
            Some(tls) => Box::new(tls.http1.open(self.address)),
        }
    }

    pub(crate) fn http2(&self) -> Http2 {
        match &self.tls {
            None => Http2::plain(self.address),
            Some(tls) => Http2::tls(self.address, &tls.http2),
        }
    }
}
