//! The memory of proofs that were used: none is taken twice (RFC 9449 section 11.1).
//!
//! It is bounded, and fails closed: when it is full of proofs that are still good, no other is taken. A proof
//! ages by both clocks, so that one is not forgotten because the time was set forth for a while; and where what
//! was forgotten would be good again because it was set back, nothing that old is taken.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::moment::Moment;
use crate::policy::UnixTime;

/// Proofs that were used and are still good, by [`Proof::id`](crate::token::Proof::id).
pub(super) struct Replays {
    shards: Box<[Mutex<Shard>]>,
    most: usize,
}

/// What a proof that is good in itself comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is new, and remembered from now on.
    New,
    /// It was used before.
    Used,
    /// Nobody can tell: there is no place to remember it.
    Full,
    /// Nobody can tell: proofs that were good as long as it is have been forgotten.
    Forgotten,
}

#[derive(Default)]
struct Shard {
    used: HashMap<[u8; 32], Used>,
    swept: Option<Moment>,
    /// The latest end of what was forgotten.
    forgotten: Option<UnixTime>,
}

/// Until when a proof that was used is good, and by the clock that is never set, until when at least.
#[derive(Clone, Copy)]
struct Used {
    until: UnixTime,
    at_least: Instant,
}

/// As long as a proof is remembered by the clock that is never set, in seconds.
const LONGEST: u64 = 24 * 60 * 60;

const SHARDS: usize = 16;

/// About 20 MB when it is full, and over 2000 proofs a second where each is good for two minutes.
const MOST: usize = 1 << 18;

impl Replays {
    pub(super) fn new() -> Self {
        Self::of(MOST)
    }

    fn of(most: usize) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), most: most / SHARDS }
    }

    /// Takes a proof that nobody could use after `until`.
    pub(super) fn admit(&self, id: [u8; 32], until: UnixTime, now: Moment) -> Admission {
        // INVARIANT: there is a shard for each remainder.
        let Some(shard) = self.shards.get(usize::from(id[0]) % SHARDS) else { return Admission::Full };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.used.contains_key(&id) {
            return Admission::Used;
        }
        if shard.used.len() >= self.most {
            shard.sweep(now);
        }
        if shard.forgotten.is_some_and(|forgotten| until <= forgotten) {
            return Admission::Forgotten;
        }
        if shard.used.len() >= self.most {
            return Admission::Full;
        }
        let left = Duration::from_secs(until.0.saturating_sub(now.time.0).min(LONGEST));
        shard.used.insert(id, Used { until, at_least: now.instant + left });
        Admission::New
    }
}

impl Shard {
    /// Forgets what is no longer good; at most once a second, for that is how times differ.
    fn sweep(&mut self, now: Moment) {
        if self.swept.is_some_and(|swept| swept.time == now.time) {
            return;
        }
        let forgotten = &mut self.forgotten;
        self.used.retain(|_, used| {
            let is_good = now.time <= used.until || now.instant <= used.at_least;
            if !is_good {
                *forgotten = (*forgotten).max(Some(used.until));
            }
            is_good
        });
        self.swept = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> [u8; 32] {
        let mut id = [0; 32];
        id[28..].copy_from_slice(&number.to_be_bytes());
        id
    }

    #[track_caller]
    fn check(replays: &Replays, number: u32, until: u64, now: Moment, expected: Admission) {
        assert_eq!(replays.admit(id(number), UnixTime(until), now), expected, "{number} at {now:?}");
    }

    /// What the two clocks say: the time, and how many seconds have passed.
    fn clocks() -> impl Fn(u64, u64) -> Moment {
        let start = Instant::now();
        move |time, passed| Moment { time: UnixTime(time), instant: start + Duration::from_secs(passed) }
    }

    #[test]
    fn a_proof_is_taken_once_as_long_as_it_is_good() {
        let (replays, at) = (Replays::new(), clocks());
        for (seconds, admission) in [(0, Admission::New), (0, Admission::Used), (60, Admission::Used)] {
            check(&replays, 1, 70, at(10 + seconds, seconds), admission);
        }
        check(&replays, 2, 70, at(10, 0), Admission::New);
    }

    #[test]
    fn a_full_memory_refuses_until_something_expires() {
        let (replays, at) = (Replays::of(4 * SHARDS), clocks());
        for number in 0..4 {
            check(&replays, number, 70 + u64::from(number), at(10, 0), Admission::New);
        }
        for (seconds, admission) in
            [(0, Admission::Full), (60, Admission::Full), (61, Admission::New), (61, Admission::Used)]
        {
            check(&replays, 9, 200, at(10 + seconds, seconds), admission);
        }
        // What is still good is remembered through the sweep.
        check(&replays, 3, 73, at(72, 62), Admission::Used);
    }

    #[test]
    fn a_proof_is_not_forgotten_because_the_clock_was_set_forth() {
        let (replays, at) = (Replays::of(4 * SHARDS), clocks());
        for number in 0..4 {
            check(&replays, number, 1090, at(1000, 0), Admission::New);
        }
        // An hour ahead, and full: nothing is as old as it seems.
        check(&replays, 9, 4690, at(4605, 5), Admission::Full);
        check(&replays, 0, 1090, at(1010, 10), Admission::Used);
        check(&replays, 9, 1100, at(1010, 10), Admission::Full);
        // Room is made by those that are over by both.
        check(&replays, 9, 1181, at(1091, 91), Admission::New);
    }

    #[test]
    fn what_was_forgotten_is_not_taken_again_because_the_clock_was_set_back() {
        let (replays, at) = (Replays::of(4 * SHARDS), clocks());
        for number in 0..4 {
            check(&replays, number, 1090, at(1000, 0), Admission::New);
        }
        check(&replays, 9, 1290, at(1200, 200), Admission::New);
        // Set back: the first four would be good once more, and whether they were used nobody knows.
        for number in 0..4 {
            check(&replays, number, 1090, at(1000, 201), Admission::Forgotten);
        }
        check(&replays, 9, 1290, at(1210, 210), Admission::Used);
        check(&replays, 10, 1091, at(1001, 202), Admission::New);
    }

    #[test]
    fn a_proof_stays_used_when_the_rules_let_proofs_be_older() {
        let (replays, at) = (Replays::new(), clocks());
        check(&replays, 1, 90, at(10, 0), Admission::New);
        check(&replays, 1, 610, at(100, 90), Admission::Used);
    }
}
