//! One request that was permitted, counted.

use http::header::HeaderValue;
use pingora::http::RequestHeader;

use super::{Asked, Exceeded, Passing, RateLimits};
use crate::gateway::forward::Forward;
use crate::gateway::generation::Generation;
use crate::gateway::inbound::{self, Peer};
use crate::gateway::judge::Findings;
use crate::policy::{Denial, Mode, Reason};

/// A request that its limits let through; to be counted once nothing else refuses it.
pub(in crate::gateway) struct Counted<'r>(Option<Asked<'r>>);

/// A request that was permitted.
#[derive(Clone, Copy)]
pub(in crate::gateway) struct Counting<'r> {
    pub(in crate::gateway) rates: &'r RateLimits,
    pub(in crate::gateway) generation: &'r Generation,
    pub(in crate::gateway) forward: &'r Forward,
    pub(in crate::gateway) head: &'r RequestHeader,
    pub(in crate::gateway) peer: Peer,
}

impl<'r> Counting<'r> {
    /// Asks whether it may pass. What an api only reports is let through beyond its limits, and what it would
    /// refuse anyway is not counted.
    ///
    /// # Errors
    /// If it is more than a limit lets through.
    pub(in crate::gateway) fn ask(self, found: &mut Findings) -> Result<Counted<'r>, Denial> {
        if found.reported.is_some() {
            return Ok(Counted(None));
        }
        let passing = Passing {
            api: self.forward.api(),
            granting: found.granted_by,
            service: found.service,
            caller: found.caller.as_deref().map(|known| &known.caller),
            account: self.forward.account().map(HeaderValue::as_bytes),
        };
        let Generation { policy, settings, .. } = self.generation;
        let address = || inbound::client_address(&self.head.headers, self.peer, &settings.trusted_proxies);
        match self.rates.ask(&passing, policy, address) {
            Ok(asked) => Ok(Counted(asked)),
            Err(exceeded) => self.beyond(exceeded, found).map(|()| Counted(None)),
        }
    }

    /// Counts it, and has its answer tell of that.
    ///
    /// # Errors
    /// As above, if others have passed meanwhile.
    pub(in crate::gateway) fn count(self, Counted(asked): Counted<'r>, found: &mut Findings) -> Result<(), Denial> {
        match asked.map(Asked::count).transpose() {
            Ok(told) => {
                // What was told where an api only reports stays.
                found.limits_told = told.or(found.limits_told.take());
                Ok(())
            }
            Err(exceeded) => self.beyond(exceeded, found),
        }
    }

    fn beyond(self, exceeded: Exceeded, found: &mut Findings) -> Result<(), Denial> {
        let Exceeded { limit, retry_after, fields } = exceeded;
        found.limits_told = Some(fields);
        found.rate_limit = Some(limit);
        let api = self.forward.api();
        if self.generation.policy.api(api).is_some_and(|api| api.mode == Mode::ReportOnly) {
            (found.reason, found.reported) = (Some(Reason::Reported), Some(Reason::RateLimited));
            return Ok(());
        }
        Err(Denial::RateLimited { api, limit, retry_after })
    }
}
