//! Whether a server is to get requests: by its checks, and by what became of the requests that it got.
//!
//! Requests ask by one look at flags. Time passes in `health`, which lifts an ejection.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::config::HealthCheck;

/// What is known of one server.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// It has failed its checks.
    unhealthy: AtomicBool,
    /// It has failed requests, and gets none for a while.
    ejected: AtomicBool,
    /// Requests that it has failed in a row.
    failures: AtomicU32,
    /// Requests that are under way, where they are counted.
    under_way: AtomicUsize,
    run: Mutex<Run>,
    /// When it gets requests again.
    until: Mutex<Option<Instant>>,
}

/// How a server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It gets requests.
    Usable,
    /// It has failed its checks.
    Unhealthy,
    /// It has failed requests.
    Ejected,
}

/// Checks in a row that say other than what is known.
#[derive(Debug, Default)]
struct Run {
    /// Whether there was any check.
    is_known: bool,
    length: u32,
}

impl Condition {
    pub(super) fn state(&self) -> State {
        if self.unhealthy.load(Ordering::Relaxed) {
            State::Unhealthy
        } else if self.ejected.load(Ordering::Relaxed) {
            State::Ejected
        } else {
            State::Usable
        }
    }

    /// A check has ended; whether it changes what the server is. The first says at once what it is.
    pub(super) fn checked(&self, passed: bool, check: &HealthCheck) -> bool {
        let mut run = self.run.lock();
        let is_first = !std::mem::replace(&mut run.is_known, true);
        if passed != self.unhealthy.load(Ordering::Relaxed) {
            run.length = 0;
            return false;
        }
        run.length += 1;
        let needed = if passed { check.healthy_after } else { check.unhealthy_after };
        if !is_first && run.length < needed {
            return false;
        }
        run.length = 0;
        self.unhealthy.store(!passed, Ordering::Relaxed);
        true
    }

    /// A request was answered.
    pub(super) fn succeeded(&self) {
        // Only written where it changes: requests on other threads read it.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A request was failed; whether there were `most` in a row now, and it gets requests yet.
    pub(super) fn failed(&self, most: u32) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        failures >= most && !self.ejected.load(Ordering::Relaxed)
    }

    /// It gets no requests until then.
    pub(super) fn eject(&self, until: Instant) {
        *self.until.lock() = Some(until);
        self.ejected.store(true, Ordering::Relaxed);
    }

    /// Gives it requests again if it is time; whether it was. One more failure ends that at once.
    pub(super) fn lift(&self, now: Instant) -> bool {
        let mut until = self.until.lock();
        if until.is_none_or(|until| now < until) {
            return false;
        }
        *until = None;
        self.ejected.store(false, Ordering::Relaxed);
        true
    }

    pub(super) fn begun(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CHECK: HealthCheck = HealthCheck {
        path: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        healthy_after: 2,
        unhealthy_after: 3,
    };

    /// `+` is a check passed and `-` one failed; the states after each, `u` for usable and `x` for unhealthy.
    #[track_caller]
    fn check(checks: &str, states: &str) {
        let condition = Condition::default();
        let mut seen = String::new();
        for check in checks.chars() {
            let before = condition.state();
            let changed = condition.checked(check == '+', &CHECK);
            assert_eq!(changed, before != condition.state());
            seen.push(if condition.state() == State::Usable { 'u' } else { 'x' });
        }
        assert_eq!(seen, states, "{checks}");
    }

    #[test]
    fn checks_in_a_row_change_what_a_server_is_and_the_first_says_it_at_once() {
        check("+---", "uuux");
        check("-++", "xxu");
        check("+--+--+---", "uuuuuuuuux");
        check("-+-+-++", "xxxxxxu");
        check("+++---+-++", "uuuuuxxxxu");
    }

    #[test]
    fn failures_in_a_row_eject_a_server_for_a_while_and_then_one_does() {
        let condition = Condition::default();
        let now = Instant::now();
        assert!(!condition.failed(2));
        condition.succeeded();
        assert!(!condition.failed(2) && condition.failed(2));
        condition.eject(now + Duration::from_secs(1));
        assert_eq!(condition.state(), State::Ejected);
        assert!(!condition.failed(2), "it is ejected already");
        assert!(!condition.lift(now));
        assert!(condition.lift(now + Duration::from_secs(1)));
        assert_eq!(condition.state(), State::Usable);
        assert!(!condition.lift(now + Duration::from_secs(2)));
        assert!(condition.failed(2));
    }
}
