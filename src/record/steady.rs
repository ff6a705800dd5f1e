//! What time it surely is: for what is given up for good when its time is over, which a clock that was set
//! forth for a while must not bring about.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::policy::UnixTime;

/// A clock that is set forth is believed after twice this at the latest, and never before once this.
const DOUBT: Duration = Duration::from_secs(12 * 60 * 60);

/// The time by the earliest reading of the last `DOUBT` and of now, told on by the clock that is never set.
#[must_use]
pub fn steady_now() -> UnixTime {
    static READINGS: Mutex<Option<(Instant, Readings)>> = Mutex::new(None);
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut readings = READINGS.lock().unwrap_or_else(PoisonError::into_inner);
    let (start, readings) = readings.get_or_insert_with(|| (Instant::now(), Readings::new(wall)));
    UnixTime(readings.read(start.elapsed(), wall).as_secs())
}

/// How far the clock was ahead of the one that is never set, at the least, since a while ago.
struct Readings {
    since: Duration,
    least: Duration,
    /// Of the while before.
    least_before: Duration,
}

impl Readings {
    /// Of a clock that has just begun, when the other says this.
    fn new(wall: Duration) -> Self {
        Self { since: Duration::ZERO, least: wall, least_before: wall }
    }

    /// What time it surely is, when the one clock says this and the other that.
    fn read(&mut self, elapsed: Duration, wall: Duration) -> Duration {
        let ahead = wall.saturating_sub(elapsed);
        if elapsed.saturating_sub(self.since) >= DOUBT {
            (self.since, self.least_before, self.least) = (elapsed, self.least, ahead);
        }
        self.least = self.least.min(ahead);
        self.least.min(self.least_before) + elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    #[test]
    fn a_clock_that_is_set_forth_is_believed_when_it_stays_so_and_one_set_back_at_once() {
        let seconds = Duration::from_secs;
        let start = 1000 * HOUR;
        let mut readings = Readings::new(seconds(start));
        // Hours since the start, what the clock is off by, and what is believed of that.
        for (passed, off, believed) in [
            (0, 0, 0),
            (1, 0, 0),
            (2, 5, 0),
            (11, 5, 0),
            (13, 5, 0),
            (14, 0, 0),
            (15, 5, 0),
            (25, 5, 0),
            (26, 5, 0),
            (38, 5, 5),
            (39, 5, 5),
            (40, 1, 1),
            (41, 5, 1),
        ] {
            let found = readings.read(seconds(passed * HOUR), seconds(start + (passed + off) * HOUR));
            assert_eq!(found, seconds(start + (passed + believed) * HOUR), "after {passed} hours");
        }
        // Before the start, and before 1970.
        assert_eq!(readings.read(seconds(42 * HOUR), seconds(HOUR)), seconds(42 * HOUR));
    }

    #[test]
    fn it_is_now() {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert!((since - 5..=since + 5).contains(&steady_now().0));
    }
}
