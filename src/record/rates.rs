//! The series of rate limits, which are there as long as some policy has the limit.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use prometheus::{IntCounter, IntCounterVec, Result};

use super::Metrics;
use super::register::Register;

/// The series of all rate limits.
#[derive(Debug)]
pub struct RateBook {
    limited: IntCounterVec,
    forgotten: IntCounter,
    /// How many policies have each limit, by the names of api and limit.
    used: Mutex<HashMap<Names, usize>>,
}

/// The series of the limits of one policy.
pub struct LimitSeries {
    metrics: Arc<Metrics>,
    limits: Box<[(Names, IntCounter)]>,
}

type Names = (Box<str>, Box<str>);

const LIMITED: &str = "Requests that were more than a rate limit lets through, by api and limit.";
const FORGOTTEN: &str =
    "Buckets of rate limits that were forgotten for want of room though something was taken of them.";

impl RateBook {
    pub(super) fn new(register: &Register) -> Result<Self> {
        Ok(Self {
            limited: register.counters("rate_limited_total", LIMITED, &["api", "limit"])?,
            forgotten: register.counter("rate_limit_keys_forgotten_total", FORGOTTEN)?,
            used: Mutex::default(),
        })
    }

    /// So many buckets were forgotten so far.
    pub fn forgotten(&self, so_far: u64) {
        self.forgotten.inc_by(so_far.saturating_sub(self.forgotten.get()));
    }
}

impl LimitSeries {
    /// The series of limits by the names of api and limit, in this order.
    pub fn new<'n>(metrics: &Arc<Metrics>, names: impl Iterator<Item = (&'n str, &'n str)>) -> Self {
        let book = metrics.rates();
        let mut used = book.used.lock();
        let limits = names.map(|(api, limit)| {
            let names: Names = (api.into(), limit.into());
            *used.entry(names.clone()).or_default() += 1;
            // Still under the lock, so that another's end cannot remove what is made here.
            (names, book.limited.with_label_values(&[api, limit]))
        });
        let limits = limits.collect();
        drop(used);
        Self { metrics: Arc::clone(metrics), limits }
    }

    /// A request was more than the limit at that place lets through.
    pub fn limited(&self, place: usize) {
        if let Some((_, counter)) = self.limits.get(place) {
            counter.inc();
        }
    }
}

impl Drop for LimitSeries {
    fn drop(&mut self) {
        let book = self.metrics.rates();
        let mut used = book.used.lock();
        for (names, _) in &self.limits {
            let Some(policies) = used.get_mut(names) else { continue };
            *policies -= 1;
            if *policies == 0 {
                used.remove(names);
                let (api, limit) = names;
                // That there was no such series is as good.
                let _ = book.limited.remove_label_values(&[api, limit]);
            }
        }
    }
}

impl std::fmt::Debug for LimitSeries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.limits.iter().map(|(names, _)| names)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limits_series_is_there_as_long_as_some_policy_has_it() {
        let metrics = Metrics::new().unwrap();
        let count = |limit: &str| {
            let series = format!("scopegate_rate_limited_total{{api=\"a\",limit=\"{limit}\"}} ");
            metrics.render().unwrap().lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok())
        };
        let before = LimitSeries::new(&metrics, [("a", "kept"), ("a", "left")].into_iter());
        before.limited(0);
        let after = LimitSeries::new(&metrics, [("a", "came"), ("a", "kept")].into_iter());
        drop(before);
        after.limited(1);
        assert_eq!([count("kept"), count("left"), count("came")], [Some(2), None, Some(0)]);
        drop(after);
        assert_eq!(count("kept"), None);
    }
}
