//! What is recorded of a request once nothing more becomes of it: one outcome, for metrics, audit, spans and the candidate.

use pingora::protocols::http::ServerSession;

use super::Context;
use crate::gateway::failure::Failure;
use crate::gateway::inbound;
use crate::gateway::tenure::Watched;
use crate::gateway::traced;
use crate::policy::{ClientId, Service, has_browser_headers};
use crate::record::{HeldScopes, Outcome, Seen, record};

impl Context {
    /// Records what became of the request.
    pub(in crate::gateway) fn record(&self, session: &ServerSession) {
        let Some(reason) = self.found.reason else { return };
        let policy = &self.generation.policy;
        let caller = self.found.caller.as_deref();
        let head = self.head_of(session);
        let path = head.raw_path().split(|byte| *byte == b'?').next().unwrap_or_default();
        let limit = self.found.rate_limit.and_then(|id| policy.rate_limit(id));
        let outcome = Outcome {
            time: self.time,
            request_id: self.request_id.to_str().unwrap_or_default(),
            generation: self.generation.number,
            api: self.found.api,
            reason,
            reported: self.found.reported,
            issuer: caller.map(|caller| &*caller.caller.issuer),
            client: match caller {
                Some(caller) => caller.caller.client.as_deref(),
                None => self.found.client.as_ref().map(ClientId::as_str),
            },
            subject: caller.and_then(|caller| caller.caller.subject.as_deref()),
            account: self.found.account.as_ref().map(|account| String::from_utf8_lossy(account.as_bytes())),
            scopes: caller.map(|caller| HeldScopes { policy, held: caller.standing.held() }),
            client_place: caller.and_then(|caller| caller.standing.client_place()),
            granting: self.found.granted_by,
            wanted: &self.found.wanted,
            granted_by: self.found.granted_by.and_then(|id| policy.scope(id)).map(|scope| scope.name.as_str()),
            service: self.found.service.and_then(|id| policy.service(id)).map(Service::as_str),
            method: head.method.as_str(),
            path: &String::from_utf8_lossy(path),
            status: self.status(session),
            rate_limit: limit.map(|limit| limit.spec.name.as_str()),
            ended: self.watched.as_ref().and_then(Watched::why),
            upstream_error: self.failure.and_then(Failure::upstream_error),
            decision_time: self.decided.unwrap_or_default(),
            request_time: self.answered.unwrap_or_else(|| self.started.elapsed()),
            asked_by: self.asking.as_ref().map(|asking| asking.asked_by(self.peer)),
            seen: self.seen(session),
        };
        record(&outcome, &self.generation.labels, self.gateway.audit());
        if let Some(why) = outcome.ended {
            self.gateway.metrics().ended_exchanges().count(why);
        }
        if let (Some(spans), Some(traced)) = (&self.generation.spans, &self.traced) {
            traced::record(spans, traced, &outcome, head, self.peer);
        }
        if let Some(shadow) = &self.shadow {
            shadow.record(&self.found.compared, &outcome, self.gateway.metrics(), self.gateway.audit());
        }
    }

    /// What the decision looked at beside what else is recorded.
    fn seen<'s>(&'s self, session: &'s ServerSession) -> Seen<'s> {
        let headers = &self.head_of(session).headers;
        let api = self.found.api.and_then(|api| self.generation.policy.api(api));
        let caller = self.found.caller.as_deref().map(|caller| &caller.caller);
        Seen {
            api: api.map(|api| api.name.as_str()),
            account_sources: api.map_or(&[], |api| &api.account),
            injected: self.found.injected,
            host: inbound::host(headers).ok(),
            browser: has_browser_headers(headers),
            token_scopes: caller.map(|caller| &*caller.scopes),
            token_accounts: caller.map(|caller| &*caller.accounts),
            certificate: self.certificate_of(session),
        }
    }
}
