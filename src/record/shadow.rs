//! What is recorded of a candidate that live requests are judged by besides: series, and a line of its
//! own for a request that it would answer differently.
//!
//! So many lines are written a second and no more; the counts are of all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use prometheus::{IntCounter, IntCounterVec, IntGauge, Result};

use super::line::{decision, number, optional, quoted_list, text, time};
use super::register::Register;
use super::{Outcome, ReloadResult};
use crate::policy::Reason;

/// Lines a second, at most.
const MOST: u64 = 100;

/// What a candidate would answer to a request, where that is something else.
#[derive(Debug, Clone)]
pub struct ShadowDifference<'a> {
    /// The running number of the candidate.
    pub generation: u64,
    /// What the policy in force made of the request.
    pub was: Reason,
    /// What the candidate makes of it.
    pub would: Reason,
    /// Why the candidate would refuse it, where its api only reports.
    pub reported: Option<Reason>,
    /// The scope or privilege of the candidate that grants.
    pub granted_by: Option<&'a str>,
    /// The service of the candidate that matches.
    pub service: Option<&'a str>,
    /// The scopes for want of which the candidate would refuse it.
    pub wanted: Vec<&'a str>,
}

/// How a candidate's answer compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShadowResult {
    /// Both let it through, or both refuse it for the same reason.
    Same,
    /// The answers differ.
    Different,
    /// The candidate was not asked, as what it takes to ask it is not known.
    NotJudged,
}

/// The series of candidates.
#[derive(Debug)]
pub struct ShadowSeries {
    differences: IntCounterVec,
    requests: [IntCounter; 3],
    generation: IntGauge,
    reloads: [IntCounter; 3],
    dropped: IntCounter,
    /// The second of the last line, and in its lowest bits how many there were in it.
    told: AtomicU64,
}

const DIFFERENCES: &str = "Requests that the candidate would answer differently, by the reasons of both.";
const REQUESTS: &str = "Requests while there is a candidate, by how its answer compares.";
const GENERATION: &str = "Running number of the candidate that requests are judged by besides; 0 without one.";
const RELOADS: &str = "Reloads of the candidate, by what became of them.";
const DROPPED: &str = "Differences that were counted and got no audit line, as there were too many in a second.";
const COUNT_BITS: u32 = 16;

impl ShadowSeries {
    pub(super) fn new(register: &Register) -> Result<Self> {
        let requests = register.counters("shadow_requests_total", REQUESTS, &["result"])?;
        let reloads = register.counters("shadow_reloads_total", RELOADS, &["result"])?;
        Ok(Self {
            differences: register.counters("shadow_differences_total", DIFFERENCES, &["was", "would"])?,
            requests: ["same", "different", "not_judged"].map(|result| requests.with_label_values(&[result])),
            generation: register.number("shadow_generation", GENERATION)?,
            reloads: ReloadResult::ALL.map(|result| reloads.with_label_values(&[result.as_str()])),
            dropped: register.counter("shadow_dropped_total", DROPPED)?,
            told: AtomicU64::new(0),
        })
    }

    /// A request was judged by the policy in force while there is a candidate.
    pub fn compared(&self, result: ShadowResult) {
        let [same, different, not_judged] = &self.requests;
        match result {
            ShadowResult::Same => same.inc(),
            ShadowResult::Different => different.inc(),
            ShadowResult::NotJudged => not_judged.inc(),
        }
    }

    /// The candidate would answer differently; whether that is to have a line.
    pub fn differed(&self, was: Reason, would: Reason, at: SystemTime) -> bool {
        self.differences.with_label_values(&[was.as_str(), would.as_str()]).inc();
        let second = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let may = self.may_tell(second);
        if !may {
            self.dropped.inc();
        }
        may
    }

    /// The candidate of this number is asked; `None`: none is any more.
    pub fn candidate(&self, number: Option<u64>) {
        self.generation.set(i64::try_from(number.unwrap_or_default()).unwrap_or(i64::MAX));
    }

