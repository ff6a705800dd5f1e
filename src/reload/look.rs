//! Looks at a file without reading it, and hears of changes in its directory.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Within this time a file system's clock may not tell two changes apart.
const CLOCK: Duration = Duration::from_secs(2);

/// A file that has just changed is read once it has not changed for so long.
const SETTLE: Duration = Duration::from_millis(50);
/// A file that never settles is read all the same after so many looks.
const MOST_LOOKS: usize = 8;

/// What a look at the file shows without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    /// `None` if there is no such file, or no leave to look.
    pub(super) fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata: Metadata| Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// At a file once it has stopped changing, or after so many looks; `None` as above.
    pub(super) fn settled(path: &Path, seen: Option<&Self>) -> Option<Self> {
        let mut look = Self::at(path);
        if look.as_ref() != seen {
            for _ in 0..MOST_LOOKS {
                thread::sleep(SETTLE);
                let again = Self::at(path);
                if again == look && again.is_some() {
                    break;
                }
                look = again;
            }
        }
        look
    }

    /// Whether the last change is long enough ago for another to show.
    pub(super) fn is_settled(&self) -> bool {
        let last = self.modified.max(self.changed).0;
        let last = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(last).unwrap_or_default());
        last.elapsed().is_ok_and(|since| since > CLOCK)
    }
}

/// Calls `changed` when the file, or the link by which Kubernetes swaps it, changes.
///
/// # Errors
/// If the system gives no watch.
pub(super) fn watch_directory(path: &Path, changed: impl Fn() + Send + 'static) -> notify::Result<RecommendedWatcher> {
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
            changed();
        }
    })?;
    let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
