//! An audit log read through, a piece a thread: for commands that ask what many requests come to.
//!
//! Memory is bounded: a few pieces are held at a time, and what they come to is the caller's to bound.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::record::{AuditLine, NoAuditLine};

/// How much is read at a time.
const PIECE: usize = 1 << 20;

/// A line longer than this is none of ours.
const LONGEST_LINE: usize = 16 << 20;

/// Why a log cannot be read, and where.
#[derive(Debug)]
pub(super) struct BadLog(String);

impl fmt::Display for BadLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Some whole lines, and the number of the first.
struct Piece {
    bytes: Vec<u8>,
    first: u64,
}

/// What every line of the log comes to: `add` is shown each, and what the threads have is merged.
pub(super) fn read<T: Default + Send>(
    path: &Path,
    add: impl Fn(&mut T, &AuditLine<'_>, u64) + Sync,
    merge: impl Fn(&mut T, T),
) -> Result<T, BadLog> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| BadLog(format!("cannot read {shown}: {error}")))?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    let progress = progress(length);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let (sender, receiver) = sync_channel::<Piece>(workers);
    let receiver = Mutex::new(receiver);
    let (read, tallies) = thread::scope(|scope| {
        let (receiver, add, progress) = (&receiver, &add, &progress);
        let work = || scope.spawn(move || work(receiver, add, progress));
        let working: Vec<_> = (0..workers).map(|_| work()).collect();
        let read = pieces(file, &sender);
        drop(sender);
        let tallies: Vec<_> = working.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (read, tallies)
    });
    progress.finish_and_clear();
    let mut whole = T::default();
    let mut bad: Option<(u64, NoAuditLine)> = None;
    for tally in tallies {
        match tally {
            Ok(Ok(tally)) => merge(&mut whole, tally),
            Ok(Err(found)) => bad = bad.into_iter().chain([found]).min_by_key(|(line, _)| *line),
            Err(_) => return Err(BadLog(format!("cannot judge {shown}"))),
        }
    }
    match (bad, read) {
        (Some((line, error)), _) => Err(BadLog(format!("{shown}:{line}:{}: {error}", error.column()))),
        (None, Err(NotRead::Failed(error))) => Err(BadLog(format!("cannot read {shown}: {error}"))),
        (None, Err(NotRead::At(line, error))) => Err(BadLog(format!("{shown}:{line}: {error}"))),
        (None, Ok(0)) => Err(BadLog(format!("{shown}: there is nothing in this log"))),
        (None, Ok(_)) => Ok(whole),
    }
}

/// Lines until there are none, or the first that is none, with its number.
fn work<T: Default>(
    receiver: &Mutex<Receiver<Piece>>,
    add: &impl Fn(&mut T, &AuditLine<'_>, u64),
    progress: &ProgressBar,
) -> Result<T, (u64, NoAuditLine)> {
    let mut tally = T::default();
    let mut bad = None;
    loop {
        let piece = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(piece) = piece else { break };
        if bad.is_none() {
            bad = lines(&piece, &mut tally, add).err();
        }
        progress.inc(piece.bytes.len() as u64);
    }
    bad.map_or(Ok(tally), Err)
}

fn lines<T>(
    piece: &Piece,
    tally: &mut T,
    add: &impl Fn(&mut T, &AuditLine<'_>, u64),
) -> Result<(), (u64, NoAuditLine)> {
    for (number, line) in (piece.first..).zip(piece.bytes.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        if let Some(line) = AuditLine::parse(line).map_err(|error| (number, error))? {
            add(tally, &line, number);
        }
    }
    Ok(())
}

enum NotRead {
    Failed(io::Error),
    At(u64, &'static str),
}

/// Cuts the file into pieces that end with a line, and counts the lines.
fn pieces(mut file: File, sender: &SyncSender<Piece>) -> Result<u64, NotRead> {
    let (mut rest, mut first): (Vec<u8>, u64) = (Vec::new(), 1);
    loop {
        let mut bytes = std::mem::take(&mut rest);
        let known = bytes.len();
        let read = Read::by_ref(&mut file).take(PIECE as u64).read_to_end(&mut bytes).map_err(NotRead::Failed)?;
        if read == 0 {
            if bytes.trim_ascii().is_empty() {
                return Ok(first - 1);
            }
            return Err(NotRead::At(first, "the last line is cut off; give it its end, or leave it out"));
        }
        let Some(end) = bytes.get(known..).and_then(|new| new.iter().rposition(|byte| *byte == b'\n')) else {
            if bytes.len() > LONGEST_LINE {
                return Err(NotRead::At(first, "this is no audit line: it is longer than 16 MiB"));
            }
            rest = bytes;
            continue;
        };
        rest = bytes.split_off(known + end + 1);
        let count = memchr::memchr_iter(b'\n', &bytes).count() as u64;
        // Nobody takes it where all have given up, and then they say why.
        let _ = sender.send(Piece { bytes, first });
        first += count;
    }
}

/// A bar on standard error, where that is a terminal.
fn progress(length: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(8));
    let template = "{bar:40} {bytes}/{total_bytes} {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
