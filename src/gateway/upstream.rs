//! Which server of an upstream gets a request: each in turn, and the next where one cannot be reached.
//!
//! Connections and their reuse are pingora's, but for those that `relay` keeps here. Names are resolved
//! when a generation is taken into use and again every now and then, never while a request waits.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::upstreams::peer::HttpPeer;

use super::idle::Idle;
use super::load::{Carried, Load};
use crate::config::{ServerAddress, Settings, Upstream};
use crate::policy::UpstreamId;

/// How long an idle connection to a server is kept; most servers keep theirs for at least as long.
const IDLE: Duration = Duration::from_secs(60);

/// More servers than these are not tried for one request.
const MOST_TRIES: usize = 4;

/// The upstreams of one generation.
#[derive(Debug)]
pub(super) struct Upstreams(Box<[Pool]>);

/// The servers of one upstream.
#[derive(Debug)]
pub(super) struct Pool {
    upstream: Upstream,
    load: Arc<Load>,
    /// What each server's name stands for, in the order of the file.
    resolved: Mutex<Vec<Resolved>>,
    /// All of it, ready to connect to.
    servers: ArcSwap<Box<[Arc<Server>]>>,
    next: AtomicUsize,
}

/// One address of a server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) idle: Idle,
    peer: HttpPeer,
}

/// What a server's name stands for.
#[derive(Debug, Clone, Default)]
struct Resolved {
    /// The last that were found; none before.
    addresses: Vec<SocketAddr>,
    /// Whether that it does not resolve was said.
    fails: bool,
}

/// One request's turn among the servers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    first: usize,
    tried: usize,
}

impl Upstreams {
    /// Resolves names, and blocks as long as that takes.
    /// `loads` are theirs, in the same order.
    pub(super) fn new(settings: &Settings, loads: Vec<Arc<Load>>) -> Self {
        Self(settings.upstreams.iter().zip(loads).map(|(upstream, load)| Pool::new(upstream, load)).collect())
    }

    /// The upstream of that number.
    pub(super) fn pool(&self, id: UpstreamId) -> Option<&Pool> {
        self.0.get(id.0 as usize)
    }

    /// Resolves names again and lets idle connections go; blocks as long as that takes.
    pub(super) fn tend(&self) {
        for pool in &self.0 {
            if pool.upstream.servers.iter().any(is_named) {
                pool.resolve();
            }
            pool.servers.load().iter().for_each(|server| server.idle.tend());
        }
    }
}

impl Pool {
    fn new(upstream: &Upstream, load: Arc<Load>) -> Self {
        let pool = Self {
            resolved: Mutex::new(vec![Resolved::default(); upstream.servers.len()]),
            upstream: upstream.clone(),
            load,
            servers: ArcSwap::default(),
            next: AtomicUsize::new(0),
        };
        pool.resolve();
        pool
    }

    /// Takes one more request, unless as many are under way as may be.
    pub(super) fn carry(&self) -> Option<Carried> {
        self.load.carry(self.upstream.max_requests)
    }

    /// A turn for one more request.
    pub(super) fn turn(&self) -> Turn {
        Turn { first: self.next.fetch_add(1, Ordering::Relaxed), tried: 0 }
    }

    /// The server to try next; `None` if there is none.
    pub(super) fn server(&self, turn: &mut Turn) -> Option<Arc<Server>> {
        let servers = self.servers.load();
        let place = turn.first.wrapping_add(turn.tried).checked_rem(servers.len())?;
        turn.tried += 1;
        servers.get(place).cloned()
    }

    /// The same, as pingora takes it.
    pub(super) fn peer(&self, turn: &mut Turn) -> Option<Box<HttpPeer>> {
        self.server(turn).map(|server| Box::new(server.peer.clone()))
    }

    /// Whether there is a server that was not tried.
    pub(super) fn has_more(&self, turn: Turn) -> bool {
        turn.tried < self.servers.load().len().min(MOST_TRIES)
    }

    fn resolve(&self) {
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        for (server, resolved) in self.upstream.servers.iter().zip(resolved.iter_mut()) {
            match addresses(server) {
                Ok(addresses) => *resolved = Resolved { addresses, fails: false },
                // Better the addresses that it had than none.
                Err(error) => resolved.say_failed(&self.upstream.name, &server.host, &error),
            }
        }
        let known = self.servers.load();
        // One that is known stays, with its connections.
        let server = |address: &SocketAddr| match known.iter().find(|server| server.address == *address) {
            Some(server) => Arc::clone(server),
            None => Arc::new(self.server_at(*address)),
        };
        let addresses = resolved.iter().flat_map(|resolved| &resolved.addresses);
        self.servers.store(Arc::new(addresses.map(server).collect()));
    }

