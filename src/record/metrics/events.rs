//! What happens in the process, each by a method that moves its metric.

use std::time::Instant;

use super::Metrics;
use crate::record::connections::ConnectionEnd;
use crate::record::exchanges::EndedExchanges;
use crate::record::fleet::SharedSeries;
use crate::record::rates::RateBook;
use crate::record::result::{CacheResult, FetchResult, IntrospectionResult, ReloadResult};
use crate::record::shadow::ShadowSeries;
use crate::record::spans::SpanSeries;
use crate::record::upstreams::UpstreamSeries;

impl Metrics {
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
}
