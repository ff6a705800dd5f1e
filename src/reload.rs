//! The file in force: read at start, watched after, and taken into use whole or not at all.
//!
//! A change is seen within a second, whichever way the file changes: the directory is watched, and
//! twice a second the file is looked at all the same. What is no good leaves the policy in force as
//! it is, and is said once. What a text means is `config`'s, and how a generation takes another's
//! place is `gateway`'s.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use thiserror::Error;

use crate::config::{Configuration, Problems, SourceFile, Unreadable, compile};
use crate::gateway::{Gateway, NeedsRestart, Replaced};
use crate::record::ReloadResult;

/// How often the file is looked at, whatever the directory's watch says.
const LOOK: Duration = Duration::from_millis(500);
/// A file that has just changed is read once it has not changed for so long.
const SETTLE: Duration = Duration::from_millis(50);
/// A file that never settles is read all the same after so many looks.
const MOST_LOOKS: usize = 8;
/// Within this time a file system's clock may not tell two changes apart.
const CLOCK: Duration = Duration::from_secs(2);

/// Why a file's policy cannot be taken into use.
#[derive(Debug, Error)]
pub enum NotLoaded {
    /// There is no text.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The text is no good.
    #[error(transparent)]
    Bad(#[from] Problems),
}

/// The watch over the file; it ends when this is dropped.
#[derive(Debug)]
pub struct Reload {
    wake: Sender<Wake>,
    status: Arc<Status>,
}

/// What is to be told of the file.
#[derive(Debug)]
pub struct Status {
    source: PathBuf,
    last_error: Mutex<Option<String>>,
}

/// Reads and compiles the file.
///
/// # Errors
/// If it cannot be read or is no good.
pub fn load(path: &Path) -> Result<Configuration, NotLoaded> {
    Ok(compile(&SourceFile::read(path)?.source())?)
}

impl Reload {
    /// Watches the file from which `gateway` was made, on a thread of its own.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(path: &Path, gateway: Arc<Gateway>) -> io::Result<Self> {
        let status = Arc::new(Status { source: path.to_owned(), last_error: Mutex::default() });
        let (wake, woken) = mpsc::channel();
        let watch = Watch::new(gateway, Arc::clone(&status));
        let changes = wake.clone();
        thread::Builder::new().name("reload".to_owned()).spawn(move || watch.run(&woken, changes))?;
        Ok(Self { wake, status })
    }

    /// Has the file read again now, changed or not.
    pub fn ask(&self) {
        // If nobody listens, the process is ending.
        let _ = self.wake.send(Wake::Asked);
    }

    /// What is to be told of the file.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }
}

impl Drop for Reload {
    fn drop(&mut self) {
        let _ = self.wake.send(Wake::End);
    }
}

impl Status {
    /// The file, as it was named.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Why the file's present text is not in force, one problem a line; `None` where it is.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, last_error: Option<String>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = last_error;
    }
}

/// Why the thread wakes before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// Something has changed in the directory.
    Changed,
    /// Somebody asks for the file to be read.
    Asked,
    End,
}

/// The thread's own.
struct Watch {
    gateway: Arc<Gateway>,
    status: Arc<Status>,
    /// The file as it was when it was last read.
    seen: Option<Look>,
    /// What it was then.
    considered: Considered,
}

/// What was last made of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Considered {
    /// It is in force.
    InForce,
    /// Its text, or that it cannot be read, was refused.
    Refused(Option<[u8; 32]>),
}

