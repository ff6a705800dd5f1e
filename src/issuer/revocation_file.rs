//! The file of revoked tokens on disk: entries that stay once they are added, and room made of those
//! that have expired.
//!
//! Gateways that share a file exclude each other by an advisory lock on it. The calls block.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::policy::UnixTime;
use crate::token::{Revocation, is_torn};

/// How long another gateway may have the file.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Longer than any entry, in bytes.
const TAIL: u64 = 64 * 1024;

/// Who may read a file that is made here: it tells of subjects and clients.
const MODE: u32 = 0o600;

/// The list without an entry at its end that broke off while it was written; `None` if it is no text.
pub(super) fn whole(content: &[u8]) -> Option<&str> {
    let (text, is_cut) = match std::str::from_utf8(content) {
        Ok(text) => (text, false),
        Err(error) if error.error_len().is_none() => {
            (std::str::from_utf8(content.get(..error.valid_up_to())?).ok()?, true)
        }
        Err(_) => return None,
    };
    let (whole, end) = text.split_at_checked(text.rfind('\n').map_or(0, |at| at + 1))?;
    if is_torn(end) { Some(whole) } else { (!is_cut).then_some(text) }
}

/// Adds a line that is there for good when this returns. An entry that broke off before goes.
///
/// # Errors
/// If that cannot be; then nothing is added.
pub(super) fn append(path: &Path, line: &str, may_create: bool) -> io::Result<()> {
    let mut file = locked(path, may_create)?;
    let length = file.metadata()?.len();
    let (kept, needs_end) = end(&mut file, length)?;
    let end = if needs_end { "\n" } else { "" };
    let write = |file: &mut File| {
        if kept < length {
            file.set_len(kept)?;
        }
        file.write_all(format!("{end}{line}\n").as_bytes())?;
        file.sync_data()
    };
    if let Err(error) = write(&mut file) {
        // Half an entry would be in the way of the next. If even this fails, it is cut off then.
        let _ = file.set_len(kept).and_then(|()| file.sync_data());
        return Err(error);
    }
    if length == 0 { sync_directory(path) } else { Ok(()) }
}

