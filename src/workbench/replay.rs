//! Recorded requests judged again by another policy.
//!
//! What a line of the audit log does not hold is not guessed: a request whose decision could depend on
//! it is counted as not judged again, with the reason. Files are read by `cli`.

use std::borrow::Cow;

use hashbrown::HashMap;
use http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};

use crate::policy::{
    Account, AccountSource, Basis, Binding, Caller, Certificate, Denial, Identity, MethodSet, Policy, Reason, Request,
    Route, Target, TokenFault, UnixTime,
};
use crate::record::AuditLine;

/// More groups than this are counted together.
const MOST_GROUPS: usize = 2_000;

/// What becomes of many recorded requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many there were.
    pub lines: u64,
    /// How many are answered as they were.
    pub same: u64,
    /// What changes, by client, scope and service.
    pub groups: HashMap<Group, Count>,
    /// How many change beyond the groups that are kept apart.
    pub beyond: u64,
    /// Those that could not be judged again, by the reason.
    pub unjudged: HashMap<Unjudged, Count>,
}

/// Requests whose answer changes in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// What becomes of them.
    pub change: Change,
    /// The client, if the token named one.
    pub client: Option<String>,
    /// The scope by which they are or were let through.
    pub scope: Option<String>,
    /// The service by which they are or were let through.
    pub service: Option<String>,
}

/// How an answer changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// It was refused and would be let through.
    Allowed,
    /// It was let through and would be refused, for this reason.
    Denied(Reason),
    /// It was refused and would be for another reason, this one.
    Otherwise(Reason),
}

/// How many, and one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub count: u64,
    /// The first one met.
    pub example: Sighting,
}

/// A recorded request, to be looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// The line's number in the file, counted from 1.
    pub line: u64,
    /// When it was decided.
    pub time: Option<String>,
    /// Its id.
    pub request_id: String,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Why it was let through or refused.
    pub reason: String,
}

/// Why a request is not judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unjudged {
    /// It was ambiguous, and only the request itself says how.
    Ambiguous,
    /// Its token was no good or could not be checked, which the policy does not change.
    Token,
    /// It was for the gateway itself, or for a token.
    NotForApi,
    /// It was recorded before lines held what it takes.
    OldLine,
    /// The policy looks for its account where it was not looked for before.
    AccountElsewhere,
    /// It named different accounts, and the line does not say which.
    AccountAmbiguous,
    /// Its path, host or token cannot be read as it was.
    Unreadable,
}

/// A recorded request as another policy answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judged {
    Allowed { scope: Option<String>, service: Option<String> },
    Denied(Reason),
}

impl Tally {
    /// Judges a line again and counts what becomes of it.
    pub fn add(&mut self, policy: &Policy, line: &AuditLine<'_>, number: u64) {
        self.lines += 1;
        match judge(policy, line) {
            Err(unjudged) => {
                let count = self.unjudged.entry(unjudged);
                count.and_modify(|count| count.count += 1).or_insert_with(|| Count::first(line, number));
            }
            Ok(judged) => match change(line, &judged) {
                None => self.same += 1,
                Some(change) => self.count(group(change, line, judged), line, number),
            },
        }
    }

    fn count(&mut self, group: Group, line: &AuditLine<'_>, number: u64) {
        if let Some(count) = self.groups.get_mut(&group) {
            count.count += 1;
        } else if self.groups.len() < MOST_GROUPS {
            self.groups.insert(group, Count::first(line, number));
        } else {
            self.beyond += 1;
        }
    }

    /// With what another tally has counted.
    pub fn merge(&mut self, other: Self) {
        self.lines += other.lines;
        self.same += other.same;
        self.beyond += other.beyond;
        for (unjudged, count) in other.unjudged {
            merge(self.unjudged.entry(unjudged), count);
        }
        for (group, count) in other.groups {
            if self.groups.len() < MOST_GROUPS || self.groups.contains_key(&group) {
                merge(self.groups.entry(group), count);
            } else {
                self.beyond += count.count;
            }
        }
    }

    /// How many requests would be answered in this way and were not.
    #[must_use]
    pub fn changed(&self, is: impl Fn(Change) -> bool) -> u64 {
        self.groups.iter().filter(|(group, _)| is(group.change)).map(|(_, count)| count.count).sum()
    }
}

fn merge<K: std::hash::Hash + Eq>(
    entry: hashbrown::hash_map::Entry<'_, K, Count, hashbrown::DefaultHashBuilder>,
    more: Count,
) {
    entry
        .and_modify(|count| {
            count.count += more.count;
            if more.example < count.example {
                count.example = more.example.clone();
            }
        })
        .or_insert(more);
}

