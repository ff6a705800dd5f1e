//! One address of a server, and how it is spoken to.

use std::net::SocketAddr;
use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;

use crate::config::Transport;
use crate::gateway::idle::Idle;

/// How long an idle connection to a server is kept; most servers keep theirs for at least as long.
const IDLE: Duration = Duration::from_secs(60);

/// One address of a server.
#[derive(Debug)]
pub(in crate::gateway) struct Server {
    pub(in crate::gateway) address: SocketAddr,
    pub(in crate::gateway) transport: Transport,
    /// Connections that `relay` keeps.
    pub(in crate::gateway) idle: Idle,
    peer: HttpPeer,
}

impl Server {
    pub(super) fn new(address: SocketAddr, transport: &Transport) -> Self {
        let mut peer = HttpPeer::new(address, false, String::new());
        let Transport { connect_timeout, read_timeout, write_timeout } = transport;
        peer.options.connection_timeout = Some(*connect_timeout);
        peer.options.total_connection_timeout = Some(*connect_timeout);
        peer.options.read_timeout = Some(*read_timeout);
        peer.options.write_timeout = Some(*write_timeout);
        peer.options.idle_timeout = Some(IDLE);
        Self { address, transport: transport.clone(), idle: Idle::default(), peer }
    }

    /// The same, as pingora takes it.
    pub(in crate::gateway) fn peer(&self) -> Box<HttpPeer> {
        Box::new(self.peer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_those_of_the_file() {
        let transport = Transport {
            connect_timeout: Duration::from_millis(1),
            read_timeout: Duration::from_millis(2),
            write_timeout: Duration::from_millis(3),
        };
        let options = Server::new("127.0.0.1:1".parse().unwrap(), &transport).peer().options;
        assert_eq!(options.connection_timeout, Some(Duration::from_millis(1)));
        assert_eq!(options.read_timeout, Some(Duration::from_millis(2)));
        assert_eq!(options.write_timeout, Some(Duration::from_millis(3)));
    }
}
