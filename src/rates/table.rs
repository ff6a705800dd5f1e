//! Buckets, as many as there is room for.
//!
//! A key's bucket is in one of eight places. Where all are taken by others, the one that lacks least is
//! forgotten; one that lacks nothing is as good as forgotten anyway, so that this loses nothing as long
//! as there is one. A bucket that is there is found and changed without a lock; to make one takes the
//! lock of its eight places, so that no key has two.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_queue::ArrayQueue;
use parking_lot::Mutex;

use super::key::Key;
use super::slot::{Slot, Taken};
use crate::policy::Pace;

/// Buckets by their keys.
#[derive(Debug)]
pub struct Table {
    sets: Box<[Set]>,
    /// Times are since then; a while before the first, so that none is 0.
    since: Instant,
    forgotten: AtomicU64,
    telling: Option<Telling>,
}

/// The places that a key's bucket can be in.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set {
    slots: [Slot; WAYS],
    /// Of whoever makes a bucket.
    making: Mutex<()>,
}

/// Which buckets have something to tell to other processes.
#[derive(Debug)]
struct Telling {
    queue: ArrayQueue<(usize, usize)>,
    /// Whether some are not on the queue, as it was full.
    overflowed: AtomicBool,
}

/// What was taken of some buckets, for other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Which bucket.
    pub key: Key,
    /// What was taken since it was told last, in nanoseconds of its pace.
    pub taken: u64,
    /// What the bucket holds, likewise.
    pub whole: u64,
}

const WAYS: usize = 8;

/// More that have something to tell are looked for one by one.
const QUEUE: usize = 65_536;

const EARLIER: u64 = 1_000_000_000;

impl Table {
    /// Of so many buckets, rounded up. `tells`: it says what was taken, for other processes.
    #[must_use]
    pub fn new(buckets: usize, tells: bool) -> Self {
        Self::since(Instant::now(), buckets, tells)
    }

    fn since(since: Instant, buckets: usize, tells: bool) -> Self {
        let sets = buckets.div_ceil(WAYS).max(1).next_power_of_two();
        let telling = tells.then(|| Telling { queue: ArrayQueue::new(QUEUE), overflowed: AtomicBool::new(false) });
        Self { sets: (0..sets).map(|_| Set::default()).collect(), since, forgotten: AtomicU64::new(0), telling }
    }

    /// Another of so many buckets, with all that lack something.
    #[must_use]
    pub fn resized(&self, buckets: usize, tells: bool) -> Self {
        let other = Self::since(self.since, buckets, tells);
        other.forgotten.store(self.forgotten(), Ordering::Relaxed);
        let now = self.now();
        for (key, whole, full_at, untold) in
            self.sets.iter().flat_map(|set| &set.slots).filter_map(|slot| slot.copy(now))
        {
            other.put(key, whole, full_at, untold, now);
        }
        if let Some(telling) = &other.telling {
            telling.overflowed.store(true, Ordering::Release);
        }
        other
    }

    /// Whether it is such a table.
    #[must_use]
    pub fn is_of(&self, buckets: usize, tells: bool) -> bool {
        self.sets.len() == buckets.div_ceil(WAYS).max(1).next_power_of_two() && self.telling.is_some() == tells
    }

