//! An issuer's keys as requests see them: the last good set, and whether another fetch is worth it.
//!
//! Who fetches is `refresh`; what a set accepts is `token`'s.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::attempts::Attempts;
use super::discovery::Discovered;
use super::environment::{Background, Environment, Name};
use super::refresh::Refresh;
use super::unknown::{Asking, UnknownKids};
use crate::config::KeySource;
use crate::token::{KeyFingerprint, KeySet};

/// The keys of an issuer, kept fresh as long as this lives.
pub(super) struct IssuerKeys {
    /// Ends the refresh. Before `name`, so that nothing is counted under a name that is forgotten.
    _refresh: Background,
    _name: Name,
    wanted: Wanted,
    stale_keys_for: watch::Sender<Duration>,
    held: Arc<HeldKeys>,
    discovered: Discovered,
    unknown: UnknownKids,
    wait: Duration,
}

/// Whose keys, where they are, and how they are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) issuer: Arc<str>,
    pub(super) source: KeySource,
    pub(super) ca: Option<PathBuf>,
}

/// The last good key set, if it is still in use.
pub(super) struct HeldKeys {
    set: ArcSwapOption<KeySet>,
    /// Of `set`, and of no other set of this process. It changes after `set` does, so that who has
    /// seen a version has seen that set or a later one.
    version: AtomicU64,
    ever: AtomicBool,
    pub(super) attempts: Attempts,
}

/// What has become of a key that a token was verified with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyStanding {
    /// The issuer still has it.
    Good,
    /// The issuer has it no more.
    Gone,
    /// The issuer's keys are not at hand.
    Unavailable,
}

/// What a token that no key fits is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refetched {
    /// A fetch has succeeded since: verify again.
    Again,
    /// A fetch would bring nothing, or was made a moment ago.
    InVain,
    /// The issuer cannot be asked: nobody can tell whether the key exists.
    Unavailable,
}

/// A number that nothing else of this process has, never 0.
pub(super) fn unique() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

impl IssuerKeys {
    /// Begins to fetch. Files are read at once; it blocks as long as that takes.
    pub(super) fn start(wanted: Wanted, stale_keys_for: Duration, around: &Environment) -> Self {
        let held = Arc::new(HeldKeys::new());
        let discovered = Discovered::default();
        let (stale_keys_for, stale) = watch::channel(stale_keys_for);
        let refresh = Refresh::new(&wanted, stale, Arc::clone(&held), Arc::clone(&discovered), around);
        Self {
            _refresh: around.spawn(refresh.run()),
            _name: around.name(&wanted.issuer),
            wanted,
            stale_keys_for,
            held,
            discovered,
            unknown: UnknownKids::new(&around.pace),
            wait: around.pace.refetch_wait,
        }
    }

    /// Whether they are what [`IssuerKeys::start`] would begin to fetch.
    pub(super) fn are_of(&self, wanted: &Wanted) -> bool {
        self.wanted == *wanted
    }

    /// How long keys stay in use that are no longer fresh; for those in use too.
    pub(super) fn keep_stale_for(&self, time: Duration) {
        self.stale_keys_for.send_if_modified(|current| std::mem::replace(current, time) != time);
    }

    /// What the issuer says of itself, where its keys are discovered.
    pub(super) fn discovered(&self) -> &Discovered {
        &self.discovered
    }

    pub(super) fn held(&self) -> &Arc<HeldKeys> {
        &self.held
    }

    /// Fetches the keys once more because none fits a token with this `kid`, or waits for whoever
    /// does so already, unless one was asked for within the interval `every`.
    pub(super) async fn refetch(&self, kid: Option<&str>, every: Duration) -> Refetched {
        let attempt = match self.unknown.ask(kid, every, &self.held.attempts) {
            Asking::Known => return Refetched::InVain,
            Asking::TooSoon if self.held.attempts.last_was_good() => return Refetched::InVain,
            Asking::TooSoon => return Refetched::Unavailable,
            Asking::Attempt(attempt) => attempt,
        };
        match tokio::time::timeout(self.wait, self.held.attempts.end_of(attempt)).await {
            Ok(true) => {
                if !kid.is_some_and(|kid| self.held.knows(kid)) {
                    self.unknown.remember(kid);
                }
                Refetched::Again
            }
            Ok(false) | Err(_) => Refetched::Unavailable,
        }
    }
}

impl HeldKeys {
    pub(super) fn new() -> Self {
        Self {
            set: ArcSwapOption::empty(),
            version: AtomicU64::new(unique()),
            ever: AtomicBool::new(false),
            attempts: Attempts::new(),
        }
    }

    /// The keys in use and their version.
    pub(super) fn at_hand(&self) -> Option<(Arc<KeySet>, u64)> {
        // The version first: if the set changes in between, the verdict is looked at once more.
        let version = self.version.load(Ordering::Acquire);
        self.set.load_full().map(|set| (set, version))
    }

    /// Whether there is a set in use.
    pub(super) fn are_at_hand(&self) -> bool {
        self.set.load().is_some()
    }

    /// Whether a key in use has this `kid`.
    pub(super) fn knows(&self, kid: &str) -> bool {
        self.set.load().as_ref().is_some_and(|set| set.knows_kid(kid))
    }

    /// Whether a token with this `kid` may be signed with a key in use.
    pub(super) fn may_have(&self, kid: Option<&str>) -> bool {
        self.set.load().as_ref().is_some_and(|set| set.may_have(kid))
    }

    /// Whether there was a good set once.
    pub(super) fn ever(&self) -> bool {
        self.ever.load(Ordering::Acquire)
    }

    /// Whether `key`, which was good when the version was `seen`, still is; `seen` moves on.
    pub(super) fn check(&self, key: KeyFingerprint, seen: &AtomicU64) -> KeyStanding {
        let version = self.version.load(Ordering::Acquire);
        if seen.load(Ordering::Relaxed) == version {
            return KeyStanding::Good;
        }
        match &*self.set.load() {
            None => KeyStanding::Unavailable,
            Some(set) if set.contains(key) => {
                seen.store(version, Ordering::Relaxed);
                KeyStanding::Good
            }
            Some(_) => KeyStanding::Gone,
        }
    }

    /// Takes a good set into use.
    pub(super) fn replace(&self, set: KeySet) {
        self.change(Some(set));
        self.ever.store(true, Ordering::Release);
    }

    /// Takes the last good set out of use.
    pub(super) fn end(&self) {
        self.change(None);
    }

    fn change(&self, set: Option<KeySet>) {
        self.set.store(set.map(Arc::new));
        self.version.store(unique(), Ordering::Release);
    }
}
