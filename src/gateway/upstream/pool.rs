//! The servers of one upstream, and whose turn it is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use hashbrown::HashMap;

use super::budget::Budget;
use super::choice::Servers;
use super::condition::State;
use super::names::{Resolved, addresses, aside, is_named};
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
    /// Of the servers whose addresses are given, or known from `before`; those that it has too stay. The others are
    /// [unknown](Pool::unknown) yet.
    pub(super) fn new(
        upstream: &Upstream,
        load: Arc<Load>,
        tls: Option<Arc<ServerTls>>,
        before: Option<&Self>,
    ) -> Self {
        let resolved = |server: &UpstreamServer| {
            let mut resolved = before.and_then(|before| before.resolved(server)).unwrap_or_default();
            if !is_named(&server.address) {
                resolved.take(addresses(&server.address), &upstream.name, &server.address);
            }
            resolved
        };
        let pool = Self {
            resolved: Mutex::new(upstream.servers.iter().map(resolved).collect()),
            upstream: upstream.clone(),
            servers: ArcSwap::from_pointee(Servers::new(Vec::new(), upstream, load.series())),
            budget: upstream
                .retries
                .map(|retries| Budget::new(retries, before.and_then(|before| before.budget.as_ref()))),
            next: AtomicUsize::new(0),
            load,
            tls,
            way: Way::of(&upstream.transport),
        };
        let known = before.filter(|before| before.speaks_as(upstream)).map(|before| before.servers.load_full());
        pool.make_ready(&pool.names(), known.as_deref().map_or(&[], |known| &known.list));
        pool
    }

    fn names(&self) -> MutexGuard<'_, Vec<Resolved>> {
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resolved(&self, server: &UpstreamServer) -> Option<Resolved> {
        let resolved = self.names();
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

    /// The places of servers of which no address is known.
    pub(super) fn unknown(&self) -> Vec<usize> {
        let names = self.names().clone();
        names.iter().enumerate().filter(|(_, resolved)| resolved.addresses.is_empty()).map(|(place, _)| place).collect()
    }

    /// Begins to resolve names again, each by itself.
    pub(super) fn tend(self: &Arc<Self>) {
        let names = self.names().clone();
        let servers = self.upstream.servers.iter().zip(names).enumerate();
        for (place, (_, resolved)) in servers.filter(|(_, (server, _))| is_named(&server.address)) {
            let pool = Arc::clone(self);
            aside(&resolved.is_asked, move || pool.renew(place));
        }
    }

    /// Resolves the name of the server at that place, and blocks as long as that takes. Servers that are known stay,
    /// with their connections.
    pub(super) fn renew(&self, place: usize) {
        let Some(server) = self.upstream.servers.get(place) else { return };
        // Nothing is locked while the resolver is asked.
        let found = addresses(&server.address);
        let mut names = self.names();
        if names.get_mut(place).is_some_and(|resolved| resolved.take(found, &self.upstream.name, &server.address)) {
            self.make_ready(&names, &self.servers.load().list);
        }
    }

    /// Has requests go to the servers that the names stand for. Those that are `known` stay.
    fn make_ready(&self, names: &[Resolved], known: &[Arc<Server>]) {
        // What it is called is whose certificate it must show.
        let known: HashMap<_, _> = known.iter().map(|server| ((server.address, &*server.host), server)).collect();
        let mut servers = Vec::new();
        for (server, resolved) in self.upstream.servers.iter().zip(names) {
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
