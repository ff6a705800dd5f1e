//! The list of revoked tokens as requests see it, read again when its file changes.
//!
//! It fails closed: a list that was never read refuses everything, a list that became unreadable
//! stays as it was. A file that is not there at the start is an empty list that may come; one that
//! disappears later is unreadable.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::environment::{Background, Environment};
use super::file::{FileFault, WatchedFile};
use super::keys::unique;
use crate::policy::{Caller, Denial, TokenFault, UnixTime};
use crate::token::{InvalidRevocation, Revocations};

/// The longest list that is read, in bytes.
const LONGEST: u64 = 256 * 1024 * 1024;

/// How often entries that matter no more are dropped from an unchanged list.
const SWEEP: Duration = Duration::from_secs(5 * 60);

/// A list of revoked tokens, kept up with its file as long as this lives.
pub(super) struct RevokedList {
    path: Box<Path>,
    held: Arc<HeldList>,
    _watch: Background,
}

struct HeldList {
    /// `None` while none was ever read.
    list: ArcSwapOption<Revocations>,
    /// Of `list`, and of no other list of this process. It changes after `list` does, so that who
    /// has seen a version has seen that list or a later one.
    version: AtomicU64,
}

/// The file and what became of the last look.
struct Watch {
    file: WatchedFile,
    broken: bool,
    ever: bool,
}

/// Why there is no list to read.
#[derive(Debug, Error)]
enum Unreadable {
    #[error("{0}")]
    File(#[from] FileFault),
    #[error("{0}")]
    Line(#[from] InvalidRevocation),
    #[error("it is not UTF-8")]
    NotText,
}

impl RevokedList {
    /// Reads the list, which blocks as long as that takes, and begins to watch it.
    pub(super) fn start(path: &Path, around: &Environment) -> Self {
        let held = Arc::new(HeldList { list: ArcSwapOption::empty(), version: AtomicU64::new(unique()) });
        let mut watch = Watch { file: WatchedFile::new(path, LONGEST), broken: false, ever: false };
        watch.look(&held);
        let task = keep_up(watch, Arc::clone(&held), around.pace.look);
        Self { path: path.into(), held, _watch: around.spawn(task) }
    }

    pub(super) fn is_of(&self, path: &Path) -> bool {
        *self.path == *path
    }

    /// Whether the list was read once.
    pub(super) fn is_ready(&self) -> bool {
        self.held.list.load().is_some()
    }

    /// Refuses a caller whose token is revoked; `seen` is the version by which it was not, and moves
    /// on, so that only a change of the list costs more than a comparison.
    pub(super) fn check(&self, caller: &Caller, token: &str, seen: &AtomicU64) -> Result<(), Denial> {
        let version = self.held.version.load(Ordering::Acquire);
        if seen.load(Ordering::Relaxed) == version {
            return Ok(());
        }
        match &*self.held.list.load() {
            None => Err(Denial::IssuerUnavailable),
            Some(list) if list.revokes(caller, token) => Err(TokenFault::Revoked.into()),
            Some(_) => {
                seen.store(version, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

/// Looks again and again, for ever. Reading a long list takes long: that is done aside.
async fn keep_up(mut watch: Watch, held: Arc<HeldList>, every: Duration) {
    let mut swept = Instant::now();
    loop {
        sleep(every).await;
        let sweeps = swept.elapsed() >= SWEEP;
        if sweeps {
            swept = Instant::now();
        }
        let path: Box<Path> = watch.file.path().into();
        let list = Arc::clone(&held);
        let looked = tokio::task::spawn_blocking(move || {
            watch.look(&list);
            if sweeps {
                list.sweep();
            }
            watch
        });
        watch = looked.await.unwrap_or_else(|_| Watch {
            file: WatchedFile::new(&path, LONGEST),
            broken: true,
            ever: held.list.load().is_some(),
        });
    }
}

impl Watch {
    fn look(&mut self, held: &HeldList) {
        match self.read() {
            Ok(Some(list)) => {
                tracing::info!(file = %self.file.path().display(), "the list of revoked tokens is taken into use");
                held.replace(list);
                self.ever = true;
                self.broken = false;
            }
            Ok(None) => {}
            Err(Unreadable::File(fault)) if !self.ever && fault.is_absence() => {
                held.replace(Revocations::default());
                self.ever = true;
            }
            Err(fault) => {
                if !self.broken {
                    let kept = if self.ever { "the last good one stays" } else { "every token is refused" };
                    tracing::error!(file = %self.file.path().display(), %fault, "the list of revoked tokens cannot be read: {kept}");
                }
                self.broken = true;
            }
        }
    }

    fn read(&mut self) -> Result<Option<Revocations>, Unreadable> {
        let Some(content) = self.file.look()? else { return Ok(None) };
        let text = std::str::from_utf8(&content).map_err(|_| Unreadable::NotText)?;
        Ok(Some(Revocations::parse(text)?.without_expired(now())))
    }
}

impl HeldList {
    fn replace(&self, list: Revocations) {
        self.list.store(Some(Arc::new(list)));
        self.version.store(unique(), Ordering::Release);
    }

    /// Drops what matters no more; nobody's verdict changes by it.
    fn sweep(&self) {
        let Some(list) = self.list.load_full() else { return };
        if !list.is_empty() {
            self.list.store(Some(Arc::new(Revocations::clone(&list).without_expired(now()))));
        }
    }
}

/// The time of entries' expiry, which is no request's.
fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