/// What a look at the file shows without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Why the file's policy is not taken into use.
#[derive(Debug, Error)]
enum Refused {
    #[error(transparent)]
    NotLoaded(#[from] NotLoaded),
    #[error(transparent)]
    NeedsRestart(#[from] NeedsRestart),
}

impl Watch {
    fn new(gateway: Arc<Gateway>, status: Arc<Status>) -> Self {
        // The file may have changed since it was read at start: the first look reads it.
        Self { gateway, status, seen: None, considered: Considered::InForce }
    }

    fn run(mut self, woken: &Receiver<Wake>, wake: Sender<Wake>) {
        // Watches until it is dropped.
        let _watcher = watch_directory(&self.status.source, wake).inspect_err(
            |error| tracing::warn!(%error, "the directory cannot be watched; the file is looked at anyway"),
        );
        loop {
            match woken.recv_timeout(LOOK) {
                Ok(Wake::Changed) | Err(RecvTimeoutError::Timeout) => self.look(),
                Ok(Wake::Asked) => self.read(true),
                Ok(Wake::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads the file if it has changed, or may have.
    fn look(&mut self) {
        let path = &self.status.source;
        let mut look = Look::at(path);
        if look.is_some() && look == self.seen && look.as_ref().is_some_and(Look::is_settled) {
            return;
        }
        if look != self.seen {
            for _ in 0..MOST_LOOKS {
                thread::sleep(SETTLE);
                let again = Look::at(path);
                if again == look && again.is_some() {
                    break;
                }
                look = again;
            }
        }
        self.seen = look;
        self.read(false);
    }

    fn read(&mut self, asked: bool) {
        let file = SourceFile::read(&self.status.source);
        let sha256 = file.as_ref().ok().map(|file| sha256(file.source().text));
        let in_force = sha256 == Some(self.gateway.current().sha256);
        let considered = if in_force { Considered::InForce } else { Considered::Refused(sha256) };
        if considered == self.considered {
            if asked {
                self.say_same(&considered);
            }
            return;
        }
        let replaced = match file {
            Ok(file) => compile(&file.source())
                .map_err(NotLoaded::from)
                .map_err(Refused::from)
                .and_then(|configuration| Ok(self.gateway.replace(configuration)?)),
            Err(error) => Err(NotLoaded::from(error).into()),
        };
        self.considered = if replaced.is_ok() { Considered::InForce } else { considered };
        self.conclude(replaced);
    }

    fn conclude(&self, replaced: Result<Replaced, Refused>) {
        let metrics = self.gateway.metrics();
        match replaced {
            Ok(replaced) => {
                self.status.set(None);
                metrics.policy_reload(match replaced {
                    Replaced::By(generation) => {
                        tracing::info!(generation, "the policy is in force");
                        ReloadResult::Accepted
                    }
                    Replaced::Unchanged => {
                        tracing::info!("the file is again the one in force");
                        ReloadResult::Unchanged
                    }
                });
            }
            Err(refused) => {
                refused.log();
                self.status.set(Some(refused.to_string()));
                metrics.policy_reload(ReloadResult::Refused);
                tracing::warn!(generation = self.gateway.current().number, "the policy in force stays");
            }
        }
    }

    /// What was asked for has been answered before.
    fn say_same(&self, considered: &Considered) {
        let metrics = self.gateway.metrics();
        match considered {
            Considered::InForce => {
                tracing::info!("the file is the one in force");
                metrics.policy_reload(ReloadResult::Unchanged);
            }
            Considered::Refused(_) => {
                tracing::warn!("the file is still refused, for what was said before");
                metrics.policy_reload(ReloadResult::Refused);
            }
        }
    }
}

impl Refused {
    /// One line for each problem.
    fn log(&self) {
        match self {
            Self::NotLoaded(NotLoaded::Bad(problems)) => {
                for problem in problems.list() {
                    tracing::error!("{problem}");
                }
            }
            Self::NotLoaded(NotLoaded::Unreadable(error)) => tracing::error!("{error}"),
            Self::NeedsRestart(error) => tracing::error!("{error}"),
        }
    }
}

impl Look {
    /// `None` if there is no such file, or no leave to look.
    fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata: Metadata| Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether the last change is long enough ago for another to show.
    fn is_settled(&self) -> bool {
        let last = self.modified.max(self.changed).0;
        let last = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(last).unwrap_or_default());
        last.elapsed().is_ok_and(|since| since > CLOCK)
    }
}

/// Wakes the thread when the file, or the link by which Kubernetes swaps it, changes.
fn watch_directory(path: &Path, wake: Sender<Wake>) -> notify::Result<RecommendedWatcher> {
    let name = path.file_name().map(ToOwned::to_owned);
    let concerns = move |event: &Event| {
        let named =
            |path: &PathBuf| path.file_name().is_some_and(|own| own == "..data" || Some(own) == name.as_deref());
        event.need_rescan() || event.paths.iter().any(named)
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let written = |kind: &EventKind| match kind {
            EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
            EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => {
                true
            }
        };
        if event.is_ok_and(|event| written(&event.kind) && concerns(&event)) {
            // If nobody listens, the process is ending.
            let _ = wake.send(Wake::Changed);
        }
    })?;
    let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn sha256(text: &str) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    // INVARIANT: a SHA-256 digest has 32 bytes.
    digest.as_ref().try_into().unwrap_or_default()
}
