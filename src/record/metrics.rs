//! Every metric of the process, in one registry. What moves them as things happen is in `events`.
//!
//! Names and labels are part of what users rely on. The series of an api or scope are made and
//! dropped with the policies that have it (`labels`).

mod events;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hashbrown::HashMap;
use prometheus::{
    GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use super::Outcome;
use super::audit::Dropped;
use super::connections::ConnectionEnd;
use super::denials::{Denials, Denied};
use super::exchanges::EndedExchanges;
use super::fleet::SharedSeries;
use super::labels::{Names, Series};
use super::line::decision;
use super::rates::RateBook;
use super::register::{DECISION_BUCKETS, MetricsUnmade, REQUEST_BUCKETS, Register};
use super::result::{CacheResult, ReloadResult};
use super::shadow::ShadowSeries;
use super::spans::SpanSeries;
use super::upstreams::UpstreamMetrics;
use super::usage::{Usage, UsageBook, Used};
use crate::policy::{ApiName, ClientId, Policy, Reason, ScopeName, UnixTime};
use crate::version::{COMMIT, VERSION};

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    decisions: IntCounterVec,
    reported: IntCounterVec,
    reporting_apis: IntGauge,
    shadow: ShadowSeries,
    spans: SpanSeries,
    decision_seconds: Histogram,
    request_seconds: HistogramVec,
    policy_generation: IntGauge,
    reloads: [IntCounter; 3],
    token_cache: [IntCounter; 3],
    issuer_fetches: IntCounterVec,
    introspections: IntCounterVec,
    issuer_keys_age: GaugeVec,
    scope_last_expiry: IntGaugeVec,
    deprecated_uses: IntCounterVec,
    audit_dropped: IntCounter,
    connections: IntGauge,
    connections_ended: [IntCounter; 5],
    ended_exchanges: EndedExchanges,
    authorizer_strangers: IntCounter,
    upstreams: UpstreamMetrics,
    panics: IntCounter,
    rates: RateBook,
    shared: SharedSeries,
    state: Mutex<State>,
    usage: UsageBook,
    denials: Denials,
}

/// What is turned into samples only when they are asked for, and who uses which series.
#[derive(Default)]
struct State {
    keys_fetched: HashMap<Box<str>, Instant>,
    apis: HashMap<ApiName, usize>,
    dropped: Option<Dropped>,
}

const DECISIONS: &str = "Requests, by api (empty where none was found), decision and reason code.";
const REPORTED: &str = "Requests that were let through as their api only reports, by why they would be refused.";
const REPORTING: &str = "Apis that let through what they refuse, in the policy in force.";
const DECISION: &str = "Time from a request's head to its decision, in seconds.";
const REQUEST: &str = "Time from a request's head to the end of its answer, in seconds.";
const GENERATION: &str = "Running number of the policy in force since the start of the process.";
const RELOADS: &str = "Reloads of the policy, by what became of them.";
const TOKEN_CACHE: &str = "Requests with a token, by what the cache of verified tokens had for it.";
const FETCHES: &str = "Fetches of an issuer's keys, by what became of them.";
const INTROSPECTIONS: &str = "Questions about tokens to their issuer, by what became of them.";
const KEYS_AGE: &str = "Time since an issuer's keys were last fetched and found good, in seconds.";
const SCOPE_EXPIRY: &str = "Latest expiry among the good tokens seen with a scope, in Unix time (seconds).";
const DEPRECATED_USES: &str = "Requests that a deprecated scope let through.";
const AUDIT_DROPPED: &str = "Audit lines lost because the queue was full or they could not be written.";
const CONNECTIONS: &str = "Connections of clients that are open.";
const CONNECTIONS_ENDED: &str = "Connections that ended before a request of theirs was judged, by why.";
const AUTHORIZER_STRANGERS: &str = "Questions to authorizers from addresses that may not ask.";
const PANICS: &str = "Faults of the program that ended what a thread or task was doing.";
const BUILD: &str = "Always 1; the labels are the version that runs and the commit it was built from.";

