//! The last refusals, for whoever asks why: a ring of so many, each request's written to a place of its
//! own, over what was there. The audit lines are what lasts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

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
    pub request_id: String,
    /// The generation that refused it.
    pub generation: u64,
    /// Why.
    pub reason: Reason,
    /// Whether it was let through all the same, as its api only reports.
    pub reported: bool,
    /// The api, where one was found.
    pub api: Option<ApiName>,
    /// Of a token that was good.
    pub issuer: Option<String>,
    /// Of a token that was good.
    pub client: Option<String>,
    /// Of a token that was good.
    pub subject: Option<String>,
    /// The account that was asked for.
    pub account: Option<String>,
    /// As sent.
    pub method: String,
    /// As sent, without its query.
    pub path: String,
    /// Of the answer.
    pub status: u16,
    /// The scopes for want of which it was refused.
    pub wanted: Vec<ScopeName>,
}

/// The ring.
#[derive(Debug)]
pub(super) struct Denials {
    places: Box<[Mutex<Option<Denied>>]>,
    count: AtomicU64,
}

impl Default for Denials {
    fn default() -> Self {
        Self { places: (0..KEPT).map(|_| Mutex::new(None)).collect(), count: AtomicU64::new(0) }
    }
}

impl Denials {
    /// Takes down a refusal. Where the place is being read just now, what is there stays: no request
    /// waits for a reader.
    pub(super) fn put(&self, outcome: &Outcome<'_>, names: &Names) {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        let place = usize::try_from(before % KEPT as u64).unwrap_or_default();
        if let Some(mut place) = self.places.get(place).and_then(Mutex::try_lock) {
            place.get_or_insert_with(|| Denied::nothing(outcome)).write(before + 1, outcome, names);
        }
    }

    /// The newest first.
    pub(super) fn list(&self) -> Vec<Denied> {
        let mut list: Vec<_> = self.places.iter().filter_map(|place| place.lock().clone()).collect();
        list.sort_unstable_by_key(|denied| std::cmp::Reverse(denied.number));
        list
    }
}

impl Denied {
    fn nothing(outcome: &Outcome<'_>) -> Self {
        Self {
            number: 0,
            time: outcome.time,
            request_id: String::new(),
            generation: 0,
            reason: outcome.reason,
            reported: false,
            api: None,
            issuer: None,
            client: None,
            subject: None,
            account: None,
            method: String::new(),
            path: String::new(),
            status: 0,
            wanted: Vec::new(),
        }
    }

    /// Over what was there, in its memory.
    fn write(&mut self, number: u64, outcome: &Outcome<'_>, names: &Names) {
        self.number = number;
        self.time = outcome.time;
        set(&mut self.request_id, outcome.request_id);
        self.generation = outcome.generation;
        self.reason = outcome.reported.unwrap_or(outcome.reason);
        self.reported = outcome.reported.is_some();
        self.api = outcome.api.and_then(|api| names.apis.get(api.0 as usize)).map(|(name, _)| name.clone());
        set_optional(&mut self.issuer, outcome.issuer);
        set_optional(&mut self.client, outcome.client);
        set_optional(&mut self.subject, outcome.subject);
        set_optional(&mut self.account, outcome.account.as_deref());
        set(&mut self.method, outcome.method);
        set(&mut self.path, outcome.path);
        self.status = outcome.status;
        self.wanted.clear();
        self.wanted.extend(outcome.wanted.iter().filter_map(|id| names.scopes.get(id.0 as usize)).cloned());
    }
}

fn set_optional(to: &mut Option<String>, text: Option<&str>) {
    match text {
        Some(text) => set(to.get_or_insert_default(), text),
        None => *to = None,
    }
}

fn set(to: &mut String, text: &str) {
    to.clear();
    // No text of fewer bytes has more characters.
    let end = if text.len() > LONGEST { text.char_indices().nth(LONGEST) } else { None };
    match end {
        Some((end, _)) => to.extend([text.get(..end).unwrap_or_default(), "…"]),
        None => to.push_str(text),
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
        (0..KEPT + 3).for_each(|_| denials.put(&refused, &names));
        let list = denials.list();
        let numbers: Vec<_> = list.iter().map(|denied| denied.number).collect();
        assert_eq!(numbers, (4..KEPT as u64 + 4).rev().collect::<Vec<_>>());
        assert_eq!(list[0].path.chars().count(), LONGEST + 1);
        assert_eq!(list[0].wanted, [ScopeName::parse("orders.write").unwrap()]);
    }
}
