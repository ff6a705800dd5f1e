//! What recorded requests made use of, and so which rights nobody would miss.
//!
//! A log is as long as it is: what was not used in it may be needed once a year. The findings are for a
//! person to judge. Memory is bounded by the policy's names and by fixed limits for what requests name.

mod finding;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use crate::policy::{Account, Policy, Reason};
use crate::record::AuditLine;

pub use finding::Finding;

/// More clients than this are not told apart; those that the policy lists always are.
const MOST_CLIENTS: usize = 10_000;
/// More accounts of a client are not counted.
const MOST_ACCOUNTS: usize = 1_000;
/// More scopes of a client's tokens are not kept.
const MOST_CARRIED: usize = 1_000;

/// What many recorded requests made use of.
#[derive(Debug, Default)]
pub struct Usage {
    /// How many lines there were.
    pub lines: u64,
    /// How many of them were let through.
    pub allowed: u64,
    /// When the first was decided.
    pub first: Option<String>,
    /// And the last.
    pub last: Option<String>,
    clients: HashMap<String, ClientUsage>,
    services: HashMap<String, u64>,
    /// What apis only reported: by their names, how often for each reason.
    reported: BTreeMap<String, BTreeMap<&'static str, u64>>,
}

/// What one client made use of.
#[derive(Debug, Default)]
struct ClientUsage {
    requests: u64,
    carried: BTreeSet<String>,
    scopes: BTreeMap<String, ScopeUsage>,
}

/// What it used one scope for.
#[derive(Debug, Default)]
struct ScopeUsage {
    requests: u64,
    last: Option<String>,
    /// Requests that named an account of the caller's own, or none.
    own: u64,
    others: BTreeSet<String>,
    has_more: bool,
}

impl Usage {
    /// Counts a line.
    pub fn add(&mut self, policy: &Policy, line: &AuditLine<'_>) {
        self.lines += 1;
        let time = line.time.as_deref();
        if let Some(time) = time {
            keep(&mut self.first, time, |known, time| time < known);
            keep(&mut self.last, time, |known, time| time > known);
        }
        let Some(client) = line.client.as_deref() else {
            return self.add_service(policy, line);
        };
        let is_kept =
            self.clients.contains_key(client) || policy.client(client).is_some() || self.clients.len() < MOST_CLIENTS;
        if is_kept {
            self.clients.entry_ref(client).or_default().add(policy, line, client);
        }
        self.add_service(policy, line);
    }

    fn add_service(&mut self, policy: &Policy, line: &AuditLine<'_>) {
        if !line.is_allowed() {
            return;
        }
        self.allowed += 1;
        self.add_reported(policy, line);
        if let Some(service) = line.service.as_deref()
            && (self.services.contains_key(service) || policy.services().iter().any(|known| known.as_str() == service))
        {
            *self.services.entry_ref(service).or_default() += 1;
        }
    }

    fn add_reported(&mut self, policy: &Policy, line: &AuditLine<'_>) {
        let Some(reported) = line.reported.as_deref() else { return };
        let reason = Reason::ALL.iter().find(|reason| reason.as_str() == reported);
        let api = policy.apis().iter().find(|api| Some(api.name.as_str()) == line.api.as_deref());
        if let (Some(reason), Some(api)) = (reason, api) {
            *self.reported.entry(api.name.to_string()).or_default().entry(reason.as_str()).or_default() += 1;
        }
    }

    /// With what another has counted.
    pub fn merge(&mut self, other: Self) {
        self.lines += other.lines;
        self.allowed += other.allowed;
        if let Some(time) = other.first {
            keep(&mut self.first, &time, |known, time| time < known);
        }
        if let Some(time) = other.last {
            keep(&mut self.last, &time, |known, time| time > known);
        }
        for (api, reasons) in other.reported {
            let own = self.reported.entry(api).or_default();
            for (reason, count) in reasons {
                *own.entry(reason).or_default() += count;
            }
        }
        for (service, count) in other.services {
            *self.services.entry(service).or_default() += count;
        }
        for (client, usage) in other.clients {
            self.clients.entry(client).or_default().merge(usage);
        }
    }
}

impl ClientUsage {
    fn add(&mut self, policy: &Policy, line: &AuditLine<'_>, client: &str) {
        self.requests += 1;
        let carried = line.token_scopes.as_ref().unwrap_or(&line.scopes);
        for scope in carried {
            if !self.carried.contains(&**scope) && self.carried.len() < MOST_CARRIED {
                self.carried.insert(scope.to_string());
            }
        }
        let Some(scope) = line.granted_by.as_deref().filter(|_| line.is_allowed()) else { return };
        if !self.scopes.contains_key(scope) {
            self.scopes.insert(scope.to_owned(), ScopeUsage::default());
        }
        let Some(usage) = self.scopes.get_mut(scope) else { return };
        usage.requests += 1;
        if let Some(time) = line.time.as_deref() {
            keep(&mut usage.last, time, |known, time| time > known);
        }
        let entry = policy.client(client).and_then(|client| client.account).map(Account::as_str);
        let is_own =
            |account: &str| entry == Some(account) || line.token_accounts.iter().flatten().any(|own| **own == *account);
        match line.account.as_deref() {
            Some(account) if is_own(account) => usage.own += 1,
            Some(account) if usage.others.contains(account) => {}
            Some(account) if usage.others.len() < MOST_ACCOUNTS => {
                usage.others.insert(account.to_owned());
            }
            Some(_) => usage.has_more = true,
            // It may list every account's data.
            None => {}
        }
    }

    fn merge(&mut self, other: Self) {
        self.requests += other.requests;
        self.carried.extend(other.carried);
        for (scope, more) in other.scopes {
            let usage = self.scopes.entry(scope).or_default();
            usage.requests += more.requests;
            usage.own += more.own;
            usage.has_more |= more.has_more;
            usage.others.extend(more.others);
            if let Some(time) = more.last {
                keep(&mut usage.last, &time, |known, time| time > known);
            }
        }
    }
}

/// Takes the time where there is none or `is_better` than the one that is there.
fn keep(known: &mut Option<String>, time: &str, is_better: impl Fn(&str, &str) -> bool) {
    if known.as_deref().is_none_or(|known| is_better(known, time)) {
        *known = Some(time.to_owned());
    }
}
