//! One address of a server, and how it is spoken to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::condition::Condition;
use super::health::Check;
use crate::config::{ServerAddress, Transport, Upstream};
use crate::gateway::idle::Idle;
use crate::gateway::onward::{Age, Handshakes, ServerTls, Streams};
use crate::record::{Handshake, UpstreamSeries};

/// One address of a server.
#[derive(Debug)]
pub(in crate::gateway) struct Server {
    pub(in crate::gateway) address: SocketAddr,
    /// As the file names it.
    pub(in crate::gateway) host: Box<str>,
    pub(in crate::gateway) transport: Transport,
    /// Connections of HTTP/1.1 that wait.
    pub(in crate::gateway) idle: Idle,
    /// Those of HTTP/2, if that is spoken.
    pub(in crate::gateway) streams: Option<Streams>,
    /// TLS, if it has any.
    pub(in crate::gateway) tls: Option<Arc<ServerTls>>,
    pub(in crate::gateway) handshakes: Handshakes,
    pub(super) condition: Condition,
    check: Option<Arc<Check>>,
}

impl Server {
    /// One of the addresses that `name` stands for.
    pub(super) fn new(
        address: SocketAddr,
        name: &ServerAddress,
        upstream: &Upstream,
        tls: Option<Arc<ServerTls>>,
        series: UpstreamSeries,
    ) -> Self {
        let transport = &upstream.transport;
        let check = upstream.health.as_ref().map(|health| Check::new(health, name, address));
        Self {
            address,
            host: name.host.clone(),
            idle: Idle::new(transport.idle_connections, kept(transport)),
            streams: transport.http2.then(Streams::default),
            tls,
            handshakes: Handshakes::new(upstream.name.clone(), series),
            transport: transport.clone(),
            condition: Condition::default(),
            check: check.map(Arc::new),
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

    /// Begins a check if it is time for one.
    pub(super) fn check_when_due(self: &Arc<Self>, now: Instant, upstream: &str, series: &UpstreamSeries) {
        if let Some(check) = &self.check
            && check.begins(now)
        {
            tokio::spawn(Arc::clone(check).run(Arc::clone(self), upstream.into(), series.clone()));
        }
    }
}

/// For how many seconds an idle connection is kept, at least one.
fn kept(transport: &Transport) -> u32 {
    u32::try_from(transport.idle_timeout.as_secs()).unwrap_or(u32::MAX).max(1)
}
