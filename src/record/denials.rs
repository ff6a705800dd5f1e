//! The last refusals, for whoever asks why: a ring of so many, each request's written to a place of its
//! own. The audit lines are what lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;

use super::Outcome;
use super::labels::Names;
use crate::policy::{ApiName, Reason, ScopeName};

/// How many are kept.
const KEPT: usize = 256;
/// The longest text that is kept of a request, in characters.
const LONGEST: usize = 512;

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Its running number since start, from 1.
    pub number: u64,
    /// When.
    pub time: SystemTime,
    /// `X-Request-Id`.
    pub request_id: Box<str>,
    /// The generation that refused it.
    pub generation: u64,
    /// Why.
    pub reason: Reason,
    /// Whether it was let through all the same, as its api only reports.
    pub reported: bool,
    /// The api, where one was found.
    pub api: Option<ApiName>,
    /// Of a token that was good.
    pub issuer: Option<Box<str>>,
    /// Of a token that was good.
    pub client: Option<Box<str>>,
    /// Of a token that was good.
    pub subject: Option<Box<str>>,
    /// The account that was asked for.
    pub account: Option<Box<str>>,
    /// As sent.
    pub method: Box<str>,
    /// As sent, without its query.
    pub path: Box<str>,
    /// Of the answer.
    pub status: u16,
    /// The scopes for want of which it was refused.
    pub wanted: Box<[ScopeName]>,
}

/// The ring.
#[derive(Debug)]
pub(super) struct Denials {
    places: Box<[ArcSwapOption<Denied>]>,
    count: AtomicU64,
}

impl Default for Denials {
    fn default() -> Self {
        Self { places: (0..KEPT).map(|_| ArcSwapOption::empty()).collect(), count: AtomicU64::new(0) }
    }
}

impl Denials {
    pub(super) fn put(&self, mut denied: Denied) {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        denied.number = before + 1;
        let place = usize::try_from(before % KEPT as u64).unwrap_or_default();
        if let Some(place) = self.places.get(place) {
            place.store(Some(Arc::new(denied)));
        }
    }

    /// The newest first.
    pub(super) fn list(&self) -> Vec<Arc<Denied>> {
        let mut list: Vec<_> = self.places.iter().filter_map(ArcSwapOption::load_full).collect();
        list.sort_unstable_by_key(|denied| std::cmp::Reverse(denied.number));
        list
    }
}

impl Denied {
    pub(super) fn new(outcome: &Outcome<'_>, names: &Names) -> Self {
        Self {
            number: 0,
            time: outcome.time,
            request_id: cut(outcome.request_id),
            generation: outcome.generation,
            reason: outcome.reported.unwrap_or(outcome.reason),
            reported: outcome.reported.is_some(),
            api: outcome.api.and_then(|api| names.apis.get(api.0 as usize)).map(|(name, _)| name.clone()),
            issuer: outcome.issuer.map(cut),
            client: outcome.client.map(cut),
            subject: outcome.subject.map(cut),
            account: outcome.account.as_deref().map(cut),
            method: cut(outcome.method),
            path: cut(outcome.path),
            status: outcome.status,
            wanted: outcome.wanted.iter().filter_map(|id| names.scopes.get(id.0 as usize)).cloned().collect(),
        }
    }
}

fn cut(text: &str) -> Box<str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ScopeId;
    use crate::record::outcome::tests::{outcome, policy};

    #[test]
    fn the_last_refusals_are_kept_and_no_more() {
        let policy = policy();
        let names = Names {
            apis: policy.apis().iter().map(|api| (api.name.clone(), false)).collect(),
            scopes: policy.scopes().iter().map(|scope| scope.name.clone()).collect(),
        };
        let denials = Denials::default();
        assert_eq!(denials.list(), []);
        let (path, wanted) = ("/x".repeat(LONGEST), [ScopeId(1)]);
        let reason = Reason::ScopeInsufficient;
        let refused = Outcome { reason, path: &path, wanted: &wanted, granting: None, ..outcome(&policy) };
        (0..KEPT + 3).for_each(|_| denials.put(Denied::new(&refused, &names)));
        let list = denials.list();
        let numbers: Vec<_> = list.iter().map(|denied| denied.number).collect();
        assert_eq!(numbers, (4..KEPT as u64 + 4).rev().collect::<Vec<_>>());
        assert_eq!(list[0].path.chars().count(), LONGEST + 1);
        assert_eq!(*list[0].wanted, [ScopeName::parse("orders.write").unwrap()]);
    }
}
