//! One address of a server, and how it is spoken to.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::upstreams::peer::HttpPeer;

use crate::config::Transport;
use crate::gateway::idle::Idle;
use crate::gateway::load::Load;
use crate::gateway::onward::{Age, Handshakes, ServerTls, Streams};
use crate::record::Handshake;

/// One address of a server.
#[derive(Debug)]
pub(in crate::gateway) struct Server {
    pub(in crate::gateway) address: SocketAddr,
    /// As the file names it.
    pub(in crate::gateway) host: Box<str>,
    pub(in crate::gateway) transport: Transport,
    /// Connections of HTTP/1.1 that are kept here, and not by pingora.
    pub(in crate::gateway) idle: Idle,
    /// Those of HTTP/2, if that is spoken.
    pub(in crate::gateway) streams: Option<Streams>,
    /// TLS, if it has any.
    pub(in crate::gateway) tls: Option<Arc<ServerTls>>,
    pub(in crate::gateway) handshakes: Handshakes,
    peer: HttpPeer,
}

/// What the servers of one upstream have in common.
#[derive(Debug, Clone)]
pub(super) struct Common {
    pub(super) upstream: Box<str>,
    pub(super) transport: Transport,
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) load: Arc<Load>,
}

impl Server {
    pub(super) fn new(address: SocketAddr, host: &str, common: &Common) -> Self {
        let mut peer = HttpPeer::new(address, false, String::new());
        let Common { upstream, transport, tls, load } = common.clone();
        peer.options.connection_timeout = Some(transport.connect_timeout);
        peer.options.total_connection_timeout = Some(transport.connect_timeout);
        peer.options.read_timeout = Some(transport.read_timeout);
        peer.options.write_timeout = Some(transport.write_timeout);
        peer.options.idle_timeout = Some(transport.idle_timeout);
        Self {
            address,
            host: host.into(),
            idle: Idle::new(transport.idle_connections, kept(&transport)),
            streams: transport.http2.then(Streams::default),
            tls,
            handshakes: Handshakes::new(upstream, load),
            transport,
            peer,
        }
    }

    /// Which state of its TLS files a connection must be made with to be used; `None`: it has no TLS.
    pub(in crate::gateway) fn age(&self) -> Option<Age> {
        self.tls.as_ref()?.age()
    }

    /// What is shaken hands about once it is connected to.
    pub(in crate::gateway) fn handshake(&self) -> Option<Handshake> {
        match (&self.tls, &self.streams) {
            (Some(_), _) => Some(Handshake::Tls),
            (None, Some(_)) => Some(Handshake::Http2),
            (None, None) => None,
        }
    }

    /// To be called every second: lets idle connections go.
    pub(super) fn tend(&self) {
        self.idle.tend();
        if let Some(streams) = &self.streams {
            streams.tend(kept(&self.transport), self.transport.idle_connections);
        }
    }

    /// The same, as pingora takes it.
    pub(in crate::gateway) fn peer(&self) -> Box<HttpPeer> {
        Box::new(self.peer.clone())
    }
}

/// For how many seconds an idle connection is kept, at least one.
fn kept(transport: &Transport) -> u32 {
    u32::try_from(transport.idle_timeout.as_secs()).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Upstream;
    use crate::gateway::load::Loads;
    use std::time::Duration;

    #[test]
    fn timeouts_are_those_of_the_file() {
        let transport = Transport {
            connect_timeout: Duration::from_millis(1),
            read_timeout: Duration::from_millis(2),
            write_timeout: Duration::from_millis(3),
            idle_timeout: Duration::from_millis(4),
            ..Transport::default()
        };
        let metrics = crate::record::Metrics::new().unwrap();
        let upstream = Upstream { name: "u".into(), servers: vec![], transport: transport.clone(), max_requests: 1 };
        let load = Loads::default().adopt(&[upstream], &metrics).remove(0);
        let common = Common { upstream: "u".into(), transport, tls: None, load };
        let options = Server::new("127.0.0.1:1".parse().unwrap(), "127.0.0.1", &common).peer().options;
        assert_eq!(options.connection_timeout, Some(Duration::from_millis(1)));
        assert_eq!(options.read_timeout, Some(Duration::from_millis(2)));
        assert_eq!(options.write_timeout, Some(Duration::from_millis(3)));
        assert_eq!(options.idle_timeout, Some(Duration::from_millis(4)));
    }
}
