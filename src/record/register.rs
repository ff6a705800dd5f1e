//! How a metric is made: under the process's prefix, and registered at once.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, Result,
};
use thiserror::Error;

/// From a cached verdict, a microsecond, to a signature and a remote introspection.
pub(super) const DECISION_BUCKETS: [f64; 16] = [
    0.000_001, 0.000_002, 0.000_003, 0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.005,
    0.02, 0.1, 0.5, 2.0,
];
/// From a refusal to an upstream that takes its time.
pub(super) const REQUEST_BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// The registry refused a metric: two have one name, which is a mistake of this program.
#[derive(Debug, Error)]
#[error("the metrics cannot be registered: {0}")]
pub struct MetricsUnmade(#[from] prometheus::Error);

/// A registry under construction.
pub(super) struct Register(Registry);

impl Register {
    pub(super) fn new() -> Self {
        Self(Registry::new())
    }

    /// What was made.
    pub(super) fn registry(self) -> Registry {
        self.0
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.add(IntCounter::with_opts(options(name, help))?)
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.add(IntCounterVec::new(options(name, help), labels)?)
    }

    pub(super) fn number(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.add(IntGauge::with_opts(options(name, help))?)
    }

    pub(super) fn numbers(&self, name: &str, help: &str, label: &str) -> Result<IntGaugeVec> {
        self.numbers_of(name, help, &[label])
    }

    pub(super) fn numbers_of(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(options(name, help), labels)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<Gauge> {
        self.add(Gauge::with_opts(options(name, help))?)
    }

    pub(super) fn gauges(&self, name: &str, help: &str, label: &str) -> Result<GaugeVec> {
        self.add(GaugeVec::new(options(name, help), &[label])?)
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram> {
        self.add(Histogram::with_opts(histogram_options(name, help, buckets))?)
    }

    pub(super) fn histograms(&self, name: &str, help: &str, buckets: &[f64], label: &str) -> Result<HistogramVec> {
        self.add(HistogramVec::new(histogram_options(name, help, buckets), &[label])?)
    }

    fn add<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("scopegate")
}

fn histogram_options(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).namespace("scopegate").buckets(buckets.to_vec())
}
