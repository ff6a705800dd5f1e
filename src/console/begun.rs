//! Sign-ins that were begun at the issuer and not yet ended: what was sent there, and which browser it
//! was. Each can be ended once, soon, by that browser alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::secret::{Fingerprint, NoRandomness, Secret, fingerprint};
use crate::token::SignInMetadata;

/// At once; the oldest go.
const MOST: usize = 1000;
/// How long somebody may take at the issuer.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Those that are begun.
#[derive(Debug, Default)]
pub(super) struct BegunAll {
    begun: Mutex<HashMap<Fingerprint, Begun>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Begun {
    /// What the issuer sends back with the code (RFC 6749 section 10.12).
    pub(super) state: Secret,
    /// What the code is good for nothing without (RFC 7636).
    pub(super) verifier: Secret,
    /// Where the code is brought.
    pub(super) redirect_uri: String,
    /// Where to go on afterwards.
    pub(super) next: String,
    /// The issuer, and what it said of itself when people were sent there.
    pub(super) issuer: Box<str>,
    pub(super) metadata: Arc<SignInMetadata>,
    pub(super) at: Instant,
}

impl BegunAll {
    /// Keeps it; the id is for the browser alone.
    pub(super) fn keep(&self, begun: Begun) -> Result<Secret, NoRandomness> {
        let id = Secret::fresh()?;
        let mut all = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let now = begun.at;
        all.retain(|_, own| own.is_good(now));
        if all.len() >= MOST {
            let oldest = all.values().map(|own| own.at).min();
            all.retain(|_, own| Some(own.at) != oldest);
        }
        all.insert(id.fingerprint(), begun);
        Ok(id)
    }

    /// The one of a browser that sends this id, which can be had once.
    pub(super) fn take(&self, id: &str, now: Instant) -> Option<Begun> {
        let mut all = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&fingerprint(id)).filter(|begun| begun.is_good(now))
    }
}

impl Begun {
    fn is_good(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(at: Instant) -> Begun {
        let metadata = SignInMetadata {
            authorization_endpoint: "https://issuer.example/authorize".into(),
            token_endpoint: "https://issuer.example/token".into(),
            names_itself: true,
        };
        Begun {
            state: Secret::fresh().unwrap(),
            verifier: Secret::fresh().unwrap(),
            redirect_uri: "http://127.0.0.1:9901/console/sign-in/back".to_owned(),
            next: "/console".to_owned(),
            issuer: "https://issuer.example".into(),
            metadata: Arc::new(metadata),
            at,
        }
    }

    #[test]
    fn a_sign_in_is_ended_once_and_soon() {
        let (all, start) = (BegunAll::default(), Instant::now());
        let id = all.keep(begun(start)).unwrap();
        assert!(all.take("chosen-by-somebody", start).is_none());
        assert!(all.take(id.as_str(), start + LONGEST / 2).is_some());
        assert!(all.take(id.as_str(), start).is_none());
        let id = all.keep(begun(start)).unwrap();
        assert!(all.take(id.as_str(), start + LONGEST).is_none());
    }

    #[test]
    fn so_many_are_kept_and_the_oldest_go() {
        let (all, start) = (BegunAll::default(), Instant::now());
        let keep = |nth: usize| all.keep(begun(start + Duration::from_micros(nth as u64))).unwrap();
        let ids: Vec<_> = (0..=MOST).map(keep).collect();
        assert_eq!(all.begun.lock().unwrap().len(), MOST);
        assert!(all.take(ids[0].as_str(), start).is_none() && all.take(ids[1].as_str(), start).is_some());
        keep(1_000_000_000);
        assert_eq!(all.begun.lock().unwrap().len(), 1);
    }
}
