//! The file itself: read whole, within a limit, as UTF-8. Nothing that its text names is opened.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Source;

/// The greatest size of a file, in bytes.
pub(super) const LARGEST: usize = 64 << 20;

/// A file that was read.
#[derive(Debug, Clone)]
pub struct SourceFile {
    shown: String,
    directory: PathBuf,
    text: String,
}

/// Why a file could not be read.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// The operating system says so.
    #[error("cannot read {file}: {error}")]
    Io {
        /// As it was named.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// It is larger than any file that is meant.
    #[error("cannot read {file}: it is larger than 64 MiB")]
    TooLarge {
        /// As it was named.
        file: String,
    },
    /// Its bytes are no text.
    #[error("{file}:{line}:{column}: this is not UTF-8; save the file as UTF-8")]
    NotUtf8 {
        /// As it was named.
        file: String,
        /// Where the first byte is that is not, from 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
}

impl SourceFile {
    /// Reads the file; paths in it are relative to the directory that it is in.
    ///
    /// # Errors
    /// If it cannot be read, is larger than 64 MiB or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Unreadable> {
        let shown = path.display().to_string();
        let bytes = match read_bytes(path) {
            Ok(bytes) => bytes,
            Err(error) => return Err(Unreadable::Io { file: shown, error }),
        };
        if bytes.len() > LARGEST {
            return Err(Unreadable::TooLarge { file: shown });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { shown, directory: directory_of(path), text }),
            Err(error) => {
                let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
                let (line, column) = end_of(&String::from_utf8_lossy(good));
                Err(Unreadable::NotUtf8 { file: shown, line, column })
            }
        }
    }

    /// SHA-256 of the text.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        super::compile::sha256(&self.text)
    }

    /// What [`compile`](fn@super::compile) takes.
    #[must_use]
    pub fn source(&self) -> Source<'_> {
        Source { shown: &self.shown, directory: &self.directory, text: &self.text }
    }
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than there may be shows that there are more.
    File::open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// The line and column, from 1, of what follows `text`.
fn end_of(text: &str) -> (usize, usize) {
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_text_is_refused_at_its_first_bad_byte() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.yaml");
        std::fs::write(&path, b"a: b\n\xc3\xa9: \xff\n").unwrap();
        let error = SourceFile::read(&path).unwrap_err();
        assert!(matches!(error, Unreadable::NotUtf8 { line: 2, column: 4, .. }), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_or_no_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().join("none.yaml"), directory.path().to_owned()] {
            assert!(matches!(SourceFile::read(&path), Err(Unreadable::Io { .. })), "{path:?}");
        }
    }

    #[test]
    fn a_file_beyond_the_limit_is_refused_without_being_held() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.yaml");
        File::create(&path).unwrap().set_len(LARGEST as u64 + 1).unwrap();
        assert!(matches!(SourceFile::read(&path), Err(Unreadable::TooLarge { .. })));
    }

    #[test]
    fn paths_in_the_file_are_relative_to_its_directory() {
        for (path, directory) in [("gateway.yaml", "."), ("a/gateway.yaml", "a"), ("/gateway.yaml", "/")] {
            assert_eq!(directory_of(Path::new(path)), Path::new(directory), "{path}");
        }
    }
}
