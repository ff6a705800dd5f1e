//! What the review finds: rights that the policy gives and nobody used, and the changes that take them away.

use std::collections::{BTreeMap, BTreeSet};

use super::{ClientUsage, ScopeUsage, Usage};
use crate::config::Narrowing;
use crate::policy::{ListedClient, Policy, Reach, ScopeId};

/// What the review has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// An api only reported what it would have refused.
    Reported {
        /// Which.
        api: String,
        /// How often, for each reason.
        reasons: Vec<(&'static str, u64)>,
    },
    /// A listed client made no request.
    ClientIdle {
        /// Which.
        client: String,
    },
    /// A client's ceiling lets it hold scopes that it never used.
    CeilingUnused {
        /// Which.
        client: String,
        /// Those.
        scopes: Vec<String>,
    },
    /// A client without a ceiling carries scopes that it never used.
    CarriedUnused {
        /// Which.
        client: String,
        /// Those.
        scopes: Vec<String>,
        /// What it used.
        used: Vec<String>,
    },
    /// A scope reaches any account, and nobody made use of that.
    OwnWouldDo {
        /// Which.
        scope: String,
        /// How many requests it let through.
        requests: u64,
    },
    /// A client reaches any account by a scope, and touched its own only.
    ClientOwnWouldDo {
        /// Which.
        client: String,
        /// By which scope.
        scope: String,
        /// How many requests it let through.
        requests: u64,
    },
    /// A client touched accounts of others.
    OtherAccounts {
        /// Which.
        client: String,
        /// By which scope.
        scope: String,
        /// Some of them.
        accounts: Vec<String>,
        /// How many, as far as they were counted.
        count: usize,
        /// Whether there are more.
        has_more: bool,
    },
    /// Services of an api that no request was for.
    ServicesIdle {
        /// Whose.
        api: String,
        /// Those, as the file writes them.
        services: Vec<String>,
    },
    /// A deprecated scope is still used.
    DeprecatedUsed {
        /// Which.
        scope: String,
        /// By whom, and when last.
        clients: Vec<(String, Option<String>)>,
    },
    /// A deprecated scope is used no more.
    DeprecatedIdle {
        /// Which.
        scope: String,
    },
}

impl Usage {
    /// What the policy gives and nobody used, in the order of the file.
    #[must_use]
    pub fn findings(&self, policy: &Policy) -> Vec<Finding> {
        let mut findings = Vec::new();
        for client in policy.clients() {
            findings.extend(self.of_client(policy, &client));
        }
        if !policy.lists_clients() {
            let mut clients: Vec<_> = self.clients.iter().collect();
            clients.sort_by_key(|(client, _)| *client);
            findings.extend(clients.into_iter().filter_map(|(client, usage)| usage.carried_unused(policy, client)));
        }
        let reported = self.reported.iter();
        findings.extend(reported.map(|(api, reasons)| {
            let reasons = reasons.iter().map(|(reason, count)| (*reason, *count)).collect();
            Finding::Reported { api: api.clone(), reasons }
        }));
        findings.extend(self.reaches(policy));
        findings.extend(self.idle_services(policy));
        findings.extend(self.deprecated(policy));
        findings
    }

    /// Changes to the file that take away what the findings say is not used: entries of ceilings, and
    /// reach. A client that made no request keeps what it has.
    #[must_use]
    pub fn narrowings(&self, policy: &Policy, ceilings: &[Vec<String>]) -> Vec<Narrowing> {
        let mut narrowings = Vec::new();
        for (place, (client, entries)) in policy.clients().zip(ceilings).enumerate() {
            let unused = self.unused(policy, &client);
            let used = entries
                .iter()
                .enumerate()
                .filter(|(_, entry)| policy.scope_named(entry).is_some_and(|id| unused.contains(&id)));
            narrowings.extend(used.map(|(entry, _)| Narrowing::CeilingEntry { client: place, entry }));
        }
        for id in self.own_would_do(policy) {
            if let Some((api, scope)) = place_of(policy, id) {
                narrowings.push(Narrowing::OwnAccounts { api, scope });
            }
        }
        narrowings
    }

    fn of_client(&self, policy: &Policy, client: &ListedClient<'_>) -> Option<Finding> {
        let name = client.id.as_str();
        let Some(usage) = self.clients.get(name) else {
            return Some(Finding::ClientIdle { client: name.to_owned() });
        };
        if client.ceiling.is_none() {
            return usage.carried_unused(policy, name);
        }
        let names = self.unused(policy, client).into_iter().filter_map(|id| policy.scope(id));
        let scopes: Vec<String> = names.map(|scope| scope.name.to_string()).collect();
        (!scopes.is_empty()).then(|| Finding::CeilingUnused { client: name.to_owned(), scopes })
    }