    /// Now, in the table's nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        let passed = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX - EARLIER - 1);
        EARLIER + passed
    }

    /// How many buckets were forgotten that lacked something.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// How many requests are in the key's bucket, of which there is one at least.
    ///
    /// # Errors
    /// After how many nanoseconds there is one.
    pub fn look(&self, key: Key, pace: Pace, now: u64) -> Result<u64, u64> {
        let set = self.set(key);
        let found = set.and_then(|(_, set)| {
            set.slots.iter().find_map(|slot| if slot.is(key) { slot.look(key, pace, now) } else { None })
        });
        found.unwrap_or_else(|| pace.take(0, now).map(|_| pace.left(0, now)))
    }

    /// Takes one out of the key's bucket; how many are left.
    ///
    /// # Errors
    /// After how many nanoseconds there is one; then nothing was taken.
    pub fn take(&self, key: Key, pace: Pace, now: u64) -> Result<u64, u64> {
        // INVARIANT: there is a set for every key.
        let Some((at, set)) = self.set(key) else { return Err(pace.interval) };
        loop {
            let taken = match set.slots.iter().position(|slot| slot.is(key)) {
                Some(way) => self.take_of(set, (at, way), key, pace, now),
                None => self.make(set, at, key, pace, now),
            };
            match taken {
                Taken::One { left, .. } => return Ok(left),
                Taken::Wait(wait) => return Err(wait),
                Taken::Moved => {}
            }
        }
    }

    fn take_of(&self, set: &Set, (at, way): (usize, usize), key: Key, pace: Pace, now: u64) -> Taken {
        let Some(slot) = set.slots.get(way) else { return Taken::Moved };
        let taken = slot.take(key, pace, now, self.telling.is_some());
        if let Taken::One { first: true, .. } = taken {
            self.has_to_tell(at, way);
        }
        taken
    }

    /// Makes the key's bucket, unless it was made meanwhile.
    fn make(&self, set: &Set, at: usize, key: Key, pace: Pace, now: u64) -> Taken {
        let _making = set.making.lock();
        if set.slots.iter().any(|slot| slot.is(key)) {
            return Taken::Moved;
        }
        let tells = self.telling.is_some();
        loop {
            let Some((way, slot, (fullness, read))) = set.least(now) else { return Taken::Wait(pace.interval) };
            if slot.give(read, key, pace, now, tells) {
                self.forgotten.fetch_add(u64::from(fullness > 0), Ordering::Relaxed);
                if tells {
                    self.has_to_tell(at, way);
                }
                return Taken::One { left: pace.left(0, now).saturating_sub(1), first: tells };
            }
        }
    }

    /// Puts a bucket where one lacks less, if there is such a one.
    fn put(&self, key: Key, whole: u64, full_at: u64, untold: u64, now: u64) {
        let Some((_, set)) = self.set(key) else { return };
        let _making = set.making.lock();
        if let Some((_, slot, (fullness, read))) = set.least(now) {
            let own = (u128::from(full_at.saturating_sub(now)) << 32).checked_div(whole.into()).unwrap_or(0);
            // One of the two goes.
            let is_put = u128::from(fullness) < own && slot.put(read, key, whole, full_at, untold);
            self.forgotten.fetch_add(u64::from(fullness > 0 || !is_put), Ordering::Relaxed);
        }
    }

    fn set(&self, key: Key) -> Option<(usize, &Set)> {
        let Key([_, at]) = key;
        // What does not fit is cut off, and then the rest: a number of sets is a power of two.
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a digest will do")]
        let at = at as usize & (self.sets.len() - 1);
        self.sets.get(at).map(|set| (at, set))
    }

    fn has_to_tell(&self, at: usize, way: usize) {
        if let Some(telling) = &self.telling
            && telling.queue.push((at, way)).is_err()
        {
            telling.overflowed.store(true, Ordering::Release);
        }
    }

    /// What was taken since it was told last, of so many buckets at most; it is told by that.
    pub fn tell(&self, most: usize) -> Vec<Counts> {
        let Some(telling) = &self.telling else { return Vec::new() };
        if telling.queue.is_empty() && telling.overflowed.swap(false, Ordering::AcqRel) {
            for (at, set) in self.sets.iter().enumerate() {
                for way in (0..WAYS).filter(|way| set.slots.get(*way).is_some_and(Slot::has_to_tell)) {
                    self.has_to_tell(at, way);
                }
            }
        }
        let now = self.now();
        let next = || {
            let (at, way) = telling.queue.pop()?;
            Some(self.sets.get(at).and_then(|set| set.slots.get(way)).and_then(|slot| slot.tell(now)))
        };
        let told = std::iter::from_fn(next).take(most).flatten();
        told.map(|told| Counts { key: told.key, taken: told.taken, whole: told.whole }).collect()
    }

    /// That so much is lacking of a bucket when all processes are taken together, in nanoseconds of its pace.
    pub fn hear(&self, key: Key, lacking: u64) {
        let now = self.now();
        if let Some((_, set)) = self.set(key)
            && let Some(slot) = set.slots.iter().find(|slot| slot.is(key))
        {
            slot.hear(key, lacking, now);
        }
    }

    /// That what was told did not arrive.
    pub fn take_back(&self, counts: &[Counts]) {
        for told in counts {
            let Some((at, set)) = self.set(told.key) else { continue };
            if let Some(way) = set.slots.iter().position(|slot| slot.is(told.key))
                && set.slots.get(way).is_some_and(|slot| slot.take_back(told.taken))
            {
                self.has_to_tell(at, way);
            }
        }
    }
}

impl Set {
    /// The place whose bucket lacks least.
    fn least(&self, now: u64) -> Option<(usize, &Slot, (u64, u64))> {
        let read = self.slots.iter().enumerate().map(|(way, slot)| (way, slot, slot.fullness(now)));
        read.min_by_key(|(_, _, (fullness, _))| *fullness)
    }
}

#[cfg(test)]
mod tests;
