//! Who can call this: for one method and path, which services it leads to, which scopes grant it, and
//! for each client of the list whether a token with all that it may hold would do, and if not, why.
//!
//! The answers are the decision's own.

use http::HeaderMap;
use serde_json::{Value as Json, json};

use super::view::{names, reach};
use crate::gateway::Generation;
use crate::policy::{
    Account, Basis, Caller, Certificate, CertificateRule, Denial, Fate, Identity, ListedClient, MethodSet, Permit,
    Policy, Request, Role, Route, Target,
};

/// The answer for `method` and `target`, a path with or without a query, on `host`.
///
/// # Errors
/// If no request like this is ever judged: why.
pub fn who_view(generation: &Generation, method: &str, target: &str, host: &str) -> Result<Json, String> {
    let policy = &generation.policy;
    let path = Target::parse(target.as_bytes()).map_err(|fault| format!("no such request is judged: {fault}"))?;
    if http::Method::from_bytes(method.as_bytes()).is_err() {
        return Err("this is no method".to_owned());
    }
    let headers = HeaderMap::new();
    let request = Request { method: MethodSet::of_request(method), target: &path, host, headers: &headers };
    let route = policy.find(request).map_err(|denial| denial.reason().to_string())?;
    let api = route.nearest_api().and_then(|id| policy.api(id));
    let clients = policy.clients().map(|client| client_json(generation, &route, Some(&client)));
    let mut callers: Vec<_> = clients.collect();
    let lets_others = !policy.lists_clients() || is_open(policy);
    if lets_others {
        callers.push(client_json(generation, &route, None));
    }
    Ok(json!({
        "method": method,
        "path": path.path(),
        "api": api.map(|api| api.name.as_str()),
        "public": route.public().is_some(),
        "required": api.map(|api| names(policy, api.required.iter().copied())),
        "services": services(policy, &request),
        "clients": callers,
    }))
}

fn is_open(policy: &Policy) -> bool {
    match policy.unregistered_clients() {
        crate::policy::UnregisteredClients::Allow => true,
        crate::policy::UnregisteredClients::Refuse => false,
    }
}

/// The services that have the path, and whether each takes the request.
fn services(policy: &Policy, request: &Request<'_>) -> Vec<Json> {
    let considered = policy.consider(request, None).into_iter().map(|considered| {
        let (scope, within, confidential_only) = match considered.listing.role {
            Role::Grant { scope, reach: within, confidential_only } => {
                (policy.scope(scope).map(|scope| scope.name.as_str()), Some(reach(within)), confidential_only)
            }
            Role::Public | Role::TokenEndpoint(_) => (None, None, false),
        };
        let takes = match considered.fate {
            Fate::OtherMethod => "other_method",
            Fate::Excepted(_) => "excepted",
            Fate::NotAsked | Fate::NotHeld | Fate::Refused(_) | Fate::Permits => "takes",
        };
        json!({
            "service": considered.listing.service.as_str(),
            "api": policy.api(considered.listing.api).map(|api| api.name.as_str()),
            "scope": scope,
            "accounts": within,
            "confidential_only": confidential_only,
            "outcome": takes,
        })
    });
    considered.collect()
}

/// A client of the list, or any other, with a token that carries all it may hold.
fn client_json(generation: &Generation, route: &Route<'_, '_>, client: Option<&ListedClient<'_>>) -> Json {
    let policy = &generation.policy;
    let asked = route.asked_account().and_then(|account| Account::parse(&account.text()));
    let own = client.and_then(|client| client.account).or(asked.as_ref());
    let all = || policy.scopes().iter().map(|scope| scope.name.as_str().into()).collect();
    let scopes = match client.and_then(|client| client.ceiling) {
        Some(ceiling) => names(policy, ceiling.iter()).into_iter().map(Into::into).collect(),
        None => all(),
    };
    let issuer = generation.settings.issuers.first().map_or("", |issuer| &issuer.rules.issuer);
    let caller = Caller {
        client: client.map(|client| client.id.as_str().into()),
        accounts: own.cloned().into_iter().collect(),
        scopes,
        ..Caller::supposed(issuer)
    };
    let standing = policy.standing(&caller);
    let certificate = client.and_then(|client| client.certificate).map(admitted);
    let decided = policy.decide(route, Identity::Known { standing: &standing, certificate: certificate.as_ref() });
    let (scope, service) = match &decided {
        Ok(permit) => (
            match permit.basis() {
                Basis::Scope(scope) => policy.scope(scope).map(|scope| scope.name.as_str()),
                Basis::Public | Basis::TokenEndpoint(_) | Basis::Reported => None,
            },
            permit.service().and_then(|id| policy.service(id)).map(crate::policy::Service::as_str),
        ),
        Err(_) => (None, None),
    };
    let reported = decided.as_ref().ok().and_then(Permit::reported).map(|reported| &reported.denial);
    let wanted = decided.as_ref().err().or(reported).map(Denial::wanted_scopes).unwrap_or_default();
    json!({
        "client": client.map(|client| client.id.as_str()),
        "account": client.and_then(|client| client.account).map(Account::as_str),
        "allowed": decided.is_ok(),
        "reason": decided.as_ref().map_or_else(Denial::reason, Permit::reason).as_str(),
        "reported": reported.map(|denial| denial.reason().as_str()),
        "scope": scope,
        "service": service,
        "wanted": names(policy, wanted.iter().copied()),
    })
}

/// A certificate that the rule asks for: who can call is asked of clients that show theirs.
fn admitted(rule: &CertificateRule) -> Certificate {
    let none = || Certificate { sha256: [0; 32], subject: "".into(), san_dns: [].into() };
    match rule {
        CertificateRule::Sha256(sha256) => Certificate { sha256: *sha256, ..none() },
        CertificateRule::Subject(subject) => Certificate { subject: subject.clone(), ..none() },
        CertificateRule::SanDns(name) => Certificate { san_dns: [name.clone()].into(), ..none() },
    }
}
