//! The list of revoked tokens as requests see it: read again when its file changes, and added to.
//!
//! It fails closed: a list that was never read refuses everything, a list that became unreadable
//! stays as it was and is not added to. A file that is not there at the start is an empty list that
//! may come; one that disappears later is unreadable. How it is written is `revocation_file`'s.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::environment::{Background, Environment};
use super::file::{FileFault, WatchedFile};
use super::keys::unique;
use super::revocation_file::{append, check_writable, compact, whole};
use crate::policy::{Caller, Denial, TokenFault, UnixTime};
use crate::record::steady_now;
use crate::token::{InvalidRevocation, Revocation, Revocations};

/// The longest list that is read, in bytes.
const LONGEST: u64 = 256 * 1024 * 1024;

/// How often entries that matter no more are dropped from an unchanged list.
const SWEEP: Duration = Duration::from_secs(5 * 60);

/// How much longer than it matters an entry stays, in seconds: a clock that is ahead when the process starts, as of
/// a machine that has its time in another zone, is told from a right one by nobody.
const MARGIN: u64 = 24 * 60 * 60;

/// A list of revoked tokens, kept up with its file as long as this lives.
pub struct Revoked {
    state: Arc<State>,
    runtime: Handle,
    _watch: Background,
}

/// Why an entry was not added.
#[derive(Debug, Error)]
pub enum NotAppended {
    /// What is in the file cannot be read, and an entry among it would not be found again.
    #[error("the list of revoked tokens cannot be read, and nothing is added to it until it can be")]
    Unreadable,
    /// The list would be unreadable with it.
    #[error("the entry could not be read again as it would be written")]
    Unwritten,
    /// The file cannot be written.
    #[error("the list of revoked tokens cannot be written: {0}")]
    Unwritable(#[from] io::Error),
    /// The process is ending.
    #[error("the gateway is ending")]
    Ending,
}

struct State {
    path: Box<Path>,
    /// Whether entries are added here, so that those that have expired are taken out of the file.
    grows: bool,
    held: HeldList,
    /// Who reads or writes the file, and tells what is held of it.
    watch: Mutex<Watch>,
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
    seen: Seen,
}

/// What there was to see of the file so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// There never was one.
    Absent,
    Read,
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

impl Revoked {
    /// Reads the list, which blocks as long as that takes, and begins to watch it. One that `grows`
    /// is cleared of what has expired first.
    pub(super) fn start(path: &Path, grows: bool, around: &Environment) -> Self {
        let state = Arc::new(State {
            path: path.into(),
            grows,
            held: HeldList { list: ArcSwapOption::empty(), version: AtomicU64::new(unique()) },
            watch: Mutex::new(Watch::new(path)),
        });
        if grows {
            if let Err(error) = check_writable(path) {
                let file = path.display();
                tracing::error!(%file, %error, "the list of revoked tokens cannot be written: no token can be revoked");
            }
            state.compact();
        }
        state.look();
        let watch = around.spawn(keep_up(Arc::clone(&state), around.pace.look));
        Self { state, runtime: around.runtime.clone(), _watch: watch }
    }

    pub(super) fn is_of(&self, path: &Path, grows: bool) -> bool {
        *self.state.path == *path && self.state.grows == grows
    }

    /// Of the list, and of no other list of this process.
    pub(super) fn version(&self) -> u64 {
        self.state.held.version.load(Ordering::Acquire)
    }

    /// All that is on the list; `None` while it was never read.
    pub(super) fn list(&self) -> Option<Arc<Revocations>> {
        self.state.held.list.load_full()
    }

    /// Whether the list was read once.
    pub(super) fn is_ready(&self) -> bool {
        self.state.held.list.load().is_some()
    }