impl Count {
    fn first(line: &AuditLine<'_>, number: u64) -> Self {
        let example = Sighting {
            line: number,
            time: line.time.as_deref().map(str::to_owned),
            request_id: line.request_id.to_string(),
            method: line.method.to_string(),
            path: line.path.to_string(),
            reason: line.reason.to_string(),
        };
        Self { count: 1, example }
    }
}

fn change(line: &AuditLine<'_>, judged: &Judged) -> Option<Change> {
    match (line.is_allowed(), judged) {
        (true, Judged::Allowed { .. }) => None,
        (false, Judged::Allowed { .. }) => Some(Change::Allowed),
        (true, Judged::Denied(reason)) => Some(Change::Denied(*reason)),
        (false, Judged::Denied(reason)) if reason.as_str() == line.reason => None,
        (false, Judged::Denied(reason)) => Some(Change::Otherwise(*reason)),
    }
}

fn group(change: Change, line: &AuditLine<'_>, judged: Judged) -> Group {
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
    let (scope, service) = match judged {
        Judged::Allowed { scope, service } => (scope, service),
        Judged::Denied(_) => (text(&line.granted_by), text(&line.service)),
    };
    Group { change, client: text(&line.client), scope, service }
}

/// What the policy answers, with what the line holds.
fn judge(policy: &Policy, line: &AuditLine<'_>) -> Result<Judged, Unjudged> {
    if matches!(&*line.reason, "path_ambiguous" | "header_ambiguous") {
        return Err(Unjudged::Ambiguous);
    }
    if line.reason == "form_rejected" || line.is_allowed() && line.service.is_none() && line.reported.is_none() {
        return Err(Unjudged::NotForApi);
    }
    let (Some(sources), Some(token_scopes)) = (&line.account_sources, &line.token_scopes) else {
        return Err(Unjudged::OldLine);
    };
    let host = line.host.as_deref().ok_or(Unjudged::Unreadable)?;
    let target = Target::parse(line.path.as_bytes()).map_err(|_| Unjudged::Unreadable)?;
    let method = MethodSet::of_request(&line.method);
    let plain = HeaderMap::new();
    let bare = Request { method, target: &target, host, headers: &plain };
    if policy.find_token_endpoint(&bare).is_some() {
        return Err(Unjudged::NotForApi);
    }
    let named = named(policy, line, sources, &bare)?;
    let target_text = named.query(target.path());
    let target = Target::parse(target_text.as_bytes()).map_err(|_| Unjudged::Unreadable)?;
    let headers = named.headers(line.browser)?;
    let request = Request { method, target: &target, host, headers: &headers };
    let route = policy.find(request).map_err(|_| Unjudged::Unreadable)?;
    let certificate = certificate(line)?;
    if line.issuer.is_some() {
        let standing = policy.standing(&caller(line, token_scopes)?);
        let identity = Identity::Known { standing: &standing, certificate: certificate.as_ref() };
        return Ok(answer(policy, &route, identity));
    }
    let verdict = line.verdict();
    if verdict == "token_missing" || verdict == "public" {
        // Whether there was a token behind a public service, nobody has looked.
        return match (answer(policy, &route, Identity::Absent), verdict) {
            (Judged::Denied(Reason::TokenMissing), "public") => Ok(Judged::Denied(Reason::TokenMissing)),
            (judged, _) => Ok(judged),
        };
    }
    // What is wrong with a token, the policy does not change; but for this, each fault is as good.
    let fault = if verdict == "token_revoked" { TokenFault::Revoked } else { TokenFault::SignatureInvalid };
    match (answer(policy, &route, Identity::Refused(Denial::Token(fault))), &line.reported) {
        (allowed @ Judged::Allowed { .. }, _) => Ok(allowed),
        (Judged::Denied(_), None) => Err(Unjudged::Token),
        (Judged::Denied(_), Some(reported)) => {
            let reason = Reason::ALL.iter().find(|reason| reason.as_str() == *reported);
            reason.copied().map(Judged::Denied).ok_or(Unjudged::Unreadable)
        }
    }
}

fn answer(policy: &Policy, route: &Route<'_, '_>, identity: Identity<'_>) -> Judged {
    match policy.decide(route, identity) {
        Err(denial) => Judged::Denied(denial.reason()),
        Ok(permit) => {
            let scope = match permit.basis() {
                Basis::Scope(id) => policy.scope(id).map(|scope| scope.name.to_string()),
                Basis::Public | Basis::TokenEndpoint(_) | Basis::Reported => None,
            };
            let service = permit.service().and_then(|id| policy.service(id)).map(ToString::to_string);
            Judged::Allowed { scope, service }
        }
    }
}

/// The account that a request names outside its path, and where.
struct NamedOutside<'p> {
    account: String,
    sources: Vec<&'p AccountSource>,
}

