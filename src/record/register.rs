//! How a metric is made: under the process's prefix, and registered at once.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, Result,
};
use thiserror::Error;

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
