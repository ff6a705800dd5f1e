//! What is made of files and made again when one of them changes; the last good one stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use thiserror::Error;
use tokio::time::sleep;

use super::environment::{Background, Environment};
use super::file::{FileFault, WatchedFile};

/// The longest file, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// What was made of the files, kept up with them as long as this lives.
pub(super) struct Kept<T> {
    held: Arc<ArcSwapOption<T>>,
    _watch: Background,
}

/// Why nothing can be made of the files. Its text has nothing of their content.
#[derive(Debug, Error)]
pub(super) enum Unusable {
    /// One cannot be read.
    #[error("`{}` cannot be read: {fault}", path.display())]
    File { path: PathBuf, fault: FileFault },
    /// What they hold is no good.
    #[error("{0}")]
    Content(String),
}

struct Watch<T, M> {
    what: &'static str,
    files: Vec<Watched>,
    make: M,
    broken: bool,
    held: Arc<ArcSwapOption<T>>,
}

/// A file and what it held when it was last read.
struct Watched {
    file: WatchedFile,
    content: Option<Vec<u8>>,
}

impl<T: Send + Sync + 'static> Kept<T> {
    /// Reads the files, which blocks as long as that takes, and begins to watch them. `make` is given
    /// their contents in their order; `what` is what messages call its product.
    pub(super) fn start<M>(what: &'static str, files: &[&Path], make: M, around: &Environment) -> Self
    where
        M: Fn(&[&[u8]]) -> Result<T, Unusable> + Send + 'static,
    {
        let held = Arc::new(ArcSwapOption::empty());
        let watched = |path: &&Path| Watched { file: WatchedFile::new(path, LONGEST), content: None };
        let files = files.iter().map(watched).collect();
        let mut watch = Watch { what, files, make, broken: false, held: Arc::clone(&held) };
        watch.look();
        Self { held, _watch: around.spawn(watch.keep_up(around.pace.look)) }
    }

    /// The last that was good; `None` while there was none.
    pub(super) fn current(&self) -> Option<Arc<T>> {
        self.held.load_full()
    }
}

impl<T, M: Fn(&[&[u8]]) -> Result<T, Unusable>> Watch<T, M> {
    async fn keep_up(mut self, every: Duration) {
        loop {
            sleep(every).await;
            self.look();
        }
    }

    fn look(&mut self) {
        match self.make_again() {
            Ok(Some(made)) => {
                self.held.store(Some(Arc::new(made)));
                self.broken = false;
            }
            Ok(None) => {}
            Err(fault) => {
                if !self.broken {
                    let what = self.what;
                    let rest = if self.held.load().is_some() { "the last good one stays" } else { "there is none" };
                    tracing::error!(%fault, "{what} cannot be used; {rest}");
                }
                self.broken = true;
            }
        }
    }

    /// `None` if nothing has changed. What is no good is tried again with each look: two files that
    /// belong together may change one after the other.
    fn make_again(&mut self) -> Result<Option<T>, Unusable> {
        let mut changed = self.broken;
        for watched in &mut self.files {
            changed |= watched.look()?;
        }
        if !changed {
            return Ok(None);
        }
        let contents: Vec<_> = self.files.iter().filter_map(|watched| watched.content.as_deref()).collect();
        (self.make)(&contents).map(Some)
    }
}

impl Watched {
    /// Whether it has changed.
    fn look(&mut self) -> Result<bool, Unusable> {
        match self.file.look() {
            Ok(Some(content)) => {
                self.content = Some(content);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(fault) => Err(Unusable::File { path: self.file.path().into(), fault }),
        }
    }
}

/// The secret that a file holds: a final newline does not count, and it is not empty.
pub(super) fn secret(content: &[u8]) -> Result<&[u8], Unusable> {
    let secret = content.strip_suffix(b"\n").unwrap_or(content);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    if secret.is_empty() { Err(Unusable::Content("its file is empty".to_owned())) } else { Ok(secret) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn joined(contents: &[&[u8]]) -> Result<Vec<u8>, Unusable> {
        let joined = contents.concat();
        if joined.contains(&b'!') { Err(Unusable::Content("it is bad".to_owned())) } else { Ok(joined) }
    }

    #[track_caller]
    fn check<M: Fn(&[&[u8]]) -> Result<Vec<u8>, Unusable>>(watch: &mut Watch<Vec<u8>, M>, expected: Option<&str>) {
        watch.look();
        assert_eq!(watch.held.load().as_deref().map(Vec::as_slice), expected.map(str::as_bytes));
    }

    #[test]
    fn only_what_is_good_takes_the_place_of_what_is_held() {
        let directory = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
        let files = [&one, &other].map(|path| Watched { file: WatchedFile::new(path, 100), content: None });
        let held = Arc::new(ArcSwapOption::empty());
        let mut watch = Watch { what: "it", files: files.into(), make: joined, broken: false, held };
        check(&mut watch, None);
        fs::write(&one, "a").unwrap();
        check(&mut watch, None);
        fs::write(&other, "b").unwrap();
        check(&mut watch, Some("ab"));
        fs::write(&other, "!").unwrap();
        check(&mut watch, Some("ab"));
        // The other half of a change that came in two.
        fs::write(&one, "c").unwrap();
        check(&mut watch, Some("ab"));
        fs::write(&other, "d").unwrap();
        check(&mut watch, Some("cd"));
        fs::remove_file(&one).unwrap();
        check(&mut watch, Some("cd"));
        fs::write(&one, "e").unwrap();
        check(&mut watch, Some("ed"));
    }

    #[test]
    fn one_final_newline_does_not_count() {
        for (content, expected) in [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), (" s ", " s ")] {
            assert_eq!(secret(content.as_bytes()).unwrap(), expected.as_bytes(), "{content:?}");
        }
        for empty in ["", "\n", "\r\n"] {
            assert!(secret(empty.as_bytes()).is_err(), "{empty:?}");
        }
    }
}
