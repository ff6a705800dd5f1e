//! Tokens whose `kid` no key has: when one of them may set off a fetch, so that random ones cannot
//! hammer the provider.

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashMap};
use tokio::time::Instant;

use super::attempts::Attempts;
use super::pace::Pace;

/// What was asked for of late, for one issuer.
pub(super) struct UnknownKids {
    remembered_for: Duration,
    hasher: DefaultHashBuilder,
    memory: Mutex<Memory>,
}

/// What a token with an unknown key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    /// Nothing: a fetch has just shown that there is no such key.
    Known,
    /// Nothing: a fetch was asked for within the interval, and has ended.
    TooSoon,
    /// Wait for the end of this fetch.
    Attempt(u64),
}

#[derive(Default)]
struct Memory {
    last: Option<(Instant, u64)>,
    /// By hash: that two share one costs the second a fetch, no more.
    unknown: HashMap<u64, Instant>,
}

/// How many are remembered for each issuer; what is beyond is held off by the interval alone.
const MOST: usize = 1024;

impl UnknownKids {
    pub(super) fn new(pace: &Pace) -> Self {
        Self { remembered_for: pace.unknown_for, hasher: DefaultHashBuilder::default(), memory: Mutex::default() }
    }

    /// What a token with this `kid` may do; a fetch that it may set off is asked for, at least so long
    /// after the last one as `every` says.
    pub(super) fn ask(&self, kid: Option<&str>, every: Duration, attempts: &Attempts) -> Asking {
        let now = Instant::now();
        let mut memory = self.memory();
        if memory.unknown.get(&self.hash(kid)).is_some_and(|until| now < *until) {
            return Asking::Known;
        }
        match memory.last {
            Some((_, attempt)) if !attempts.has_ended(attempt) => Asking::Attempt(attempt),
            Some((at, _)) if now.saturating_duration_since(at) < every => Asking::TooSoon,
            Some(_) | None => {
                let attempt = attempts.ask();
                memory.last = Some((now, attempt));
                Asking::Attempt(attempt)
            }
        }
    }

    /// A fetch that was waited for has succeeded: this `kid` sets off no other for a while.
    pub(super) fn remember(&self, kid: Option<&str>) {
        let now = Instant::now();
        let mut memory = self.memory();
        if memory.unknown.len() >= MOST {
            memory.unknown.retain(|_, until| now < *until);
        }
        if memory.unknown.len() < MOST {
            memory.unknown.insert(self.hash(kid), now + self.remembered_for);
        }
    }

    fn hash(&self, kid: Option<&str>) -> u64 {
        self.hasher.hash_one(kid)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn fetch(attempts: &Attempts) {
        attempts.begin();
        attempts.end(true);
    }

    #[test]
    fn all_who_come_meanwhile_wait_for_one_fetch() {
        let (unknown, attempts) = (UnknownKids::new(&Pace::default()), Attempts::new());
        fetch(&attempts);
        for kid in 0..1000 {
            assert_eq!(unknown.ask(Some(&kid.to_string()), HOUR, &attempts), Asking::Attempt(2), "{kid}");
        }
        fetch(&attempts);
        for kid in 1000..2000 {
            assert_eq!(unknown.ask(Some(&kid.to_string()), HOUR, &attempts), Asking::TooSoon, "{kid}");
        }
    }

    #[test]
    fn after_the_interval_only_a_kid_that_is_not_remembered_sets_off_a_fetch() {
        let (unknown, attempts) = (UnknownKids::new(&Pace::default()), Attempts::new());
        let ask = |kid| unknown.ask(kid, Duration::ZERO, &attempts);
        fetch(&attempts);
        assert_eq!(ask(Some("a")), Asking::Attempt(2));
        fetch(&attempts);
        unknown.remember(Some("a"));
        assert_eq!(ask(Some("a")), Asking::Known);
        assert_eq!(ask(None), Asking::Attempt(3));
        fetch(&attempts);
        assert_eq!(ask(Some("b")), Asking::Attempt(4));
    }

    #[test]
    fn memory_is_bounded() {
        let unknown = UnknownKids::new(&Pace::default());
        for kid in 0..10 * MOST {
            unknown.remember(Some(&kid.to_string()));
        }
        assert_eq!(unknown.memory().unknown.len(), MOST);
    }
}
