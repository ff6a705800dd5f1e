//! The task that keeps an issuer's keys fresh: it fetches before they expire, again and again while
//! that fails, and at once when asked. Only a good set replaces a good one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::connections::Trust;
use super::discovery::{Discovered, Discovery, NoDocument, Undiscovered};
use super::environment::Environment;
use super::file::{FileFault, WatchedFile};
use super::keys::{HeldKeys, Wanted};
use super::pace::{Pace, jittered};
use super::sha256::sha256;
use super::web::{Web, WebFault, shown};
use crate::config::KeySource;
use crate::record::{FetchResult, Metrics};
use crate::token::{InvalidKeySet, KeyFault, KeySet, ParsedKeys, RefusedKey};

/// The longest key set that is read, in bytes.
const LONGEST: usize = 1024 * 1024;

/// What the task knows.
pub(super) struct Refresh {
    issuer: Arc<str>,
    origin: Origin,
    /// How long keys stay in use that are no longer fresh; a reload may change it.
    stale_keys_for: watch::Receiver<Duration>,
    held: Arc<HeldKeys>,
    metrics: Arc<Metrics>,
    pace: Pace,
    /// When the next fetch is due.
    next: Instant,
    /// Until when the keys in use are fresh; `None` while there are none.
    fresh_until: Option<Instant>,
    /// In a row.
    failures: u32,
    /// Of the set in use.
    digest: Option<[u8; 32]>,
}

/// Where the keys come from.
enum Origin {
    File(WatchedFile),
    Url { url: Box<str>, web: Arc<Web> },
    Discovery(Discovery),
}

/// What a fetch brought.
enum Fetched {
    /// A body, and how long it says that it is fresh.
    Body(Vec<u8>, Option<Duration>),
    /// The file is as it was.
    Unchanged,
}

