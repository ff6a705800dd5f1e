//! One request that was permitted, counted.

use http::header::HeaderValue;
use pingora::http::RequestHeader;

use super::{Exceeded, Passing, RateLimits};
use crate::gateway::forward::Forward;
use crate::gateway::generation::Generation;
use crate::gateway::inbound::{self, Peer};
use crate::gateway::judge::Findings;
use crate::policy::{Denial, Mode, Reason};

/// A request that was permitted.
pub(in crate::gateway) struct Counting<'r> {
    pub(in crate::gateway) rates: &'r RateLimits,
    pub(in crate::gateway) generation: &'r Generation,
    pub(in crate::gateway) forward: &'r Forward,
    pub(in crate::gateway) head: &'r RequestHeader,
    pub(in crate::gateway) peer: Peer,
}

impl Counting<'_> {
    /// Counts it, and has its answer tell of that. What an api only reports is let through beyond its limits,
    /// and what it would refuse anyway is not counted.
    ///
    /// # Errors
    /// If it is more than a limit lets through.
    pub(in crate::gateway) fn count(&self, found: &mut Findings) -> Result<(), Denial> {
        if found.reported.is_some() {
            return Ok(());
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
        let Exceeded { limit, retry_after, fields } = match self.rates.count(&passing, policy, address) {
            Ok(told) => {
                found.limits_told = told;
                return Ok(());
            }
            Err(exceeded) => exceeded,
        };
        found.limits_told = Some(fields);
        found.rate_limit = Some(limit);
        let api = self.forward.api();
        if policy.api(api).is_some_and(|api| api.mode == Mode::ReportOnly) {
            (found.reason, found.reported) = (Some(Reason::Reported), Some(Reason::RateLimited));
            return Ok(());
        }
        Err(Denial::RateLimited { api, limit, retry_after })
    }
}
