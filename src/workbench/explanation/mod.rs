//! A decision as a story: what was asked, what was found, and why it ended as it did.
//!
//! Everything in it is text or numbers, for whoever prints it. It holds no credential.

mod caller;
mod ending;
mod services;
mod token;

use caller::caller_story;
pub use caller::{CallerStory, ScopeStory};
pub use ending::{AnswerStory, ForwardStory};
use ending::{answer_story, forward_story};
use serde::Serialize;
pub use services::{NamedStory, RequiredScope, ServiceStory};
use services::{required_scopes, service_story};
use token::token_story;
pub use token::{CheckStory, TokenKind, TokenStory};

use super::moments::moment;
use super::rates::{LimitStory, limit_stories};
use super::why::{Facts, why};
use super::{Ending, Rehearsed, TokenChecks};
use crate::config::Settings;
use crate::policy::{Basis, MethodSet, Policy, Reason, ScopeId, UnixTime};

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

fn scope_name(policy: &Policy, scope: ScopeId) -> String {
    policy.scope(scope).map_or(String::new(), |scope| scope.name.to_string())
}
