//! Every metric of the process, in one registry, and the handles that others move them by.
//!
//! Names and labels are part of what users rely on. The series of an api or scope are made and
//! dropped with the policies that have it (`labels`).

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
use super::result::{CacheResult, FetchResult, IntrospectionResult, ReloadResult};
use super::shadow::ShadowSeries;
use super::spans::SpanSeries;
use super::upstreams::{UpstreamMetrics, UpstreamSeries};
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

    /// The issuer's keys were fetched (or read) and found good.
    pub fn issuer_keys_fetched(&self, issuer: &str, at: Instant) {
        self.state().keys_fetched.insert(issuer.into(), at);
    }

    /// The issuer is in no policy any more.
    pub fn issuer_forgotten(&self, issuer: &str) {
        let mut state = self.state();
        state.keys_fetched.remove(issuer);
        // That there was no such series is as good.
        let _ = self.issuer_keys_age.remove_label_values(&[issuer]);
        for result in FetchResult::ALL {
            let _ = self.issuer_fetches.remove_label_values(&[issuer, result.as_str()]);
        }
        for result in IntrospectionResult::ALL {
            let _ = self.introspections.remove_label_values(&[issuer, result.as_str()]);
        }
    }

    /// A fetch of the issuer's keys has ended.
    pub fn issuer_fetch(&self, issuer: &str, result: FetchResult) {
        self.issuer_fetches.with_label_values(&[issuer, result.as_str()]).inc();
    }

    /// A question about a token to its issuer has ended.
    pub fn introspection(&self, issuer: &str, result: IntrospectionResult) {
        self.introspections.with_label_values(&[issuer, result.as_str()]).inc();
    }

    /// A connection is open.
    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    /// It is open no more.
    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// A connection ended before a request of it was judged.
    pub fn connection_ended(&self, end: ConnectionEnd) {
        let [too_many, too_many_of_address, handshake, head_timeout, head_too_large] = &self.connections_ended;
        match end {
            ConnectionEnd::TooMany => too_many.inc(),
            ConnectionEnd::TooManyOfAddress => too_many_of_address.inc(),
            ConnectionEnd::Handshake => handshake.inc(),
            ConnectionEnd::HeadTimeout => head_timeout.inc(),
            ConnectionEnd::HeadTooLarge => head_too_large.inc(),
        }
    }

    /// The exchanges that were ended.
    pub fn ended_exchanges(&self) -> &EndedExchanges {
        &self.ended_exchanges
    }

    /// The series of the upstream of this name.
    pub fn upstream(&self, name: &str) -> UpstreamSeries {
        self.upstreams.series(name)
    }

    /// The upstream is in no policy any more.
    pub fn upstream_forgotten(&self, name: &str) {
        self.upstreams.forget(name);
    }

    /// Somebody asked an authorizer who may not.
    pub fn authorizer_stranger(&self) {
        self.authorizer_strangers.inc();
    }

    /// A fault of the program has ended what a thread or task was doing.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// The cache of verified tokens was asked.
    pub fn token_cache(&self, result: CacheResult) {
        let [hit, miss, stale] = &self.token_cache;
        match result {
            CacheResult::Hit => hit.inc(),
            CacheResult::Miss => miss.inc(),
            CacheResult::Stale => stale.inc(),
        }
    }

    /// This generation is in force, of whose apis so many only report.
    pub fn policy_generation(&self, number: u64, reporting_apis: usize) {
        self.policy_generation.set(i64::try_from(number).unwrap_or(i64::MAX));
        self.reporting_apis.set(i64::try_from(reporting_apis).unwrap_or(i64::MAX));
    }

    /// What rate limits have come to.
    pub fn rates(&self) -> &RateBook {
        &self.rates
    }

    /// The series of the state that gateways share.
    pub fn shared(&self) -> &SharedSeries {
        &self.shared
    }

    /// The series of candidates.
    pub fn shadow(&self) -> &ShadowSeries {
        &self.shadow
    }

    /// The series of spans.
    pub fn spans(&self) -> &SpanSeries {
        &self.spans
    }

    /// A reload has ended.
    pub fn policy_reload(&self, result: ReloadResult) {
        let [accepted, refused, unchanged] = &self.reloads;
        match result {
            ReloadResult::Accepted => accepted.inc(),
            ReloadResult::Refused => refused.inc(),
            ReloadResult::Unchanged => unchanged.inc(),
        }
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