/// Where the apis that have the request look for its account, if that is known to have been looked at.
fn named<'p>(
    policy: &'p Policy,
    line: &AuditLine<'_>,
    recorded: &[Cow<'_, str>],
    request: &Request<'_>,
) -> Result<NamedOutside<'p>, Unjudged> {
    let mut sources: Vec<&AccountSource> = Vec::new();
    // An api of which nothing matches asks for no account, but says so only by not being there.
    let apis = policy.apis_of(request).filter_map(|id| policy.api(id));
    for source in apis.flat_map(|api| &api.account) {
        if !matches!(source, AccountSource::Path(_)) && !sources.contains(&source) {
            sources.push(source);
        }
    }
    let is_recorded = |source: &&AccountSource| recorded.iter().any(|text| **text == written(source));
    if sources.is_empty() {
        return Ok(NamedOutside { account: String::new(), sources });
    }
    let outside = recorded.iter().filter(|text| !text.starts_with("path:")).count();
    let account = line.account.as_deref().filter(|_| !line.injected);
    let knows_all = sources.iter().all(is_recorded);
    match account {
        _ if line.verdict() == "account_ambiguous" => Err(Unjudged::AccountAmbiguous),
        None if knows_all => Ok(NamedOutside { account: String::new(), sources: Vec::new() }),
        // It may have stood in any of the recorded places, which makes no difference if all are looked at.
        Some(account) if knows_all && (recorded.len() == 1 || is_all(policy, request, recorded, outside)) => {
            Ok(NamedOutside { account: account.to_owned(), sources })
        }
        None | Some(_) => Err(Unjudged::AccountElsewhere),
    }
}

/// Whether each api that has the request looks for its account in exactly the recorded places.
fn is_all(policy: &Policy, request: &Request<'_>, recorded: &[Cow<'_, str>], outside: usize) -> bool {
    let mut apis = policy.apis_of(request).filter_map(|id| policy.api(id));
    outside > 0
        && apis.all(|api| {
            api.account.len() == recorded.len()
                && api.account.iter().all(|source| recorded.iter().any(|text| **text == written(source)))
        })
}

/// As a line has it.
fn written(source: &AccountSource) -> String {
    match source {
        AccountSource::Path(name) => format!("path:{name}"),
        AccountSource::Query(name) => format!("query:{name}"),
        AccountSource::Header(name) => format!("header:{name}"),
    }
}

impl NamedOutside<'_> {
    fn query(&self, path: &str) -> String {
        let mut target = path.to_owned();
        for source in &self.sources {
            if let AccountSource::Query(name) = source {
                target += if target.contains('?') { "&" } else { "?" };
                let encoded = self.account.bytes().fold(String::new(), |text, byte| {
                    if byte.is_ascii_alphanumeric() {
                        text + char::from(byte).encode_utf8(&mut [0; 4])
                    } else {
                        format!("{text}%{byte:02X}")
                    }
                });
                target.extend([format!("{name}={encoded}")]);
            }
        }
        target
    }

    fn headers(&self, browser: bool) -> Result<HeaderMap, Unjudged> {
        let mut headers = HeaderMap::new();
        for source in &self.sources {
            if let AccountSource::Header(name) = source {
                let name: &HeaderName = name;
                let value = HeaderValue::from_str(&self.account).map_err(|_| Unjudged::Unreadable)?;
                headers.append(name, value);
            }
        }
        if browser {
            headers.append(ORIGIN, HeaderValue::from_static("null"));
        }
        Ok(headers)
    }
}

fn caller(line: &AuditLine<'_>, scopes: &[Cow<'_, str>]) -> Result<Caller, Unjudged> {
    let accounts = line.token_accounts.iter().flatten().map(|account| Account::parse(account));
    Ok(Caller {
        issuer: "".into(),
        subject: None,
        client: line.client.as_deref().map(Into::into),
        accounts: accounts.collect::<Option<_>>().ok_or(Unjudged::Unreadable)?,
        scopes: scopes.iter().map(|scope| Box::from(&**scope)).collect(),
        token_id: None,
        issued_at: None,
        not_before: None,
        expires_at: UnixTime(u64::MAX),
        binding: Binding::default(),
    })
}

fn certificate(line: &AuditLine<'_>) -> Result<Option<Certificate>, Unjudged> {
    let Some(presented) = &line.certificate else { return Ok(None) };
    let mut sha256 = [0; 32];
    if presented.sha256.len() != 64 {
        return Err(Unjudged::Unreadable);
    }
    for (place, byte) in sha256.iter_mut().enumerate() {
        let digits = presented.sha256.get(2 * place..2 * place + 2).ok_or(Unjudged::Unreadable)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| Unjudged::Unreadable)?;
    }
    let san_dns = presented.san_dns.iter().map(|name| Box::from(&**name)).collect();
    Ok(Some(Certificate { sha256, subject: (&*presented.subject).into(), san_dns }))
}
