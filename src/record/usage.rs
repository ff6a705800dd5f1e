//! Who uses what: for each scope and client of the policies in use, how often, when last, and until
//! when tokens that were seen are good.
//!
//! It is bounded by the names that the policies have, never by what requests say. A request moves a
//! few numbers and takes no lock; a token takes one when a policy meets it for the first time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use super::Outcome;
use crate::policy::{ClientId, Policy, Reason, ScopeId, ScopeName, UnixTime};

/// What a scope or client was used for since some policy began to have its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Used {
    /// Requests that it let through: by its grant, or sent by this client.
    pub allowed: u64,
    /// Refusals: for want of this scope or another that would have done, or of this client's requests.
    pub denied: u64,
    /// The last request that was let through.
    pub last_allowed: Option<UnixTime>,
    /// The latest expiry among the good tokens seen with it.
    pub last_expiry: Option<UnixTime>,
}

/// The counters of every name that some policy in use has.
#[derive(Debug, Default)]
pub(super) struct UsageBook {
    scopes: RwLock<HashMap<ScopeName, Arc<ScopeTally>>>,
    clients: RwLock<HashMap<ClientId, Arc<Tally>>>,
}

/// The counters of one policy's names, by their places in it.
#[derive(Debug, Default)]
pub(super) struct Usage {
    scopes: Box<[Counted]>,
    clients: Box<[Arc<Tally>]>,
}

#[derive(Debug)]
struct Counted {
    tally: Arc<ScopeTally>,
    is_deprecated: bool,
}

#[derive(Debug, Default)]
struct ScopeTally {
    tally: Tally,
    /// The clients of the list whose tokens carry it, and until when.
    holders: Mutex<BTreeMap<ClientId, UnixTime>>,
    is_deprecated: AtomicBool,
    deprecated_uses: AtomicU64,
}

/// Times are in Unix seconds; 0 is never.
#[derive(Debug, Default)]
struct Tally {
    allowed: AtomicU64,
    denied: AtomicU64,
    last_allowed: AtomicU64,
    last_expiry: AtomicU64,
}

impl UsageBook {
    /// The counters of a policy's names, which stay as long as some policy has them.
    pub(super) fn adopt(&self, policy: &Policy) -> Usage {
        let (mut scopes, mut clients) = (self.scopes.write(), self.clients.write());
        let scopes = policy.scopes().iter().map(|scope| {
            let (tally, is_deprecated) = (scopes.entry(scope.name.clone()).or_default(), scope.marks.deprecated);
            tally.is_deprecated.store(is_deprecated, Ordering::Relaxed);
            Counted { tally: Arc::clone(tally), is_deprecated }
        });
        let clients = policy.clients().map(|client| Arc::clone(clients.entry(client.id.clone()).or_default()));
        Usage { scopes: scopes.collect(), clients: clients.collect() }
    }

    /// Drops what no policy has any more; the scopes among it.
    pub(super) fn forget_unused(&self) -> Vec<ScopeName> {
        self.clients.write().retain(|_, tally| Arc::strong_count(tally) > 1);
        let mut forgotten = Vec::new();
        self.scopes.write().retain(|name, tally| {
            let is_used = Arc::strong_count(tally) > 1;
            if !is_used {
                forgotten.push(name.clone());
            }
            is_used
        });
        forgotten
    }

    /// A good token of this client carries these scopes until then.
    pub(super) fn token_seen<'a>(
        &self,
        scopes: impl Iterator<Item = &'a ScopeName>,
        client: Option<&str>,
        expires_at: UnixTime,
    ) {
        let clients = self.clients.read();
        let client = client.and_then(|client| clients.get_key_value(&ClientId::parse(client).ok()?));
        if let Some((_, tally)) = client {
            tally.last_expiry.fetch_max(expires_at.0, Ordering::Relaxed);
        }
        let tallies = self.scopes.read();
        for tally in scopes.filter_map(|scope| tallies.get(scope)) {
            tally.tally.last_expiry.fetch_max(expires_at.0, Ordering::Relaxed);
            if let Some((client, _)) = client {
                let mut holders = tally.holders.lock();
                let until = holders.entry(client.clone()).or_default();
                *until = (*until).max(expires_at);
            }
        }
    }

    /// Each scope, and the latest expiry of a token that was seen.
    pub(super) fn scopes_carried(&self) -> Vec<(ScopeName, Option<UnixTime>)> {
        let tallies = self.scopes.read();
        tallies.iter().map(|(name, tally)| (name.clone(), tally.tally.used().last_expiry)).collect()
    }

    /// Each scope with a token that was seen, and the latest expiry of one.
    pub(super) fn last_expiries(&self) -> Vec<(ScopeName, UnixTime)> {
        let tallies = self.scopes.read();
        let seen = tallies.iter().filter_map(|(name, tally)| Some((name.clone(), tally.tally.used().last_expiry?)));
        seen.collect()
    }

    /// How often each scope has let a request through while it was deprecated; of those that
    /// the newest policy deprecates.
    pub(super) fn deprecated_uses(&self) -> Vec<(ScopeName, u64)> {
        let tallies = self.scopes.read();
        let deprecated = tallies.iter().filter(|(_, tally)| tally.is_deprecated.load(Ordering::Relaxed));
        deprecated.map(|(name, tally)| (name.clone(), tally.deprecated_uses.load(Ordering::Relaxed))).collect()
    }

    pub(super) fn scope(&self, name: &ScopeName) -> Option<Used> {
        self.scopes.read().get(name).map(|tally| tally.tally.used())
    }

    pub(super) fn client(&self, id: &ClientId) -> Option<Used> {
        self.clients.read().get(id).map(|tally| tally.used())
    }

    /// The clients of the list whose tokens were seen to carry the scope, and until when.
    pub(super) fn holders(&self, name: &ScopeName) -> Vec<(ClientId, UnixTime)> {
        let tallies = self.scopes.read();
        let holders = tallies.get(name).map(|tally| tally.holders.lock().clone()).unwrap_or_default();
        holders.into_iter().collect()
    }
}

