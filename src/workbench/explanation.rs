//! A decision as a story: what was asked, what was found, and why it ended as it did.
//!
//! Everything in it is text or numbers, for whoever prints it. It holds no credential.

use http::header::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use super::moments::{moment, since};
use super::rates::{LimitStory, limit_stories};
use super::why::{Facts, fate, why};
use super::{CheckOutcome, Ending, Rehearsed, Said, Sent, TokenChecks};
use crate::config::Settings;
use crate::policy::{
    Basis, Caller, ClientType, Considered, Fate, MethodSet, Policy, Reach, Reason, Role, ScopeId, Standing, UnixTime,
};

/// A decision as a story.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// Whether the request is let through.
    pub allowed: bool,
    /// The reason's code.
    pub reason: &'static str,
    /// Why it would be refused, where the api only reports: a reason's code.
    pub reported: Option<&'static str>,
    /// Why, for operators: a client is told less.
    pub why: String,
    /// The api that the request is for, where one was found.
    pub api: Option<String>,
    /// The service that lets it through.
    pub service: Option<String>,
    /// The scope or privilege that does.
    pub granted_by: Option<String>,
    /// What was asked.
    pub request: Asked,
    /// What was found of the token.
    pub token: TokenStory,
    /// Whose token it is, if it is good.
    pub caller: Option<CallerStory>,
    /// The services that have the path.
    pub services: Vec<ServiceStory>,
    /// The scopes that the apis of these services ask of every token.
    pub required_scopes: Vec<RequiredScope>,
    /// The rate limits that the request falls under, if it is let through: nothing is counted here.
    pub rate_limits: Vec<LimitStory>,
    /// The gateway's own answer, if it gives one.
    pub answer: Option<AnswerStory>,
    /// What the upstream gets, if the request is forwarded.
    pub forwarded: Option<ForwardStory>,
}

/// What was asked.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The target as it came.
    pub target: String,
    /// The target as it was judged, where it could be.
    pub judged: Option<String>,
    /// The host that it was asked of.
    pub host: Option<String>,
    /// When, in RFC 3339, where that counts.
    pub at: Option<String>,
}

/// What was found of a token.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TokenStory {
    /// Where it is from, and whether it was checked.
    pub kind: TokenKind,
    /// The checks in their order.
    pub checks: Vec<CheckStory>,
    /// What it says, good or not.
    pub claims: Option<Value>,
}

/// Where a token is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// There is none.
    #[default]
    None,
    /// The request had it.
    Sent,
    /// It was not looked at: the service is public, or the request was refused before.
    NotAsked,
    /// Only its claims were given: it was not checked.
    Claims,
    /// It was checked when the request came: what came of that is recorded.
    Recorded,
}

/// One check of a token.
#[derive(Debug, Clone, Serialize)]
pub struct CheckStory {
    /// What was asked.
    pub check: &'static str,
    /// `passed`, `failed` or `not_made`.
    pub outcome: &'static str,
    /// What was compared.
    pub detail: String,
}

/// Whose token it is.
#[derive(Debug, Clone, Serialize)]
pub struct CallerStory {
    /// Who signed it.
    pub issuer: String,
    /// The client, by its id.
    pub client: Option<String>,
    /// `confidential` or `public`, where the file lists the client.
    pub client_type: Option<&'static str>,
    /// `sub`.
    pub subject: Option<String>,
    /// The accounts that count as its own.
    pub accounts: Vec<String>,
    /// The scopes that the token carries, or that these include.
    pub scopes: Vec<ScopeStory>,
    /// How long the token is good, where it was one.
    pub expires: Option<String>,
}

/// A scope of a token.
#[derive(Debug, Clone, Serialize)]
pub struct ScopeStory {
    /// As the token has it.
    pub name: String,
    /// Whether it counts.
    pub held: bool,
    /// What is to be said of it: where it is from, or why it does not count.
    pub note: Option<String>,
}

/// A service that has the path.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceStory {
    /// Its api.
    pub api: String,
    /// As the file writes it.
    pub service: String,
    /// The scope or privilege that it is of; none where it is public.
    pub scope: Option<String>,
    /// `own` or `any`, where it is of a scope and its api's requests name accounts.
    pub accounts: Option<&'static str>,
    /// Where the request names an account for it, and which.
    pub named: Vec<NamedStory>,
    /// What comes of it, as a code.
    pub outcome: &'static str,
    /// The same in words.
    pub note: String,
}

/// An account that a request names.
#[derive(Debug, Clone, Serialize)]
pub struct NamedStory {
    /// Where.
    pub place: String,
    /// Which.
    pub account: String,
}

/// A scope that every token must have.
#[derive(Debug, Clone, Serialize)]
pub struct RequiredScope {
    /// Whose it is.
    pub api: String,
    /// Its name.
    pub scope: String,
    /// Whether the caller has it; unknown where there is no caller.
    pub held: Option<bool>,
}

