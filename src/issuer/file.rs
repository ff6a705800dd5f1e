//! A file that is looked at again and again, and read again when it may have changed.
//!
//! What the content means is not asked here. The calls block: they are for background tasks and
//! for the moment when settings are taken into use, never for a request.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use super::sha256::sha256;

/// A file and what it was when it was last read.
#[derive(Debug)]
pub(super) struct WatchedFile {
    path: PathBuf,
    limit: u64,
    stamp: Option<Stamp>,
    digest: Option<[u8; 32]>,
}

/// Why a file could not be read.
#[derive(Debug, Error)]
pub(super) enum FileFault {
    /// The system says why.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A directory, a pipe, a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// More bytes than are read of such a file.
    #[error("it is longer than {0} bytes")]
    TooLong(u64),
}

/// What tells one state of a file from another without reading it. A file that was replaced by a
/// rename or a symbolic link's swap has another inode; one that was written in place, another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file may be written twice within one tick of its clock: only a stamp that is older than this
/// when the file is read is believed later on.
const SETTLED: Duration = Duration::from_secs(2);

impl WatchedFile {
    /// Of which at most `limit` bytes are read. Nothing is read yet.
    pub(super) fn new(path: &Path, limit: u64) -> Self {
        Self { path: path.into(), limit, stamp: None, digest: None }
    }

    /// The path, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The content if it is not what the last look that could read it found.
    ///
    /// # Errors
    /// If it cannot be read; the next look tries again.
    pub(super) fn look(&mut self) -> Result<Option<Vec<u8>>, FileFault> {
        let looked = self.look_again();
        if looked.is_err() {
            self.stamp = None;
            self.digest = None;
        }
        looked
    }

    fn look_again(&mut self) -> Result<Option<Vec<u8>>, FileFault> {
        let metadata = std::fs::metadata(&self.path)?;
        // Before it is opened: to open a pipe waits for its writer.
        if !metadata.is_file() {
            return Err(FileFault::NotAFile);
        }
        if self.stamp == Some(Stamp::of(&metadata)) {
            return Ok(None);
        }
        let file = File::open(&self.path)?;
        let now = SystemTime::now();
        let stamp = Stamp::of(&file.metadata()?);
        let content = self.read(file)?;
        self.stamp = stamp.is_settled(now).then_some(stamp);
        let digest = sha256(&content);
        Ok((self.digest.replace(digest) != Some(digest)).then_some(content))
    }

    fn read(&self, file: File) -> Result<Vec<u8>, FileFault> {
        let mut content = Vec::new();
        let length = file.take(self.limit.saturating_add(1)).read_to_end(&mut content)?;
        if u64::try_from(length).is_ok_and(|length| length <= self.limit) {
            Ok(content)
        } else {
            Err(FileFault::TooLong(self.limit))
        }
    }
}

impl FileFault {
    /// Whether there simply is no such file.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == io::ErrorKind::NotFound,
            Self::NotAFile | Self::TooLong(_) => false,
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(UNIX_EPOCH) else { return false };
        let latest = self.modified.0.max(self.changed.0).saturating_add(1);
        u64::try_from(latest).is_ok_and(|latest| Duration::from_secs(latest).saturating_add(SETTLED) <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[track_caller]
    fn check(file: &mut WatchedFile, expected: Option<&str>) {
        assert_eq!(file.look().unwrap().as_deref(), expected.map(str::as_bytes));
    }

    #[test]
    fn each_content_is_told_once_however_it_came() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let mut file = WatchedFile::new(&path, 100);
        assert!(file.look().unwrap_err().is_absence());
        fs::write(&path, "one").unwrap();
        check(&mut file, Some("one"));
        check(&mut file, None);
        // Of the same length, in the same tick of the clock.
        fs::write(&path, "two").unwrap();
        check(&mut file, Some("two"));
        let beside = directory.path().join("beside");
        fs::write(&beside, "new").unwrap();
        fs::rename(&beside, &path).unwrap();
        check(&mut file, Some("new"));
        fs::write(&beside, "linked").unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&beside, &path).unwrap();
        check(&mut file, Some("linked"));
        check(&mut file, None);
    }

    #[test]
    fn a_file_that_comes_back_is_told_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let mut file = WatchedFile::new(&path, 100);
        fs::write(&path, "one").unwrap();
        check(&mut file, Some("one"));
        fs::remove_file(&path).unwrap();
        assert!(file.look().unwrap_err().is_absence());
        fs::write(&path, "one").unwrap();
        check(&mut file, Some("one"));
    }

    #[test]
    fn only_the_stamp_of_a_file_that_has_settled_is_believed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        fs::write(&path, "one").unwrap();
        let stamp = Stamp::of(&fs::metadata(&path).unwrap());
        assert!(!stamp.is_settled(SystemTime::now()));
        assert!(stamp.is_settled(SystemTime::now() + SETTLED * 2));
    }

    #[test]
    fn only_a_regular_file_of_some_length_is_read() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(WatchedFile::new(directory.path(), 100).look(), Err(FileFault::NotAFile)));
        let path = directory.path().join("keys");
        for (length, good) in [(100, true), (101, false)] {
            fs::write(&path, "a".repeat(length)).unwrap();
            assert_eq!(WatchedFile::new(&path, 100).look().is_ok(), good, "{length}");
        }
    }
}
