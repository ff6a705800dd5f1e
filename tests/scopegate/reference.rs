//! The decision as the design words it, written a second time as naively as can be.
//!
//! It tries every pattern of every scope for every request, on strings, and shares with the policy
//! only the types that describe a file. It is slow, and plain enough to be believed.

mod pattern;
mod wire;

use scopegate::policy::{
    Account, AccountSource, AccountWhenAbsent, ApiSpec, Caller, Certificate, ClientSpec, ClientType, Mode, PolicySpec,
    Reach, ScopeName, ScopeNames, ScopeSpec, Service, UndefinedScopes, UnregisteredClients,
};

use pattern::{captured, excepts, takes};

/// One request, as it would be written down.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) host: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Allowed {
        api: String,
        by: Option<String>,
        service: String,
        account: Option<String>,
        injected: Option<String>,
    },
    Denied(Refusal),
    /// It is refused, and the api only reports.
    Reported {
        api: String,
        refusal: Refusal,
    },
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) detail: Vec<String>,
    /// The api that refuses, where one was asked.
    pub(crate) api: Option<String>,
    /// Whether the caller was found good before.
    pub(crate) knows_caller: bool,
}

/// Decides, for a token that is good (or absent).
pub(crate) fn decide(
    policy: &PolicySpec,
    asked: &Asked,
    caller: Option<&Caller>,
    certificate: Option<&Certificate>,
) -> Answer {
    let answer = enforce(policy, asked, caller, certificate);
    let Answer::Denied(refusal) = &answer else { return answer };
    if ["path_ambiguous", "header_ambiguous"].contains(&refusal.reason) || !pattern::is_method(&asked.method) {
        return answer;
    }
    let asked = &Asked { path: wire::judged(&asked.path).unwrap(), ..asked.clone() };
    let lies_under = |api: &&ApiSpec| {
        let base = api.base_path.to_string();
        let base = base.trim_end_matches('/');
        asked.path == *base || asked.path.starts_with(&format!("{base}/"))
    };
    let mut apis: Vec<&ApiSpec> =
        policy.apis.iter().filter(|api| is_for_host(api, &asked.host)).filter(lies_under).collect();
    apis.sort_by_key(|api| std::cmp::Reverse(api.base_path.segments().len()));
    let Some(nearest) = apis.first().map(|api| api.base_path.clone()) else { return answer };
    let concerned = |api: &&&ApiSpec| api.base_path == nearest || has_path(api, asked);
    if apis.iter().filter(concerned).any(|api| api.mode == Mode::Enforce) {
        return answer;
    }
    let by = refusal.api.clone();
    let by = by.or_else(|| apis.iter().find(|api| has_path(api, asked)).map(|api| api.name.to_string()));
    let by = by.unwrap_or_else(|| apis[0].name.to_string());
    Answer::Reported { api: by, refusal: refusal.clone() }
}