    fn server_at(&self, address: SocketAddr) -> Server {
        let Upstream { connect_timeout, read_timeout, write_timeout, .. } = self.upstream;
        let (idle, peer) = (Idle::default(), self.peer_at(address));
        Server { address, connect_timeout, read_timeout, write_timeout, idle, peer }
    }

    fn peer_at(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = HttpPeer::new(address, false, String::new());
        let Upstream { connect_timeout, read_timeout, write_timeout, .. } = &self.upstream;
        peer.options.connection_timeout = Some(*connect_timeout);
        peer.options.total_connection_timeout = Some(*connect_timeout);
        peer.options.read_timeout = Some(*read_timeout);
        peer.options.write_timeout = Some(*write_timeout);
        peer.options.idle_timeout = Some(IDLE);
        peer
    }
}

impl Turn {
    /// The server that was tried last is to be tried again.
    pub(super) fn again(&mut self) {
        self.tried = self.tried.saturating_sub(1);
    }
}

impl Resolved {
    fn say_failed(&mut self, upstream: &str, host: &str, error: &std::io::Error) {
        if !self.fails {
            self.fails = true;
            tracing::warn!(upstream, host, %error, "the server's name does not resolve");
        }
    }
}

fn is_named(server: &ServerAddress) -> bool {
    server.host.parse::<IpAddr>().is_err()
}

fn addresses(server: &ServerAddress) -> std::io::Result<Vec<SocketAddr>> {
    let mut found: Vec<_> = (&*server.host, server.port).to_socket_addrs()?.collect();
    // In one order, so that resolving again does not shuffle the turns.
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::load::Loads;

    fn pool(servers: &[(&str, u16)]) -> Pool {
        let upstream = Upstream {
            name: "u".into(),
            servers: servers.iter().map(|(host, port)| ServerAddress { host: (*host).into(), port: *port }).collect(),
            connect_timeout: Duration::from_millis(1),
            read_timeout: Duration::from_millis(2),
            write_timeout: Duration::from_millis(3),
            max_requests: 2,
        };
        let metrics = crate::record::Metrics::new().unwrap();
        let load = Loads::default().adopt(std::slice::from_ref(&upstream), &metrics).remove(0);
        Pool::new(&upstream, load)
    }

    fn port(peer: Option<Box<HttpPeer>>) -> u16 {
        peer.unwrap()._address.as_inet().unwrap().port()
    }

    #[test]
    fn servers_take_turns() {
        let pool = pool(&[("127.0.0.1", 1), ("::1", 2), ("127.0.0.1", 3)]);
        let ports: Vec<_> = (0..6).map(|_| port(pool.peer(&mut pool.turn()))).collect();
        assert_eq!(ports, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn a_request_tries_each_server_once() {
        let pool = pool(&[("127.0.0.1", 1), ("127.0.0.1", 2)]);
        let mut turn = pool.turn();
        assert_eq!(port(pool.peer(&mut turn)), 1);
        assert!(pool.has_more(turn));
        assert_eq!(port(pool.peer(&mut turn)), 2);
        assert!(!pool.has_more(turn));
    }

    #[test]
    fn turns_go_on_where_counting_starts_anew() {
        let pool = pool(&[("127.0.0.1", 1), ("127.0.0.1", 2)]);
        let mut turn = Turn { first: usize::MAX, tried: 0 };
        assert!(pool.peer(&mut turn).is_some() && pool.peer(&mut turn).is_some());
    }

    #[test]
    fn a_name_that_does_not_resolve_leaves_the_others() {
        let pool = pool(&[("no-such-host.invalid", 1), ("127.0.0.1", 2)]);
        assert_eq!(port(pool.peer(&mut pool.turn())), 2);
        assert!(self::pool(&[("no-such-host.invalid", 1)]).peer(&mut Turn { first: 0, tried: 0 }).is_none());
    }

    #[test]
    fn as_many_requests_are_under_way_as_may_be() {
        let pool = pool(&[("127.0.0.1", 1)]);
        let carried = [pool.carry().unwrap(), pool.carry().unwrap()];
        assert!(pool.carry().is_none() && pool.carry().is_none());
        drop(carried);
        assert!(pool.carry().is_some());
    }

    #[test]
    fn timeouts_are_those_of_the_file() {
        let pool = pool(&[("127.0.0.1", 1)]);
        let options = pool.peer(&mut pool.turn()).unwrap().options;
        assert_eq!(options.connection_timeout, Some(Duration::from_millis(1)));
        assert_eq!(options.read_timeout, Some(Duration::from_millis(2)));
        assert_eq!(options.write_timeout, Some(Duration::from_millis(3)));
    }
}
