//! Of clients and issuers: what nobody may hold, what is held too long, who is asked in clear.

use core::net::IpAddr;

use super::{AdviceKind, Review, remark};
use crate::config::{KeySource, Remark, Subject};
use crate::policy::UnregisteredClients;

impl Review<'_> {
    pub(super) fn clients(&self, remarks: &mut Vec<Remark>) {
        self.unheld(remarks);
        self.deprecated(remarks);
        self.in_clear(remarks);
    }

    fn unheld(&self, remarks: &mut Vec<Remark>) {
        let policy = self.policy;
        let ceilings: Option<Vec<_>> = policy.clients().map(|client| client.ceiling).collect();
        let is_closed = policy.lists_clients() && policy.unregistered_clients() == UnregisteredClients::Refuse;
        // Whoever has no ceiling may hold whatever its token says; no client at all is a list to be filled.
        let Some(ceilings) = ceilings.filter(|ceilings| is_closed && !ceilings.is_empty()) else { return };
        for (id, scope) in self.scopes_by_id() {
            if ceilings.iter().any(|ceiling| ceiling.contains(id)) {
                continue;
            }
            // Said of a scope, it need not be said of its privileges.
            let is_said = scope.includes.is_some_and(|of| !ceilings.iter().any(|ceiling| ceiling.contains(of)));
            if !is_said {
                let message = format!("no client may hold `{}`", scope.name);
                let help = "add it to the `scopes` of a client, or remove it";
                remarks.push(remark(AdviceKind::ScopeUnheld, Subject::Scope(id), message, help));
            }
        }
    }

    fn deprecated(&self, remarks: &mut Vec<Remark>) {
        for (place, client) in self.policy.clients().enumerate() {
            let Some(ceiling) = client.ceiling else { continue };
            let old = self.scopes_by_id().filter(|(id, scope)| {
                // Required scopes are in every ceiling, and privileges are told with their scope.
                scope.marks.deprecated && !scope.marks.required && scope.includes.is_none() && ceiling.contains(*id)
            });
            let names: Vec<_> = old.map(|(_, scope)| format!("`{}`", scope.name)).collect();
            if !names.is_empty() {
                let message =
                    format!("`{}` may still hold {}, which is on its way out", client.id, names.join(" and "));
                let help = "move it to what comes after, and remove it here";
                remarks.push(remark(AdviceKind::DeprecatedGranted, Subject::Ceiling(place), message, help));
            }
        }
    }

    fn in_clear(&self, remarks: &mut Vec<Remark>) {
        for (place, issuer) in self.configuration.settings.issuers.iter().enumerate() {
            let keys = match &issuer.keys {
                Some(KeySource::Url(url)) => Some(&**url),
                Some(KeySource::Discover) => Some(&*issuer.rules.issuer),
                Some(KeySource::File(_)) | None => None,
            };
            let introspection = issuer.introspection.as_ref().and_then(|asked| asked.url.as_deref());
            if let Some(url) = keys.into_iter().chain(introspection).find(|url| is_in_clear(url)) {
                let message = format!("`{url}` is asked without TLS: who is on the way can sign tokens of its own");
                let help = "write an `https` URL";
                remarks.push(remark(AdviceKind::ProviderInClear, Subject::Issuer(place), message, help));
            }
        }
    }
}

/// Whether it leaves the machine without TLS.
fn is_in_clear(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    };
    !host.eq_ignore_ascii_case("localhost") && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