/// Decides as if every api enforced.
fn enforce(policy: &PolicySpec, asked: &Asked, caller: Option<&Caller>, certificate: Option<&Certificate>) -> Answer {
    let Some(path) = wire::judged(&asked.path).filter(|_| asked.query.as_deref().is_none_or(wire::is_query)) else {
        return denied("path_ambiguous", []);
    };
    let asked = &Asked { path, ..asked.clone() };
    if !wire::headers_agree(policy, asked) {
        return denied("header_ambiguous", []);
    }
    let mut apis: Vec<&ApiSpec> = policy.apis.iter().filter(|api| is_for_host(api, &asked.host)).collect();
    apis.sort_by_key(|api| std::cmp::Reverse(api.base_path.segments().len()));
    apis.retain(|api| has_path(api, asked));
    for api in &apis {
        if let Err(reason) = outside_path(api, asked) {
            return denied(reason, []);
        }
    }
    for api in &apis {
        if let Some(service) = api.public.iter().find(|service| takes(service, asked)) {
            return Answer::Allowed {
                api: api.name.to_string(),
                by: None,
                service: service.to_string(),
                account: None,
                injected: None,
            };
        }
    }
    let Some(caller) = caller else { return denied("token_missing", []) };
    let known = |answer| match answer {
        Answer::Denied(refusal) => Answer::Denied(Refusal { knows_caller: true, ..refusal }),
        other => other,
    };
    let client = match client_of(policy, caller) {
        Ok(client) => client,
        Err(reason) => return denied(reason, []),
    };
    if let Some(rule) = client.and_then(|client| client.certificate.as_ref())
        && !rule.admits(certificate)
    {
        return denied("certificate_mismatch", []);
    }
    if let Some(account) = client.and_then(|client| client.account.as_ref())
        && !caller.accounts.is_empty()
        && !caller.accounts.contains(account)
    {
        return denied("account_forbidden", []);
    }
    let defined: Vec<String> = policy.apis.iter().flat_map(|api| &api.scopes).flat_map(names).collect();
    let is_same = |a: &str, b: &str| match policy.scope_names {
        ScopeNames::CaseSensitive => a == b,
        ScopeNames::CaseInsensitive => a.eq_ignore_ascii_case(b),
    };
    if policy.undefined_scopes == UndefinedScopes::Reject
        && caller.scopes.iter().any(|scope| !defined.iter().any(|name| is_same(name, scope)))
    {
        return known(denied("scope_undefined", []));
    }
    let required: Vec<&str> =
        policy.apis.iter().flat_map(|api| &api.scopes).filter(|s| s.marks.required).map(|s| s.name.as_str()).collect();
    // Holding `certificate:approve` includes holding `certificate`, in the token and in the ceiling.
    let listed = |name: &str, list: &[&str]| {
        list.iter().any(|item| {
            is_same(item, name)
                || policy.apis.iter().flat_map(|api| &api.scopes).any(|scope| {
                    is_same(scope.name.as_str(), name)
                        && scope.privileges.iter().any(|p| is_same(p.name.as_str(), item))
                })
        })
    };
    let holds = |name: &str| {
        let in_token = listed(name, &caller.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>());
        let under_ceiling = match client.and_then(|client| client.scopes.as_ref()) {
            None => true,
            Some(ceiling) => {
                required.contains(&name) || listed(name, &ceiling.iter().map(ScopeName::as_str).collect::<Vec<_>>())
            }
        };
        in_token && under_ceiling
    };
    if apis.is_empty() {
        return known(denied("route_unknown", []));
    }
    let mut best: Option<Answer> = None;
    for api in &apis {
        if !has_service(api, asked) {
            continue;
        }
        let answer = match ask(api, asked, caller, client, &holds) {
            Answer::Denied(refusal) => Answer::Denied(Refusal { api: Some(api.name.to_string()), ..refusal }),
            other => other,
        };
        if matches!(answer, Answer::Allowed { .. }) {
            return answer;
        }
        if best.as_ref().is_none_or(|best| rank(&answer) > rank(best)) {
            best = Some(answer);
        }
    }
    known(best.unwrap_or_else(|| denied("method_not_allowed", [])))
}

/// Steps 11 to 14, for one api.
fn ask(
    api: &ApiSpec,
    asked: &Asked,
    caller: &Caller,
    client: Option<&ClientSpec>,
    holds: &dyn Fn(&str) -> bool,
) -> Answer {
    let missing: Vec<String> = api
        .scopes
        .iter()
        .filter(|scope| scope.marks.required && !holds(scope.name.as_str()))
        .map(|scope| scope.name.to_string())
        .collect();
    if !missing.is_empty() {
        return denied("scope_required", missing);
    }
    let grants = grants(api, asked);
    let held: Vec<&Grant> = grants.iter().filter(|grant| holds(&grant.name)).collect();
    if held.is_empty() {
        let mut names: Vec<String> = grants.iter().map(|grant| grant.name.clone()).collect();
        names.dedup();
        return denied("scope_insufficient", names);
    }
    let is_public = client.is_some_and(|client| client.client_type == ClientType::Public);
    let is_browser = asked.headers.iter().any(|(name, _)| name == "origin" || name.starts_with("sec-fetch-"));
    let own: Vec<&str> = match client.and_then(|client| client.account.as_ref()) {
        Some(account) => vec![account.as_str()],
        None => caller.accounts.iter().map(Account::as_str).collect(),
    };
    let mut best = None;
    for reach in [Reach::Own, Reach::Any] {
        for grant in held.iter().filter(|grant| grant.reach == reach) {
            let answer = if grant.confidential_only && (is_public || is_browser) {
                denied("client_type_rejected", [])
            } else {
                judge_account(api, asked, grant, &own)
            };
            if matches!(answer, Answer::Allowed { .. }) {
                return answer;
            }
            if best.as_ref().is_none_or(|best| rank(&answer) > rank(best)) {
                best = Some(answer);
            }
        }
    }
    best.unwrap()
}

