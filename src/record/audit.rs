//! Where audit lines go: a bounded queue, written by a thread of its own to standard output or a file.
//!
//! A request never waits for it. What finds the queue full, or cannot be written, is dropped and
//! counted. What a line says is `line`'s, how lines wait `queue`'s.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::queue::{Queue, Writing};
use super::recent::Recent;
use super::{
    Metrics, Outcome, RegistryChange, RevocationOutcome, ShadowDifference, change_line, line, revocation, shadow,
};

/// How many lines may wait; at some 500 bytes each.
const QUEUE: usize = 32_768;

/// Takes audit lines; see [`record`](super::record).
pub struct AuditSink {
    queue: Queue,
    recent: Arc<Recent>,
    file: Option<Reopened>,
}

/// While it lives, lines are written; when it is dropped, those that wait are written first.
#[derive(Debug)]
#[must_use = "lines are written only while it lives"]
pub struct AuditGuard(#[expect(dead_code, reason = "it is kept for what its drop does")] Writing);

/// How many lines were lost so far.
#[derive(Debug)]
pub(super) struct Dropped {
    queue: Queue,
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
    /// If the file cannot be opened, or the thread that writes not be had.
    pub fn open(file: Option<&Path>, metrics: &Metrics) -> io::Result<(Self, AuditGuard)> {
        let Some(path) = file else {
            return Self::start(Box::new(io::stdout()), QUEUE, None, metrics);
        };
        let reopened = Reopened { path: path.to_owned(), next: Arc::default() };
        Self::start(Box::new(append_to(path)?), QUEUE, Some(reopened), metrics)
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
        self.queue.put(|line| line::append(outcome, line));
    }

    /// Queues the line of a request that a candidate would answer differently.
    pub fn write_difference(&self, outcome: &Outcome<'_>, difference: &ShadowDifference<'_>) {
        self.queue.put(|line| shadow::append(outcome, difference, line));
    }

    /// Queues the line of a change to the registry.
    pub fn write_change(&self, change: &RegistryChange<'_>) {
        self.queue.put(|line| change_line::append(change, SystemTime::now(), line));
    }

    /// Queues the line of a request to revoke tokens; it never blocks.
    pub fn revocation(&self, outcome: &RevocationOutcome<'_>) {
        self.queue.put(|line| revocation::append(outcome, line));
    }

    /// The lines of the last decisions about requests with this id, the newest first: as many as are
    /// kept. A line comes here some milliseconds after its request has ended, and none that was dropped.
    pub fn recent(&self, request_id: &str) -> Vec<Box<[u8]>> {
        self.recent.of(request_id)
    }

    fn start(
        output: Output,
        queue: usize,
        file: Option<Reopened>,
        metrics: &Metrics,
    ) -> io::Result<(Self, AuditGuard)> {
        let (unwritten, recent) = (Arc::default(), Arc::<Recent>::default());
        let destination = Destination {
            recent: Arc::clone(&recent),
            output: BufWriter::with_capacity(64 * 1024, output),
            next: file.as_ref().map(|file| Arc::clone(&file.next)).unwrap_or_default(),
            unwritten: Arc::clone(&unwritten),
            fails: false,
        };
        let (queue, writing) = Queue::start(destination, queue)?;
        metrics.count_dropped(Dropped { queue: queue.clone(), unwritten });
        Ok((Self { queue, recent, file }, AuditGuard(writing)))
    }
}

impl fmt::Debug for AuditSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditSink").field("file", &self.file.as_ref().map(|file| &file.path)).finish_non_exhaustive()
    }
}