    /// A reload of the candidate has ended.
    pub fn reload(&self, result: ReloadResult) {
        let [accepted, refused, unchanged] = &self.reloads;
        match result {
            ReloadResult::Accepted => accepted.inc(),
            ReloadResult::Refused => refused.inc(),
            ReloadResult::Unchanged => unchanged.inc(),
        }
    }

    fn may_tell(&self, second: u64) -> bool {
        let next = |told: u64| {
            if told >> COUNT_BITS == second {
                (told & ((1 << COUNT_BITS) - 1) < MOST).then_some(told + 1)
            } else {
                Some((second << COUNT_BITS) + 1)
            }
        };
        self.told.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

/// Appends the difference's line, which the decision's own line has the same id as.
pub(super) fn append(outcome: &Outcome<'_>, difference: &ShadowDifference<'_>, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"event\":\"shadow_difference\",\"time\":");
    time(outcome.time, line);
    text(",\"request_id\":", outcome.request_id, line);
    number(",\"generation\":", outcome.generation, line);
    optional(",\"client\":", outcome.client, line);
    text(",\"method\":", outcome.method, line);
    text(",\"path\":", outcome.path, line);
    text(",\"was\":{\"decision\":", decision(difference.was), line);
    text(",\"reason\":", difference.was.as_str(), line);
    // `recent` knows a decision's line by its member after a comma.
    text("},\"would\":{\"decision\":", decision(difference.would), line);
    text(",\"reason\":", difference.would.as_str(), line);
    optional(",\"reported\":", difference.reported.map(Reason::as_str), line);
    optional(",\"granted_by\":", difference.granted_by, line);
    optional(",\"service\":", difference.service, line);
    quoted_list(",\"wanted\":", difference.wanted.iter().copied(), line);
    number(",\"generation\":", difference.generation, line);
    line.extend_from_slice(b"}}\n");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::outcome::tests::{outcome, policy};
    use crate::record::{AuditLine, Metrics};

    #[test]
    fn a_second_has_so_many_lines_and_the_rest_is_counted() {
        let metrics = Metrics::new().unwrap();
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let told = |second, times: u64| {
            let differ = || metrics.shadow().differed(Reason::Granted, Reason::ScopeInsufficient, at(second));
            (0..times).filter(|_| differ()).count() as u64
        };
        assert_eq!(told(1_700_000_000, MOST + 20), MOST);
        assert_eq!(told(1_700_000_001, MOST - 1), MOST - 1);
        assert_eq!(told(1_700_000_001, 3), 1);
        let text = metrics.render().unwrap();
        assert!(text.contains("scopegate_shadow_dropped_total 22\n"), "{text}");
        let all = 2 * MOST + 22;
        let series = "scopegate_shadow_differences_total{was=\"granted\",would=\"scope_insufficient\"}";
        assert!(text.contains(&format!("{series} {all}\n")), "{text}");
    }

    #[test]
    fn a_difference_is_an_event_and_no_decision() {
        let policy = policy();
        let difference = ShadowDifference {
            generation: 3,
            was: Reason::Granted,
            would: Reason::ScopeInsufficient,
            reported: None,
            granted_by: None,
            service: None,
            wanted: vec!["orders.read", "orders.\"x\""],
        };
        let mut line = Vec::new();
        append(&outcome(&policy), &difference, &mut line);
        assert!(AuditLine::parse(&line).unwrap().is_none());
        let recent = crate::record::recent::Recent::default();
        recent.keep(&line);
        assert!(recent.of("b3c1").is_empty());
        let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(read["was"], serde_json::json!({ "decision": "allow", "reason": "granted" }));
        let expected = serde_json::json!({
            "generation": 3, "decision": "deny", "reason": "scope_insufficient", "reported": null, "granted_by": null,
            "service": null, "wanted": ["orders.read", "orders.\"x\""],
        });
        assert_eq!(read["would"], expected);
    }
}