/// Why a fetch brought no good key set.
#[derive(Debug, Error)]
enum Failure {
    #[error("{0}")]
    Web(#[from] WebFault),
    #[error("{0}")]
    File(#[from] FileFault),
    #[error("{0}")]
    Keys(#[from] InvalidKeySet),
    #[error("a key that is in use is broken in the new set: {0}")]
    HalfBad(RefusedKey),
    #[error("{0}")]
    Undiscovered(#[from] Undiscovered),
    #[error("the file is still no good")]
    StillBad,
}

impl Refresh {
    /// A file is read at once, so that its keys are at hand with the settings that name it.
    pub(super) fn new(
        wanted: &Wanted,
        stale_keys_for: watch::Receiver<Duration>,
        held: Arc<HeldKeys>,
        discovered: Discovered,
        around: &Environment,
    ) -> Self {
        let mut refresh = Self {
            issuer: Arc::clone(&wanted.issuer),
            origin: Origin::new(wanted, discovered, around),
            stale_keys_for,
            held,
            metrics: Arc::clone(&around.metrics),
            pace: around.pace,
            next: Instant::now(),
            fresh_until: None,
            failures: 0,
            digest: None,
        };
        if let Origin::File(file) = &mut refresh.origin {
            refresh.held.attempts.begin();
            let fetched = look(file);
            refresh.settle(fetched);
        }
        refresh
    }

    /// Fetches for ever.
    pub(super) async fn run(mut self) {
        loop {
            self.wait().await;
            self.held.attempts.begin();
            let fetched = self.origin.fetch().await;
            self.settle(fetched);
        }
    }

    /// Returns when a fetch is due or asked for.
    async fn wait(&mut self) {
        loop {
            let ends = self.ends().filter(|ends| *ends < self.next);
            tokio::select! {
                () = sleep_until(ends.unwrap_or(self.next)) => match ends {
                    Some(_) => self.end_if_due(),
                    None => return,
                },
                // Who could change it is gone with the last that uses the keys, and so is this task.
                Ok(()) = self.stale_keys_for.changed() => self.end_if_due(),
                () = self.held.attempts.asked() => return,
            }
        }
    }

    /// Makes what can be made of a fetch's end.
    fn settle(&mut self, fetched: Result<Fetched, Failure>) {
        let settled = fetched.and_then(|fetched| self.take(fetched));
        let good = settled.is_ok();
        match settled {
            Ok(life) => self.succeed(life),
            Err(failure) => self.fail(&failure),
        }
        self.held.attempts.end(good);
    }

    /// Takes a good set into use; how long it is fresh.
    fn take(&mut self, fetched: Fetched) -> Result<Duration, Failure> {
        let (body, max_age) = match fetched {
            Fetched::Unchanged if self.failures > 0 => return Err(Failure::StillBad),
            Fetched::Unchanged => return Ok(self.pace.file_life),
            Fetched::Body(body, max_age) => (body, max_age),
        };
        let digest = sha256(&body);
        if self.digest != Some(digest) {
            let parsed = KeySet::parse(&body)?;
            if let Some(broken) = self.broken(&parsed) {
                return Err(Failure::HalfBad(broken.clone()));
            }
            self.put(parsed);
            self.digest = Some(digest);
        }
        self.metrics.issuer_fetch(&self.issuer, FetchResult::Good);
        Ok(match &self.origin {
            Origin::File(_) => self.pace.file_life,
            Origin::Url { .. } | Origin::Discovery(_) => self.pace.life(max_age),
        })
    }

    /// A key in use of which the set has nothing but what is no key. That is no withdrawal, which would
    /// leave it out or say something else of it, and the rest of such a set is no better to rely on.
    fn broken<'p>(&self, parsed: &'p ParsedKeys) -> Option<&'p RefusedKey> {
        let is_in_use = |kid: &str| self.held.knows(kid) && !parsed.keys.knows_kid(kid);
        parsed.refused.iter().find(|key| {
            matches!(key.fault, KeyFault::Malformed(_) | KeyFault::NotOnCurve)
                && key.kid.as_deref().is_some_and(is_in_use)
        })
    }

    fn put(&self, parsed: ParsedKeys) {
        if !parsed.refused.is_empty() {
            let refused: Vec<_> = parsed.refused.iter().map(ToString::to_string).collect();
            tracing::warn!(issuer = %self.issuer, refused = refused.join("; "), "some of the issuer's keys are not used");
        }
        tracing::info!(issuer = %self.issuer, keys = parsed.keys.len(), "the issuer's keys are taken into use");
        self.held.replace(parsed.keys);
    }

    fn succeed(&mut self, life: Duration) {
        if self.failures > 0 {
            tracing::info!(issuer = %self.issuer, "the issuer's keys can be had again");
        }
        let now = Instant::now();
        self.failures = 0;
        self.fresh_until = Some(now + life);
        self.next = now
            + match &self.origin {
                Origin::File(_) => self.pace.look,
                Origin::Url { .. } | Origin::Discovery(_) => jittered(life.mul_f64(0.9), 0.9),
            };
        self.metrics.issuer_keys_fetched(&self.issuer, now.into_std());
    }

    fn fail(&mut self, failure: &Failure) {
        if let Some(result) = failure.result() {
            self.metrics.issuer_fetch(&self.issuer, result);
        }
        if self.failures == 0 {
            tracing::warn!(issuer = %self.issuer, from = %self.origin, %failure, "the issuer's keys cannot be had");
        } else {
            tracing::debug!(issuer = %self.issuer, from = %self.origin, %failure, "the issuer's keys still cannot be had");
        }
        self.failures = self.failures.saturating_add(1);
        let backoff = self.backoff();
        let wait = match &mut self.origin {
            Origin::File(_) => self.pace.look,
            Origin::Url { .. } => backoff,
            Origin::Discovery(discovery) => {
                discovery.doubt();
                backoff
            }
        };
        self.next = Instant::now() + wait;
        self.end_if_due();
    }

    /// While no keys are in use every token of the issuer waits for them: then it is short.
    fn backoff(&self) -> Duration {
        jittered(self.pace.backoff(self.failures, self.held.are_at_hand()), 0.75)
    }

    /// When the keys in use are no longer, unless a fetch succeeds before.
    fn ends(&self) -> Option<Instant> {
        self.fresh_until?.checked_add(*self.stale_keys_for.borrow())
    }

    fn end_if_due(&mut self) {
        if self.ends().is_some_and(|ends| ends <= Instant::now()) {
            self.fresh_until = None;
            self.digest = None;
            self.held.end();
            self.next = self.next.min(Instant::now() + self.backoff());
            tracing::error!(issuer = %self.issuer, "the issuer's keys are too old and no longer used");
        }
    }
}

impl Drop for Refresh {
    /// Keys that nobody looks after any more would be good for ever.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.held.end();
        }
    }
}

