//! Rate limits as operators are told of them. What has passed of them is a running gateway's to know.

use serde::Serialize;

use super::Sent;
use crate::policy::{ApiId, Basis, Policy, RateLimitSpec, ScopeName};

/// A rate limit that a request falls under.
#[derive(Debug, Clone, Serialize)]
pub struct LimitStory {
    /// What clients and metrics call it.
    pub name: String,
    /// What is counted together, in the file's words.
    pub by: Vec<&'static str>,
    /// How many requests pass.
    pub requests: u64,
    /// In how many seconds.
    pub per_seconds: u64,
    /// How many at once.
    pub burst: u64,
}

/// The limits that a request falls under which is sent on by this api.
pub(super) fn limit_stories(policy: &Policy, api: Option<ApiId>, sent: Option<&Sent>) -> Vec<LimitStory> {
    let (Some(api), Some(sent)) = (api, sent) else { return Vec::new() };
    let granting = match sent.basis {
        Basis::Scope(scope) => Some(scope),
        Basis::Public | Basis::TokenEndpoint(_) => None,
        // It would be refused, and is not counted.
        Basis::Reported => return Vec::new(),
    };
    let limits = policy.rate_limits_of(api, granting).filter_map(|id| policy.rate_limit(id));
    limits.map(|limit| LimitStory::of(&limit.spec)).collect()
}

impl LimitStory {
    fn of(spec: &RateLimitSpec) -> Self {
        Self {
            name: spec.name.to_string(),
            by: spec.by.iter().map(|by| by.as_str()).collect(),
            requests: spec.requests,
            per_seconds: spec.per,
            burst: spec.burst,
        }
    }
}

/// A limit in a few words: `100 in 1m by client, at most 20 at once`.
pub(super) fn in_words(spec: &RateLimitSpec) -> String {
    let story = LimitStory::of(spec);
    let scopes: Vec<_> = spec.scopes.iter().map(ScopeName::as_str).collect();
    let of = if scopes.is_empty() { String::new() } else { format!(" of {}", scopes.join(", ")) };
    format!("{}{of}", story.in_words())
}

impl LimitStory {
    pub(super) fn in_words(&self) -> String {
        let per = humantime::format_duration(std::time::Duration::from_secs(self.per_seconds));
        let burst =
            if self.burst == self.requests { String::new() } else { format!(", at most {} at once", self.burst) };
        format!("{} in {per} by {}{burst}", self.requests, self.by.join(" and "))
    }
}