impl Metrics {
    /// Makes and registers every metric.
    ///
    /// # Errors
    /// If two have one name; it never happens with those below.
    pub fn new() -> Result<Arc<Self>, MetricsUnmade> {
        let register = Register::new();
        let reloads = register.counters("policy_reloads_total", RELOADS, &["result"])?;
        let cache = register.counters("token_cache_total", TOKEN_CACHE, &["result"])?;
        register.numbers_of("build_info", BUILD, &["version", "commit"])?.with_label_values(&[VERSION, COMMIT]).set(1);
        let ended = register.counters("connections_refused_total", CONNECTIONS_ENDED, &["reason"])?;
        let metrics = Self {
            decisions: register.counters("decisions_total", DECISIONS, &["api", "decision", "reason"])?,
            reported: register.counters("report_only_total", REPORTED, &["api", "reason"])?,
            reporting_apis: register.number("report_only_apis", REPORTING)?,
            shadow: ShadowSeries::new(&register)?,
            spans: SpanSeries::new(&register)?,
            decision_seconds: register.histogram("decision_seconds", DECISION, &DECISION_BUCKETS)?,
            request_seconds: register.histograms("request_seconds", REQUEST, &REQUEST_BUCKETS, "api")?,
            policy_generation: register.number("policy_generation", GENERATION)?,
            reloads: ReloadResult::ALL.map(|result| reloads.with_label_values(&[result.as_str()])),
            token_cache: CacheResult::ALL.map(|result| cache.with_label_values(&[result.as_str()])),
            issuer_fetches: register.counters("issuer_fetches_total", FETCHES, &["issuer", "result"])?,
            introspections: register.counters("introspections_total", INTROSPECTIONS, &["issuer", "result"])?,
            issuer_keys_age: register.gauges("issuer_keys_age_seconds", KEYS_AGE, "issuer")?,
            scope_last_expiry: register.numbers("scope_last_expiry_seconds", SCOPE_EXPIRY, "scope")?,
            audit_dropped: register.counter("audit_dropped_total", AUDIT_DROPPED)?,
            connections: register.number("connections", CONNECTIONS)?,
            connections_ended: ConnectionEnd::ALL.map(|end| ended.with_label_values(&[end.as_str()])),
            ended_exchanges: EndedExchanges::new(&register)?,
            authorizer_strangers: register.counter("authorizer_peers_refused_total", AUTHORIZER_STRANGERS)?,
            upstreams: UpstreamMetrics::new(&register)?,
            panics: register.counter("panics_total", PANICS)?,
            rates: RateBook::new(&register)?,
            shared: SharedSeries::new(&register)?,
            deprecated_uses: register.counters("deprecated_scope_uses_total", DEPRECATED_USES, &["scope"])?,
            state: Mutex::default(),
            usage: UsageBook::default(),
            denials: Denials::default(),
            registry: register.registry(),
        };
        Ok(Arc::new(metrics))
    }

    /// All samples, in the text format 0.0.4.
    ///
    /// # Errors
    /// If they cannot be written in it.
    pub fn render(&self) -> Result<String, MetricsUnmade> {
        let state = self.state();
        for (issuer, at) in &state.keys_fetched {
            self.issuer_keys_age.with_label_values(&[issuer]).set(at.elapsed().as_secs_f64());
        }
        for (scope, UnixTime(expiry)) in self.usage.last_expiries() {
            let expiry = i64::try_from(expiry).unwrap_or(i64::MAX);
            self.scope_last_expiry.with_label_values(&[scope.as_str()]).set(expiry);
        }
        for (scope, uses) in self.usage.deprecated_uses() {
            let counter = self.deprecated_uses.with_label_values(&[scope.as_str()]);
            counter.inc_by(uses.saturating_sub(counter.get()));
        }
        self.shared.refresh();
        if let Some(dropped) = &state.dropped {
            self.audit_dropped.inc_by(dropped.count().saturating_sub(self.audit_dropped.get()));
        }
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }

