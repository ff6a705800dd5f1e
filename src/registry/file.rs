//! The file on disk: whether it may be written, and a new text in the old one's place, whole or not at
//! all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};
use thiserror::Error;

/// Why a text is not in the file.
#[derive(Debug, Error)]
pub(super) enum NotWritten {
    /// The file is not for writing; why.
    #[error("{0}")]
    ReadOnly(String),
    /// Somebody else has changed it meanwhile.
    #[error("the file was changed meanwhile")]
    Changed,
}

/// Whether a new text can be put in the file's place.
///
/// # Errors
/// Why not, for people.
pub(super) fn check_writable(path: &Path) -> Result<PathBuf, String> {
    let real = fs::canonicalize(path).map_err(|error| format!("the file cannot be found: {error}"))?;
    let is_of_volume = |part: Component<'_>| part.as_os_str().to_string_lossy().starts_with("..");
    if real.components().any(is_of_volume) {
        return Err("the file is mounted from a ConfigMap or Secret, which only its cluster changes".to_owned());
    }
    let metadata = fs::metadata(&real).map_err(|error| format!("the file cannot be looked at: {error}"))?;
    if metadata.permissions().mode() & 0o222 == 0 {
        return Err("the file is marked as read-only".to_owned());
    }
    let folder = real.parent().unwrap_or(Path::new("/"));
    access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("the file's directory cannot be written to: {error}"))?;
    Ok(real)
}

/// Puts `text` in the place of `expected`: written beside the file, brought to disk, renamed over it.
/// Mode and owner stay as they were. Gateways that share a file wait for each other; what anybody
/// else has put there meanwhile is left as it is.
pub(super) fn replace(path: &Path, expected: &str, text: &str) -> Result<(), NotWritten> {
    let real = check_writable(path).map_err(NotWritten::ReadOnly)?;
    let written = write(&real, expected, text);
    written.map_err(|error| NotWritten::ReadOnly(format!("the file cannot be written: {error}")))?
}

fn write(real: &Path, expected: &str, text: &str) -> io::Result<Result<(), NotWritten>> {
    let folder = real.parent().unwrap_or(Path::new("/"));
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.scopegate-");
    let directory = File::open(folder)?;
    directory.lock()?;
    remove_abandoned(folder, &prefix)?;
    let temporary = folder.join(format!("{prefix}{:016x}", fastrand::u64(..)));
    let renamed = write_beside(&temporary, real, text).and_then(|()| {
        if fs::read(real)? != expected.as_bytes() {
            return Ok(Err(NotWritten::Changed));
        }
        fs::rename(&temporary, real).map(Ok)
    });
    if !matches!(renamed, Ok(Ok(()))) {
        // It is not the file, whatever comes of this.
        let _ = fs::remove_file(&temporary);
        return renamed;
    }
    directory.sync_all()?;
    renamed
}

fn write_beside(temporary: &Path, real: &Path, text: &str) -> io::Result<()> {
    let old = fs::metadata(real)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// What a writer left that was ended in the middle: whoever has the lock is the only one.
fn remove_abandoned(folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_text_takes_the_place_of_the_one_that_is_expected_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        fs::write(folder.path().join(".gateway.yaml.scopegate-abandoned"), "half").unwrap();
        replace(&file, "old", "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(matches!(replace(&file, "old", "other"), Err(NotWritten::Changed)));
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(names(folder.path()), ["gateway.yaml"]);
    }

    #[test]
    fn a_link_stays_and_leads_to_the_new_text() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real.yaml"), folder.path().join("gateway.yaml"));
        fs::write(&file, "old").unwrap();
        symlink("real.yaml", &link).unwrap();
        replace(&link, "old", "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }

    #[test]
    fn what_is_not_for_writing_is_said_to_be_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        assert!(check_writable(&file).unwrap_err().contains("cannot be found"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
        assert!(check_writable(&file).unwrap_err().contains("read-only"));
        fs::create_dir(folder.path().join("..2026")).unwrap();
        fs::write(folder.path().join("..2026/gateway.yaml"), "old").unwrap();
        symlink("..2026", folder.path().join("..data")).unwrap();
        fs::remove_file(&file).unwrap();
        symlink("..data/gateway.yaml", &file).unwrap();
        assert!(check_writable(&file).unwrap_err().contains("ConfigMap"));
        assert!(matches!(replace(&file, "old", "new"), Err(NotWritten::ReadOnly(_))));
    }
}
