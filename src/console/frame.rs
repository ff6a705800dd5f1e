//! What stands around every page: who looks, where they are, and how the file is.

use super::Console;
use super::visitor::Visitor;

/// The parts of the console, as the navigation has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(dead_code, reason = "the pages come one by one")]
pub(super) enum Section {
    /// None of them.
    Outside,
    Apis,
    Search,
    WhoCan,
    Clients,
    Matrix,
    Usage,
    Denials,
    Policy,
}

/// What stands around a page.
#[derive(Debug)]
pub(super) struct Frame<'v> {
    /// `None`: nobody is signed in.
    pub(super) visitor: Option<&'v Visitor>,
    pub(super) section: Section,
    pub(super) generation: u64,
    /// Why a newer text of the file is not in force; for those who are signed in.
    pub(super) last_error: Option<String>,
}

impl Console {
    /// Around a page of this part.
    pub(super) fn frame<'v>(&self, visitor: Option<&'v Visitor>, section: Section) -> Frame<'v> {
        let last_error = visitor.and_then(|_| self.file.last_error());
        Frame { visitor, section, generation: self.generation().number, last_error }
    }
}

impl Section {
    /// Whether it is where the visitor is, for `aria-current`.
    #[expect(dead_code, reason = "the pages come one by one")]
    pub(super) fn is(self, name: &str) -> bool {
        name == match self {
            Self::Outside => "",
            Self::Apis => "apis",
            Self::Search => "search",
            Self::WhoCan => "who",
            Self::Clients => "clients",
            Self::Matrix => "matrix",
            Self::Usage => "usage",
            Self::Denials => "denials",
            Self::Policy => "policy",
        }
    }
}
