//! Random policies, callers and requests, drawn so that they meet.

use http::HeaderName;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use scopegate::policy::{
    Account, AccountSource, AccountWhenAbsent, ApiName, ApiSpec, BasePath, Caller, CertificateRule, ClientId,
    ClientSpec, ClientType, InsufficientScopeStatus, Marks, Mode, Pattern, PolicySpec, PrivilegeSpec, Reach, ScopeName,
    ScopeNames, ScopeSpec, Segment, Service, UndefinedScopes, UnregisteredClients, UpstreamId,
};

use crate::reference::Asked;

/// A caller whose scopes are of a policy not known yet.
#[derive(Debug, Clone)]
pub(super) struct Bearer {
    /// Each with how it is spelled.
    scopes: Vec<(Index, u8)>,
    odd: Option<&'static str>,
    accounts: Vec<&'static str>,
    client: Option<&'static str>,
}

/// A request that is not written down before the policy is known that it is for.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    method: &'static str,
    path: Path,
    query: Option<String>,
    host: &'static str,
    headers: Vec<(&'static str, &'static str)>,
}

#[derive(Debug, Clone)]
enum Path {
    Free {
        segments: Vec<&'static str>,
        slash: bool,
    },
    /// At one of the policy's services: what stands for wildcards, how literals are spelled.
    Aimed {
        service: Index,
        with_method: bool,
        fill: Vec<&'static str>,
        spelling: Vec<u8>,
        rest: usize,
    },
}

pub(super) fn policy() -> impl Strategy<Value = PolicySpec> {
    (
        vec(api(), 1..5),
        option::weighted(0.5, vec(client(), 2)),
        prop_oneof![3 => Just(UndefinedScopes::Ignore), 1 => Just(UndefinedScopes::Reject)],
        prop_oneof![Just(ScopeNames::CaseSensitive), Just(ScopeNames::CaseInsensitive)],
        prop_oneof![Just(UnregisteredClients::Refuse), Just(UnregisteredClients::Allow)],
    )
        .prop_map(|(mut apis, clients, undefined_scopes, scope_names, unregistered_clients)| {
            for (place, api) in apis.iter_mut().enumerate() {
                name_scopes(place, api);
            }
            let defined: Vec<ScopeName> =
                apis.iter().flat_map(|api| &api.scopes).map(|scope| scope.name.clone()).collect();
            let clients = clients.map(|mut clients| {
                for (place, client) in clients.iter_mut().enumerate() {
                    client.id = ClientId::parse(["app", "web"][place]).unwrap();
                    // A ceiling can only list what is defined.
                    if let Some(scopes) = &mut client.scopes {
                        scopes.retain(|name| defined.contains(name));
                    }
                }
                clients
            });
            PolicySpec { apis, clients, unregistered_clients, undefined_scopes, scope_names, ..PolicySpec::default() }
        })
}

/// Names are unique in a policy: `s0` to `s2` and so on for each api, `:p` and `:q` for privileges.
fn name_scopes(place: usize, api: &mut ApiSpec) {
    api.name = ApiName::parse(&format!("api{place}")).unwrap();
    for (number, scope) in api.scopes.iter_mut().enumerate() {
        let name = format!("s{}", place * 3 + number);
        for (privilege, letter) in scope.privileges.iter_mut().zip(["p", "q"]) {
            privilege.name = ScopeName::parse(&format!("{name}:{letter}")).unwrap();
        }
        scope.name = ScopeName::parse(&name).unwrap();
    }
}

