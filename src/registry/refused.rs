//! Why a change is not made.

use thiserror::Error;

use super::field::FieldError;
use super::file::NotWritten;
use super::yaml::Unchangeable;
use crate::gateway::{NotReplaced, StillCarried};

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// The change rests on a text that is not in force any more.
    #[error("somebody else has changed the file meanwhile; load it again, and make the change to what is there now")]
    Outdated,
    /// The file has another text than the one in force, which must not be overwritten.
    #[error("the file was changed outside the registry, and its text is not in force: {0}")]
    FileChanged(String),
    /// The file is not for writing.
    #[error("the registry is read-only: {why}; the change is here as a patch for whoever can make it")]
    ReadOnly {
        /// Why.
        why: String,
        /// The change as `diff -u` shows it.
        patch: String,
    },
    /// What is to be changed is not there.
    #[error("{0}")]
    NotFound(String),
    /// The file has no list of clients.
    #[error(
        "the file has no `clients`, so every client may call; a first one would shut out all others: write `clients: []` into the file to begin a list"
    )]
    NoClients,
    /// What was sent is no good.
    #[error("{} wrong with what was sent", if .0.len() == 1 { "one thing is".to_owned() } else { format!("{} things are", .0.len()) })]
    Fields(Vec<FieldError>),
    /// Clients list the scope.
    #[error(
        "the scope `{scope}` cannot be removed: the {} {} it; take it from there first, or write `deprecated: true` for it",
        if clients.len() == 1 { "client" } else { "clients" },
        list(clients)
    )]
    Listed {
        /// The scope.
        scope: String,
        /// Their ids.
        clients: Vec<String>,
    },
    /// Unexpired tokens carry a scope that would go.
    #[error(transparent)]
    Carried(#[from] StillCarried),
    /// The gateway does not take the new text into force.
    #[error("{0}")]
    NotReplaced(NotReplaced),
    /// The change cannot be written into the text.
    #[error("{0}; make this change in the file itself")]
    Unchangeable(String),
}

impl Refused {
    pub(super) fn unwritten(fault: NotWritten, diff: &str) -> Self {
        match fault {
            NotWritten::ReadOnly(why) => Self::ReadOnly { why, patch: diff.to_owned() },
            NotWritten::Changed => Self::FileChanged("it was changed just now".to_owned()),
        }
    }
}

impl From<NotReplaced> for Refused {
    fn from(refused: NotReplaced) -> Self {
        match refused {
            NotReplaced::StillCarried(carried) => Self::Carried(carried),
            NotReplaced::NeedsRestart(_) => Self::NotReplaced(refused),
        }
    }
}

impl From<Unchangeable> for Refused {
    fn from(fault: Unchangeable) -> Self {
        Self::Unchangeable(fault.to_string())
    }
}

fn list(clients: &[String]) -> String {
    let names: Vec<_> = clients.iter().map(|client| format!("`{client}`")).collect();
    format!("{} {}", names.join(", "), if clients.len() == 1 { "lists" } else { "list" })
}