impl Usage {
    pub(super) fn count(&self, outcome: &Outcome<'_>) {
        let client = outcome.client_place.and_then(|place| self.clients.get(place as usize));
        if matches!(outcome.reason, Reason::Public | Reason::Granted) {
            let now = unix(outcome.time);
            if let Some(counted) = outcome.granting.and_then(|id| self.counted(id)) {
                counted.allow(now, outcome);
            }
            if let Some(client) = client {
                client.allow(now);
            }
            return;
        }
        for counted in outcome.wanted.iter().filter_map(|id| self.counted(*id)) {
            counted.tally.tally.denied.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(client) = client {
            client.denied.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted(&self, id: ScopeId) -> Option<&Counted> {
        self.scopes.get(id.0 as usize)
    }
}

impl Counted {
    fn allow(&self, now: u64, outcome: &Outcome<'_>) {
        self.tally.tally.allow(now);
        if self.is_deprecated && self.tally.deprecated_uses.fetch_add(1, Ordering::Relaxed) == 0 {
            let client = outcome.client.unwrap_or("(none)");
            tracing::warn!(scope = outcome.granted_by.unwrap_or_default(), client, "a deprecated scope is in use");
        }
    }
}

impl Tally {
    fn allow(&self, now: u64) {
        self.allowed.fetch_add(1, Ordering::Relaxed);
        // Written once a second at most, so that cores need not pass it around.
        if self.last_allowed.load(Ordering::Relaxed) != now {
            self.last_allowed.store(now, Ordering::Relaxed);
        }
    }

    fn used(&self) -> Used {
        let time = |time: &AtomicU64| Some(UnixTime(time.load(Ordering::Relaxed))).filter(|time| time.0 > 0);
        Used {
            allowed: self.allowed.load(Ordering::Relaxed),
            denied: self.denied.load(Ordering::Relaxed),
            last_allowed: time(&self.last_allowed),
            last_expiry: time(&self.last_expiry),
        }
    }
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{ClientSpec, ClientType, Marks, PolicySpec};
    use crate::record::outcome::tests::{outcome, policy, spec_of};

    fn name(name: &str) -> ScopeName {
        ScopeName::parse(name).unwrap()
    }

    fn client(id: &str) -> ClientId {
        ClientId::parse(id).unwrap()
    }

    /// `orders.read`, deprecated, and `orders.write`, with a list of one client.
    fn with_clients() -> Policy {
        let acme = ClientSpec::new(client("acme"), ClientType::Public);
        let mut spec: PolicySpec = spec_of(&["orders"]);
        spec.clients = Some(vec![acme]);
        spec.apis[0].scopes[0].marks = Marks { deprecated: true, ..Marks::default() };
        Policy::compile(spec).unwrap()
    }

    #[test]
    fn a_request_counts_for_what_granted_it_and_a_refusal_for_what_it_wanted() {
        let policy = with_clients();
        let book = UsageBook::default();
        let usage = book.adopt(&policy);
        let allowed = Outcome { client_place: Some(0), ..outcome(&policy) };
        let wanted = [ScopeId(1)];
        let reason = Reason::ScopeInsufficient;
        let denied = Outcome { reason, granting: None, wanted: &wanted, ..allowed.clone() };
        usage.count(&allowed);
        usage.count(&allowed);
        usage.count(&denied);
        let last = Some(UnixTime(1_700_000_000));
        let read = Used { allowed: 2, last_allowed: last, ..Used::default() };
        assert_eq!(book.scope(&name("orders.read")), Some(read));
        assert_eq!(book.scope(&name("orders.write")), Some(Used { denied: 1, ..Used::default() }));
        let used = Used { allowed: 2, denied: 1, last_allowed: last, last_expiry: None };
        assert_eq!(book.client(&client("acme")), Some(used));
        assert_eq!(book.deprecated_uses(), [(name("orders.read"), 2)]);
    }

    #[test]
    fn expiries_are_the_latest_of_each_scope_and_client() {
        let policy = with_clients();
        let book = UsageBook::default();
        let usage = book.adopt(&policy);
        let (read, write) = (name("orders.read"), name("orders.write"));
        book.token_seen([&read, &write].into_iter(), Some("acme"), UnixTime(20));
        book.token_seen([&read].into_iter(), Some("nobody"), UnixTime(30));
        book.token_seen([&read, &name("unknown")].into_iter(), Some("acme"), UnixTime(10));
        let until = |name| book.scope(name).and_then(|used| used.last_expiry);
        assert_eq!((until(&read), until(&write)), (Some(UnixTime(30)), Some(UnixTime(20))));
        assert_eq!(book.client(&client("acme")).unwrap().last_expiry, Some(UnixTime(20)));
        assert_eq!(book.holders(&read), [(client("acme"), UnixTime(20))]);
        assert_eq!((book.scope(&name("unknown")), book.client(&client("nobody"))), (None, None));
        drop(usage);
        assert_eq!(book.forget_unused().len(), 2);
        assert_eq!((book.scope(&read), book.client(&client("acme"))), (None, None));
    }

    #[test]
    fn what_another_policy_still_has_is_kept() {
        let book = UsageBook::default();
        let (policy, other) = (policy(), with_clients());
        let (before, _after) = (book.adopt(&policy), book.adopt(&other));
        before.count(&outcome(&policy));
        drop(before);
        assert_eq!(book.forget_unused(), []);
        assert_eq!(book.scope(&name("orders.read")).unwrap().allowed, 1);
    }
}