/// An answer of the gateway's own.
#[derive(Debug, Clone, Serialize)]
pub struct AnswerStory {
    /// The status.
    pub status: u16,
    /// Names and values, in the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// The body: a problem, or a document.
    pub body: Value,
    /// The same as it is sent.
    #[serde(skip)]
    pub sent: String,
}

/// A request as an upstream gets it.
#[derive(Debug, Clone, Serialize)]
pub struct ForwardStory {
    /// The upstream's name.
    pub upstream: String,
    /// Its servers.
    pub servers: Vec<String>,
    /// The target.
    pub target: String,
    /// Names and values, by name.
    pub headers: Vec<(String, String)>,
    /// Of a request for a token: its form, without values that are no business of others.
    pub form: Option<String>,
}

/// What an explanation is made of beside what came of the request.
#[derive(Debug)]
pub struct Question<'q> {
    /// What decides.
    pub policy: &'q Policy,
    /// What else the file says.
    pub settings: &'q Settings,
    /// The request's method.
    pub method: &'q str,
    /// Its target, as it came.
    pub target: &'q str,
    /// Its `Host`, if it can be shown.
    pub host: Option<&'q str>,
    /// When it comes, where that counts.
    pub now: Option<UnixTime>,
    /// Where its token is from.
    pub kind: TokenKind,
    /// What was found of it.
    pub checks: TokenChecks,
}

impl Explanation {
    /// The story of a request.
    #[must_use]
    pub fn new(question: Question<'_>, rehearsed: &Rehearsed<'_>) -> Self {
        let Question { policy, settings, method, target, host, now, kind, checks } = question;
        let sent = match &rehearsed.ending {
            Ending::Forwarded(sent) => Some(sent),
            Ending::Refused(..) | Ending::Answered(..) => None,
        };
        let facts = Facts { policy, rehearsed, checks: &checks, method: MethodSet::of_request(method) };
        Self {
            allowed: matches!(rehearsed.reason, Reason::Public | Reason::Granted | Reason::Reported),
            reason: rehearsed.reason.as_str(),
            reported: sent.and_then(|sent| sent.reported.as_ref()).map(|denial| denial.reason().as_str()),
            why: why(&facts),
            api: rehearsed.api.and_then(|id| policy.api(id)).map(|api| api.name.to_string()),
            service: sent.and_then(|sent| policy.service(sent.service?)).map(ToString::to_string),
            granted_by: sent.and_then(|sent| match sent.basis {
                Basis::Public | Basis::TokenEndpoint(_) | Basis::Reported => None,
                Basis::Scope(scope) => Some(scope_name(policy, scope)),
            }),
            request: Asked {
                method: method.to_owned(),
                target: target.to_owned(),
                judged: rehearsed.target.clone(),
                host: host.map(str::to_owned),
                at: now.map(moment),
            },
            caller: rehearsed.caller.as_ref().map(|(caller, standing)| {
                caller_story(policy, caller, standing, now.filter(|_| kind == TokenKind::Sent))
            }),
            services: rehearsed.considered.iter().map(|considered| service_story(policy, considered, &facts)).collect(),
            required_scopes: required_scopes(policy, rehearsed),
            rate_limits: limit_stories(policy, rehearsed.api, sent),
            answer: match &rehearsed.ending {
                Ending::Refused(_, said) | Ending::Answered(_, Some(said)) => Some(answer_story(said)),
                Ending::Answered(_, None) | Ending::Forwarded(_) => None,
            },
            forwarded: sent.map(|sent| forward_story(settings, sent)),
            token: token_story(kind, checks, rehearsed.reason),
        }
    }
}

fn token_story(kind: TokenKind, checks: TokenChecks, reason: Reason) -> TokenStory {
    let made = |check: super::Check| CheckStory {
        check: check.step.label(),
        outcome: match check.outcome {
            CheckOutcome::Passed => "passed",
            CheckOutcome::Failed => "failed",
            CheckOutcome::NotMade => "not_made",
        },
        detail: check.detail,
    };
    let was_asked = !matches!(
        reason,
        Reason::PathAmbiguous
            | Reason::HeaderAmbiguous
            | Reason::OriginRejected
            | Reason::Preflight
            | Reason::FormRejected
            | Reason::Public
    );
    let has_checks = !checks.checks.is_empty();
    let kind = match kind {
        TokenKind::None => TokenKind::None,
        kind if was_asked || has_checks => kind,
        TokenKind::Sent | TokenKind::Claims | TokenKind::Recorded | TokenKind::NotAsked => TokenKind::NotAsked,
    };
    TokenStory { kind, claims: checks.claims, checks: checks.checks.into_iter().map(made).collect() }
}

