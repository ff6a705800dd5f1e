//! The candidate that `shadow` names: watched as the file is, and tried whole or not at all.
//!
//! It is looked at twice a second. What is no good leaves the candidate before it at work, and is said
//! once. Nothing of it touches the policy in force.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::look::Look;
use super::{NotLoaded, Status};
use crate::config::{SourceFile, compile_candidate};
use crate::gateway::{Gateway, IssuerApart};
use crate::record::ReloadResult;

/// The watch over a candidate, which may come and go with the file that names it.
pub(super) struct Candidate {
    gateway: Arc<Gateway>,
    status: Arc<Status>,
    /// What the file in force names.
    file: Option<PathBuf>,
    /// The candidate as it was when it was last read.
    seen: Option<Look>,
    /// What was last made of it; `None`: nothing yet.
    considered: Option<Considered>,
}

/// What was last made of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Considered {
    /// This text is tried.
    Tried([u8; 32]),
    /// This text, or that it cannot be read, was refused.
    Refused(Option<[u8; 32]>),
}

/// Why a candidate is not tried.
#[derive(Debug, Error)]
enum Refused {
    #[error(transparent)]
    NotLoaded(#[from] NotLoaded),
    #[error("{0}: the candidate that `shadow` names is the policy's own file, from which nothing could differ")]
    Itself(String),
}

impl Candidate {
    pub(super) fn new(gateway: Arc<Gateway>, status: Arc<Status>) -> Self {
        Self { gateway, status, file: None, seen: None, considered: None }
    }

    /// Reads the candidate if it has changed, or is another.
    pub(super) fn look(&mut self) {
        let Some(file) = self.follow() else { return };
        let look = Look::at(&file);
        if look.is_some() && look == self.seen && look.as_ref().is_some_and(Look::is_settled) {
            return;
        }
        self.seen = Look::settled(&file, self.seen.as_ref());
        self.read(&file, false);
    }

    /// Reads the candidate now, changed or not.
    pub(super) fn ask(&mut self) {
        if let Some(file) = self.follow() {
            self.read(&file, true);
        }
    }

    /// The candidate that the file in force names; where that is another than before, or none any more, the
    /// one before is tried no longer.
    fn follow(&mut self) -> Option<PathBuf> {
        let named = self.gateway.current().settings.shadow.clone();
        if named != self.file {
            self.gateway.end_trial();
            self.status.set_candidate(None);
            if let Some(file) = &self.file {
                tracing::info!(file = %file.display(), "the candidate is not tried any more");
            }
            (self.seen, self.considered) = (None, None);
            self.file = named;
        }
        self.file.clone()
    }

    fn read(&mut self, file: &Path, asked: bool) {
        let text = SourceFile::read(file);
        let sha256 = text.as_ref().ok().map(SourceFile::sha256);
        let is_known = self.considered.is_some_and(|considered| match considered {
            Considered::Tried(tried) => Some(tried) == sha256,
            Considered::Refused(refused) => refused == sha256,
        });
        if is_known {
            if asked {
                self.say_same();
            }
            return;
        }
        let configuration = match text {
            Ok(_) if is_one_file(file, &self.status.source) => Err(Refused::Itself(file.display().to_string())),
            Ok(text) => compile_candidate(&text.source()).map_err(|bad| NotLoaded::from(bad).into()),
            Err(error) => Err(NotLoaded::from(error).into()),
        };
        let series = self.gateway.metrics().shadow();
        match configuration {
            Ok(configuration) => {
                self.considered = Some(Considered::Tried(configuration.sha256));
                let number = self.gateway.try_candidate(file, configuration);
                self.status.set_candidate(None);
                series.reload(ReloadResult::Accepted);
                tracing::info!(number, file = %file.display(), "requests are judged by the candidate too");
                self.say_apart();
            }
            Err(refused) => {
                self.considered = Some(Considered::Refused(sha256));
                refused.log();
                self.status.set_candidate(Some(refused.to_string()));
                series.reload(ReloadResult::Refused);
                let rest = if self.gateway.candidate().is_some() { "the one before stays" } else { "none is tried" };
                tracing::warn!(file = %file.display(), "the candidate cannot be tried; {rest}");
            }
        }
    }

    /// What was asked for has been answered before.
    fn say_same(&self) {
        let series = self.gateway.metrics().shadow();
        match self.considered {
            Some(Considered::Tried(_)) => {
                tracing::info!("the candidate is the one that is tried");
                series.reload(ReloadResult::Unchanged);
            }
            Some(Considered::Refused(_)) | None => {
                tracing::warn!("the candidate is still refused, for what was said before");
                series.reload(ReloadResult::Refused);
            }
        }
    }

    /// Says of which issuers the comparison does not follow the candidate.
    fn say_apart(&self) {
        let Some(candidate) = self.gateway.candidate() else { return };
        for (issuer, apart) in candidate.issuers_apart(&self.gateway.current().settings) {
            let what = match apart {
                IssuerApart::ReadAsInForce => "its entry differs: its tokens are read as in force",
                IssuerApart::NotOfCandidate => "the candidate lacks it: it would refuse its tokens",
                IssuerApart::NotInForce => "only the candidate has it: its tokens cannot be tried",
            };
            tracing::warn!(%issuer, "of the candidate's issuers: {what}");
        }
    }
}

impl Refused {
    /// One line for each problem.
    fn log(&self) {
        match self {
            Self::NotLoaded(error) => error.log(),
            Self::Itself(_) => tracing::error!("{self}"),
        }
    }
}

/// Whether two names lead to one file.
fn is_one_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}
