//! What keeps a scope from being taken away while somebody may still use it: the unexpired tokens that
//! this process has seen. What it has not seen, as after a restart, it cannot know.

use std::fmt;

use super::Generation;
use crate::policy::{ClientId, Policy, ScopeName, UnixTime};
use crate::record::Metrics;

/// Scopes that are to go while unexpired tokens carry them; never none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillCarried(Vec<CarriedScope>);

/// A scope or privilege that an unexpired token carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedScope {
    /// Its name.
    pub name: ScopeName,
    /// When the last token that was seen with it is good no more.
    pub until: UnixTime,
    /// The clients of the list whose unexpired tokens carry it.
    pub clients: Vec<ClientId>,
}

/// Refuses `next` if it lacks a scope of `current` that an unexpired token carries. What time it is has to be sure:
/// a token that has expired by a clock that was set forth is good again when that is set back.
pub(super) fn check(current: &Generation, next: &Policy, metrics: &Metrics, now: UnixTime) -> Result<(), StillCarried> {
    // Until then a token is taken after its expiry.
    let leeway = current.settings.issuers.iter().map(|issuer| issuer.rules.leeway).max().unwrap_or_default();
    let gone = current.policy.scopes().iter().filter(|scope| next.scope_named(scope.name.as_str()).is_none());
    let carried = gone.filter_map(|scope| {
        let until = |expiry: UnixTime| UnixTime(expiry.0.saturating_add(leeway));
        let last = until(metrics.scope_usage(&scope.name)?.last_expiry?);
        let holders = metrics.scope_holders(&scope.name).into_iter();
        let clients = holders.filter(|(_, expiry)| until(*expiry) > now).map(|(client, _)| client).collect();
        (last > now).then(|| CarriedScope { name: scope.name.clone(), until: last, clients })
    });
    let carried: Vec<_> = carried.collect();
    if carried.is_empty() { Ok(()) } else { Err(StillCarried(carried)) }
}

impl StillCarried {
    /// In the order of the policy.
    pub fn scopes(&self) -> &[CarriedScope] {
        &self.0
    }

    /// When the last of their tokens is good no more.
    pub fn until(&self) -> Option<UnixTime> {
        self.0.iter().map(|scope| scope.until).max()
    }
}

impl std::error::Error for StillCarried {}

/// One line for each.
impl fmt::Display for StillCarried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            scope.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for CarriedScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = i64::try_from(self.until.0).ok().and_then(|until| jiff::Timestamp::from_second(until).ok());
        write!(f, "the scope `{}` cannot be removed: an unexpired token", self.name)?;
        for (place, client) in self.clients.iter().enumerate() {
            write!(f, "{}`{client}`", if place == 0 { " of " } else { ", " })?;
        }
        match until {
            Some(until) => write!(f, " carries it until {until}")?,
            None => f.write_str(" carries it for good")?,
        }
        f.write_str("; write `deprecated: true` for it until then")
    }
}