fn caller_story(policy: &Policy, caller: &Caller, standing: &Standing, now: Option<UnixTime>) -> CallerStory {
    let listed = caller.client.as_deref().and_then(|id| policy.client(id));
    let scopes = caller.scopes.iter().map(|name| scope_story(policy, standing, name, listed.is_some()));
    let mut scopes: Vec<_> = scopes.collect();
    // What is included by a privilege, and not carried.
    for scope in standing.held().iter().filter_map(|id| policy.scope(id)) {
        if !scopes.iter().any(|known| known.name.eq_ignore_ascii_case(scope.name.as_str())) {
            let note = Some("included by a privilege".to_owned());
            scopes.push(ScopeStory { name: scope.name.to_string(), held: true, note });
        }
    }
    CallerStory {
        issuer: caller.issuer.to_string(),
        client: caller.client.as_deref().map(str::to_owned),
        client_type: listed.map(|client| match client.client_type {
            ClientType::Confidential => "confidential",
            ClientType::Public => "public",
        }),
        subject: caller.subject.as_deref().map(str::to_owned),
        accounts: standing.accounts().iter().map(ToString::to_string).collect(),
        scopes,
        expires: now.map(|now| format!("{}, {}", moment(caller.expires_at), since(caller.expires_at, now))),
    }
}

fn scope_story(policy: &Policy, standing: &Standing, name: &str, is_listed: bool) -> ScopeStory {
    let id = policy.scope_named(name);
    let held = id.is_some_and(|id| standing.held().contains(id));
    let deprecated = id.and_then(|id| policy.scope(id)).is_some_and(|scope| scope.marks.deprecated);
    let note = match id {
        None => Some("no api defines it"),
        Some(_) if held => deprecated.then_some("deprecated"),
        Some(_) if is_listed => Some("beyond what the file lets this client hold"),
        Some(_) => Some("its client is refused"),
    };
    ScopeStory { name: name.to_owned(), held, note: note.map(str::to_owned) }
}

fn service_story(policy: &Policy, considered: &Considered<'_>, facts: &Facts<'_>) -> ServiceStory {
    let listing = considered.listing;
    let (scope, reach) = match listing.role {
        Role::Grant { scope, reach, .. } => (Some(scope), Some(reach)),
        Role::Public | Role::TokenEndpoint(_) => (None, None),
    };
    let api = policy.api(listing.api);
    let named = considered
        .named
        .iter()
        .map(|(source, account)| NamedStory { place: super::why::place(source), account: account.clone() });
    ServiceStory {
        api: api.map_or(String::new(), |api| api.name.to_string()),
        service: listing.service.to_string(),
        scope: scope.map(|scope| scope_name(policy, scope)),
        accounts: reach.filter(|_| api.is_some_and(|api| !api.account.is_empty())).map(|reach| match reach {
            Reach::Own => "own",
            Reach::Any => "any",
        }),
        named: named.collect(),
        outcome: match considered.fate {
            Fate::OtherMethod => "other_method",
            Fate::Excepted(_) => "excepted",
            Fate::NotAsked => "not_asked",
            Fate::NotHeld => "not_held",
            Fate::Refused(_) => "refused",
            Fate::Permits => "permits",
        },
        note: fate(considered, facts),
    }
}

fn required_scopes(policy: &Policy, rehearsed: &Rehearsed<'_>) -> Vec<RequiredScope> {
    let mut apis: Vec<_> = rehearsed.considered.iter().map(|considered| considered.listing.api).collect();
    apis.dedup();
    let required = apis.into_iter().filter_map(|id| policy.api(id)).flat_map(|api| {
        api.required.iter().map(|scope| RequiredScope {
            api: api.name.to_string(),
            scope: scope_name(policy, *scope),
            held: rehearsed.caller.as_ref().map(|(_, standing)| standing.held().contains(*scope)),
        })
    });
    required.collect()
}

fn answer_story(said: &Said) -> AnswerStory {
    let body = serde_json::from_slice(&said.body).unwrap_or(Value::Null);
    let sent = String::from_utf8_lossy(&said.body).into_owned();
    AnswerStory { status: said.status, headers: said.headers.iter().map(header).collect(), body, sent }
}

fn forward_story(settings: &Settings, sent: &Sent) -> ForwardStory {
    let upstream = settings.upstreams.get(sent.upstream.0 as usize);
    let servers = upstream.map(|upstream| &*upstream.servers).unwrap_or_default().iter();
    ForwardStory {
        upstream: upstream.map_or(String::new(), |upstream| upstream.name.to_string()),
        servers: servers.map(|server| server.address.to_string()).collect(),
        target: sent.target.clone(),
        headers: sent.headers.iter().map(header).collect(),
        form: sent.form.clone(),
    }
}

fn header((name, value): &(HeaderName, HeaderValue)) -> (String, String) {
    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn scope_name(policy: &Policy, scope: ScopeId) -> String {
    policy.scope(scope).map_or(String::new(), |scope| scope.name.to_string())
}
