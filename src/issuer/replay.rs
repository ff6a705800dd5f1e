//! The memory of proofs that were used: none is taken twice (RFC 9449 section 11.1).
//!
//! It is bounded, and fails closed: when it is full of proofs that are still good, no other is taken.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;

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
}

#[derive(Default)]
struct Shard {
    until: HashMap<[u8; 32], UnixTime>,
    swept: UnixTime,
}

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
    pub(super) fn admit(&self, id: [u8; 32], until: UnixTime, now: UnixTime) -> Admission {
        // INVARIANT: there is a shard for each remainder.
        let Some(shard) = self.shards.get(usize::from(id[0]) % SHARDS) else { return Admission::Full };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.until.get(&id).is_some_and(|until| now <= *until) {
            return Admission::Used;
        }
        if shard.until.len() >= self.most {
            shard.sweep(now);
        }
        if shard.until.len() >= self.most && !shard.until.contains_key(&id) {
            return Admission::Full;
        }
        shard.until.insert(id, until);
        Admission::New
    }
}

impl Shard {
    /// Forgets what is no longer good; at most once a second, for that is how times differ.
    fn sweep(&mut self, now: UnixTime) {
        if self.swept < now {
            self.until.retain(|_, until| now <= *until);
            self.swept = now;
        }
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

    #[test]
    fn a_proof_is_taken_once_as_long_as_it_is_good() {
        let replays = Replays::new();
        for (at, admission) in [(10, Admission::New), (10, Admission::Used), (70, Admission::Used)] {
            assert_eq!(replays.admit(id(1), UnixTime(70), UnixTime(at)), admission, "{at}");
        }
        assert_eq!(replays.admit(id(2), UnixTime(70), UnixTime(10)), Admission::New);
    }

    #[test]
    fn a_full_memory_refuses_until_something_expires() {
        let replays = Replays::of(4 * SHARDS);
        for number in 0..4 {
            assert_eq!(replays.admit(id(number), UnixTime(70 + u64::from(number)), UnixTime(10)), Admission::New);
        }
        for (at, admission) in
            [(10, Admission::Full), (70, Admission::Full), (71, Admission::New), (71, Admission::Used)]
        {
            assert_eq!(replays.admit(id(9), UnixTime(200), UnixTime(at)), admission, "{at}");
        }
        // What is still good is remembered through the sweep.
        assert_eq!(replays.admit(id(3), UnixTime(73), UnixTime(72)), Admission::Used);
    }
}
