//! The rate limits of one generation: which a request falls under, by what it is counted, whether it
//! passes.
//!
//! What has passed is in the `Table`, which outlives generations; what a request is counted by is `counting`'s, what
//! clients are told of it `fields`'s.

mod counting;
mod fields;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

pub(super) use self::counting::Counting;
pub(super) use self::fields::Fields;
use self::fields::Left;
use super::admission::network;
use crate::config::Settings;
use crate::fleet::Fleet;
use crate::policy::{ApiId, Caller, CountedBy, Pace, Policy, RateLimit, RateLimitId, ScopeId, ServiceId};
use crate::rates::{Key, KeyPart, Seed, Table};
use crate::record::{LimitSeries, Metrics};

/// The rate limits of one generation.
#[derive(Debug)]
pub(super) struct RateLimits {
    table: Arc<Table>,
    /// By their numbers.
    limits: Box<[Limit]>,
    series: LimitSeries,
    families: Box<[Family]>,
    /// Which family a request is of, by the api that lets it through without a scope.
    of_api: Box<[Option<usize>]>,
    /// The same by the scope or privilege that grants.
    of_scope: Box<[Option<usize>]>,
}

/// What outlives generations.
#[derive(Debug, Default)]
pub(super) struct Buckets(Mutex<Option<Arc<Table>>>);

/// Limits that apply together.
#[derive(Debug)]
struct Family {
    limits: SmallVec<[usize; 4]>,
    fields: fields::Policies,
}

#[derive(Debug)]
struct Limit {
    id: RateLimitId,
    by: Box<[CountedBy]>,
    pace: Pace,
    seed: Seed,
    /// As structured fields have it: a string.
    name: Box<str>,
}

/// What a request that may pass is counted by.
#[derive(Debug)]
struct Passing<'r> {
    api: ApiId,
    /// `None`: it is public.
    granting: Option<ScopeId>,
    service: Option<ServiceId>,
    caller: Option<&'r Caller>,
    /// The account that is touched, or the caller's own.
    account: Option<&'r [u8]>,
}

