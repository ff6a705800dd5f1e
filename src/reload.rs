//! The file in force: read at start, watched after, and taken into use whole or not at all.
//!
//! So is the candidate that `shadow` names, beside it (`candidate`).
//!
//! A change is seen within a second, whichever way the file changes: the directory is watched, and
//! twice a second the file is looked at all the same. What is no good leaves the policy in force as
//! it is, and is said once. What a text means is `config`'s, and how a generation takes another's
//! place is `gateway`'s.

mod candidate;
mod look;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

use thiserror::Error;

use self::watch::{Wake, Watch};
use crate::config::{Configuration, Problems, SourceFile, Unreadable, compile};
use crate::gateway::Gateway;

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

impl NotLoaded {
    /// One line for each problem.
    fn log(&self) {
        match self {
            Self::Bad(problems) => {
                for problem in problems.list() {
                    tracing::error!("{problem}");
                }
            }
            Self::Unreadable(error) => tracing::error!("{error}"),
        }
    }
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
    /// The newest last.
    refusals: Mutex<VecDeque<RefusedText>>,
    candidate_error: Mutex<Option<String>>,
}

/// A text of the file, or that there was none to read, which was not taken into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedText {
    /// When it was last considered.
    pub at: SystemTime,
    /// Of the text, if it could be read.
    pub sha256: Option<[u8; 32]>,
    /// Why, one problem a line.
    pub why: String,
}

/// Refusals that are remembered, and so much of each, in characters.
const MOST_REFUSALS: usize = 50;
const LONGEST_WHY: usize = 8 * 1024;

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
        let status = Arc::new(Status {
            source: path.to_owned(),
            last_error: Mutex::default(),
            refusals: Mutex::default(),
            candidate_error: Mutex::default(),
        });
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

    /// The last texts that were refused, the newest last.
    pub fn refusals(&self) -> Vec<RefusedText> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Remembers a refusal; the same again takes the place of the last.
    fn refuse(&self, sha256: Option<[u8; 32]>, why: String) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.back().is_some_and(|last| last.sha256 == sha256) {
            refusals.pop_back();
        } else if refusals.len() >= MOST_REFUSALS {
            refusals.pop_front();
        }
        let shown = why.chars().take(LONGEST_WHY).collect();
        refusals.push_back(RefusedText { at: SystemTime::now(), sha256, why: shown });
        drop(refusals);
        self.set(Some(why));
    }

    /// Why the present text of the candidate is not the one that requests are judged by besides; `None`
    /// where it is, or where there is no candidate.
    pub fn candidate_error(&self) -> Option<String> {
        self.candidate_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, last_error: Option<String>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = last_error;
    }

    fn set_candidate(&self, error: Option<String>) {
        *self.candidate_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}