    /// Of a client that made requests: what its ceiling has and it did not use, required scopes aside.
    fn unused(&self, policy: &Policy, client: &ListedClient<'_>) -> BTreeSet<ScopeId> {
        let (Some(usage), Some(ceiling)) = (self.clients.get(client.id.as_str()), client.ceiling) else {
            return BTreeSet::new();
        };
        let used: BTreeSet<ScopeId> = usage.scopes.keys().filter_map(|name| policy.scope_named(name)).collect();
        let is_required = |id: &ScopeId| policy.scope(*id).is_some_and(|scope| scope.marks.required);
        // A privilege is how its scope is held too: as long as that is used, it may be what gives it.
        let gives_used = |id: &ScopeId| {
            policy.scope(*id).and_then(|scope| scope.includes).is_some_and(|included| used.contains(&included))
        };
        ceiling.iter().filter(|id| !used.contains(id) && !is_required(id) && !gives_used(id)).collect()
    }

    fn own_would_do<'p>(&self, policy: &'p Policy) -> impl Iterator<Item = ScopeId> + use<'p> {
        let mut fit = Vec::new();
        for (id, scope) in (0..).map(ScopeId).zip(policy.scopes()) {
            let has_account = policy.api(scope.api).is_some_and(|api| !api.account.is_empty());
            let uses: Vec<_> =
                self.clients.values().filter_map(|usage| usage.scopes.get(scope.name.as_str())).collect();
            let requests: u64 = uses.iter().map(|usage| usage.requests).sum();
            let own: u64 = uses.iter().map(|usage| usage.own).sum();
            if scope.includes.is_none() && scope.reach == Reach::Any && has_account && requests > 0 && own == requests {
                fit.push(id);
            }
        }
        fit.into_iter()
    }

    fn reaches(&self, policy: &Policy) -> Vec<Finding> {
        let own: BTreeSet<ScopeId> = self.own_would_do(policy).collect();
        let mut findings = Vec::new();
        for (id, scope) in (0..).map(ScopeId).zip(policy.scopes()) {
            let name = scope.name.to_string();
            if scope.reach == Reach::Own || policy.api(scope.api).is_none_or(|api| api.account.is_empty()) {
                continue;
            }
            let mut uses: Vec<_> =
                self.clients.iter().filter_map(|(client, usage)| Some((client, usage.scopes.get(&name)?))).collect();
            uses.sort_by_key(|(client, _)| *client);
            if own.contains(&id) {
                let requests = uses.iter().map(|(_, usage)| usage.requests).sum();
                findings.push(Finding::OwnWouldDo { scope: name, requests });
                continue;
            }
            for (client, usage) in uses {
                findings.push(usage.finding(client, &name));
            }
        }
        findings
    }

    fn idle_services(&self, policy: &Policy) -> Vec<Finding> {
        let mut idle: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for listing in policy.listings() {
            let service = listing.service.as_str();
            if !self.services.contains_key(service) {
                idle.entry(listing.api.0).or_default().push(service.to_owned());
            }
        }
        let named = idle.into_iter().filter_map(|(api, mut services)| {
            services.dedup();
            let api = policy.apis().get(api as usize)?.name.to_string();
            Some(Finding::ServicesIdle { api, services })
        });
        named.collect()
    }

    fn deprecated(&self, policy: &Policy) -> Vec<Finding> {
        let deprecated = policy.scopes().iter().filter(|scope| scope.marks.deprecated && scope.includes.is_none());
        let found = deprecated.map(|scope| {
            let name = scope.name.to_string();
            let mut clients: Vec<_> = self
                .clients
                .iter()
                .filter_map(|(client, usage)| Some((client.clone(), usage.scopes.get(&name)?.last.clone())))
                .collect();
            clients.sort();
            if clients.is_empty() {
                Finding::DeprecatedIdle { scope: name }
            } else {
                Finding::DeprecatedUsed { scope: name, clients }
            }
        });
        found.collect()
    }
}

impl ClientUsage {
    fn carried_unused(&self, policy: &Policy, client: &str) -> Option<Finding> {
        let is_used = |name: &String| self.scopes.contains_key(name);
        let counts = |name: &&String| {
            policy.scope_named(name).and_then(|id| policy.scope(id)).is_some_and(|scope| !scope.marks.required)
        };
        let scopes: Vec<String> = self.carried.iter().filter(|name| !is_used(name)).filter(counts).cloned().collect();
        let used = self.scopes.keys().cloned().collect();
        (!scopes.is_empty()).then(|| Finding::CarriedUnused { client: client.to_owned(), scopes, used })
    }
}

impl ScopeUsage {
    fn finding(&self, client: &str, scope: &str) -> Finding {
        let (client, scope) = (client.to_owned(), scope.to_owned());
        if self.own == self.requests {
            return Finding::ClientOwnWouldDo { client, scope, requests: self.requests };
        }
        let accounts = self.others.iter().take(5).cloned().collect();
        Finding::OtherAccounts { client, scope, accounts, count: self.others.len(), has_more: self.has_more }
    }
}

/// The scope's api, and its place among the api's scopes.
fn place_of(policy: &Policy, id: ScopeId) -> Option<(usize, usize)> {
    let scope = policy.scope(id)?;
    let before = policy.scopes().iter().take(id.0 as usize);
    let place = before.filter(|other| other.api == scope.api && other.includes.is_none()).count();
    Some((scope.api.0 as usize, place))
}
