//! The bounded queue between requests and the thread that writes: lines go in without waiting, and come
//! out in batches.
//!
//! The writing thread looks at the queue every few milliseconds rather than being woken for each line,
//! which would cost a request more than making the line does. Buffers go round, so that a line
//! allocates nothing once as many exist as a batch has lines.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

/// How long lines may wait to be written.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the lines that wait are given to be written at the end.
const END: Duration = Duration::from_secs(1);

/// What a usual line takes.
const USUAL: usize = 768;

/// A buffer that one long line has blown up is not kept.
const LONGEST_KEPT: usize = 4096;

/// Where lines go in.
#[derive(Debug, Clone)]
pub(super) struct Queue(Arc<Shared>);

/// While it lives, lines are written; when it is dropped, those that wait are written first.
#[derive(Debug)]
pub(super) struct Writing {
    shared: Weak<Shared>,
    thread: Thread,
    /// Closed by the thread's end.
    ended: mpsc::Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    lines: ArrayQueue<Vec<u8>>,
    spare: ArrayQueue<Vec<u8>>,
    dropped: AtomicU64,
    ends: AtomicBool,
}

impl Queue {
    /// A queue of `most` lines, which a thread of its own writes to `output` and flushes after each batch.
    ///
    /// # Errors
    /// If the thread cannot be had.
    pub(super) fn start(output: impl Write + Send + 'static, most: usize) -> io::Result<(Self, Writing)> {
        let shared = Arc::new(Shared {
            lines: ArrayQueue::new(most),
            spare: ArrayQueue::new(most),
            dropped: AtomicU64::new(0),
            ends: AtomicBool::new(false),
        });
        let (alive, ended) = mpsc::channel();
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new().name("audit".into()).spawn(move || {
            own.write_all(output);
            drop(alive);
        })?;
        let writing = Writing { shared: Arc::downgrade(&shared), thread: thread.thread().clone(), ended };
        Ok((Self(shared), writing))
    }

    /// Puts in the line that `make` appends to an empty buffer, if there is room. It never waits.
    pub(super) fn put(&self, make: impl FnOnce(&mut Vec<u8>)) {
        let mut line = self.0.spare.pop().unwrap_or_else(|| Vec::with_capacity(USUAL));
        make(&mut line);
        if self.0.lines.push(line).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Writes batch after batch until the end. What `output` cannot write it has to tell itself.
    fn write_all(&self, mut output: impl Write) {
        loop {
            // Before the batch, so that nothing that was put in before the end is left.
            let ends = self.ends.load(Ordering::Acquire);
            let mut wrote = false;
            while let Some(mut line) = self.lines.pop() {
                let _ = output.write_all(&line);
                wrote = true;
                if line.capacity() <= LONGEST_KEPT {
                    line.clear();
                    // As many as there can be lines are kept.
                    let _ = self.spare.push(line);
                }
            }
            if wrote {
                let _ = output.flush();
            }
            if ends {
                return;
            }
            thread::park_timeout(PAUSE);
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        shared.ends.store(true, Ordering::Release);
        self.thread.unpark();
        // An error either way: it has ended, or writes to something that takes nothing.
        let _ = self.ended.recv_timeout(END);
    }
}