fn judge_account(api: &ApiSpec, asked: &Asked, grant: &Grant, own: &[&str]) -> Answer {
    let mut named: Vec<String> = outside_path(api, asked).unwrap();
    for source in &api.account {
        if let AccountSource::Path(name) = source
            && let Some(segment) = captured(grant.service, &asked.path, name)
        {
            named.extend(wire::decoded(&segment));
        }
    }
    named.dedup();
    let allowed = |account: Option<String>, injected: Option<String>| Answer::Allowed {
        api: api.name.to_string(),
        by: Some(grant.name.clone()),
        service: grant.service.to_string(),
        account,
        injected,
    };
    match (named.as_slice(), grant.reach) {
        ([_, _, ..], _) => denied("account_ambiguous", []),
        ([], Reach::Any) => allowed(None, None),
        ([account], Reach::Any) => allowed(Some(account.clone()), None),
        ([account], Reach::Own) if own.contains(&account.as_str()) => allowed(Some(account.clone()), None),
        ([_], Reach::Own) => denied("account_forbidden", []),
        ([], Reach::Own) => match own {
            [account] if api.account_when_absent == AccountWhenAbsent::Inject => {
                allowed(None, Some((*account).to_owned()))
            }
            _ => denied("account_missing", []),
        },
    }
}

struct Grant<'s> {
    name: String,
    reach: Reach,
    confidential_only: bool,
    service: &'s Service,
}

/// Every grant of the api whose service takes the request, in the order of the file.
fn grants<'s>(api: &'s ApiSpec, asked: &Asked) -> Vec<Grant<'s>> {
    let mut grants = Vec::new();
    for scope in &api.scopes {
        let confidential_only = scope.marks.confidential_only;
        if !scope.except.iter().any(|service| excepts(service, asked)) {
            for service in scope.services.iter().filter(|service| takes(service, asked)) {
                grants.push(Grant { name: scope.name.to_string(), reach: scope.reach, confidential_only, service });
            }
        }
        for privilege in &scope.privileges {
            for service in privilege.services.iter().filter(|service| takes(service, asked)) {
                grants.push(Grant {
                    name: privilege.name.to_string(),
                    reach: privilege.reach,
                    confidential_only,
                    service,
                });
            }
        }
    }
    grants
}

/// Whether the api has some service for the path, whatever the method.
fn has_path(api: &ApiSpec, asked: &Asked) -> bool {
    ["GET", "POST", "PUT", "DELETE", "BREW"].iter().any(|method| {
        let asked = Asked { method: (*method).to_owned(), ..asked.clone() };
        has_service(api, &asked)
    })
}

fn has_service(api: &ApiSpec, asked: &Asked) -> bool {
    api.public.iter().any(|service| takes(service, asked)) || !grants(api, asked).is_empty()
}

/// The accounts that the api's headers and query parameters name.
fn outside_path(api: &ApiSpec, asked: &Asked) -> Result<Vec<String>, &'static str> {
    let mut named = Vec::new();
    for source in &api.account {
        match source {
            AccountSource::Path(_) => {}
            AccountSource::Query(name) => {
                named.extend(wire::parameter(asked.query.as_deref().unwrap_or_default(), name)?);
            }
            AccountSource::Header(name) => named.extend(wire::header(&asked.headers, name.as_str())?),
        }
    }
    Ok(named)
}

fn is_for_host(api: &ApiSpec, host: &str) -> bool {
    api.hosts.is_empty() || api.hosts.iter().any(|own| **own == *host || **own == *host.split(':').next().unwrap())
}

fn client_of<'s>(policy: &'s PolicySpec, caller: &Caller) -> Result<Option<&'s ClientSpec>, &'static str> {
    let Some(clients) = &policy.clients else { return Ok(None) };
    match clients.iter().find(|client| caller.client.as_deref() == Some(client.id.as_str())) {
        None if policy.unregistered_clients == UnregisteredClients::Refuse => Err("client_unknown"),
        found => Ok(found),
    }
}

fn names(scope: &ScopeSpec) -> impl Iterator<Item = String> {
    std::iter::once(scope.name.to_string()).chain(scope.privileges.iter().map(|privilege| privilege.name.to_string()))
}

fn denied(reason: &'static str, detail: impl IntoIterator<Item = String>) -> Answer {
    Answer::Denied(Refusal { reason, detail: detail.into_iter().collect(), api: None, knows_caller: false })
}

/// How far a refusal came.
fn rank(answer: &Answer) -> usize {
    let order = [
        "scope_required",
        "scope_insufficient",
        "client_type_rejected",
        "account_missing",
        "account_ambiguous",
        "account_forbidden",
    ];
    match answer {
        Answer::Allowed { .. } | Answer::Reported { .. } => order.len(),
        Answer::Denied(refusal) => order.iter().position(|step| *step == refusal.reason).unwrap(),
    }
}