impl Dropped {
    pub(super) fn count(&self) -> u64 {
        self.queue.dropped().saturating_add(self.unwritten.load(Ordering::Relaxed))
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
    recent: Arc<Recent>,
    output: BufWriter<Output>,
    next: Arc<Mutex<Option<File>>>,
    unwritten: Arc<AtomicU64>,
    fails: bool,
}

type Output = Box<dyn Write + Send>;

impl Write for Destination {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Before it is written, which may take as long as it likes.
        self.recent.keep(line);
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
            self.output = BufWriter::with_capacity(64 * 1024, Box::new(file));
        }
    }

    /// Says when writing begins to fail and when it works again, not each time.
    fn report(&mut self, result: io::Result<()>) {
        match result {
            Err(error) if !self.fails => {
                self.fails = true;
                tracing::error!(%error, "audit lines cannot be written");
            }
            Ok(()) if self.fails => {
                self.fails = false;
                tracing::info!("audit lines are written again");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;

    use super::*;
    use crate::record::outcome::tests::{outcome, policy};

    /// Passes on what it is given, and waits where nobody takes it.
    struct Handed(mpsc::SyncSender<Vec<u8>>);

    impl Write for Handed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn dropped(metrics: &Metrics) -> u64 {
        let text = metrics.render().unwrap();
        let line = text.lines().find(|line| line.starts_with("scopegate_audit_dropped_total ")).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    fn write(sink: &AuditSink, request_id: &str) {
        let policy = policy();
        sink.write(&Outcome { request_id, ..outcome(&policy) });
    }

    #[test]
    fn lines_go_to_the_file_that_the_path_names_after_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let metrics = Metrics::new().unwrap();
        let (sink, guard) = AuditSink::open(Some(&path), &metrics).unwrap();
        write(&sink, "first");
        let rotated = directory.path().join("audit.jsonl.1");
        // The writing thread has the file open, whatever its name.
        fs::rename(&path, &rotated).unwrap();
        sink.reopen().unwrap();
        write(&sink, "second");
        drop(guard);
        let both = fs::read_to_string(&rotated).unwrap() + &fs::read_to_string(&path).unwrap();
        assert!(fs::read_to_string(&path).unwrap().ends_with('\n'));
        assert!(fs::read_to_string(&path).unwrap().contains("\"second\""));
        assert!(both.contains("\"first\""));
        assert_eq!(both.lines().count(), 2);
        assert_eq!(dropped(&metrics), 0);
    }

    #[test]
    fn a_file_is_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        for request_id in ["first", "second"] {
            let metrics = Metrics::new().unwrap();
            let (sink, guard) = AuditSink::open(Some(&path), &metrics).unwrap();
            write(&sink, request_id);
            drop(guard);
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_and_changes_nothing_later() {
        let directory = tempfile::tempdir().unwrap();
        let metrics = Metrics::new().unwrap();
        assert!(AuditSink::open(Some(&directory.path().join("none/audit.jsonl")), &metrics).is_err());
        let path = directory.path().join("logs");
        fs::create_dir(&path).unwrap();
        let (sink, guard) = AuditSink::open(Some(&path.join("audit.jsonl")), &metrics).unwrap();
        fs::rename(&path, directory.path().join("moved")).unwrap();
        assert!(sink.reopen().is_err());
        write(&sink, "still");
        drop(guard);
        assert!(fs::read_to_string(directory.path().join("moved/audit.jsonl")).unwrap().contains("still"));
    }

    #[test]
    fn a_writer_that_hangs_costs_lines_which_are_counted_and_no_time() {
        let (sender, lines) = mpsc::sync_channel(0);
        let metrics = Metrics::new().unwrap();
        let (sink, guard) = AuditSink::start(Box::new(Handed(sender)), 4, None, &metrics).unwrap();
        let total = 4_000_u64;
        for number in 0..total {
            write(&sink, &number.to_string());
        }
        let writer = std::thread::spawn(move || {
            lines.into_iter().map(|bytes| bytes.split(|byte| *byte == b'\n').count() as u64 - 1).sum::<u64>()
        });
        let lost = dropped(&metrics);
        assert!(lost > 0);
        drop((sink, guard));
        assert_eq!(writer.join().unwrap() + lost, total);
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let (sender, receiver) = mpsc::sync_channel(0);
        drop(receiver);
        let metrics = Metrics::new().unwrap();
        let mut destination = Destination {
            recent: Arc::default(),
            output: BufWriter::with_capacity(0, Box::new(Handed(sender))),
            next: Arc::default(),
            unwritten: Arc::default(),
            fails: false,
        };
        let (queue, _writing) = Queue::start(io::sink(), 1).unwrap();
        metrics.count_dropped(Dropped { queue, unwritten: Arc::clone(&destination.unwritten) });
        destination.write_all(b"{}\n").unwrap();
        destination.write_all(b"{}\n").unwrap();
        assert_eq!(dropped(&metrics), 2);
    }
}
