//! How many connections are open, in all and of one address, and whether one more may be.
//!
//! One that may not is closed as soon as it is accepted, so that its client learns of it at once and
//! can go elsewhere; left in the system's queue it would wait there without knowing.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use ipnet::IpNet;
use parking_lot::Mutex;

use crate::config::Limits;
use crate::record::{ConnectionEnd, Metrics};

/// The open connections of all listeners.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    metrics: Arc<Metrics>,
    open: AtomicUsize,
    by_network: Mutex<HashMap<IpAddr, usize>>,
}

/// One of them, as long as this lives.
#[derive(Debug)]
pub(super) struct Admitted {
    connections: Connections,
    /// `None`: a trusted proxy's.
    network: Option<IpAddr>,
}

impl Connections {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Shared { metrics, open: AtomicUsize::new(0), by_network: Mutex::default() }))
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }

    /// One more, from this address.
    ///
    /// # Errors
    /// If that would be one too many.
    pub(super) fn admit(
        &self,
        peer: IpAddr,
        limits: &Limits,
        trusted_proxies: &[IpNet],
    ) -> Result<Admitted, ConnectionEnd> {
        let peer = peer.to_canonical();
        let is_trusted = trusted_proxies.iter().any(|trusted| trusted.contains(&peer));
        if self.0.open.fetch_add(1, Ordering::AcqRel) >= limits.connections {
            self.0.open.fetch_sub(1, Ordering::AcqRel);
            return Err(ConnectionEnd::TooMany);
        }
        // From here on dropping it gives back what was taken.
        let mut admitted = Admitted { connections: self.clone(), network: None };
        self.0.metrics.connection_opened();
        if !is_trusted {
            let network = network(peer);
            let mut counts = self.0.by_network.lock();
            let count = counts.entry(network).or_default();
            if *count >= limits.connections_per_address {
                drop(counts);
                return Err(ConnectionEnd::TooManyOfAddress);
            }
            *count += 1;
            admitted.network = Some(network);
        }
        Ok(admitted)
    }

    /// Counts a connection that ended before a request of it was judged.
    pub(super) fn ended(&self, end: ConnectionEnd) {
        self.0.metrics.connection_ended(end);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Shared { metrics, open, by_network } = &*self.connections.0;
        if let Some(network) = self.network {
            let mut counts = by_network.lock();
            if let Some(count) = counts.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&network);
                }
            }
        }
        metrics.connection_closed();
        open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What counts as one address: whoever has one of IPv6 has the /64 around it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: usize, connections_per_address: usize) -> Limits {
        Limits { connections, connections_per_address, ..Limits::default() }
    }

    #[track_caller]
    fn check(open: &Connections, peer: &str, limits: &Limits, expected: Result<(), ConnectionEnd>) -> Option<Admitted> {
        let admitted = open.admit(peer.parse().unwrap(), limits, &["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(admitted.as_ref().map(drop).map_err(|end| *end), expected, "{peer}");
        admitted.ok()
    }

    #[test]
    fn connections_are_counted_in_all_and_by_address_and_given_back() {
        let open = Connections::new(Metrics::new().unwrap());
        let bounds = limits(4, 2);
        let first = check(&open, "192.0.2.1", &bounds, Ok(()));
        let _second = check(&open, "::ffff:192.0.2.1", &bounds, Ok(()));
        check(&open, "192.0.2.1", &bounds, Err(ConnectionEnd::TooManyOfAddress));
        let _third = check(&open, "192.0.2.2", &bounds, Ok(()));
        let fourth = check(&open, "10.0.0.1", &bounds, Ok(()));
        check(&open, "10.0.0.1", &bounds, Err(ConnectionEnd::TooMany));
        drop((first, fourth));
        assert_eq!(open.count(), 2);
        let _fifth = check(&open, "192.0.2.1", &bounds, Ok(()));
        check(&open, "192.0.2.1", &bounds, Err(ConnectionEnd::TooManyOfAddress));
        assert_eq!(open.count(), 3);
    }

    #[test]
    fn a_trusted_proxy_has_as_many_as_there_are_and_a_network_of_ipv6_is_one_address() {
        let open = Connections::new(Metrics::new().unwrap());
        let bounds = limits(100, 1);
        let _all: Vec<_> = (0..10).map(|_| check(&open, "10.1.2.3", &bounds, Ok(()))).collect();
        let one = check(&open, "2001:db8::1", &bounds, Ok(()));
        check(&open, "2001:db8::ffff", &bounds, Err(ConnectionEnd::TooManyOfAddress));
        let _other = check(&open, "2001:db8:0:1::1", &bounds, Ok(()));
        drop(one);
        assert_eq!(open.0.by_network.lock().len(), 1, "what nobody has is forgotten");
    }
}