    /// A good token of this client carries these scopes until then. Scopes and clients that no policy
    /// has are passed over.
    pub fn token_seen<'a>(
        &self,
        scopes: impl Iterator<Item = &'a ScopeName>,
        client: Option<&str>,
        expires_at: UnixTime,
    ) {
        self.usage.token_seen(scopes, client, expires_at);
    }

    /// Every scope of the policies in use, and until when one of its tokens that were seen is good.
    pub fn scopes_carried(&self) -> Vec<(ScopeName, Option<UnixTime>)> {
        self.usage.scopes_carried()
    }

    /// What a scope or privilege was used for; `None` if no policy in use has it.
    pub fn scope_usage(&self, scope: &ScopeName) -> Option<Used> {
        self.usage.scope(scope)
    }

    /// What a client of the list was used for; `None` if no policy in use has it.
    pub fn client_usage(&self, client: &ClientId) -> Option<Used> {
        self.usage.client(client)
    }

    /// The clients of the list whose tokens were seen to carry the scope, and until when.
    pub fn scope_holders(&self, scope: &ScopeName) -> Vec<(ClientId, UnixTime)> {
        self.usage.holders(scope)
    }

    /// The last refusals, the newest first.
    pub fn denials(&self) -> Vec<Denied> {
        self.denials.list()
    }

    pub(super) fn denied(&self, outcome: &Outcome<'_>, names: &Names) {
        self.denials.put(outcome, names);
    }

    pub(super) fn count_dropped(&self, dropped: Dropped) {
        self.state().dropped = Some(dropped);
    }

    pub(super) fn decision_seconds(&self) -> Histogram {
        self.decision_seconds.clone()
    }

    /// The series of the api of this name; of none, if it is empty. Those of refusals that are only
    /// reported are made for apis that do so.
    pub(super) fn series(&self, api: &str, reports: bool) -> Series {
        let decision = |reason: &Reason| self.decisions.with_label_values(&[api, decision(*reason), reason.as_str()]);
        let reported = |reason: &Reason| self.reported.with_label_values(&[api, reason.as_str()]);
        Series {
            reported: Reason::ALL.iter().filter(|_| reports).map(reported).collect(),
            decisions: Reason::ALL.iter().map(decision).collect(),
            request_seconds: self.request_seconds.with_label_values(&[api]),
        }
    }

    /// The series of each api, which stay until as many policies have released its name as have
    /// taken it into use.
    pub(super) fn take_into_use(&self, names: &Names) -> Box<[Series]> {
        let mut state = self.state();
        for (api, _) in &names.apis {
            *state.apis.entry(api.clone()).or_default() += 1;
        }
        // Still under the lock, so that a release beside it cannot remove what is made here.
        names.apis.iter().map(|(api, reports)| self.series(api.as_str(), *reports)).collect()
    }

    /// The other half of [`Metrics::take_into_use`].
    pub(super) fn release(&self, names: &Names) {
        let mut state = self.state();
        for (api, _) in &names.apis {
            if let Some(policies) = state.apis.get_mut(api) {
                *policies -= 1;
                if *policies == 0 {
                    state.apis.remove(api);
                    self.remove_series(api.as_str());
                }
            }
        }
        // That there was no such series is as good.
        for scope in self.usage.forget_unused() {
            let _ = self.scope_last_expiry.remove_label_values(&[scope.as_str()]);
            let _ = self.deprecated_uses.remove_label_values(&[scope.as_str()]);
        }
    }

    /// The counters of a policy's names.
    pub(super) fn usage(&self, policy: &Policy) -> Usage {
        self.usage.adopt(policy)
    }

    fn remove_series(&self, api: &str) {
        // That there was no such series is as good.
        let _ = self.request_seconds.remove_label_values(&[api]);
        for reason in Reason::ALL {
            let _ = self.decisions.remove_label_values(&[api, decision(*reason), reason.as_str()]);
            let _ = self.reported.remove_label_values(&[api, reason.as_str()]);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
