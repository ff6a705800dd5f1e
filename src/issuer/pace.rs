//! How often and for how long, where `gateway.yaml` has no say.

use std::time::Duration;

/// The gateway's own times and bounds. One for the process; tests make it quicker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// To a connection with a provider.
    pub(super) connect: Duration,
    /// From a question to the end of its answer.
    pub(super) exchange: Duration,
    /// Between two looks at a file.
    pub(super) look: Duration,
    /// How long a key file that was found good counts as looked at.
    pub(super) file_life: Duration,
    /// Bounds of an answer's `max-age`.
    pub(super) shortest_life: Duration,
    pub(super) longest_life: Duration,
    /// Where an answer has no `max-age`.
    pub(super) usual_life: Duration,
    /// The first wait after a failed fetch; it doubles up to one of the two bounds.
    pub(super) first_backoff: Duration,
    /// While no keys are in use. With the second after which a lost connection attempt is repeated
    /// (RFC 6298 section 2.1), or `connect` if that is less, a provider that comes up is noticed
    /// within two, whether connections to it were refused before or not answered.
    pub(super) backoff_without_keys: Duration,
    /// While there are keys.
    pub(super) backoff_with_keys: Duration,
    /// Between two fetches of a provider's metadata that are only made because of a failure.
    pub(super) metadata_every: Duration,
    /// How long a `kid` that a fetch did not bring sets off no other.
    pub(super) unknown_for: Duration,
    /// How long a request waits for a fetch that it set off or joined.
    pub(super) refetch_wait: Duration,
    /// How long an introspection's refusal is remembered, in whole seconds.
    pub(super) refusal_for: u64,
    /// How long a finished question waits for those who asked it to take the answer.
    pub(super) linger: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            exchange: Duration::from_secs(5),
            look: Duration::from_millis(500),
            file_life: Duration::from_secs(5),
            shortest_life: Duration::from_secs(60),
            longest_life: Duration::from_secs(60 * 60),
            usual_life: Duration::from_secs(5 * 60),
            first_backoff: Duration::from_millis(250),
            backoff_without_keys: Duration::from_millis(500),
            backoff_with_keys: Duration::from_secs(60),
            metadata_every: Duration::from_secs(10),
            unknown_for: Duration::from_secs(30),
            refetch_wait: Duration::from_secs(3),
            refusal_for: 5,
            linger: Duration::from_secs(1),
        }
    }
}

impl Pace {
    /// The wait after this many failures in a row, before jitter.
    pub(super) fn backoff(&self, failures: u32, had_keys: bool) -> Duration {
        let most = if had_keys { self.backoff_with_keys } else { self.backoff_without_keys };
        let doublings = failures.saturating_sub(1).min(16);
        self.first_backoff.saturating_mul(1 << doublings).min(most)
    }

    /// How long keys are fresh whose answer said this `max-age`.
    pub(super) fn life(&self, max_age: Option<Duration>) -> Duration {
        max_age.unwrap_or(self.usual_life).clamp(self.shortest_life, self.longest_life)
    }
}

/// A random share of `time`, between `least` of it and the whole.
pub(super) fn jittered(time: Duration, least: f64) -> Duration {
    time.mul_f64(least + (1.0 - least) * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_bound() {
        let pace = Pace::default();
        let waits = |had_keys| [1, 2, 3, 4, 5, 9, 40].map(|failures| pace.backoff(failures, had_keys).as_millis());
        assert_eq!(waits(false), [250, 500, 500, 500, 500, 500, 500]);
        assert_eq!(waits(true), [250, 500, 1000, 2000, 4000, 60_000, 60_000]);
    }

    #[test]
    fn a_life_keeps_within_its_bounds() {
        for (max_age, life) in [(None, 300), (Some(0), 60), (Some(59), 60), (Some(600), 600), (Some(86_400), 3600)] {
            assert_eq!(Pace::default().life(max_age.map(Duration::from_secs)).as_secs(), life, "{max_age:?}");
        }
    }

    #[test]
    fn jitter_only_shortens() {
        for _ in 0..1000 {
            let wait = jittered(Duration::from_secs(1), 0.75);
            assert!((Duration::from_millis(750)..=Duration::from_secs(1)).contains(&wait), "{wait:?}");
        }
    }
}