fn api() -> impl Strategy<Value = ApiSpec> {
    let sources = vec![
        AccountSource::Path("t".into()),
        AccountSource::Path("u".into()),
        AccountSource::Query("acc_id".into()),
        AccountSource::Header(HeaderName::from_static("x-account")),
    ];
    (
        select(&["/", "/", "/a", "/a", "/a/b", "/ab", "/a:b"][..]),
        prop_oneof![3 => vec(Just("h"), 0), 1 => vec(select(&["h", "i:80"][..]), 1..3)],
        subsequence(sources, 0..4),
        any::<bool>(),
        vec(scope(), 1..4),
        prop_oneof![4 => vec(service(), 0), 1 => vec(service(), 1..4)],
        prop_oneof![4 => Just(Mode::Enforce), 1 => Just(Mode::ReportOnly)],
    )
        .prop_map(|(base, hosts, account, injects, scopes, public, mode)| {
            let mut api = ApiSpec {
                name: ApiName::parse("x").unwrap(),
                display_name: None,
                base_path: BasePath::parse(base).unwrap(),
                hosts: hosts.into_iter().map(Into::into).collect(),
                upstream: UpstreamId(0),
                account,
                account_when_absent: if injects { AccountWhenAbsent::Inject } else { AccountWhenAbsent::Deny },
                mode,
                insufficient_scope_status: InsufficientScopeStatus::Forbidden,
                public,
                scopes,
            };
            keep_to_the_file_rules(&mut api, base);
            api
        })
}

/// Puts every service under the base, and injection only where there is something to write it in.
fn keep_to_the_file_rules(api: &mut ApiSpec, base: &str) {
    for service in services_mut(api) {
        *service = under(base, service.as_str());
    }
    if !api.account.iter().any(|source| !matches!(source, AccountSource::Path(_))) {
        api.account_when_absent = AccountWhenAbsent::Deny;
    }
}

/// The service below the base, and written as it was: as a path, without its first slash, as a URL.
fn under(base: &str, written: &str) -> Service {
    let (methods, path) = written.split_once(' ').unwrap();
    let (start, path) = match (path.strip_prefix(HOST), path.strip_prefix('/')) {
        (Some(path), _) => (format!("{HOST}/"), path.trim_start_matches('/')),
        (None, Some(path)) => ("/".to_owned(), path),
        (None, None) => (String::new(), path),
    };
    let base = base.trim_start_matches('/');
    let between = if base.is_empty() { "" } else { "/" };
    let text = format!("{methods} {start}{base}{between}{path}");
    // Without its first slash the root would be nothing.
    Service::parse(&if text.ends_with(' ') { format!("{text}/") } else { text }).unwrap()
}

const HOST: &str = "https://h.example";

fn services_mut(api: &mut ApiSpec) -> impl Iterator<Item = &mut Service> {
    let scoped = api.scopes.iter_mut().flat_map(|scope| {
        let privileged = scope.privileges.iter_mut().flat_map(|privilege| &mut privilege.services);
        scope.services.iter_mut().chain(&mut scope.except).chain(privileged)
    });
    api.public.iter_mut().chain(scoped)
}

fn scope() -> impl Strategy<Value = ScopeSpec> {
    let privilege = || {
        (reach(), vec(service(), 0..3)).prop_map(|(reach, services)| PrivilegeSpec {
            name: ScopeName::parse("x").unwrap(),
            reach,
            services,
        })
    };
    (reach(), any::<(u8, u8)>(), vec(service(), 0..4), vec(service(), 0..2), vec(privilege(), 0..3)).prop_map(
        |(reach, (required, confidential), services, except, privileges)| ScopeSpec {
            name: ScopeName::parse("x").unwrap(),
            display_name: None,
            description: None,
            reach,
            marks: Marks { required: required < 12, confidential_only: confidential < 60, ..Marks::default() },
            services,
            except,
            privileges,
        },
    )
}

fn reach() -> impl Strategy<Value = Reach> {
    prop_oneof![Just(Reach::Own), Just(Reach::Any)]
}

fn service() -> impl Strategy<Value = Service> {
    let segment = || {
        prop_oneof![
            8 => select(&["a", "a", "b", "*", "*", "{t}", "{t}", "{u}"][..]),
            1 => select(&["ab", "A", "a:b", "a%3Ab", "%61", "b.", "a%5Bb"][..]),
        ]
    };
    let written = prop_oneof![6 => Just("/"), 1 => Just(""), 1 => Just("https://h.example/")];
    let deep = prop_oneof![5 => vec(segment(), 0..4), 1 => vec(segment(), 5..9)];
    let methods = select(&["GET", "GET", "GET,POST", "*", "PUT", "DELETE"][..]);
    (methods, written, deep, any::<bool>(), any::<bool>()).prop_filter_map(
        "one name twice",
        |(methods, written, segments, any_rest, slash)| {
            let mut path = segments.join("/");
            if any_rest {
                path += if path.is_empty() { "**" } else { "/**" };
            }
            if slash && !path.is_empty() {
                path.push('/');
            }
            let start = if path.is_empty() && written.is_empty() { "/" } else { written };
            Service::parse(&format!("{methods} {start}{path}")).ok()
        },
    )
}

