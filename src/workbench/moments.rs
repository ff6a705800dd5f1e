//! Times as people read them.

use std::time::Duration;

use jiff::Timestamp;

use crate::policy::UnixTime;

/// RFC 3339 in UTC; the number itself where it is beyond any calendar.
pub(super) fn moment(at: UnixTime) -> String {
    let timestamp = i64::try_from(at.0).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.map_or_else(|| at.0.to_string(), |timestamp| timestamp.to_string())
}

/// How long ago, or how far ahead; the two greatest units.
pub(super) fn since(at: UnixTime, now: UnixTime) -> String {
    let (early, late) = (at.min(now), at.max(now));
    let text = humantime::format_duration(Duration::from_secs(late.0 - early.0)).to_string();
    let text: Vec<_> = text.split(' ').take(2).collect();
    if at <= now { format!("{} ago", text.join(" ")) } else { format!("in {}", text.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_utc_and_by_their_distance() {
        assert_eq!(moment(UnixTime(1_800_000_000)), "2027-01-15T08:00:00Z");
        assert_eq!(moment(UnixTime(u64::MAX)), u64::MAX.to_string());
        let now = UnixTime(1_800_000_000);
        for (at, expected) in [(0, "0s ago"), (90, "in 1m 30s"), (3_661, "in 1h 1m")] {
            assert_eq!(since(UnixTime(now.0 + at), now), expected);
        }
        assert_eq!(since(UnixTime(now.0 - 7200), now), "2h ago");
    }
}
