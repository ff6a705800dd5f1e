//! What was found of a token: where it is from, and its checks.

use serde::Serialize;
use serde_json::Value;

use crate::policy::Reason;
use crate::workbench::{Check, CheckOutcome, TokenChecks};

/// What was found of a token.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TokenStory {
    /// Where it is from, and whether it was checked.
    pub kind: TokenKind,
    /// The checks in their order.
    pub checks: Vec<CheckStory>,
    /// What it says, good or not.
    pub claims: Option<Value>,
}

/// Where a token is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// There is none.
    #[default]
    None,
    /// The request had it.
    Sent,
    /// It was not looked at: the service is public, or the request was refused before.
    NotAsked,
    /// Only its claims were given: it was not checked.
    Claims,
    /// It was checked when the request came: what came of that is recorded.
    Recorded,
}

/// One check of a token.
#[derive(Debug, Clone, Serialize)]
pub struct CheckStory {
    /// What was asked.
    pub check: &'static str,
    /// `passed`, `failed` or `not_made`.
    pub outcome: &'static str,
    /// What was compared.
    pub detail: String,
}

pub(super) fn token_story(kind: TokenKind, checks: TokenChecks, reason: Reason) -> TokenStory {
    let made = |check: Check| CheckStory {
        check: check.step.label(),
        outcome: match check.outcome {
            CheckOutcome::Passed => "passed",
            CheckOutcome::Failed => "failed",
            CheckOutcome::NotMade => "not_made",
        },
        detail: check.detail,
    };
    let was_asked = !matches!(
        reason,
        Reason::PathAmbiguous
            | Reason::HeaderAmbiguous
            | Reason::OriginRejected
            | Reason::Preflight
            | Reason::FormRejected
            | Reason::Public
    );
    let has_checks = !checks.checks.is_empty();
    let kind = match kind {
        TokenKind::None => TokenKind::None,
        kind if was_asked || has_checks => kind,
        TokenKind::Sent | TokenKind::Claims | TokenKind::Recorded | TokenKind::NotAsked => TokenKind::NotAsked,
    };
    TokenStory { kind, claims: checks.claims, checks: checks.checks.into_iter().map(made).collect() }
}