/// Takes out the entries that have expired, in one step; whether there were any.
///
/// # Errors
/// If the file, or another in its place, cannot be written; then it is as it was.
pub(super) fn compact(path: &Path, now: UnixTime, longest: u64) -> io::Result<bool> {
    let path = fs::canonicalize(path)?;
    let file = locked(&path, false)?;
    let mut content = Vec::new();
    (&file).take(longest.saturating_add(1)).read_to_end(&mut content)?;
    let Some(text) = whole(&content).filter(|_| u64::try_from(content.len()).is_ok_and(|length| length <= longest))
    else {
        return Ok(false);
    };
    let has_expired = |line: &&str| Revocation::parse(line.as_bytes()).is_ok_and(|entry| entry.has_expired(now));
    if !text.lines().any(|line| has_expired(&line)) {
        return Ok(false);
    }
    let kept: String = text.lines().filter(|line| !has_expired(line)).flat_map(|line| [line, "\n"]).collect();
    // What somebody else adds meanwhile, who does not lock it, comes after this.
    let mut taken = text.len() as u64;
    let mut beside = path.clone().into_os_string();
    beside.push(".compacted");
    let beside = PathBuf::from(beside);
    let replaced = put_beside(&beside, &kept, &file)
        .and_then(|()| carry_over(&file, &mut taken, &beside))
        .and_then(|()| fs::rename(&beside, &path));
    if let Err(error) = replaced {
        // It may not be there at all.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    sync_directory(&path)?;
    // From somebody who had opened the file that was there before.
    carry_over(&file, &mut taken, &path)?;
    Ok(true)
}

/// Adds the whole lines that a file has from there on to another, and moves on behind them.
fn carry_over(mut from: &File, taken: &mut u64, to: &Path) -> io::Result<()> {
    from.seek(SeekFrom::Start(*taken))?;
    let mut added = Vec::new();
    from.read_to_end(&mut added)?;
    added.truncate(added.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    if added.is_empty() {
        return Ok(());
    }
    *taken += added.len() as u64;
    let mut to = OpenOptions::new().append(true).open(to)?;
    to.write_all(&added)?;
    to.sync_data()
}

/// Whether entries could be added.
///
/// # Errors
/// Why not.
pub(super) fn check_writable(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The file, for this gateway alone as long as it is open.
fn locked(path: &Path, may_create: bool) -> io::Result<File> {
    let until = Instant::now() + PATIENCE;
    loop {
        // Before it is opened: to open a pipe may wait for its reader.
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let file = OpenOptions::new().read(true).append(true).create(may_create).mode(MODE).open(path)?;
        match file.try_lock() {
            // While it waited, another may have been put in its place.
            Ok(()) if is_at(&file, path)? => return Ok(file),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if Instant::now() >= until {
            return Err(io::Error::new(ErrorKind::WouldBlock, "another process keeps it locked"));
        }
        thread::sleep(LOOK_AGAIN);
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(other) => Ok((own.dev(), own.ino()) == (other.dev(), other.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// How much of the file stays, and whether its last line needs an end.
fn end(file: &mut File, length: u64) -> io::Result<(u64, bool)> {
    let start = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let line = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (_, last) = tail.split_at_checked(line).unwrap_or_default();
    let torn = whole(last).map_or(0, |whole| last.len() - whole.len());
    Ok((length - torn as u64, last.len() > torn))
}

fn put_beside(path: &Path, text: &str, original: &File) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
    let metadata = original.metadata()?;
    // Those who look after the list must be able to go on doing so.
    fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
    file.set_permissions(metadata.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ENTRY: &str = r#"{"jti":"t","iss":"i","exp":1000}"#;
    const LONGEST: u64 = 1 << 20;

    fn list() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("revoked.jsonl");
        (directory, path)
    }

    fn entry(id: &str, exp: u64) -> String {
        format!("{{\"jti\":\"{id}\",\"iss\":\"i\",\"exp\":{exp}}}")
    }

    #[test]
    fn an_entry_is_added_on_a_line_of_its_own_whatever_is_at_the_end() {
        let (_directory, path) = list();
        for (before, after) in [
            (String::new(), format!("{ENTRY}\n")),
            (format!("{ENTRY}\n"), format!("{ENTRY}\n{ENTRY}\n")),
            // Somebody wrote it by hand and ended no line.
            (ENTRY.to_owned(), format!("{ENTRY}\n{ENTRY}\n")),
            // A crash cut them off.
            (format!("{ENTRY}\n{}", &ENTRY[..20]), format!("{ENTRY}\n{ENTRY}\n")),
            (ENTRY[..1].to_owned(), format!("{ENTRY}\n")),
        ] {
            fs::write(&path, &before).unwrap();
            append(&path, ENTRY, false).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after, "{before}");
        }
        let cut_in_a_character = [ENTRY.as_bytes(), b"\n{\"jti\":\"\xc3"].concat();
        fs::write(&path, &cut_in_a_character).unwrap();
        append(&path, ENTRY, false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{ENTRY}\n{ENTRY}\n"));
    }

    #[test]
    fn a_file_is_made_only_where_it_may_be_and_for_its_owner() {
        let (_directory, path) = list();
        assert_eq!(append(&path, ENTRY, false).unwrap_err().kind(), ErrorKind::NotFound);
        append(&path, ENTRY, true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(append(directory.path(), ENTRY, true).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn who_comes_while_another_has_the_file_waits() {
        let (_directory, path) = list();
        let file = locked(&path, true).unwrap();
        let waiting = {
            let path = path.clone();
            thread::spawn(move || append(&path, ENTRY, false))
        };
        // The other puts another file in its place before it lets go.
        let beside = path.with_extension("new");
        fs::write(&beside, format!("{}\n", entry("kept", 5))).unwrap();
        fs::rename(&beside, &path).unwrap();
        drop(file);
        waiting.join().unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n{ENTRY}\n", entry("kept", 5)));
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let (_directory, path) = list();
        fs::write(&path, format!("{}\n", entry("old", 1))).unwrap();
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let path = path.clone();
                thread::spawn(move || {
                    for number in 0..20 {
                        append(&path, &entry(&format!("{writer}-{number}"), 1 << 40), false).unwrap();
                        compact(&path, UnixTime(1_000_000), LONGEST).unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 160, "{text}");
        assert!(text.lines().all(|line| Revocation::parse(line.as_bytes()).is_ok()), "{text}");
    }

    #[test]
    fn what_somebody_without_a_lock_adds_meanwhile_is_not_lost() {
        let (_directory, path) = list();
        fs::write(&path, format!("{}\n", entry("first", 1 << 40))).unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    compact(&path, UnixTime(1_000_000), LONGEST).unwrap();
                }
            });
            // As a shell's `echo … >> revoked.jsonl` does.
            for number in 0..3_000 {
                let exp = if number % 2 == 0 { 1 << 40 } else { 5 };
                let line = format!("{}\n", entry(&number.to_string(), exp));
                let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                file.write_all(line.as_bytes()).unwrap();
            }
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let text = fs::read_to_string(&path).unwrap();
        let kept = text.lines().filter(|line| line.contains(&(1_u64 << 40).to_string())).count();
        assert_eq!(kept, 1_501);
        assert!(text.lines().all(|line| Revocation::parse(line.as_bytes()).is_ok()), "{text}");
    }

    #[test]
    fn what_has_expired_is_taken_out_and_the_rest_stays_as_it_is_written() {
        let (_directory, path) = list();
        let kept = "  {\"jti\": \"a\", \"iss\": \"i\"}\n\n{\"jti\":\"b\",\"iss\":\"i\",\"exp\":9000}\n";
        fs::write(&path, format!("{}\n{kept}{}\n{}", entry("x", 10), entry("y", 20), &ENTRY[..9])).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(compact(&path, UnixTime(1_000), LONGEST).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), kept);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!compact(&path, UnixTime(1_000), LONGEST).unwrap());
        // What it points to is written, and it goes on pointing there.
        let link = path.with_extension("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(compact(&link, UnixTime(10_000), LONGEST).unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "  {\"jti\": \"a\", \"iss\": \"i\"}\n\n");
    }

    #[test]
    fn a_list_that_is_no_good_is_left_alone() {
        let (_directory, path) = list();
        for content in [&b"\xff\n"[..], &[b' '; 200]] {
            fs::write(&path, content).unwrap();
            assert!(!compact(&path, UnixTime(1 << 50), 100).unwrap());
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        // A line that cannot be read has not expired.
        fs::write(&path, format!("broken\n{ENTRY}\n")).unwrap();
        assert!(compact(&path, UnixTime(1 << 50), LONGEST).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "broken\n");
    }

    #[test]
    fn only_an_end_that_broke_off_is_left_out() {
        for (content, expected) in [
            (&b""[..], Some("")),
            (b"{\"a\":1}\n{\"b", Some("{\"a\":1}\n")),
            (b"{\"a\":1}\n{\"b\xe2\x82", Some("{\"a\":1}\n")),
            (b"{\"a\":1}", Some("{\"a\":1}")),
            (b"{\"a\":1}\nx", Some("{\"a\":1}\nx")),
            (b"{\"a\":1}\n{\"b\n", Some("{\"a\":1}\n{\"b\n")),
            (b"{\"a\":1}\nx\xe2", None),
            (b"\xff{\"b", None),
        ] {
            assert_eq!(whole(content), expected, "{}", content.escape_ascii());
        }
    }
}
