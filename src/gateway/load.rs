//! How many requests are under way to each upstream, and whether one more may be.
//!
//! The count is the upstream's, by its name, and goes on over generations; the bound is its
//! generation's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::config::Upstream;
use crate::record::{Metrics, UpstreamSeries};

/// The loads of all upstreams.
#[derive(Debug, Default)]
pub(super) struct Loads(Mutex<HashMap<Box<str>, Arc<Load>>>);

/// The requests of one upstream that are under way.
#[derive(Debug)]
pub(super) struct Load {
    requests: AtomicUsize,
    series: UpstreamSeries,
}

/// One of them, as long as this lives.
#[derive(Debug)]
pub(super) struct Carried(Arc<Load>);

impl Loads {
    /// The load of each of these, in their order; those of others are forgotten, and their requests
    /// that are still under way are counted no more.
    pub(super) fn adopt(&self, upstreams: &[Upstream], metrics: &Metrics) -> Vec<Arc<Load>> {
        let mut known = self.0.lock();
        known.retain(|name, _| {
            let is_kept = upstreams.iter().any(|upstream| upstream.name == *name);
            if !is_kept {
                metrics.upstream_forgotten(name);
            }
            is_kept
        });
        let load = |upstream: &Upstream| {
            let load = known.entry_ref(&*upstream.name);
            Arc::clone(load.or_insert_with(|| {
                Arc::new(Load { requests: AtomicUsize::new(0), series: metrics.upstream(&upstream.name) })
            }))
        };
        upstreams.iter().map(load).collect()
    }
}

impl Load {
    /// The series of its upstream.
    pub(super) fn series(&self) -> &UpstreamSeries {
        &self.series
    }

    /// One more, if there are fewer than `most`.
    pub(super) fn carry(self: &Arc<Self>, most: usize) -> Option<Carried> {
        if self.requests.fetch_add(1, Ordering::AcqRel) < most {
            self.series.begun();
            return Some(Carried(Arc::clone(self)));
        }
        self.requests.fetch_sub(1, Ordering::AcqRel);
        self.series.shed();
        None
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.series.ended();
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}