impl Origin {
    fn new(wanted: &Wanted, discovered: Discovered, around: &Environment) -> Self {
        let trust = || Trust { ca: wanted.ca.clone(), certificate: None };
        match &wanted.source {
            KeySource::File(path) => Self::File(WatchedFile::new(path, LONGEST as u64)),
            KeySource::Url(url) => Self::Url { url: url.clone(), web: around.web(&trust()) },
            KeySource::Discover => Self::Discovery(Discovery::new(&wanted.issuer, &trust(), discovered, around)),
        }
    }

    async fn fetch(&mut self) -> Result<Fetched, Failure> {
        match self {
            Self::File(file) => look(file),
            Self::Url { url, web } => ask(web, url).await,
            Self::Discovery(discovery) => {
                let url = discovery.keys_url().await?;
                ask(discovery.web(), &url).await
            }
        }
    }
}

/// A file's path; a URL without what may be secret in it.
impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => Path::display(file.path()).fmt(f),
            Self::Url { url, .. } => f.write_str(&shown(url)),
            Self::Discovery(_) => f.write_str("where the issuer's metadata says"),
        }
    }
}

fn look(file: &mut WatchedFile) -> Result<Fetched, Failure> {
    Ok(match file.look()? {
        Some(content) => Fetched::Body(content, None),
        None => Fetched::Unchanged,
    })
}

async fn ask(web: &Web, url: &str) -> Result<Fetched, Failure> {
    let answer = web.get(url, LONGEST).await?;
    Ok(Fetched::Body(answer.body, answer.max_age))
}

impl Failure {
    /// As metrics count it; looks at a file that stays as bad as it was are not counted.
    fn result(&self) -> Option<FetchResult> {
        match self {
            Self::Web(WebFault::Unreachable(_) | WebFault::Unprepared)
            | Self::File(FileFault::Io(_))
            | Self::Undiscovered(Undiscovered::Unasked(_)) => Some(FetchResult::Unreachable),
            Self::Web(WebFault::Status(_))
            | Self::Undiscovered(Undiscovered::Nowhere {
                openid: NoDocument::Web(WebFault::Status(_)),
                oauth: NoDocument::Web(WebFault::Status(_)),
            }) => Some(FetchResult::BadStatus),
            Self::Undiscovered(Undiscovered::Nowhere { .. }) => Some(FetchResult::BadMetadata),
            Self::Web(WebFault::TooLong(_))
            | Self::File(FileFault::NotAFile | FileFault::TooLong(_))
            | Self::Keys(_)
            | Self::HalfBad(_) => Some(FetchResult::BadKeys),
            Self::StillBad => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[tokio::test]
    async fn keys_whose_refresh_panics_are_no_longer_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwks.json");
        std::fs::write(&path, crate::token::samples::KEYS.jwks().to_string()).unwrap();
        let around = Environment::new(Metrics::new().unwrap(), tokio::runtime::Handle::current(), Pace::default());
        let held = Arc::new(HeldKeys::new());
        let day = Duration::from_secs(24 * 60 * 60);
        let source = KeySource::File(path);
        let wanted = Wanted { issuer: "issuer".into(), source, ca: None };
        let (_settings, stale_keys_for) = watch::channel(day);
        let refresh = Refresh::new(&wanted, stale_keys_for, Arc::clone(&held), Discovered::default(), &around);
        assert!(held.at_hand().is_some());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _refresh = refresh;
            panic!("on purpose");
        }));
        assert!(panicked.is_err() && held.at_hand().is_none());
    }
}
