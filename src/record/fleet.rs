//! The series of the state that gateways share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use prometheus::{Gauge, IntCounter, IntGauge, Result};

use super::register::Register;

/// What becomes of questions to the shared state that bring no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedFault {
    /// There is no connection, or it has ended.
    Unreachable,
    /// No answer came in time.
    Late,
    /// It was answered, with an error.
    Refused,
    /// What came was no answer to what was asked.
    Rubbish,
}

/// The series of the shared state.
#[derive(Debug)]
pub struct SharedSeries {
    connected: IntGauge,
    faults: [IntCounter; 4],
    lag: Gauge,
    /// When all that others have said was known last, in milliseconds since `since`; 0: never.
    heard: AtomicU64,
    since: Instant,
}

const CONNECTED: &str = "Whether the shared state is connected to: 1 if so.";
const FAULTS: &str = "Questions to the shared state that brought no good answer, by why.";
const LAG: &str =
    "Time since all that other gateways have revoked was known last, in seconds; 0 without a shared state.";

impl SharedFault {
    const ALL: [Self; 4] = [Self::Unreachable, Self::Late, Self::Refused, Self::Rubbish];

    fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Late => "late",
            Self::Refused => "refused",
            Self::Rubbish => "rubbish",
        }
    }
}

impl SharedSeries {
    pub(super) fn new(register: &Register) -> Result<Self> {
        let faults = register.counters("shared_state_errors_total", FAULTS, &["error"])?;
        let lag = register.gauge("shared_state_lag_seconds", LAG)?;
        Ok(Self {
            connected: register.number("shared_state_connected", CONNECTED)?,
            faults: SharedFault::ALL.map(|fault| faults.with_label_values(&[fault.as_str()])),
            lag,
            heard: AtomicU64::new(0),
            since: Instant::now(),
        })
    }

    /// Whether it is connected to.
    pub fn connected(&self, connected: bool) {
        self.connected.set(connected.into());
    }

    /// A question brought no good answer.
    pub fn failed(&self, fault: SharedFault) {
        let [unreachable, late, refused, rubbish] = &self.faults;
        match fault {
            SharedFault::Unreachable => unreachable.inc(),
            SharedFault::Late => late.inc(),
            SharedFault::Refused => refused.inc(),
            SharedFault::Rubbish => rubbish.inc(),
        }
    }

    /// Then all that others had said was known.
    pub fn heard(&self, at: Instant) {
        let passed = at.saturating_duration_since(self.since).as_millis();
        self.heard.fetch_max(u64::try_from(passed).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }

    /// There is no shared state any more.
    pub fn gone(&self) {
        self.connected.set(0);
        self.heard.store(0, Ordering::Relaxed);
    }

    /// Works out what is asked for.
    pub(super) fn refresh(&self) {
        let heard = self.heard.load(Ordering::Relaxed);
        let passed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a process's life")]
        let lag = if heard == 0 { 0.0 } else { passed.saturating_sub(heard) as f64 / 1000.0 };
        self.lag.set(lag);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::record::{Metrics, SharedFault};

    #[test]
    fn the_lag_grows_from_when_others_were_heard_last() {
        let metrics = Metrics::new().unwrap();
        let value = |series: &str| {
            let text = metrics.render().unwrap();
            text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok()).unwrap()
        };
        assert!(value("scopegate_shared_state_lag_seconds") < f64::EPSILON);
        let series = metrics.shared();
        series.connected(true);
        series.failed(SharedFault::Late);
        series.heard(series.since);
        std::thread::sleep(Duration::from_millis(30));
        assert!(value("scopegate_shared_state_lag_seconds") > 0.01);
        assert!((value("scopegate_shared_state_connected") - 1.0).abs() < f64::EPSILON);
        assert!((value("scopegate_shared_state_errors_total{error=\"late\"}") - 1.0).abs() < f64::EPSILON);
    }
}
