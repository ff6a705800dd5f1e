//! Nonces for proofs (RFC 9449 sections 8 and 9): given out and known again without remembering any.
//!
//! A nonce is a MAC over the time that it was given out, in steps, with a key that this process
//! made for itself; another process does not take it, and its client asks again.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::policy::UnixTime;

/// Gives out nonces and knows them again.
pub(super) struct Nonces {
    /// `None` if the system has no randomness: then no nonce is given out, and none taken.
    key: Option<hmac::Key>,
}

/// A nonce is taken for one step to two after it was given out, in seconds.
const STEP: u64 = 120;

impl Nonces {
    pub(super) fn new() -> Self {
        Self { key: hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok() }
    }

    /// A nonce for a client that has none, or an old one.
    pub(super) fn give(&self, now: UnixTime) -> Option<String> {
        self.of(now.0 / STEP)
    }

    /// Whether it was given out of late.
    pub(super) fn takes(&self, nonce: &str, now: UnixTime) -> bool {
        let step = now.0 / STEP;
        [Some(step), step.checked_sub(1)].into_iter().flatten().any(|step| {
            self.of(step).is_some_and(|own| verify_slices_are_equal(own.as_bytes(), nonce.as_bytes()).is_ok())
        })
    }

    fn of(&self, step: u64) -> Option<String> {
        let mac = hmac::sign(self.key.as_ref()?, &step.to_be_bytes());
        Some(URL_SAFE_NO_PAD.encode(mac.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_taken_for_a_while_and_only_where_it_was_given() {
        let (nonces, others) = (Nonces::new(), Nonces::new());
        let nonce = nonces.give(UnixTime(10 * STEP)).unwrap();
        for (at, good) in
            [(10 * STEP - 1, false), (10 * STEP, true), (12 * STEP - 1, true), (12 * STEP, false), (0, false)]
        {
            assert_eq!(nonces.takes(&nonce, UnixTime(at)), good, "{at}");
        }
        assert!(!others.takes(&nonce, UnixTime(10 * STEP)));
        assert!(!nonces.takes("", UnixTime(10 * STEP)));
    }
}
