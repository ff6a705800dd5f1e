//! Rate limits: how many requests may pass in a time, and which limits a permit falls under.
//!
//! Pure: what has passed is kept by `rates`, and asked for by `gateway`.

use std::ops::Range;

use smallvec::SmallVec;

use super::compile::{Scope, Unindexable};
use super::{ApiId, ApiName, Policy, ScopeId, ScopeName};

/// A limit's place in the policy, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateLimitId(pub u32);

/// What requests have in common that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CountedBy {
    /// The api.
    Api,
    /// The client; who has none is its issuer's subject, and who has no token its address.
    Client,
    /// The account that is touched, or the caller's own; where there is none, as by client.
    Account,
    /// The scope that grants, its privileges with it.
    Scope,
    /// The service that matches.
    Service,
    /// The address that the request comes from: one of IPv4, or an IPv6 /64.
    Address,
}

/// A bound on how many requests pass in a time: a bucket that holds `burst` of them and is filled with
/// `requests` every `per`. In any span of time t, at most `burst` and `requests` × t / `per` more pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitSpec {
    /// Whose requests are limited.
    pub api: ApiId,
    /// Unique in its api.
    pub name: ApiName,
    /// Only what these scopes of the api and their privileges grant; empty: all that passes.
    pub scopes: Vec<ScopeName>,
    /// What is counted together; never empty.
    pub by: Vec<CountedBy>,
    /// How many; at least one.
    pub requests: u64,
    /// In how many seconds; at least one.
    pub per: u64,
    /// How many at once; at least one.
    pub burst: u64,
}

/// A limit, compiled.
#[derive(Debug)]
pub struct RateLimit {
    /// As the file has it.
    pub spec: RateLimitSpec,
    /// The scopes of `spec`, by their numbers.
    scopes: SmallVec<[ScopeId; 4]>,
}

/// How fast a bucket is filled and what it holds, in nanoseconds.
///
/// A bucket is kept as the one time at which it will be full again (the generic cell rate algorithm of
/// ITU-T I.371): one that is full now is as good as one that was never there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// In which one request is filled in.
    pub interval: u64,
    /// In which an empty bucket is full again.
    pub whole: u64,
}

/// The limits of a policy, and which of them are an api's.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    list: Box<[RateLimit]>,
    /// By the api's place; empty where there is no limit at all.
    of_api: Box<[Range<u32>]>,
}

const SECOND: u64 = 1_000_000_000;

impl Pace {
    /// Takes a request out of the bucket that will be full at `full_at`; when it will be full then.
    ///
    /// # Errors
    /// How long it takes until there is one in it, in nanoseconds.
    pub fn take(self, full_at: u64, now: u64) -> Result<u64, u64> {
        let next = full_at.max(now).saturating_add(self.interval);
        match next.saturating_sub(now.saturating_add(self.whole)) {
            0 => Ok(next),
            wait => Err(wait),
        }
    }

    /// How many requests are in the bucket.
    pub fn left(self, full_at: u64, now: u64) -> u64 {
        let lacking = full_at.saturating_sub(now);
        self.whole.saturating_sub(lacking).checked_div(self.interval).unwrap_or(0)
    }
}

impl RateLimitSpec {
    /// Its bucket's pace, rounded so that never more passes than it says.
    #[must_use]
    pub fn pace(&self) -> Pace {
        let interval = self.per.saturating_mul(SECOND).div_ceil(self.requests.max(1));
        Pace { interval, whole: interval.saturating_mul(self.burst) }
    }
}

impl RateLimits {
    /// Limits by their apis, of which there are so many, in the order of the file.
    pub(super) fn new(
        mut specs: Vec<RateLimitSpec>,
        apis: usize,
        scope_named: impl Fn(&str) -> Option<ScopeId>,
    ) -> Result<Self, Unindexable> {
        if specs.is_empty() {
            return Ok(Self::default());
        }
        specs.sort_by_key(|spec| spec.api);
        let place = |at: usize| u32::try_from(at).map_err(|_| Unindexable::TooMany);
        let bounds = (0..apis).map(|api| {
            let before = |api: usize| specs.partition_point(|spec| (spec.api.0 as usize) < api);
            Ok(place(before(api))?..place(before(api + 1))?)
        });
        let of_api = bounds.collect::<Result<_, _>>()?;
        let compiled = |spec: RateLimitSpec| {
            let named = |name: &ScopeName| {
                scope_named(name.as_str()).ok_or_else(|| Unindexable::LimitedScope {
                    limit: spec.name.as_str().into(),
                    scope: name.as_str().into(),
                })
            };
            let scopes = spec.scopes.iter().map(named).collect::<Result<_, _>>()?;
            Ok(RateLimit { spec, scopes })
        };
        let list = specs.into_iter().map(compiled).collect::<Result<_, _>>()?;
        Ok(Self { list, of_api })
    }
}

