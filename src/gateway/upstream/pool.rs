//! The servers of one upstream, and whose turn it is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::names::{Resolved, is_named};
use super::server::{Common, Server};
use super::turn::{Servers, Turn};
use crate::config::{ServerAddress, Upstream};
use crate::gateway::load::{Carried, Load};
use crate::gateway::onward::{ServerTls, Way};

/// The servers of one upstream.
#[derive(Debug)]
pub(in crate::gateway) struct Pool {
    upstream: Upstream,
    load: Arc<Load>,
    tls: Option<Arc<ServerTls>>,
    way: Way,
    /// What each server's name stands for, in the order of the file.
    resolved: Mutex<Vec<Resolved>>,
    /// All of it, ready to connect to.
    servers: ArcSwap<Servers>,
    next: AtomicUsize,
}

impl Pool {
    /// Resolves names, and blocks as long as that takes. Servers that `before` has too stay.
    pub(super) fn new(
        upstream: &Upstream,
        load: Arc<Load>,
        tls: Option<Arc<ServerTls>>,
        before: Option<&Self>,
    ) -> Self {
        let resolved = |server| before.and_then(|before| before.resolved(server)).unwrap_or_default();
        let pool = Self {
            resolved: Mutex::new(upstream.servers.iter().map(resolved).collect()),
            upstream: upstream.clone(),
            load,
            tls,
            way: Way::of(&upstream.transport),
            servers: ArcSwap::default(),
            next: AtomicUsize::new(0),
        };
        if let Some(before) = before.filter(|before| before.upstream.transport == upstream.transport) {
            pool.servers.store(before.servers.load_full());
        }
        pool.resolve();
        pool
    }

    fn resolved(&self, server: &ServerAddress) -> Option<Resolved> {
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.upstream.servers.iter().zip(resolved.iter());
        known.find(|(known, _)| *known == server).map(|(_, resolved)| resolved.clone())
    }

    /// Whether it is the upstream of this name.
    pub(super) fn is_of(&self, upstream: &Upstream) -> bool {
        self.upstream.name == upstream.name
    }

    /// Takes one more request, unless as many are under way as may be.
    pub(in crate::gateway) fn carry(&self) -> Option<Carried> {
        self.load.carry(self.upstream.max_requests)
    }

    /// A turn for one more request.
    pub(in crate::gateway) fn turn(&self) -> Turn {
        Turn::new(self.servers.load_full(), self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Which way its requests go.
    pub(in crate::gateway) fn way(&self) -> Way {
        self.way
    }

    /// Resolves names again.
    pub(super) fn tend(&self) {
        if self.upstream.servers.iter().any(is_named) {
            self.resolve();
        }
    }

    /// Lets idle connections go.
    pub(super) fn tend_connections(&self) {
        self.servers.load().list.iter().for_each(|server| server.tend());
    }

    fn resolve(&self) {
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        for (server, resolved) in self.upstream.servers.iter().zip(resolved.iter_mut()) {
            resolved.renew(&self.upstream.name, server);
        }
        let known = self.servers.load();
        let common = Common {
            upstream: self.upstream.name.clone(),
            transport: self.upstream.transport.clone(),
            tls: self.tls.clone(),
            load: Arc::clone(&self.load),
        };
        // One that is known stays, with its connections. What it is called is what its certificate is for.
        let server = |(host, address): (&str, SocketAddr)| {
            let mut known = known.list.iter();
            match known.find(|server| server.address == address && *server.host == *host) {
                Some(server) => Arc::clone(server),
                None => Arc::new(Server::new(address, host, &common)),
            }
        };
        let named = self.upstream.servers.iter().zip(resolved.iter());
        let addresses =
            named.flat_map(|(server, resolved)| resolved.addresses.iter().map(|address| (&*server.host, *address)));
        self.servers.store(Arc::new(Servers::new(addresses.map(server).collect())));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Transport;
    use crate::gateway::load::Loads;

    fn upstream(servers: &[(&str, u16)]) -> Upstream {
        Upstream {
            name: "u".into(),
            servers: servers.iter().map(|(host, port)| ServerAddress { host: (*host).into(), port: *port }).collect(),
            transport: Transport {
                connect_timeout: Duration::from_millis(1),
                read_timeout: Duration::from_millis(2),
                write_timeout: Duration::from_millis(3),
                ..Transport::default()
            },
            max_requests: 2,
        }
    }

    fn pool_of(upstream: &Upstream, before: Option<&Pool>) -> Pool {
        let metrics = crate::record::Metrics::new().unwrap();
        let load = Loads::default().adopt(std::slice::from_ref(upstream), &metrics).remove(0);
        Pool::new(upstream, load, None, before)
    }

    fn pool(servers: &[(&str, u16)]) -> Pool {
        pool_of(&upstream(servers), None)
    }

    fn port(turn: &mut Turn) -> u16 {
        turn.next().unwrap().address.port()
    }

    #[test]
    fn servers_take_turns() {
        let pool = pool(&[("127.0.0.1", 1), ("::1", 2), ("127.0.0.1", 3)]);
        let ports: Vec<_> = (0..6).map(|_| port(&mut pool.turn())).collect();
        assert_eq!(ports, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn a_request_tries_each_server_once() {
        let pool = pool(&[("127.0.0.1", 1), ("127.0.0.1", 2)]);
        let mut turn = pool.turn();
        assert_eq!(port(&mut turn), 1);
        assert!(turn.has_more());
        assert_eq!(port(&mut turn), 2);
        assert!(!turn.has_more() && turn.next().is_none());
    }

    #[test]
    fn a_server_is_tried_again_where_its_connection_was_old() {
        let pool = pool(&[("127.0.0.1", 1), ("127.0.0.1", 2)]);
        let mut turn = pool.turn();
        assert_eq!(port(&mut turn), 1);
        turn.again();
        assert_eq!((port(&mut turn), port(&mut turn)), (1, 2));
    }

    #[test]
    fn no_more_than_four_servers_are_tried() {
        let servers: Vec<_> = (1..=9).map(|port| ("127.0.0.1", port)).collect();
        let mut turn = pool(&servers).turn();
        assert_eq!(std::iter::from_fn(|| turn.next()).count(), 4);
    }

    #[test]
    fn turns_go_on_where_counting_starts_anew() {
        let pool = pool(&[("127.0.0.1", 1), ("127.0.0.1", 2)]);
        pool.next.store(usize::MAX, Ordering::Relaxed);
        let mut turn = pool.turn();
        assert!(turn.next().is_some() && turn.next().is_some());
    }

    #[test]
    fn a_name_that_does_not_resolve_leaves_the_others() {
        let pool = pool(&[("no-such-host.invalid", 1), ("127.0.0.1", 2)]);
        assert_eq!(port(&mut pool.turn()), 2);
        assert!(self::pool(&[("no-such-host.invalid", 1)]).turn().next().is_none());
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
    fn servers_outlive_a_policy_that_speaks_to_them_in_the_same_way() {
        let mut upstream = upstream(&[("127.0.0.1", 1)]);
        let first = pool_of(&upstream, None);
        upstream.servers.push(ServerAddress { host: "127.0.0.1".into(), port: 2 });
        let second = pool_of(&upstream, Some(&first));
        upstream.transport.read_timeout = Duration::from_secs(1);
        let third = pool_of(&upstream, Some(&second));
        let [one, two, three] = [first, second, third].map(|pool| pool.turn().next().unwrap());
        assert!(Arc::ptr_eq(&one, &two) && !Arc::ptr_eq(&two, &three));
    }
}
