//! Nonces for proofs (RFC 9449 sections 8 and 9): given out and known again without remembering any.
//!
//! A nonce is a MAC over the time that it was given out, in steps, with a key that this process
//! made for itself; another process does not take it, and its client asks again. The time is that of the clock
//! that is never set: none comes back when the other is set back.

use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Gives out nonces and knows them again.
pub(super) struct Nonces {
    /// `None` if the system has no randomness: then no nonce is given out, and none taken.
    key: Option<hmac::Key>,
    start: Instant,
}

/// A nonce is taken for one step to two after it was given out, in seconds.
const STEP: u64 = 120;

impl Nonces {
    pub(super) fn new() -> Self {
        Self { key: hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok(), start: Instant::now() }
    }

    /// A nonce for a client that has none, or an old one.
    pub(super) fn give(&self, now: Instant) -> Option<String> {
        self.of(self.step(now))
    }

    /// Whether it was given out of late.
    pub(super) fn takes(&self, nonce: &str, now: Instant) -> bool {
        let step = self.step(now);
        [Some(step), step.checked_sub(1)].into_iter().flatten().any(|step| {
            self.of(step).is_some_and(|own| verify_slices_are_equal(own.as_bytes(), nonce.as_bytes()).is_ok())
        })
    }

    fn step(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs() / STEP
    }

    fn of(&self, step: u64) -> Option<String> {
        let mac = hmac::sign(self.key.as_ref()?, &step.to_be_bytes());
        Some(URL_SAFE_NO_PAD.encode(mac.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_nonce_is_taken_for_a_while_and_only_where_it_was_given() {
        let (nonces, others) = (Nonces::new(), Nonces::new());
        let at = |seconds| nonces.start + Duration::from_secs(seconds);
        let nonce = nonces.give(at(10 * STEP)).unwrap();
        for (seconds, good) in
            [(10 * STEP - 1, false), (10 * STEP, true), (12 * STEP - 1, true), (12 * STEP, false), (0, false)]
        {
            assert_eq!(nonces.takes(&nonce, at(seconds)), good, "{seconds}");
        }
        assert!(!others.takes(&nonce, at(10 * STEP)));
        assert!(!nonces.takes("", at(10 * STEP)));
    }
}