impl Policy {
    /// Every limit, by api, in the order of the file.
    #[must_use]
    pub fn rate_limits(&self) -> &[RateLimit] {
        &self.rate_limits.list
    }

    /// The limit of that number.
    #[must_use]
    pub fn rate_limit(&self, id: RateLimitId) -> Option<&RateLimit> {
        self.rate_limits.list.get(id.0 as usize)
    }

    /// The limits that a request falls under which this api lets through, by the grant of that scope or
    /// privilege or of none, in the order of the file.
    pub fn rate_limits_of(&self, api: ApiId, granting: Option<ScopeId>) -> impl Iterator<Item = RateLimitId> {
        let range = self.rate_limits.of_api.get(api.0 as usize).cloned().unwrap_or_default();
        let whole = granting.map(|id| self.whole_scope(id));
        let falls_under = move |id: &RateLimitId| {
            self.rate_limit(*id).is_some_and(|limit| {
                limit.scopes.is_empty() || whole.is_some_and(|whole| limit.scopes.contains(&whole))
            })
        };
        range.map(RateLimitId).filter(falls_under)
    }

    /// The scope that a privilege is of; a scope is its own.
    #[must_use]
    pub fn whole_scope(&self, id: ScopeId) -> ScopeId {
        self.scope(id).and_then(|scope: &Scope| scope.includes).unwrap_or(id)
    }
}

impl CountedBy {
    /// As the file has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Client => "client",
            Self::Account => "account",
            Self::Scope => "scope",
            Self::Service => "service",
            Self::Address => "address",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(requests: u64, per: u64, burst: u64) -> RateLimitSpec {
        let name = ApiName::parse("limit").unwrap();
        RateLimitSpec { api: ApiId(0), name, scopes: vec![], by: vec![CountedBy::Api], requests, per, burst }
    }

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_one_an_interval() {
        let pace = limit(60, 60, 3).pace();
        assert_eq!(pace, Pace { interval: SECOND, whole: 3 * SECOND });
        let (mut full_at, now) = (0, 1000 * SECOND);
        for left in [2, 1, 0] {
            full_at = pace.take(full_at, now).unwrap();
            assert_eq!(pace.left(full_at, now), left);
        }
        assert_eq!(pace.take(full_at, now), Err(SECOND));
        assert_eq!(pace.take(full_at, now + SECOND / 4), Err(SECOND * 3 / 4));
        full_at = pace.take(full_at, now + SECOND).unwrap();
        assert_eq!((pace.left(full_at, now + SECOND), pace.left(full_at, now + 9 * SECOND)), (0, 3));
    }

    #[test]
    fn a_pace_is_never_faster_than_the_file_says() {
        assert_eq!(limit(3, 1, 1).pace().interval, 333_333_334);
        assert_eq!(limit(u64::MAX, 1, 1).pace().interval, 1);
        assert_eq!(limit(1, u64::MAX, u64::MAX).pace(), Pace { interval: u64::MAX, whole: u64::MAX });
    }

    /// Whether one more may pass at `now` when these have: there is no span of time, from one that passed
    /// until now, in which more than the burst and what that time fills in would have passed.
    fn naive(passed: &[u64], pace: Pace, now: u64) -> bool {
        let since = |(place, time): (usize, &u64)| {
            let with_this = (passed.len() - place + 1) as u64;
            with_this * pace.interval <= pace.whole + (now - time)
        };
        passed.iter().enumerate().all(since) && pace.interval <= pace.whole
    }

    proptest! {
        #[test]
        fn one_time_says_as_much_as_all_that_passed(
            requests in 1_u64..20,
            per in 1_u64..10,
            burst in 1_u64..8,
            gaps in prop::collection::vec(prop_oneof![Just(0), 0..SECOND / 2, 0..3 * SECOND], 1..200),
        ) {
            let pace = limit(requests, per, burst).pace();
            let (mut passed, mut full_at, mut now) = (Vec::new(), 0, SECOND);
            for gap in gaps {
                now += gap;
                let taken = pace.take(full_at, now);
                prop_assert_eq!(taken.is_ok(), naive(&passed, pace, now), "{:?} at {}", passed, now);
                prop_assert_eq!(pace.left(full_at, now) > 0, taken.is_ok());
                match taken {
                    Ok(next) => {
                        full_at = next;
                        passed.push(now);
                    }
                    Err(wait) => {
                        prop_assert!(naive(&passed, pace, now + wait) && !naive(&passed, pace, now + wait - 1));
                    }
                }
            }
        }
    }
}
