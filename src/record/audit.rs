//! Where audit lines go: a bounded queue, written by a thread of its own to standard output or a file.
//!
//! A request never waits for it. What finds the queue full, or cannot be written, is dropped and
//! counted. What a line says is `line`'s.

use std::cell::RefCell;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use super::{Metrics, Outcome, line};

/// How many lines may wait; at some 500 bytes each.
const QUEUE: usize = 32_768;

/// Takes audit lines; see [`record`](super::record).
pub struct AuditSink {
    queue: NonBlocking,
    file: Option<Reopened>,
}

/// While it lives, lines are written; when it is dropped, those that wait are written first.
#[derive(Debug)]
#[must_use = "lines are written only while it lives"]
pub struct AuditGuard(#[expect(dead_code, reason = "it is kept for what its drop does")] WorkerGuard);

/// How many lines were lost so far.
#[derive(Debug)]
pub(super) struct Dropped {
    queue: ErrorCounter,
    unwritten: Arc<AtomicU64>,
}

/// A file by its path, and the next handle of it for the writing thread.
struct Reopened {
    path: PathBuf,
    next: Arc<Mutex<Option<File>>>,
}

impl AuditSink {
    /// Writes to `file`, which is created if it is not there and appended to if it is; to standard
    /// output where there is none. Lost lines are counted in `metrics`.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(file: Option<&Path>, metrics: &Metrics) -> io::Result<(Self, AuditGuard)> {
        let Some(path) = file else {
            return Ok(Self::start(Output::Stdout(io::stdout()), QUEUE, None, metrics));
        };
        let reopened = Reopened { path: path.to_owned(), next: Arc::default() };
        Ok(Self::start(Output::File(append_to(path)?), QUEUE, Some(reopened), metrics))
    }

    /// Lines that come from now on go to the file that the path names now; of use after the file
    /// was renamed (as logrotate does). Nothing happens where lines go to standard output.
    ///
    /// # Errors
    /// If the file cannot be opened; lines then go on to where they went.
    pub fn reopen(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let opened = append_to(&file.path)?;
        *file.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(())
    }

    /// Queues the outcome's line.
    pub(super) fn write(&self, outcome: &Outcome<'_>) {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(1024));
        }
        BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            if line::append(outcome, buffer).is_ok() {
                // It cannot fail: what does not fit is counted by the queue.
                let _ = self.queue.clone().write_all(buffer);
            }
        });
    }

    fn start(output: Output, queue: usize, file: Option<Reopened>, metrics: &Metrics) -> (Self, AuditGuard) {
        let unwritten = Arc::default();
        let destination = Destination {
            output: BufWriter::with_capacity(64 * 1024, output),
            next: file.as_ref().map(|file| Arc::clone(&file.next)).unwrap_or_default(),
            unwritten: Arc::clone(&unwritten),
            fails: false,
        };
        let (queue, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(queue)
            .thread_name("audit")
            .finish(destination);
        metrics.count_dropped(Dropped { queue: queue.error_counter(), unwritten });
        (Self { queue, file }, AuditGuard(guard))
    }
}

impl fmt::Debug for AuditSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditSink").field("file", &self.file.as_ref().map(|file| &file.path)).finish_non_exhaustive()
    }
}

impl Dropped {
    pub(super) fn count(&self) -> u64 {
        let queue = u64::try_from(self.queue.dropped_lines()).unwrap_or(u64::MAX);
        queue.saturating_add(self.unwritten.load(Ordering::Relaxed))
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    // It names subjects and accounts: not for everybody's eyes.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

/// The writing thread's end. It reports no error to its caller, which would keep silent about it.
struct Destination {
    output: BufWriter<Output>,
    next: Arc<Mutex<Option<File>>>,
    unwritten: Arc<AtomicU64>,
    fails: bool,
}

enum Output {
    Stdout(io::Stdout),
    File(File),
    #[cfg(test)]
    Test(Box<dyn Write + Send>),
}

impl Write for Destination {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.take_next();
        let written = self.output.write_all(line);
        if written.is_err() {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        }
        self.report(written);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.output.flush();
        self.report(flushed);
        Ok(())
    }
}

impl Destination {
    fn take_next(&mut self) {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(file) = next {
            let flushed = self.output.flush();
            self.report(flushed);
            self.output = BufWriter::with_capacity(64 * 1024, Output::File(file));
        }
    }

    /// Says when writing begins to fail and when it works again, not each time.
    fn report(&mut self, result: io::Result<()>) {
        match result {
            Err(error) if !self.fails => {
                self.fails = true;
                tracing::error!(%error, "audit lines cannot be written");
            }
            Err(_) => {}
            Ok(()) if self.fails => {
                self.fails = false;
                tracing::info!("audit lines are written again");
            }
            Ok(()) => {}
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(file) => file.write(bytes),
            #[cfg(test)]
            Self::Test(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(file) => file.flush(),
            #[cfg(test)]
            Self::Test(output) => output.flush(),
        }
    }
}
