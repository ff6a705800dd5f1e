//! How large a request's body may get, and how slowly it may come.
//!
//! How long one piece of it may take is `proxy`'s.

use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

/// For so long the pace does not count.
const GRACE: Duration = Duration::from_secs(5);

/// What has come of a body.
#[derive(Debug, Default)]
pub(super) struct BodyMeter {
    /// In bytes; `None`: any number.
    most: Option<u64>,
    /// In bytes; 0: any.
    per_second: usize,
    came: u64,
    /// When the first of it came.
    since: Option<Instant>,
}

/// What is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// There are more bytes than may be.
    Large,
    /// They come more slowly than they must.
    Slow,
}

impl BodyMeter {
    pub(super) fn new(most: Option<u64>, per_second: usize) -> Self {
        Self { most, per_second, ..Self::default() }
    }

    /// It may come as slowly as it likes.
    pub(super) fn may_pause(&mut self) {
        self.per_second = 0;
    }

    /// Whether the body is too large by what its head says.
    pub(super) fn is_exceeded_by(&self, headers: &HeaderMap) -> bool {
        let Some(most) = self.most else { return false };
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        // INVARIANT: a length is made of digits; one that does not fit is larger than all.
        length.is_some_and(|length| length.parse::<u64>().map_or(true, |length| length > most))
    }

    /// Counts a piece that came now.
    ///
    /// # Errors
    /// If it is too much, or too little in the time that it took.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) -> Result<(), Excess> {
        self.came = self.came.saturating_add(bytes as u64);
        if self.most.is_some_and(|most| self.came > most) {
            return Err(Excess::Large);
        }
        let since = *self.since.get_or_insert(now);
        let counted = now.saturating_duration_since(since).saturating_sub(GRACE);
        if self.came < (self.per_second as u64).saturating_mul(counted.as_secs()) { Err(Excess::Slow) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_have_as_much_as_it_may_and_no_byte_more() {
        let now = Instant::now();
        let mut meter = BodyMeter::new(Some(10), 0);
        assert_eq!((meter.take(4, now), meter.take(6, now), meter.take(0, now)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(meter.take(1, now), Err(Excess::Large));
        assert_eq!(BodyMeter::new(None, 0).take(usize::MAX, now), Ok(()));
    }

    #[test]
    fn what_a_head_declares_counts_before_the_body_comes() {
        for (length, most, expected) in [
            (Some("10"), Some(10), false),
            (Some("11"), Some(10), true),
            (Some("18446744073709551616"), Some(u64::MAX), true),
            (Some("11"), None, false),
            (None, Some(0), false),
        ] {
            let headers = length.map(|length| (CONTENT_LENGTH, length.parse().unwrap())).into_iter().collect();
            assert_eq!(BodyMeter::new(most, 0).is_exceeded_by(&headers), expected, "{length:?} {most:?}");
        }
    }

    #[test]
    fn a_body_that_trickles_ends_though_no_piece_of_it_is_late() {
        let start = Instant::now();
        let mut meter = BodyMeter::new(None, 100);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(meter.take(1, at(0)), Ok(()));
        assert_eq!(meter.take(1, at(5)), Ok(()));
        assert_eq!(meter.take(98, at(6)), Ok(()));
        assert_eq!(meter.take(1, at(7)), Err(Excess::Slow));
        let mut pausing = BodyMeter::new(None, 100);
        pausing.may_pause();
        for mut patient in [BodyMeter::new(None, 0), pausing] {
            assert_eq!((patient.take(1, at(0)), patient.take(1, at(3600))), (Ok(()), Ok(())));
        }
    }
}