/// A request that its limits let through, and that none has counted yet.
#[derive(Debug)]
pub(super) struct Asked<'r> {
    rates: &'r RateLimits,
    family: &'r Family,
    keyed: SmallVec<[(&'r Limit, Key); 4]>,
    now: u64,
}

/// That a limit does not let a request through.
#[derive(Debug)]
struct Exceeded {
    limit: RateLimitId,
    /// In seconds.
    retry_after: u64,
    fields: Box<Fields>,
}

impl Buckets {
    /// The table for such settings: the one that is there, with another size if need be.
    fn adopt(&self, settings: &Settings) -> Arc<Table> {
        let (buckets, tells) = (settings.limits.rate_limit_keys, settings.shared_state.is_some());
        let mut table = self.0.lock();
        let next = match &*table {
            Some(table) if table.is_of(buckets, tells) => Arc::clone(table),
            Some(table) => Arc::new(table.resized(buckets, tells)),
            None => Arc::new(Table::new(buckets, tells)),
        };
        *table = Some(Arc::clone(&next));
        next
    }

    /// Tells the metrics what was forgotten.
    pub(super) fn tend(&self, metrics: &Metrics) {
        if let Some(table) = &*self.0.lock() {
            metrics.rates().forgotten(table.forgotten());
        }
    }
}

impl RateLimits {
    /// Of a policy; `None` where it has no limits.
    pub(super) fn new(
        policy: &Policy,
        settings: &Settings,
        metrics: &Arc<Metrics>,
        buckets: &Buckets,
    ) -> Option<Box<Self>> {
        if policy.rate_limits().is_empty() {
            return None;
        }
        let limits: Box<[Limit]> = policy
            .rate_limits()
            .iter()
            .zip((0..).map(RateLimitId))
            .map(|(limit, id)| Limit::new(limit, id, policy))
            .collect();
        let mut families: Vec<Family> = Vec::new();
        let mut family = |api: ApiId, granting: Option<ScopeId>| {
            let ids: SmallVec<[usize; 4]> = policy.rate_limits_of(api, granting).map(|id| id.0 as usize).collect();
            if ids.is_empty() {
                return None;
            }
            Some(families.iter().position(|family| family.limits == ids).unwrap_or_else(|| {
                let specs = ids.iter().filter_map(|id| policy.rate_limits().get(*id)).map(|limit| &limit.spec);
                families.push(Family { fields: fields::Policies::new(specs), limits: ids });
                families.len() - 1
            }))
        };
        let of_api = (0..policy.apis().len()).map(|api| family(ApiId(u32::try_from(api).ok()?), None)).collect();
        let scopes = policy.scopes().iter().zip((0..).map(ScopeId));
        let of_scope = scopes.map(|(scope, id)| family(scope.api, Some(id))).collect();
        let names = policy.rate_limits().iter().map(|limit| (api_name(policy, limit), limit.spec.name.as_str()));
        let series = LimitSeries::new(metrics, names);
        Some(Box::new(Self {
            table: buckets.adopt(settings),
            limits,
            series,
            families: families.into(),
            of_api,
            of_scope,
        }))
    }

    /// Has other gateways told of what passes.
    pub(super) fn share(&self, fleet: &Fleet) {
        fleet.count(&self.table);
    }

    /// Asks whether a request may pass; `None` where no limit applies. `address`: where it comes from, which is
    /// asked only if one does.
    ///
    /// # Errors
    /// If a limit does not let it through.
    fn ask(
        &self,
        passing: &Passing<'_>,
        policy: &Policy,
        address: impl FnOnce() -> Option<IpAddr>,
    ) -> Result<Option<Asked<'_>>, Exceeded> {
        let of = match passing.granting {
            Some(scope) => self.of_scope.get(scope.0 as usize),
            None => self.of_api.get(passing.api.0 as usize),
        };
        let Some(family) = of.copied().flatten().and_then(|place| self.families.get(place)) else { return Ok(None) };
        let address = address().map(|address| match network(address.to_canonical()) {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        });
        let limits = family.limits.iter().filter_map(|place| self.limits.get(*place));
        let keyed: SmallVec<[(&Limit, Key); 4]> =
            limits.map(|limit| (limit, limit.key(passing, policy, address.as_ref()))).collect();
        let now = self.table.now();
        // All are asked before one counts it.
        let asked = keyed.iter().map(|(limit, key)| (*limit, self.table.look(*key, limit.pace, now)));
        self.beyond(family, asked.collect())?;
        Ok(Some(Asked { rates: self, family, keyed, now }))
    }

    /// What is left of limits, unless one of them does not let the request through.
    fn beyond<'l>(
        &'l self,
        family: &Family,
        asked: SmallVec<[(&'l Limit, Result<u64, u64>); 4]>,
    ) -> Result<SmallVec<[Left<'l>; 4]>, Exceeded> {
        let refusing = asked.iter().filter_map(|(limit, found)| Some((*limit, found.err()?)));
        let Some((longest, wait)) = refusing.clone().max_by_key(|(_, wait)| *wait) else {
            let left = asked.into_iter().map(|(limit, found)| limit.left(found.unwrap_or_default()));
            return Ok(left.collect());
        };
        let told: SmallVec<[Left<'_>; 4]> = refusing
            .map(|(limit, wait)| {
                self.series.limited(limit.id.0 as usize);
                Left { name: &limit.name, requests: 0, seconds: seconds(wait) }
            })
            .collect();
        Err(Exceeded { limit: longest.id, retry_after: seconds(wait), fields: Box::new(family.fields.with(&told)) })
    }
}

impl Asked<'_> {
    /// Counts it, and tells what is left.
    ///
    /// # Errors
    /// If other requests have taken the last one meanwhile; then those limits have counted it that had one.
    fn count(self) -> Result<Box<Fields>, Exceeded> {
        let Self { rates, family, keyed, now } = self;
        let taken = keyed.iter().map(|(limit, key)| (*limit, rates.table.take(*key, limit.pace, now)));
        let left = rates.beyond(family, taken.collect())?;
        Ok(Box::new(family.fields.with(&left)))
    }
}

impl Limit {
    fn new(limit: &RateLimit, id: RateLimitId, policy: &Policy) -> Self {
        let spec = &limit.spec;
        let numbers = [spec.requests, spec.per, spec.burst].map(u64::to_be_bytes);
        let mut parts: Vec<&[u8]> = vec![api_name(policy, limit).as_bytes(), spec.name.as_str().as_bytes()];
        parts.extend(numbers.iter().map(<[u8; 8]>::as_slice));
        parts.extend(spec.by.iter().map(|by| by.as_str().as_bytes()));
        parts.push(b"");
        parts.extend(spec.scopes.iter().map(|scope| scope.as_str().as_bytes()));
        Self {
            id,
            by: spec.by.clone().into(),
            pace: spec.pace(),
            seed: Seed::new(&parts),
            name: format!("\"{}\"", spec.name.as_str()).into(),
        }
    }

    fn key(&self, passing: &Passing<'_>, policy: &Policy, address: Option<&[u8; 16]>) -> Key {
        let address = || address.map_or(KeyPart::Nothing, |address| KeyPart::Address(address));
        let client = || match passing.caller {
            Some(Caller { client: Some(client), .. }) => KeyPart::Client(client.as_bytes()),
            Some(Caller { issuer, subject, .. }) => {
                KeyPart::Subject(issuer.as_bytes(), subject.as_deref().map(str::as_bytes))
            }
            None => address(),
        };
        self.seed.key(self.by.iter().filter_map(|by| match by {
            CountedBy::Api => None,
            CountedBy::Client => Some(client()),
            CountedBy::Account => Some(passing.account.map_or_else(client, KeyPart::Account)),
            CountedBy::Scope => {
                let scope = passing.granting.and_then(|id| policy.scope(policy.whole_scope(id)));
                Some(scope.map_or(KeyPart::Nothing, |scope| KeyPart::Scope(scope.name.as_str().as_bytes())))
            }
            CountedBy::Service => {
                let service = passing.service.and_then(|id| policy.service(id));
                Some(service.map_or(KeyPart::Nothing, |service| KeyPart::Service(service.as_str().as_bytes())))
            }
            CountedBy::Address => Some(address()),
        }))
    }

    /// What is left, over the time that it takes to fill in as much: who spreads it over that time keeps
    /// to the limit for good (the draft's section 8.5).
    fn left(&self, requests: u64) -> Left<'_> {
        let over = if requests == 0 { self.pace.interval } else { self.pace.interval.saturating_mul(requests) };
        Left { name: &self.name, requests, seconds: seconds(over) }
    }
}

fn api_name<'p>(policy: &'p Policy, limit: &RateLimit) -> &'p str {
    policy.api(limit.spec.api).map_or("", |api| api.name.as_str())
}

/// Whole seconds, at least one.
fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000).max(1)
}
