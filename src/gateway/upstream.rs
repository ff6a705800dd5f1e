//! The servers behind: which of them gets a request, and the next where one cannot be reached.
//!
//! Connections are `onward`'s. Names are resolved when a generation that has them first is taken into use, and again
//! every now and then, never while a request waits.

mod budget;
mod choice;
mod condition;
mod health;
mod names;
mod pool;
mod server;
mod turn;

use std::sync::Arc;
use std::time::Instant;

use self::names::for_each_at_once;
pub(super) use pool::Pool;
pub(super) use server::Server;
pub(super) use turn::Turn;

use super::load::Load;
use super::onward::AllTls;
use crate::config::Settings;
use crate::policy::UpstreamId;

/// The upstreams of one generation.
#[derive(Debug)]
pub(super) struct Upstreams(Box<[Arc<Pool>]>);

impl Upstreams {
    /// Resolves names, and blocks as long as that takes. `loads` are theirs, in the same order. Servers of
    /// upstreams in `before` that stay as they were stay, with their connections. Files of TLS are read.
    pub(super) fn new(settings: &Settings, loads: Vec<Arc<Load>>, all_tls: &AllTls, before: Option<&Self>) -> Self {
        let pool = |(upstream, load): (&crate::config::Upstream, _)| {
            let before = before.and_then(|before| before.0.iter().find(|pool| pool.is_of(upstream)));
            Arc::new(Pool::new(upstream, load, all_tls.of(upstream), before.map(|before| &**before)))
        };
        let pools: Box<[_]> = settings.upstreams.iter().zip(loads).map(pool).collect();
        let unknown: Vec<_> =
            pools.iter().flat_map(|pool| pool.unknown().into_iter().map(move |place| (pool, place))).collect();
        // A policy is taken into use though nobody answers for names.
        for_each_at_once(&unknown, |(pool, place)| pool.renew(*place));
        Self(pools)
    }

    /// The upstream of that number.
    pub(super) fn pool(&self, id: UpstreamId) -> Option<&Pool> {
        self.0.get(id.0 as usize).map(|pool| &**pool)
    }

    /// Begins to resolve names again.
    pub(super) fn tend(&self) {
        self.0.iter().for_each(Pool::tend);
    }

    /// Lets idle connections go.
    pub(super) fn tend_connections(&self) {
        self.0.iter().for_each(|pool| pool.tend_connections());
    }

    /// Has servers checked and brings back those that were ejected, where it is time. Within a runtime.
    pub(super) fn watch(&self, now: Instant) {
        self.0.iter().for_each(|pool| pool.watch(now));
    }
}
