//! One address of a server, and how it is spoken to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::upstreams::peer::HttpPeer;

use super::condition::Condition;
use super::health::Check;
use crate::config::{ServerAddress, Transport, Upstream};
use crate::gateway::idle::Idle;
use crate::record::UpstreamSeries;

/// How long an idle connection to a server is kept; most servers keep theirs for at least as long.
const IDLE: Duration = Duration::from_secs(60);

/// One address of a server.
#[derive(Debug)]
pub(in crate::gateway) struct Server {
    pub(in crate::gateway) address: SocketAddr,
    pub(in crate::gateway) transport: Transport,
    /// Connections that `relay` keeps.
    pub(in crate::gateway) idle: Idle,
    pub(super) condition: Condition,
    check: Option<Arc<Check>>,
    peer: HttpPeer,
}

impl Server {
    /// One of the addresses that `name` stands for.
    pub(super) fn new(address: SocketAddr, name: &ServerAddress, upstream: &Upstream) -> Self {
        let transport = &upstream.transport;
        let mut peer = HttpPeer::new(address, false, String::new());
        let Transport { connect_timeout, read_timeout, write_timeout } = transport;
        peer.options.connection_timeout = Some(*connect_timeout);
        peer.options.total_connection_timeout = Some(*connect_timeout);
        peer.options.read_timeout = Some(*read_timeout);
        peer.options.write_timeout = Some(*write_timeout);
        peer.options.idle_timeout = Some(IDLE);
        let check = upstream.health.as_ref().map(|health| Check::new(health, name, &peer));
        Self {
            address,
            transport: transport.clone(),
            idle: Idle::default(),
            condition: Condition::default(),
            check: check.map(Arc::new),
            peer,
        }
    }

    /// Begins a check if it is time for one.
    pub(super) fn check_when_due(self: &Arc<Self>, now: Instant, upstream: &str, series: &UpstreamSeries) {
        if let Some(check) = &self.check
            && check.begins(now)
        {
            tokio::spawn(Arc::clone(check).run(Arc::clone(self), upstream.into(), series.clone()));
        }
    }

    /// The same, as pingora takes it.
    pub(in crate::gateway) fn peer(&self) -> Box<HttpPeer> {
        Box::new(self.peer.clone())
    }
}
