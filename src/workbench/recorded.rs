//! A recorded request put together again, as far as its line of the audit log goes.
//!
//! What a line does not hold is not guessed: a request whose decision could depend on it is none that
//! can be judged again, and why is said.

use std::borrow::Cow;

use http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};

use crate::hex::parse_hex;
use crate::policy::{Account, AccountSource, Caller, Certificate, MethodSet, Policy, Request, Target};
use crate::record::AuditLine;

/// A recorded request as it came, but for what a line does not hold and no decision depends on.
#[derive(Debug)]
pub struct Recorded<'l> {
    /// The `Host`.
    pub host: &'l str,
    /// The path, and the account where a parameter named it.
    pub target: String,
    /// The account where a header named it, and that a browser asked, if one did.
    pub headers: HeaderMap,
    /// What its token said, if that was good.
    pub caller: Option<Caller>,
    /// The client's certificate, if one was looked at.
    pub certificate: Option<Certificate>,
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

impl<'l> Recorded<'l> {
    /// The request of a line, for a policy that is to judge it.
    ///
    /// # Errors
    /// Why it cannot be judged by that.
    pub fn of(policy: &Policy, line: &'l AuditLine<'_>) -> Result<Self, Unjudged> {
        let (Some(sources), Some(_)) = (&line.account_sources, &line.token_scopes) else {
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
        Ok(Self {
            host,
            target: named.query(target.path()),
            headers: named.headers(line.browser)?,
            caller: line.issuer.is_some().then(|| caller(line)).transpose()?,
            certificate: certificate(line)?,
        })
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

fn caller(line: &AuditLine<'_>) -> Result<Caller, Unjudged> {
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(Into::into);

    let accounts = line.token_accounts.iter().flatten().map(|account| Account::parse(account));
    Ok(Caller {
        subject: text(&line.subject),
        client: text(&line.client),
        accounts: accounts.collect::<Option<_>>().ok_or(Unjudged::Unreadable)?,
        scopes: line.token_scopes.iter().flatten().map(|scope| Box::from(&**scope)).collect(),
        ..Caller::supposed(line.issuer.as_deref().unwrap_or_default())
    })
}

fn certificate(line: &AuditLine<'_>) -> Result<Option<Certificate>, Unjudged> {
    let Some(presented) = &line.certificate else { return Ok(None) };
    let sha256 = parse_hex(&presented.sha256).ok_or(Unjudged::Unreadable)?;
    let san_dns = presented.san_dns.iter().map(|name| Box::from(&**name)).collect();
    Ok(Some(Certificate { sha256, subject: (&*presented.subject).into(), san_dns }))
}