fn client() -> impl Strategy<Value = ClientSpec> {
    (
        option::weighted(0.3, select(&["acme", "beta"][..])),
        option::weighted(0.3, vec(0..12usize, 1..7)),
        any::<bool>(),
        option::weighted(0.1, Just(CertificateRule::Sha256([1; 32]))),
    )
        .prop_map(|(account, ceiling, public, certificate)| ClientSpec {
            id: ClientId::parse("x").unwrap(),
            account: account.and_then(Account::parse),
            scopes: ceiling
                .map(|places| places.iter().map(|place| ScopeName::parse(&format!("s{place}")).unwrap()).collect()),
            client_type: if public { ClientType::Public } else { ClientType::Confidential },
            certificate,
        })
}

pub(super) fn bearer() -> impl Strategy<Value = Bearer> {
    let odd = prop_oneof![30 => Just(None), 1 => Just(Some("other")), 1 => Just(Some("S0"))];
    let client = prop_oneof![8 => Just(Some("app")), 2 => Just(Some("web")), 1 => Just(Some("none")), 1 => Just(None)];
    (vec((any::<Index>(), 0..8u8), 0..8), odd, subsequence(vec!["acme", "beta", "a@b", "a"], 0..3), client)
        .prop_map(|(scopes, odd, accounts, client)| Bearer { scopes, odd, accounts, client })
}

pub(super) fn draft() -> impl Strategy<Value = Draft> {
    let method = select(&["GET", "GET", "GET", "POST", "PUT", "DELETE", "BREW", "TRACE", "get", "Trace"][..]);
    let account = || select(&["acme", "acme", "beta", "a@b"][..]);
    let header = prop_oneof![
        8 => (Just("x-account"), account()),
        2 => select(&[("origin", "null"), ("sec-fetch-mode", "cors")][..]),
        6 => Just(("accept", "*/*")),
        1 => select(&[("x-account", "acme, beta"), ("x-account", ""), ("authorization", "Bearer x")][..]),
        1 => select(&[("connection", "close"), ("connection", "close, X-Account"), ("connection", "Origin")][..]),
    ];
    let host = select(&["h", "h:80", "i", "i:80"][..]);
    (method, path(), option::weighted(0.4, query()), host, vec(header, 0..3))
        .prop_map(|(method, path, query, host, headers)| Draft { method, path, query, host, headers })
}

fn path() -> impl Strategy<Value = Path> {
    let segment = || {
        prop_oneof![
            40 => select(&["a", "a", "b", "ab", "acme", "acme", "beta", "a%40b", "c", "A"][..]),
            8 => select(&["a:b", "a%3Ab", "a%3ab", "%61", "%61%62", "b%20", "a.", ".a", "a%5Bb", "a%5bb"][..]),
            1 => select(&["..", "%2e", "", "a%2Fb", "a%3Fb", "a;b", "a%25", "a\\b", "%zz", "%c3%a9", "a%00", "a|b"][..]),
        ]
    };
    prop_oneof![
        (vec(segment(), 0..5), any::<bool>()).prop_map(|(segments, slash)| Path::Free { segments, slash }),
        (any::<Index>(), any::<bool>(), vec(segment(), 12), vec(0..30u8, 8), 0..3usize).prop_map(
            |(service, with_method, fill, spelling, rest)| Path::Aimed { service, with_method, fill, spelling, rest }
        ),
    ]
}

