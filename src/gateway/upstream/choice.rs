//! The servers of an upstream at one moment, and the order in which requests go round them.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use pingora_ketama::{Bucket, Continuum};

use super::condition::State;
use super::server::Server;
use crate::config::{Balance, Ejection, Upstream};
use crate::record::UpstreamSeries;

/// The servers of an upstream at one moment.
pub(super) struct Servers {
    pub(super) list: Box<[Arc<Server>]>,
    /// Places in the list, each as often as its weight says, evenly spread. What comes after a place is who
    /// is next; the last is followed by the first.
    order: Box<[u16]>,
    /// Where in the order an account begins, if that is by account.
    ring: Option<Continuum>,
    /// Whether the requests that each has under way are counted.
    pub(super) counts: bool,
    pub(super) ejection: Option<Ejection>,
    series: UpstreamSeries,
    ejecting: Mutex<()>,
}

impl Servers {
    /// Each server with its weight.
    pub(super) fn new(servers: Vec<(Arc<Server>, u16)>, upstream: &Upstream, series: &UpstreamSeries) -> Self {
        // A place more could not be said, and nobody has so many.
        let servers: Vec<_> = servers.into_iter().take(usize::from(u16::MAX)).collect();
        let (order, ring) = match upstream.balance {
            Balance::RoundRobin | Balance::LeastRequests => (spread(servers.iter().map(|(_, weight)| *weight)), None),
            Balance::Account => {
                let (order, ring) = ring(&servers);
                (order, Some(ring))
            }
        };
        Self {
            list: servers.into_iter().map(|(server, _)| server).collect(),
            order,
            ring,
            counts: upstream.balance == Balance::LeastRequests,
            ejection: upstream.ejection,
            series: series.clone(),
            ejecting: Mutex::new(()),
        }
    }

    /// Where a request begins: `turn` counts them, `account` is the one that it touches.
    pub(super) fn first(&self, turn: usize, account: Option<&[u8]>) -> usize {
        match &self.ring {
            Some(ring) => account.map_or(turn, |account| ring.node_idx(account)),
            None if self.counts => self.idler(),
            None => turn,
        }
    }

    /// The places from one of the order on, once round it.
    pub(super) fn from(&self, first: usize) -> Option<impl Iterator<Item = u16>> {
        let (before, after) = self.order.split_at_checked(first.checked_rem(self.order.len())?)?;
        Some(after.iter().chain(before).copied())
    }

    /// How the server at that place is doing.
    pub(super) fn state(&self, place: u16) -> Option<State> {
        self.list.get(usize::from(place)).map(|server| server.condition.state())
    }

    /// Lets a server get no requests until then, unless fewer than half of all would get any.
    pub(super) fn eject(&self, server: &Server, until: Instant) {
        // Held, so that two do not go at once.
        let _one_at_a_time = self.ejecting.lock();
        let usable = self.list.iter().filter(|server| server.condition.state() == State::Usable).count();
        if server.condition.state() != State::Usable || usable.saturating_sub(1) < self.list.len().div_ceil(2) {
            return;
        }
        server.condition.eject(until);
        self.series.ejected();
        tracing::warn!(server = %server.address, "the server fails requests and gets none for a while");
    }

    /// Of two places at random, the one whose server has fewer requests under way.
    fn idler(&self) -> usize {
        let [one, other] = [(); 2].map(|()| fastrand::usize(..self.order.len().max(1)));
        let load = |place: usize| {
            let server = self.order.get(place).and_then(|place| self.list.get(usize::from(*place)));
            let server = server.filter(|server| server.condition.state() == State::Usable);
            server.map_or(usize::MAX, |server| server.condition.under_way())
        };
        if load(other) < load(one) { other } else { one }
    }
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}

/// Each place as often as its weight says, those of each as far apart as can be: the `k`th of `n` is at
/// `(2k + 1) / 2n` of the way.
fn spread(weights: impl Iterator<Item = u16> + Clone) -> Box<[u16]> {
    let divisor = weights.clone().fold(0, greatest_common_divisor).max(1);
    let mut order: Vec<(u64, u16)> = Vec::new();
    for (place, weight) in (0..=u16::MAX).zip(weights) {
        let times = u64::from(weight / divisor);
        order.extend((0..times).map(|nth| ((2 * nth + 1) * u64::from(u32::MAX) / (2 * times), place)));
    }
    order.sort_unstable();
    order.into_iter().map(|(_, place)| place).collect()
}

fn greatest_common_divisor(one: u16, other: u16) -> u16 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

/// The places as ketama hashing has them, and what finds an account's.
fn ring(servers: &[(Arc<Server>, u16)]) -> (Box<[u16]>, Continuum) {
    let buckets: Vec<_> =
        servers.iter().map(|(server, weight)| Bucket::new(server.address, u32::from((*weight).max(1)))).collect();
    let ring = Continuum::new(&buckets);
    let places: HashMap<_, _> = servers.iter().map(|(server, _)| server.address).zip(0..=u16::MAX).collect();
    let mut order = Vec::new();
    let mut next = 0;
    while let Some(place) = ring.get_addr(&mut next).and_then(|address| places.get(address)) {
        order.push(*place);
        if next == 0 {
            break;
        }
    }
    (order.into(), ring)
}
