//! The policy file as commands read it that ask about something else than its mistakes.

use std::io::{IsTerminal, Write, stderr};
use std::path::Path;

use super::Exit;
use crate::config::{Configuration, Problems};
use crate::reload::{NotLoaded, load};

/// The file's meaning, or what is wrong with it on standard error.
pub(super) fn configuration(path: &Path) -> Result<Configuration, Exit> {
    load(path).map_err(|not_loaded| match not_loaded {
        NotLoaded::Unreadable(error) => unusable(&error),
        NotLoaded::Bad(problems) => bad(&problems),
    })
}

/// Says what is wrong with a file that something is asked about.
pub(super) fn bad(problems: &Problems) -> Exit {
    let stderr = stderr();
    let styled = super::is_styled(stderr.is_terminal());
    // Without standard error there is nobody to tell.
    let _ = stderr.lock().write_all(problems.render(styled).as_bytes());
    Exit::Unusable
}

/// Says why a command cannot be done.
pub(super) fn unusable(error: &dyn std::fmt::Display) -> Exit {
    // Without standard error there is nobody to tell.
    let _ = writeln!(stderr().lock(), "error: {error}");
    Exit::Unusable
}
