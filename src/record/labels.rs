//! The series of one policy, made when it is loaded, so that a request finds its own by number.
//!
//! Every api has all of its series from the start, at zero; when the last policy that has the api is
//! dropped, they are gone.

use std::fmt;
use std::sync::Arc;

use prometheus::{Histogram, IntCounter};

use super::usage::Usage;
use super::{Metrics, Outcome};
use crate::policy::{ApiName, Mode, Policy, Reason, ScopeName};

/// The series of one policy.
pub struct Labels {
    metrics: Arc<Metrics>,
    apis: Box<[Series]>,
    no_api: Series,
    decision_seconds: Histogram,
    usage: Usage,
    names: Names,
}

/// What a policy's series are named after.
pub(super) struct Names {
    /// Each with whether it only reports.
    pub(super) apis: Box<[(ApiName, bool)]>,
    pub(super) scopes: Box<[ScopeName]>,
}

/// The series of one api, or of the requests for which none was found.
pub(super) struct Series {
    /// In the order of [`Reason::ALL`].
    pub(super) decisions: Box<[IntCounter]>,
    /// The same, of what was let through all the same; empty where the api does not only report.
    pub(super) reported: Box<[IntCounter]>,
    pub(super) request_seconds: Histogram,
}

impl Labels {
    /// Makes the series of `policy`, or takes those that another policy has made for the same names.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>, policy: &Policy) -> Self {
        let names = Names {
            apis: policy.apis().iter().map(|api| (api.name.clone(), api.mode == Mode::ReportOnly)).collect(),
            scopes: policy.scopes().iter().map(|scope| scope.name.clone()).collect(),
        };
        Self {
            apis: metrics.take_into_use(&names),
            no_api: metrics.series("", false),
            decision_seconds: metrics.decision_seconds(),
            usage: metrics.usage(policy),
            metrics: Arc::clone(metrics),
            names,
        }
    }

    pub(super) fn count(&self, outcome: &Outcome<'_>) {
        let series = outcome.api.and_then(|api| self.apis.get(api.0 as usize)).unwrap_or(&self.no_api);
        series.count(outcome);
        series.request_seconds.observe(outcome.request_time.as_secs_f64());
        self.decision_seconds.observe(outcome.decision_time.as_secs_f64());
        self.usage.count(outcome);
        if !matches!(outcome.reason, Reason::Public | Reason::Granted) {
            self.metrics.denied(outcome, &self.names);
        }
    }
}

impl Series {
    fn count(&self, outcome: &Outcome<'_>) {
        // INVARIANT: the codes are numbered in the order of `Reason::ALL`.
        if let Some(counter) = self.decisions.get(outcome.reason as usize) {
            counter.inc();
        }
        if let Some(counter) = outcome.reported.and_then(|reason| self.reported.get(reason as usize)) {
            counter.inc();
        }
    }
}

impl Drop for Labels {
    fn drop(&mut self) {
        // Before the names are released, so that what only this policy had is forgotten.
        drop(std::mem::take(&mut self.usage));
        self.metrics.release(&self.names);
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labels").field("apis", &self.names.apis).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{ApiId, UnixTime};
    use crate::record::outcome::tests::{outcome, policy_of};

    #[test]
    fn a_reason_is_counted_under_its_own_code() {
        let metrics = Metrics::new().unwrap();
        let policy = policy_of(&["a", "b"]);
        let labels = Labels::new(&metrics, &policy);
        for (times, reason) in (1..).zip(Reason::ALL) {
            for _ in 0..times {
                labels.count(&Outcome { reason: *reason, api: Some(ApiId(1)), ..outcome(&policy) });
            }
        }
        let text = metrics.render().unwrap();
        for (times, reason) in (1..).zip(Reason::ALL) {
            let end = format!("reason=\"{reason}\"}} {times}");
            assert!(
                text.lines()
                    .any(|line| line.starts_with("scopegate_decisions_total{api=\"b\",") && line.ends_with(&end)),
                "{reason}"
            );
        }
    }

    #[test]
    fn a_request_without_an_api_is_counted_without_one() {
        let metrics = Metrics::new().unwrap();
        let policy = policy_of(&["a"]);
        let labels = Labels::new(&metrics, &policy);
        labels.count(&Outcome { api: None, reason: Reason::RouteUnknown, ..outcome(&policy) });
        let text = metrics.render().unwrap();
        let sample = "scopegate_decisions_total{api=\"\",decision=\"deny\",reason=\"route_unknown\"} 1\n";
        assert!(text.contains(sample));
        assert!(text.contains("scopegate_request_seconds_count{api=\"\"} 1\n"));
    }

    #[test]
    fn series_live_as_long_as_some_policy_has_their_api_or_scope() {
        let metrics = Metrics::new().unwrap();
        let has = |name: &str| metrics.render().unwrap().contains(&format!("\"{name}\""));
        let (old, new) = (policy_of(&["kept", "left"]), policy_of(&["kept", "came"]));
        let before = Labels::new(&metrics, &old);
        before.count(&outcome(&old));
        metrics.token_seen(old.scopes().iter().map(|scope| &scope.name), None, UnixTime(5));
        let after = Labels::new(&metrics, &new);
        assert!(has("kept") && has("left") && has("came") && has("left.read"));
        drop(before);
        assert!(has("kept") && !has("left") && has("came"));
        assert!(has("kept.read") && !has("left.read"));
        let sample = "{api=\"kept\",decision=\"allow\",reason=\"granted\"} 1\n";
        assert!(metrics.render().unwrap().contains(sample), "what was counted stays");
        // As a file that is refused in the end.
        drop(Labels::new(&metrics, &policy_of(&["kept", "never"])));
        assert!(has("kept") && has("came") && !has("never"));
        after.count(&outcome(&new));
        assert!(metrics.render().unwrap().contains("{api=\"kept\",decision=\"allow\",reason=\"granted\"} 2\n"));
    }
}
