//! Exchanges that were ended while they went on, as what had let them through was no more.
//!
//! Which are, and when, is the gateway's.

use prometheus::IntCounterVec;

use super::register::{MetricsUnmade, Register};
use crate::policy::Reason;

const ENDED: &str = "Exchanges that were ended as what let them through was no more, by why one would be refused.";

/// How many exchanges were ended, by why.
#[derive(Debug)]
pub struct EndedExchanges(IntCounterVec);

impl EndedExchanges {
    /// # Errors
    /// If there is a metric of that name.
    pub(super) fn new(register: &Register) -> Result<Self, MetricsUnmade> {
        let counters = register.counters("ended_exchanges_total", ENDED, &["reason"])?;
        // What tokens come to by themselves is there from the start, so that a rate begins at nothing.
        for reason in [Reason::TokenExpired, Reason::TokenRevoked] {
            counters.with_label_values(&[reason.as_str()]);
        }
        Ok(Self(counters))
    }

    /// One more, for this.
    pub fn count(&self, why: Reason) {
        self.0.with_label_values(&[why.as_str()]).inc();
    }
}
