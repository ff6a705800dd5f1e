//! When something happens, by two clocks: the one on the wall, which tokens are judged by and which may be
//! set, and one that only goes on, by which what is remembered ages.

use std::time::{Duration, Instant, SystemTime};

use crate::policy::UnixTime;

/// When something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What the system's clock says. It may be set back and forth.
    pub time: UnixTime,
    /// The same moment by the clock that is never set.
    pub instant: Instant,
}

/// A time span that ends when either clock says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    from: Moment,
    until: UnixTime,
}

impl Moment {
    /// That of these two clocks. A clock before 1970 makes every token expired rather than good.
    pub fn of(time: SystemTime, instant: Instant) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        Self { time: UnixTime(since.map_or(u64::MAX, |since| since.as_secs())), instant }
    }

    /// Now.
    pub fn now() -> Self {
        Self::of(SystemTime::now(), Instant::now())
    }
}

impl Span {
    /// From then until that time.
    pub(super) fn new(from: Moment, until: UnixTime) -> Self {
        Self { from, until }
    }

    /// From then on for so many seconds.
    pub(super) fn of(from: Moment, seconds: u64) -> Self {
        Self::new(from, UnixTime(from.time.0.saturating_add(seconds)))
    }

    /// Whether it has not ended. A clock that is set back makes it no longer.
    pub(super) fn lasts(self, now: Moment) -> bool {
        let seconds = self.until.0.saturating_sub(self.from.time.0);
        now.time < self.until && now.instant.saturating_duration_since(self.from.instant) < Duration::from_secs(seconds)
    }

    /// The same, for what was found by a clock that may have been wrong: nothing is left of it when that is set back.
    pub(super) fn lasts_by_the_same_clock(self, now: Moment) -> bool {
        self.from.time <= now.time && self.lasts(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_ends_by_either_clock_and_is_no_longer_when_one_is_set_back() {
        let start = Instant::now();
        let at = |time: u64, passed: u64| Moment { time: UnixTime(time), instant: start + Duration::from_secs(passed) };
        let span = Span::of(at(1000, 0), 30);
        for (now, lasts, by_the_same_clock) in [
            (at(1000, 0), true, true),
            (at(1029, 29), true, true),
            (at(1030, 30), false, false),
            // Set forth, and back again.
            (at(4600, 1), false, false),
            (at(1002, 2), true, true),
            (at(1031, 2), false, false),
            // Set back.
            (at(500, 29), true, false),
            (at(500, 30), false, false),
            (at(0, 4000), false, false),
        ] {
            assert_eq!((span.lasts(now), span.lasts_by_the_same_clock(now)), (lasts, by_the_same_clock), "{now:?}");
        }
        assert!(!Span::new(at(1000, 0), UnixTime(900)).lasts(at(1000, 0)));
        assert!(Span::of(at(1000, 0), u64::MAX).lasts(at(1 << 40, 1000)));
    }
}
