//! A bucket's place in memory: words that threads change without a lock.
//!
//! What is in a place is changed by whoever has set its time to [`BUSY`], and by nobody else.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};

use super::key::Key;
use crate::policy::Pace;

/// One bucket.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// When it will be full again, in nanoseconds; 0: it never was used.
    full_at: AtomicU64,
    key: [AtomicU64; 2],
    /// [`Pace::whole`] of its limit.
    whole: AtomicU64,
    /// What was taken and not told to others yet, in nanoseconds of its pace.
    untold: AtomicU64,
}

/// The place is being given to another bucket.
const BUSY: u64 = u64::MAX;

/// How it goes with one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// One was taken, and so many are left. `first`: of what others are not told yet.
    One { left: u64, first: bool },
    /// There will be one after so many nanoseconds.
    Wait(u64),
    /// The place is another bucket's by now.
    Moved,
}

/// What a bucket has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Untold {
    pub(super) key: Key,
    pub(super) taken: u64,
    pub(super) whole: u64,
}

impl Slot {
    pub(super) fn is(&self, key: Key) -> bool {
        self.key() == key
    }

    fn key(&self) -> Key {
        let [first, second] = &self.key;
        Key([first.load(Ordering::Acquire), second.load(Ordering::Acquire)])
    }

    /// When it will be full; waits while the place changes hands, which takes a few instructions.
    fn full_at(&self) -> u64 {
        loop {
            match self.full_at.load(Ordering::Acquire) {
                BUSY => spin_loop(),
                time => return time,
            }
        }
    }

    /// What is in this key's bucket; `None` if the place is another's.
    pub(super) fn look(&self, key: Key, pace: Pace, now: u64) -> Option<Result<u64, u64>> {
        let full_at = self.full_at();
        let found = pace.take(full_at, now).map(|_| pace.left(full_at, now));
        self.is(key).then_some(found)
    }

    /// Takes one out of this key's bucket. `tells`: others are told of it later.
    pub(super) fn take(&self, key: Key, pace: Pace, now: u64, tells: bool) -> Taken {
        let mut held = self.full_at();
        loop {
            let next = match pace.take(held, now) {
                Err(wait) => return if self.is(key) { Taken::Wait(wait) } else { Taken::Moved },
                // Where it would be full at no time that there is, it is at the last one.
                Ok(next) => next.min(BUSY - 1),
            };
            match self.full_at.compare_exchange_weak(held, next, Ordering::AcqRel, Ordering::Acquire) {
                // Taken from another's, if the place has changed hands: that one has one less than it might.
                Ok(_) if !self.is(key) => return Taken::Moved,
                Ok(_) => {
                    let first = tells && self.untold.fetch_add(pace.interval, Ordering::AcqRel) == 0;
                    return Taken::One { left: pace.left(next, now), first };
                }
                Err(_) => held = self.full_at(),
            }
        }
    }

    /// How much of its bucket is taken, from 0 (nothing: forgetting it changes nothing) to 2^32 (all) and more;
    /// and the time that this was read from.
    pub(super) fn fullness(&self, now: u64) -> (u64, u64) {
        let full_at = self.full_at();
        let taken = u128::from(full_at.saturating_sub(now)) << 32;
        let share = taken.checked_div(self.whole.load(Ordering::Acquire).into()).unwrap_or(0);
        // What is in use at all counts for something.
        let least = u64::from(full_at > now);
        (u64::try_from(share).unwrap_or(u64::MAX).max(least), full_at)
    }

    /// Gives the place to a bucket of which one is taken, unless the time is not the one that was read.
    pub(super) fn give(&self, read: u64, key: Key, pace: Pace, now: u64, tells: bool) -> bool {
        // INVARIANT: a bucket holds one request at least, and no time is as late as `BUSY`.
        let next = pace.take(0, now).unwrap_or(now).min(BUSY - 1);
        self.put(read, key, pace.whole, next, if tells { pace.interval } else { 0 })
    }

    /// The same with a bucket as it is.
    pub(super) fn put(&self, read: u64, key: Key, whole: u64, full_at: u64, untold: u64) -> bool {
        if self.full_at.compare_exchange(read, BUSY, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        let ([first, second], Key([new_first, new_second])) = (&self.key, key);
        first.store(new_first, Ordering::Release);
        second.store(new_second, Ordering::Release);
        self.whole.store(whole, Ordering::Release);
        self.untold.store(untold, Ordering::Release);
        self.full_at.store(full_at, Ordering::Release);
        true
    }

    /// What was taken and not told yet, which is told by that; never more than what is still lacking.
    pub(super) fn tell(&self, now: u64) -> Option<Untold> {
        let (key, whole) = (self.key(), self.whole.load(Ordering::Acquire));
        let taken = self.untold.swap(0, Ordering::AcqRel).min(self.full_at().saturating_sub(now));
        (taken > 0 && self.is(key)).then_some(Untold { key, taken, whole })
    }

    pub(super) fn has_to_tell(&self) -> bool {
        self.untold.load(Ordering::Acquire) > 0
    }

    /// That what was told did not arrive; whether there was nothing else to tell.
    pub(super) fn take_back(&self, taken: u64) -> bool {
        self.untold.fetch_add(taken, Ordering::AcqRel) == 0
    }

    /// That so much is lacking, as others see it, to which what they were not told of is added.
    pub(super) fn hear(&self, key: Key, lacking: u64, now: u64) {
        let heard = now.saturating_add(lacking).saturating_add(self.untold.load(Ordering::Acquire)).min(BUSY - 1);
        let mut held = self.full_at();
        while held < heard && self.is(key) {
            match self.full_at.compare_exchange_weak(held, heard, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(_) => held = self.full_at(),
            }
        }
    }

    /// The bucket, as another place can have it; `None` if nothing is lacking.
    pub(super) fn copy(&self, now: u64) -> Option<(Key, u64, u64, u64)> {
        let full_at = self.full_at();
        let (whole, untold) = (self.whole.load(Ordering::Acquire), self.untold.load(Ordering::Acquire));
        (full_at > now).then(|| (self.key(), whole, full_at, untold))
    }
}
