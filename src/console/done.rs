//! A change that was made, as the next page's address says it.

use serde::Deserialize;

/// A change that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Done {
    Added,
    Saved,
    Deprecated,
    Deleted,
}

/// What a page's query says of what was done right before. Anything else is as if nothing was.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Doing {
    #[serde(default)]
    pub(super) done: Option<Done>,
}

impl Done {
    /// What an address says after `done=`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Saved => "saved",
            Self::Deprecated => "deprecated",
            Self::Deleted => "deleted",
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Added => "The scope was added",
            Self::Saved => "The change was saved",
            Self::Deprecated => "The scope is deprecated now",
            Self::Deleted => "The scope was deleted",
        }
    }
}