fn query() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        12 => select(&["acc_id", "acc_id", "r", "acc", "id", "acc_idx", "xacc_id", ""][..]),
        1 => select(&["ACC_ID", "accId", "acc.id", "acc[id", "[acc_id]", "f[acc_id]", "f.acc_id", "acc%5Fid", "acc_id%00x"][..]),
    ];
    let value = prop_oneof![
        20 => select(&["=acme", "=acme", "=beta", "=a%40b", "=%61cme"][..]),
        1 => select(&["", "=", "=a+b", "=%2561", "=%00", "=%C3%A9", "=%zz", "=a#b"][..]),
    ];
    let separator = prop_oneof![12 => Just('&'), 1 => Just(';')];
    vec((key, value, separator), 1..4).prop_map(|parameters| {
        let text: String =
            parameters.iter().map(|(key, value, separator)| format!("{key}{value}{separator}")).collect();
        // A last separator stands where it is `;`.
        text.strip_suffix('&').unwrap_or(&text).to_owned()
    })
}

impl Bearer {
    /// Gives it scopes of the policy.
    pub(super) fn caller(&self, policy: &PolicySpec) -> Caller {
        let all = policy.apis.iter().flat_map(|api| &api.scopes);
        let names: Vec<&ScopeName> = all
            .flat_map(|scope| {
                std::iter::once(&scope.name).chain(scope.privileges.iter().map(|privilege| &privilege.name))
            })
            .collect();
        let spelled = |(place, spelling): &(Index, u8)| match (place.get(&names).as_str(), spelling) {
            (name, 0) => name.to_uppercase(),
            (name, _) => name.to_owned(),
        };
        let mut scopes: Vec<String> = self.scopes.iter().map(spelled).chain(self.odd.map(str::to_owned)).collect();
        scopes.sort();
        scopes.dedup();
        Caller {
            client: self.client.map(Into::into),
            accounts: self.accounts.iter().filter_map(|account| Account::parse(account)).collect(),
            scopes: scopes.into_iter().map(Into::into).collect(),
            ..Caller::supposed("https://issuer.example")
        }
    }
}

impl Draft {
    /// Writes it down, for a policy.
    pub(super) fn request(&self, policy: &PolicySpec) -> Asked {
        let (method, path) = match &self.path {
            Path::Free { segments, slash } => {
                (None, format!("/{}{}", segments.join("/"), if *slash && !segments.is_empty() { "/" } else { "" }))
            }
            Path::Aimed { service, with_method, fill, spelling, rest } => match services(policy).as_slice() {
                [] => (None, "/".to_owned()),
                services => {
                    let service = service.get(services);
                    let method = service.methods().names().next().filter(|_| *with_method);
                    (method, aimed(service.pattern(), fill, spelling, *rest))
                }
            },
        };
        Asked {
            method: method.unwrap_or(self.method).to_owned(),
            path,
            query: self.query.clone(),
            host: self.host.to_owned(),
            headers: self.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }
}

fn services(policy: &PolicySpec) -> Vec<Service> {
    policy.clone().apis.iter_mut().flat_map(services_mut).map(|service| service.clone()).collect()
}

/// A path that the pattern takes, or nearly.
fn aimed(pattern: &Pattern, fill: &[&'static str], spelling: &[u8], rest: usize) -> String {
    let mut segments = Vec::new();
    for (place, segment) in pattern.segments().iter().enumerate() {
        segments.push(match segment {
            Segment::Literal(text) => spelled(text, spelling[place % spelling.len()]),
            Segment::Any | Segment::Capture(_) => fill[place % fill.len()].to_owned(),
        });
    }
    if pattern.any_rest() {
        segments.extend(fill.iter().rev().take(rest).map(|segment| (*segment).to_owned()));
    }
    format!("/{}", segments.join("/"))
}

fn spelled(literal: &str, how: u8) -> String {
    match how {
        0 => format!("%{:02X}{}", literal.as_bytes()[0], &literal[1..]),
        1 => literal.to_uppercase(),
        2 => format!("{literal}."),
        3 => format!("{literal}%20"),
        4 => literal.replace(':', "%3a").replace("%5B", "%5b"),
        5 => literal.replace("%3A", ":"),
        _ => literal.to_owned(),
    }
}