    /// Refuses a token that is revoked, which says what `caller` has; `seen` is the version by which
    /// it was not, and moves on, so that only a change of the list costs more than a comparison.
    pub(super) fn check(&self, caller: &Caller, token: &str, seen: &AtomicU64) -> Result<(), Denial> {
        let held = &self.state.held;
        let version = held.version.load(Ordering::Acquire);
        if seen.load(Ordering::Relaxed) == version {
            return Ok(());
        }
        match &*held.list.load() {
            None => Err(Denial::IssuerUnavailable),
            Some(list) if list.revokes(caller, token) => Err(TokenFault::Revoked.into()),
            Some(_) => {
                seen.store(version, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Adds an entry. When this returns it is on disk, and it counts from now on. Entries are added
    /// one after another, and each is even if nobody waits for that any more.
    ///
    /// # Errors
    /// If it could not be put on disk; then it does not count.
    pub async fn append(&self, entry: Revocation) -> Result<(), NotAppended> {
        let state = Arc::clone(&self.state);
        let appended = self.runtime.spawn_blocking(move || state.append(entry)).await;
        appended.unwrap_or(Err(NotAppended::Ending))
    }
}

impl std::fmt::Debug for Revoked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revoked").field("path", &self.state.path).finish_non_exhaustive()
    }
}

/// Whether a line says what the entry does: one that cannot be read would make the whole list unreadable.
fn is_readable(line: &str, entry: &Revocation) -> bool {
    Revocation::parse(line.as_bytes()).is_ok_and(|read| read == *entry)
}

/// Tokens that expired before this have surely done so, though the clock is set back.
pub(super) fn over() -> UnixTime {
    UnixTime(steady_now().0.saturating_sub(MARGIN))
}

/// Looks again and again, for ever. Reading a long list takes long: that is done aside.
async fn keep_up(state: Arc<State>, every: Duration) {
    let mut swept = Instant::now();
    loop {
        sleep(every).await;
        let sweeps = swept.elapsed() >= SWEEP;
        if sweeps {
            swept = Instant::now();
        }
        let looking = Arc::clone(&state);
        let looked = tokio::task::spawn_blocking(move || {
            looking.look();
            if sweeps {
                looking.sweep();
            }
        });
        if looked.await.is_err() {
            state.watch().start_over(&state.path);
        }
    }
}

impl State {
    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        self.watch().look(&self.held);
    }

    fn append(&self, entry: Revocation) -> Result<(), NotAppended> {
        let mut watch = self.watch();
        let line = entry.to_line();
        let appended = match watch.seen {
            Seen::Nothing | Seen::Absent | Seen::Read if !is_readable(&line, &entry) => Err(NotAppended::Unwritten),
            Seen::Absent | Seen::Read if !watch.broken => {
                append(&self.path, &line, watch.seen == Seen::Absent).map_err(NotAppended::from)
            }
            Seen::Nothing | Seen::Absent | Seen::Read => Err(NotAppended::Unreadable),
        };
        if let Err(fault) = &appended {
            tracing::error!(file = %self.path.display(), %fault, "a token could not be revoked");
            return appended;
        }
        watch.seen = Seen::Read;
        self.held.add(entry);
        Ok(())
    }

    fn sweep(&self) {
        // So that nothing is added meanwhile that would then be lost.
        let _watch = self.watch();
        self.compact();
        self.held.sweep();
    }

    /// Takes what has expired out of the file, if that is this gateway's to do.
    fn compact(&self) {
        if !self.grows {
            return;
        }
        match compact(&self.path, over(), LONGEST) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let file = self.path.display();
                tracing::warn!(%file, %error, "what has expired stays on the list of revoked tokens");
            }
        }
    }
}

impl Watch {
    fn new(path: &Path) -> Self {
        Self { file: WatchedFile::new(path, LONGEST), broken: false, seen: Seen::Nothing }
    }

    /// After a look that has not ended as it should: whatever it has read is read again.
    fn start_over(&mut self, path: &Path) {
        *self = Self { broken: true, seen: self.seen, ..Self::new(path) };
    }

    fn look(&mut self, held: &HeldList) {
        match self.read() {
            Ok(Some(list)) => {
                tracing::info!(file = %self.file.path().display(), "the list of revoked tokens is taken into use");
                held.replace(list);
                self.seen = Seen::Read;
                self.broken = false;
            }
            Ok(None) => {}
            Err(Unreadable::File(fault)) if self.seen != Seen::Read && fault.is_absence() => {
                if self.seen == Seen::Nothing {
                    held.replace(Revocations::default());
                }
                self.seen = Seen::Absent;
                self.broken = false;
            }
            Err(fault) => {
                if !self.broken {
                    let nothing = self.seen == Seen::Nothing;
                    let kept = if nothing { "every token is refused" } else { "the last good one stays" };
                    tracing::error!(file = %self.file.path().display(), %fault, "the list of revoked tokens cannot be read: {kept}");
                }
                self.broken = true;
            }
        }
    }

    fn read(&mut self) -> Result<Option<Revocations>, Unreadable> {
        let Some(content) = self.file.look()? else { return Ok(None) };
        let text = whole(&content).ok_or(Unreadable::NotText)?;
        if text.len() < content.len() {
            let file = self.file.path().display();
            tracing::warn!(%file, "the last entry of the list of revoked tokens breaks off, and does not count");
        }
        Ok(Some(Revocations::parse(text)?.without_expired(over())))
    }
}

impl HeldList {
    fn replace(&self, list: Revocations) {
        self.list.store(Some(Arc::new(list)));
        self.version.store(unique(), Ordering::Release);
    }

    fn add(&self, entry: Revocation) {
        let mut list = self.list.load().as_deref().cloned().unwrap_or_default();
        list.add(entry);
        self.replace(list);
    }

    /// Drops what matters no more; nobody's verdict changes by it.
    fn sweep(&self) {
        if let Some(list) = self.list.load().as_deref() {
            self.list.store(Some(Arc::new(list.clone().without_expired(over()))));
        }
    }
}
