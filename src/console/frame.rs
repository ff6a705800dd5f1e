//! What stands around every page: who looks, where they are, and how the file is.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::Console;
use super::done::{Doing, Done};
use super::visitor::Visitor;

/// The parts of the console, as the navigation has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// What was done right before.
    pub(super) done: Option<Done>,
}

impl Console {
    /// Around a page of this part.
    pub(super) fn frame<'v>(&self, visitor: Option<&'v Visitor>, section: Section) -> Frame<'v> {
        let last_error = visitor.and_then(|_| self.file.last_error());
        Frame { visitor, section, generation: self.generation().number, last_error, done: None }
    }
}

impl Frame<'_> {
    /// With what the page's address says was done.
    pub(super) fn saying(self, doing: Result<Query<Doing>, QueryRejection>) -> Self {
        Self { done: doing.ok().and_then(|Query(doing)| doing.done), ..self }
    }

    /// Whether the visitor may change things.
    pub(super) fn manages(&self) -> bool {
        self.visitor.is_some_and(|visitor| visitor.manages)
    }

    /// What the hidden field of forms says.
    pub(super) fn csrf(&self) -> String {
        self.visitor.map(|visitor| visitor.csrf.to_string()).unwrap_or_default()
    }
}

impl Section {
    /// Whether it is where the visitor is, for `aria-current`.
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
