//! What became of one request.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use super::{AuditSink, Labels};
use crate::policy::{ApiId, Policy, Reason, ScopeSet};

/// What became of one request: all that metrics and the audit line say of it.
#[derive(Debug, Clone)]
pub struct Outcome<'a> {
    /// When the decision was made.
    pub time: SystemTime,
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// The generation that decided.
    pub generation: u64,
    /// The api, where one was found.
    pub api: Option<ApiId>,
    /// Why; it also says whether the request was allowed.
    pub reason: Reason,
    /// Of a token that was good.
    pub issuer: Option<&'a str>,
    /// Of a token that was good.
    pub client: Option<&'a str>,
    /// Of a token that was good.
    pub subject: Option<&'a str>,
    /// The account that the request asked for.
    pub account: Option<Cow<'a, str>>,
    /// The scopes and privileges held; `None` without a good token.
    pub scopes: Option<HeldScopes<'a>>,
    /// The scope or privilege that granted.
    pub granted_by: Option<&'a str>,
    /// The service that matched, as the file writes it.
    pub service: Option<&'a str>,
    /// As sent.
    pub method: &'a str,
    /// As sent, without its query; what is not UTF-8 replaced.
    pub path: &'a str,
    /// Of the answer that the client got; 0 where it got none.
    pub status: u16,
    /// What failed between here and the upstream.
    pub upstream_error: Option<&'static str>,
    /// From the request's head to the decision, without waiting for an issuer.
    pub decision_time: Duration,
    /// From the request's head to the end of the answer.
    pub request_time: Duration,
}

/// The scopes that a caller holds, in the words of the policy that gave them their numbers.
#[derive(Debug, Clone, Copy)]
pub struct HeldScopes<'a> {
    /// Whose numbering it is.
    pub policy: &'a Policy,
    /// The scopes and privileges.
    pub held: &'a ScopeSet,
}

impl<'a> HeldScopes<'a> {
    /// Their names, in the order of the file.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.held.iter().filter_map(move |id| self.policy.scope(id)).map(|scope| scope.name.as_str())
    }
}

/// Tells metrics and audit of a request; once a request, and it never blocks.
pub fn record(outcome: &Outcome<'_>, labels: &Labels, audit: &AuditSink) {
    labels.count(outcome);
    audit.write(outcome);
}
