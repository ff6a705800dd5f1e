//! How many spans went where.

use prometheus::{IntCounter, Result};

use super::register::Register;

const EXPORTED: &str = "Spans of requests that the collector of traces took.";
const DROPPED: &str = "Spans of requests that were lost: no room to wait, or the collector did not take them.";

/// The series of spans.
#[derive(Debug, Clone)]
pub struct SpanSeries {
    exported: IntCounter,
    dropped: IntCounter,
}

impl SpanSeries {
    pub(super) fn new(register: &Register) -> Result<Self> {
        Ok(Self {
            exported: register.counter("spans_exported_total", EXPORTED)?,
            dropped: register.counter("spans_dropped_total", DROPPED)?,
        })
    }

    /// The collector took so many.
    pub fn exported(&self, spans: u64) {
        self.exported.inc_by(spans);
    }

    /// So many are lost.
    pub fn dropped(&self, spans: u64) {
        self.dropped.inc_by(spans);
    }
}
