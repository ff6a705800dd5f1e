//! The series of one policy, made when it is loaded, so that a request finds its own by number.
//!
//! Every api has all of its series from the start, at zero; when the last policy that has the api is
//! dropped, they are gone.

use std::fmt;
use std::sync::Arc;

use prometheus::{Histogram, IntCounter};

use super::{Metrics, Outcome};
use crate::policy::{ApiName, Policy, Reason, ScopeName};

/// The series of one policy.
pub struct Labels {
    metrics: Arc<Metrics>,
    apis: Box<[Series]>,
    no_api: Series,
    decision_seconds: Histogram,
    names: Names,
}

/// What a policy's series are named after.
pub(super) struct Names {
    pub(super) apis: Box<[ApiName]>,
    pub(super) scopes: Box<[ScopeName]>,
}

/// The series of one api, or of the requests for which none was found.
pub(super) struct Series {
    /// In the order of [`Reason::ALL`].
    pub(super) decisions: Box<[IntCounter]>,
    pub(super) request_seconds: Histogram,
}

impl Labels {
    /// Makes the series of `policy`, or takes those that another policy has made for the same names.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>, policy: &Policy) -> Self {
        let names = Names {
            apis: policy.apis().iter().map(|api| api.name.clone()).collect(),
            scopes: policy.scopes().iter().map(|scope| scope.name.clone()).collect(),
        };
        Self {
            apis: metrics.take_into_use(&names),
            no_api: metrics.series(""),
            decision_seconds: metrics.decision_seconds(),
            metrics: Arc::clone(metrics),
            names,
        }
    }

    pub(super) fn count(&self, outcome: &Outcome<'_>) {
        let series = outcome.api.and_then(|api| self.apis.get(api.0 as usize)).unwrap_or(&self.no_api);
        series.count(outcome.reason);
        series.request_seconds.observe(outcome.request_time.as_secs_f64());
        self.decision_seconds.observe(outcome.decision_time.as_secs_f64());
    }
}

impl Series {
    fn count(&self, reason: Reason) {
        // INVARIANT: the codes are numbered in the order of `Reason::ALL`.
        if let Some(counter) = self.decisions.get(reason as usize) {
            counter.inc();
        }
    }
}

impl Drop for Labels {
    fn drop(&mut self) {
        self.metrics.release(&self.names);
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labels").field("apis", &self.names.apis).finish_non_exhaustive()
    }
}
