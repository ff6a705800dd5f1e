//! Policies, callers and requests in a few words each, and what comes of them in as few.

use http::{HeaderMap, HeaderName};
use scopegate::policy::{
    Account, ApiName, ApiSpec, BasePath, Basis, Caller, Certificate, ClientId, ClientSpec, ClientType, Denial,
    Identity, Injection, MethodSet, Permit, Policy, PolicySpec, PrivilegeSpec, Reach, Request, ScopeName, ScopeSpec,
    Service, Target, UpstreamId,
};

/// A request is written `GET /x?y | header: value`; its host is `h` unless a header says another.
///
/// What comes of it is written `api: scope`, with the account that is written in, or
/// `reason scope scope`.
#[track_caller]
pub(super) fn check(spec: &PolicySpec, caller: &Caller, cases: &[(&str, &str)]) {
    let policy = Policy::compile(spec.clone()).unwrap();
    for (request, expected) in cases {
        assert_eq!(ask(&policy, Some(caller), None, request), *expected, "{request}");
    }
}

pub(super) fn policy(apis: impl IntoIterator<Item = ApiSpec>) -> PolicySpec {
    PolicySpec { apis: apis.into_iter().collect(), ..PolicySpec::default() }
}

/// One that names no account anywhere; its scopes' reach is any, unless it is given account sources.
pub(super) fn api(name: &str, base: &str, scopes: impl IntoIterator<Item = ScopeSpec>) -> ApiSpec {
    ApiSpec {
        scopes: scopes.into_iter().collect(),
        ..ApiSpec::new(ApiName::parse(name).unwrap(), BasePath::parse(base).unwrap(), UpstreamId(0))
    }
}

/// Its reach is `own` if it is named so, and any otherwise.
pub(super) fn scope(name: &str, lines: impl IntoIterator<Item = &'static str>) -> ScopeSpec {
    ScopeSpec {
        services: services(lines),
        ..ScopeSpec::new(ScopeName::parse(name).unwrap(), if name == "own" { Reach::Own } else { Reach::Any })
    }
}

pub(super) fn privilege(name: &str, lines: impl IntoIterator<Item = &'static str>) -> PrivilegeSpec {
    PrivilegeSpec { name: ScopeName::parse(name).unwrap(), reach: Reach::Any, services: services(lines) }
}

pub(super) fn services(lines: impl IntoIterator<Item = &'static str>) -> Vec<Service> {
    lines.into_iter().map(|line| Service::parse(line).unwrap()).collect()
}

pub(super) fn client(id: &str) -> ClientSpec {
    ClientSpec::new(ClientId::parse(id).unwrap(), ClientType::Confidential)
}

/// Of the client `app`, with the account `acme`.
pub(super) fn caller<'s>(scopes: impl IntoIterator<Item = &'s str>) -> Caller {
    Caller {
        client: Some("app".into()),
        accounts: accounts(["acme"]),
        scopes: scopes.into_iter().map(Into::into).collect(),
        ..Caller::supposed("https://issuer.example")
    }
}

pub(super) fn accounts<'s>(names: impl IntoIterator<Item = &'s str>) -> Box<[Account]> {
    names.into_iter().map(|name| Account::parse(name).unwrap()).collect()
}

pub(super) fn ask(
    policy: &Policy,
    caller: Option<&Caller>,
    certificate: Option<&Certificate>,
    request: &str,
) -> String {
    let mut parts = request.split(" | ");
    let (method, target) = parts.next().unwrap().split_once(' ').unwrap();
    let mut headers = HeaderMap::new();
    let mut host = "h";
    for (name, value) in parts.map(|part| part.split_once(": ").unwrap()) {
        match name {
            "host" => host = value,
            _ => drop(headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap())),
        }
    }
    let target = match Target::parse(target.as_bytes()) {
        Ok(target) => target,
        Err(fault) => return denied(policy, &fault.into()),
    };
    let request = Request { method: MethodSet::of_request(method), target: &target, host, headers: &headers };
    let standing = caller.map(|caller| policy.standing(caller));
    let identity = match &standing {
        Some(standing) => Identity::Known { standing, certificate },
        None => Identity::Absent,
    };
    match policy.find(request).and_then(|route| policy.decide(&route, identity)) {
        Ok(permit) => allowed(policy, &permit),
        Err(denial) => denied(policy, &denial),
    }
}

fn allowed(policy: &Policy, permit: &Permit<'_>) -> String {
    let mut text = format!("{}: ", policy.api(permit.api()).unwrap().name);
    text.push_str(match permit.basis() {
        Basis::Public => "public",
        Basis::TokenEndpoint(_) => "token endpoint",
        Basis::Reported => permit.reported().unwrap().denial.reason().as_str(),
        Basis::Scope(scope) => policy.scope(scope).unwrap().name.as_str(),
    });
    if let Some(account) = permit.account() {
        text += &format!(" {}", account.text());
    }
    match permit.injection() {
        Some(Injection::Query(name, account)) => text += &format!(" +{name}={account}"),
        Some(Injection::Header(name, account)) => text += &format!(" +{name}: {account}"),
        None => {}
    }
    text
}

fn denied(policy: &Policy, denial: &Denial) -> String {
    let mut text = denial.reason().to_string();
    match denial {
        Denial::ScopeRequired { missing: scopes, .. } | Denial::ScopeInsufficient { alternatives: scopes, .. } => {
            for scope in scopes {
                text += &format!(" {}", policy.scope(*scope).unwrap().name);
            }
        }
        Denial::MethodNotAllowed { allow } => text += &format!(" {allow}"),
        _ => {}
    }
    text
}
