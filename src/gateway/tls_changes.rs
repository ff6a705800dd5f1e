//! Whether the files of some TLS have changed and are done changing.
//!
//! What is read is compared whole, so that no time stamp is trusted; what is made of it is its reader's.

use std::io;
use std::path::PathBuf;

use super::tls_files::UnreadableFile;

/// What was last seen of the files.
#[derive(Debug)]
pub(super) struct Changes {
    /// What was taken into use, or found to be no good.
    considered: Seen,
    /// What was seen since; it may still be being written.
    changing: Option<Seen>,
}

/// One state of the files, as far as it differs from others.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// SHA-256 of all of them.
    Contents([u8; 32]),
    /// The first that cannot be read.
    Unreadable(PathBuf, io::ErrorKind),
}

impl Changes {
    /// Since these were considered.
    pub(super) fn since(considered: Seen) -> Self {
        Self { considered, changing: None }
    }

    /// Whether what is seen now is to be considered: once it is the same at two looks, so that none is read
    /// while it is written.
    pub(super) fn settle(&mut self, seen: Seen) -> bool {
        if seen == self.considered {
            self.changing = None;
            return false;
        }
        if self.changing.as_ref() == Some(&seen) {
            *self = Self::since(seen);
            return true;
        }
        self.changing = Some(seen);
        false
    }
}

impl Seen {
    /// `digest` is that of what was read.
    pub(super) fn of<C>(contents: &Result<C, UnreadableFile>, digest: impl FnOnce(&C) -> [u8; 32]) -> Self {
        match contents {
            Ok(contents) => Self::Contents(digest(contents)),
            Err(UnreadableFile { file, error }) => Self::Unreadable(file.clone(), error.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_at_two_looks_is_considered_once() {
        let mut changes = Changes::since(Seen::Contents([0; 32]));
        let looks =
            [(0, false), (1, false), (2, false), (2, true), (2, false), (0, false), (2, false), (0, false), (0, true)];
        for (at, (content, considered)) in looks.into_iter().enumerate() {
            assert_eq!(changes.settle(Seen::Contents([content; 32])), considered, "look {at}");
        }
        let missing = || Seen::Unreadable("a".into(), io::ErrorKind::NotFound);
        assert!(!changes.settle(missing()) && changes.settle(missing()) && !changes.settle(missing()));
    }
}
