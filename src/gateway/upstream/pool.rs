//! The servers of one upstream, and whose turn it is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use hashbrown::HashMap;

use super::budget::Budget;
use super::choice::Servers;
use super::condition::State;
use super::names::{Resolved, is_named};
use super::server::Server;
use super::turn::Turn;
use crate::config::{Upstream, UpstreamServer};
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
    budget: Option<Budget>,
    next: AtomicUsize,
}

impl Pool {
    /// Resolves names that are not known from `before`, and blocks as long as that takes: a policy is taken into use
    /// though nobody answers for names. Servers that `before` has too stay.
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
            servers: ArcSwap::from_pointee(Servers::new(Vec::new(), upstream, load.series())),
            budget: upstream.retries.map(Budget::new),
            next: AtomicUsize::new(0),
            load,
            tls,
            way: Way::of(&upstream.transport),
        };
        let known = before.filter(|before| before.speaks_as(upstream)).map(|before| before.servers.load_full());
        pool.resolve(known.as_deref().map_or(&[], |known| &known.list), |resolved| resolved.addresses.is_empty());
        pool
    }

    fn resolved(&self, server: &UpstreamServer) -> Option<Resolved> {
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.upstream.servers.iter().zip(resolved.iter());
        known.find(|(known, _)| known.address == server.address).map(|(_, resolved)| resolved.clone())
    }

    /// Whether it is the upstream of this name.
    pub(super) fn is_of(&self, upstream: &Upstream) -> bool {
        self.upstream.name == upstream.name
    }

    /// Takes one more request, unless as many are under way as may be.
    pub(in crate::gateway) fn carry(&self) -> Option<Carried> {
        self.load.carry(self.upstream.max_requests)
    }

    /// A turn for one more request, which touches that account.
    pub(in crate::gateway) fn turn(&self, account: Option<&[u8]>) -> Turn {
        let servers = self.servers.load_full();
        let first = servers.first(self.next.fetch_add(1, Ordering::Relaxed), account);
        if let Some(budget) = &self.budget {
            budget.deposit();
        }
        Turn::new(servers, first)
    }

    /// Whether a request that was sent again so often may be once more.
    pub(in crate::gateway) fn may_retry(&self, times: u8) -> bool {
        let Some(budget) = self.budget.as_ref().filter(|budget| budget.allows(times)) else { return false };
        let may = budget.withdraw();
        self.load.series().retried(may);
        may
    }

    /// Has servers checked whose time it is, and gives requests again to those whose ejection is over. Within
    /// a runtime.
    pub(super) fn watch(&self, now: Instant) {
        if self.upstream.health.is_none() && self.upstream.ejection.is_none() {
            return;
        }
        for server in &self.servers.load().list {
            if server.condition.lift(now) {
                tracing::info!(upstream = &*self.upstream.name, server = %server.address, "the server gets requests again");
            }
            server.check_when_due(now, &self.upstream.name, self.load.series());
        }
        self.report();
    }

    /// Which way its requests go.
    pub(in crate::gateway) fn way(&self) -> Way {
        self.way
    }

    /// Lets idle connections go.
    pub(super) fn tend_connections(&self) {
        self.servers.load().list.iter().for_each(|server| server.tend());
    }

    /// Resolves names again.
    pub(super) fn tend(&self) {
        if self.upstream.servers.iter().any(|server| is_named(&server.address)) {
            self.resolve(&self.servers.load().list, |_| true);
        }
    }

    /// Resolves names that are asked for. Servers that are known stay, with their connections.
    fn resolve(&self, known: &[Arc<Server>], is_asked: impl Fn(&Resolved) -> bool) {
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        // What it is called is whose certificate it must show.
        let known: HashMap<_, _> = known.iter().map(|server| ((server.address, &*server.host), server)).collect();
        let mut servers = Vec::new();
        for (server, resolved) in self.upstream.servers.iter().zip(resolved.iter_mut()) {
            if is_asked(resolved) {
                resolved.renew(&self.upstream.name, &server.address);
            }
            let name = &server.address;
            let series = self.load.series();
            let new = |address| Arc::new(Server::new(address, name, &self.upstream, self.tls.clone(), series.clone()));
            servers.extend(resolved.addresses.iter().map(|address| {
                let known = known.get(&(*address, &*name.host));
                (known.map_or_else(|| new(*address), |known| Arc::clone(known)), server.weight)
            }));
        }
        self.servers.store(Arc::new(Servers::new(servers, &self.upstream, self.load.series())));
        self.report();
    }

    /// Tells how many servers are how.
    fn report(&self) {
        let servers = self.servers.load();
        let states = || servers.list.iter().map(|server| server.condition.state());
        let count = |state| states().filter(|other| *other == state).count();
        self.load.series().servers(count(State::Usable), count(State::Unhealthy), count(State::Ejected));
    }

    /// Whether servers of that upstream can be used as they are known here.
    fn speaks_as(&self, other: &Upstream) -> bool {
        let Upstream { transport, health, ejection, .. } = &self.upstream;
        (transport, health, ejection) == (&other.transport, &other.health, &other.ejection)
    }
}

#[cfg(test)]
mod tests;
