//! The series of upstreams: requests, servers, checks, ejections and retries.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Result};

use super::connections::Handshake;
use super::register::Register;

const REQUESTS: &str = "Requests that are under way, by upstream.";
const SHED: &str = "Requests refused because their upstream had as many under way as it may, by upstream.";
const SERVERS: &str =
    "Addresses of servers by upstream and state: usable, unhealthy (failed checks), ejected (failed requests).";
const CHECKS: &str = "Checks of servers, by upstream and result.";
const EJECTIONS: &str = "Servers that got no requests for a while because they failed them, by upstream.";
const RETRIES: &str =
    "Requests that a server did not answer and that may be sent again, by upstream and result: retried, over_budget.";

const HANDSHAKES: &str = "Handshakes with servers that have failed, by upstream and protocol: tls, http2.";

const PROTOCOLS: [Handshake; 2] = [Handshake::Tls, Handshake::Http2];
const STATES: [&str; 3] = ["usable", "unhealthy", "ejected"];
const CHECKED: [&str; 2] = ["passed", "failed"];
const RETRIED: [&str; 2] = ["retried", "over_budget"];

/// The series of all upstreams.
#[derive(Debug)]
pub(super) struct UpstreamMetrics {
    requests: IntGaugeVec,
    shed: IntCounterVec,
    servers: IntGaugeVec,
    checks: IntCounterVec,
    ejections: IntCounterVec,
    retries: IntCounterVec,
    handshakes: IntCounterVec,
}

/// The series of one upstream.
#[derive(Debug, Clone)]
pub struct UpstreamSeries {
    requests: IntGauge,
    shed: IntCounter,
    servers: [IntGauge; 3],
    checks: [IntCounter; 2],
    ejections: IntCounter,
    retries: [IntCounter; 2],
    handshakes: [IntCounter; 2],
}

impl UpstreamMetrics {
    pub(super) fn new(register: &Register) -> Result<Self> {
        Ok(Self {
            requests: register.numbers("upstream_requests", REQUESTS, "upstream")?,
            shed: register.counters("upstream_requests_shed_total", SHED, &["upstream"])?,
            servers: register.numbers_of("upstream_servers", SERVERS, &["upstream", "state"])?,
            checks: register.counters("upstream_checks_total", CHECKS, &["upstream", "result"])?,
            ejections: register.counters("upstream_ejections_total", EJECTIONS, &["upstream"])?,
            retries: register.counters("upstream_retries_total", RETRIES, &["upstream", "result"])?,
            handshakes: register.counters("upstream_handshakes_failed_total", HANDSHAKES, &["upstream", "protocol"])?,
        })
    }

    pub(super) fn series(&self, name: &str) -> UpstreamSeries {
        UpstreamSeries {
            requests: self.requests.with_label_values(&[name]),
            shed: self.shed.with_label_values(&[name]),
            servers: STATES.map(|state| self.servers.with_label_values(&[name, state])),
            checks: CHECKED.map(|result| self.checks.with_label_values(&[name, result])),
            ejections: self.ejections.with_label_values(&[name]),
            retries: RETRIED.map(|result| self.retries.with_label_values(&[name, result])),
            handshakes: PROTOCOLS.map(|protocol| self.handshakes.with_label_values(&[name, protocol.as_str()])),
        }
    }

    /// The upstream is in no policy any more.
    pub(super) fn forget(&self, name: &str) {
        // That there was no such series is as good.
        let _ = self.requests.remove_label_values(&[name]);
        let _ = self.shed.remove_label_values(&[name]);
        let _ = self.ejections.remove_label_values(&[name]);
        for state in STATES {
            let _ = self.servers.remove_label_values(&[name, state]);
        }
        for result in CHECKED {
            let _ = self.checks.remove_label_values(&[name, result]);
        }
        for protocol in PROTOCOLS {
            let _ = self.handshakes.remove_label_values(&[name, protocol.as_str()]);
        }
        for result in RETRIED {
            let _ = self.retries.remove_label_values(&[name, result]);
        }
    }
}

impl UpstreamSeries {
    /// A request to it is under way.
    pub fn begun(&self) {
        self.requests.inc();
    }

    /// It is no more.
    pub fn ended(&self) {
        self.requests.dec();
    }

    /// A request was refused because there were as many as may be.
    pub fn shed(&self) {
        self.shed.inc();
    }

    /// How many addresses of its servers are how.
    pub fn servers(&self, usable: usize, unhealthy: usize, ejected: usize) {
        for (series, count) in self.servers.iter().zip([usable, unhealthy, ejected]) {
            series.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// A handshake with one of its servers has failed.
    pub fn handshake_failed(&self, handshake: Handshake) {
        let [tls, http2] = &self.handshakes;
        match handshake {
            Handshake::Tls => tls.inc(),
            Handshake::Http2 => http2.inc(),
        }
    }

    /// A server was checked.
    pub fn checked(&self, passed: bool) {
        let [good, bad] = &self.checks;
        if passed { good.inc() } else { bad.inc() }
    }

    /// A server gets no requests for a while.
    pub fn ejected(&self) {
        self.ejections.inc();
    }

    /// A request that was not answered is sent again, or is not because there were too many.
    pub fn retried(&self, is_sent: bool) {
        let [sent, unsent] = &self.retries;
        if is_sent { sent.inc() } else { unsent.inc() }
    }
}
