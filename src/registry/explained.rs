//! Why a recent request was decided as it was: its audit line, and the story that the policy in force
//! tells of it.
//!
//! Nothing is kept for it but the last lines (`record`). What a line does not hold is not made up: where
//! the decision rests on such a thing, that is said in the story's place.

use http::Method;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value as Json;

use crate::gateway::{Generation, Head, Rehearsal};
use crate::policy::{AccountSource, Caller, Denial, Reason, TokenFault, UnixTime};
use crate::record::AuditLine;
use crate::workbench::paint::{Paint, plain, wrapped};
use crate::workbench::{Explanation, Question, Recorded, TokenChecks, TokenKind, Unjudged, story};

/// A recent decision, explained.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// `X-Request-Id`.
    pub request_id: String,
    /// How many earlier requests of this id are known: clients may choose it.
    pub earlier_with_this_id: usize,
    /// Its audit line: what was decided, when, and by which generation.
    pub recorded: Json,
    /// The generation in force, by which the story is told.
    pub generation_in_force: u64,
    /// Whether it is the one that decided.
    pub in_force: bool,
    /// Whether it decides the same; `None` where that cannot be told.
    pub decides_the_same: Option<bool>,
    /// Why there is no story, where there is none.
    pub untold: Option<&'static str>,
    /// The story, as `scopegate explain --format json` has it.
    pub explanation: Option<Explanation>,
}

/// Explains the first of the recorded `lines`, which are of one request id; `None` if that is none.
pub fn explain_recorded(generation: &Generation, lines: &[impl AsRef<[u8]>]) -> Option<Explained> {
    let text = lines.first()?.as_ref();
    let line = AuditLine::parse(text).ok().flatten()?;
    let in_force = line.generation == Some(generation.number);
    let told = explain(generation, &line, in_force);
    let decides_the_same = told
        .as_ref()
        .ok()
        .map(|explanation| explanation.reason == line.reason && explanation.reported == line.reported.as_deref());
    Some(Explained {
        request_id: line.request_id.to_string(),
        earlier_with_this_id: lines.len() - 1,
        recorded: serde_json::from_slice(text).ok()?,
        generation_in_force: generation.number,
        in_force,
        decides_the_same,
        untold: told.as_ref().err().copied(),
        explanation: told.ok(),
    })
}

impl Explained {
    /// As people read it in a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let member = |name: &str| match self.recorded.get(name) {
            Some(Json::String(text)) => plain(text),
            Some(Json::Null) | None => "unknown".to_owned(),
            Some(value) => value.to_string(),
        };
        let by = if self.in_force {
            "which is in force".to_owned()
        } else {
            format!("which is in force no more: this is told by generation {}", self.generation_in_force)
        };
        let told = format!(
            "Request {} was decided at {} by generation {}, {by}: {}, {}, answered with {}.",
            plain(&self.request_id),
            member("time"),
            member("generation"),
            member("decision"),
            member("reason"),
            member("status"),
        );
        let mut paragraphs = vec![told];
        if self.decides_the_same == Some(false) {
            paragraphs.push("That generation decides otherwise:".to_owned());
        }
        paragraphs.extend(self.untold.map(|why| format!("There is no more to tell: {why}.")));
        let mut text: String = paragraphs.iter().map(|paragraph| wrapped(paragraph, 0, 0) + "\n\n").collect();
        if let Some(explanation) = &self.explanation {
            return text + &story(explanation, Paint { styled: false });
        }
        text.pop();
        text
    }
}

/// The story of a recorded request by the generation in force, or why there is none.
fn explain(generation: &Generation, line: &AuditLine<'_>, decided: bool) -> Result<Explanation, &'static str> {
    let (policy, settings) = (&generation.policy, &generation.settings);
    let Some(reason) = Reason::ALL.iter().find(|reason| reason.as_str() == line.verdict()).copied() else {
        return Err("its record has a reason that is none of this version");
    };
    let request = Shown::of(generation, line, reason)?;
    let method = Method::from_bytes(line.method.as_bytes()).map_err(|_| UNREADABLE)?;
    let head = Head {
        method: &method,
        target: &request.target,
        headers: &request.headers,
        peer: None,
        certificate: request.recorded.as_ref().and_then(|recorded| recorded.certificate.as_ref()),
        form: &[],
    };
    let caller: Option<Caller> = request.recorded.as_ref().and_then(|recorded| recorded.caller.clone());
    let fault = refused_token(reason);
    let mut checks = TokenChecks::default();
    let mut rehearsed = Rehearsal::new(policy, settings).judge(&head, |_| match fault {
        Some(denial) => {
            let fault = if let Denial::Token(fault) = &denial { Some(*fault) } else { None };
            checks = TokenChecks::recorded(fault);
            Err(denial)
        }
        None => Ok(caller),
    });
    if line.account_sources.as_ref().is_some_and(|sources| sources.len() > 1) {
        // The record says which account was named, and of these places only the path shows that it did.
        let is_known = |source: &AccountSource| matches!(source, AccountSource::Path(_));
        rehearsed.considered.iter_mut().for_each(|service| service.named.retain(|(source, _)| is_known(source)));
    }
    let question = Question {
        policy,
        settings,
        method: method.as_str(),
        target: &line.path,
        host: line.host.as_deref(),
        now: line.time.as_deref().and_then(|time| time.parse().ok()).map(time),
        kind: if reason == Reason::TokenMissing { TokenKind::None } else { TokenKind::Recorded },
        checks,
    };
    let explanation = Explanation::new(question, &rehearsed);
    fitting(explanation, generation, reason, decided)
}

/// The explanation, as far as it is one of what is recorded.
fn fitting(
    mut explanation: Explanation,
    generation: &Generation,
    reason: Reason,
    decided: bool,
) -> Result<Explanation, &'static str> {
    if explanation.allowed && matches!(reason, Reason::BodyTooLarge | Reason::RateLimited | Reason::Overloaded) {
        // What the head leads to, and what then stopped it.
        explanation.allowed = false;
        explanation.reason = reason.as_str();
        explanation.reported = None;
        let why = if reason == Reason::Overloaded {
            "it would be let through, but as many requests were under way as the upstream's `max_requests`"
        } else if reason == Reason::RateLimited {
            "it would be let through, but more requests had come than the api's `rate_limits` let through"
        } else {
            "it would be let through, but its body was larger than the api's `body_bytes`"
        };
        why.clone_into(&mut explanation.why);
        explanation.forwarded = None;
    }
    // Of what an api only reported: why it would have refused it.
    let verdict = explanation.reported.unwrap_or(explanation.reason);
    if verdict != reason.as_str() && (decided || is_of_more_than_recorded(reason)) {
        return Err(if is_of_more_than_recorded(reason) {
            "what was wrong stood in its query or its headers, which are not recorded"
        } else {
            "it rests on something of the request that is not recorded"
        });
    }
    if let Some(forwarded) = &mut explanation.forwarded {
        // The request's own headers are not recorded: what the gateway says of its caller is known.
        let names = &generation.settings.identity_headers;
        let told = [&names.subject, &names.client, &names.account, &names.scopes];
        let is_told = |name: &str| told.iter().any(|own| own.as_ref().is_some_and(|own| own.as_str() == name));
        forwarded.headers.retain(|(name, _)| is_told(name));
    }
    if matches!(reason, Reason::TokenMalformed | Reason::BindingMismatch) {
        // Its text says what was wrong with the token, and that is not recorded.
        explanation.answer = None;
    }
    Ok(explanation)
}

/// What is known of a recorded request.
struct Shown<'l> {
    target: String,
    headers: HeaderMap,
    /// Where it could be put together again.
    recorded: Option<Recorded<'l>>,
}

const UNREADABLE: &str = "its path, host, account or certificate cannot be read as it was";

impl<'l> Shown<'l> {
    fn of(generation: &Generation, line: &'l AuditLine<'_>, reason: Reason) -> Result<Self, &'static str> {
        let is_own = line.is_allowed() && line.service.is_none() && line.reported.is_none();
        let (target, mut headers, recorded) = if is_own || is_of_more_than_recorded(reason) {
            (line.path.to_string(), HeaderMap::new(), None)
        } else {
            let mut recorded = Recorded::of(&generation.policy, line).map_err(untold)?;
            let headers = std::mem::take(&mut recorded.headers);
            (recorded.target.clone(), headers, Some(recorded))
        };
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| UNREADABLE);
        headers.insert(HOST, value(line.host.as_deref().unwrap_or("unknown"))?);
        headers.insert(HeaderName::from_static("x-request-id"), value(&line.request_id)?);
        Ok(Self { target, headers, recorded })
    }
}

/// Whether what is refused so may stand in what is not recorded.
fn is_of_more_than_recorded(reason: Reason) -> bool {
    matches!(reason, Reason::QuestionRejected | Reason::PathAmbiguous | Reason::HeaderAmbiguous | Reason::HeadTooLarge)
}

fn untold(unjudged: Unjudged) -> &'static str {
    match unjudged {
        Unjudged::NotForApi => "it asked for a token, and its form is not recorded",
        Unjudged::AccountElsewhere => {
            "the generation in force looks for the account where the one that decided did not look"
        }
        Unjudged::AccountAmbiguous => "it named different accounts, and which is not recorded",
        Unjudged::Ambiguous | Unjudged::Token | Unjudged::OldLine | Unjudged::Unreadable => UNREADABLE,
    }
}

/// How a token was refused, where one was.
fn refused_token(reason: Reason) -> Option<Denial> {
    let fault = match reason {
        Reason::TokenMalformed => TokenFault::Malformed("what is wrong with it is not recorded"),
        Reason::IssuerUnknown => TokenFault::IssuerUnknown,
        Reason::AlgorithmRejected => TokenFault::AlgorithmRejected,
        Reason::KeyUnknown => TokenFault::KeyUnknown,
        Reason::TokenTypeRejected => TokenFault::TypeRejected,
        Reason::SignatureInvalid => TokenFault::SignatureInvalid,
        Reason::AudienceMismatch => TokenFault::AudienceMismatch,
        Reason::TokenExpired => TokenFault::Expired,
        Reason::TokenNotYetValid => TokenFault::NotYetValid,
        Reason::TokenRevoked => TokenFault::Revoked,
        Reason::BindingMismatch => TokenFault::BindingMismatch,
        Reason::IssuerUnavailable => return Some(Denial::IssuerUnavailable),
        Reason::SharedStateUnavailable => return Some(Denial::SharedStateUnavailable),
        Reason::QuestionRejected
        | Reason::HeadTooLarge
        | Reason::PathAmbiguous
        | Reason::HeaderAmbiguous
        | Reason::OriginRejected
        | Reason::Preflight
        | Reason::FormRejected
        | Reason::Public
        | Reason::TokenMissing
        | Reason::ClientUnknown
        | Reason::CertificateMismatch
        | Reason::ScopeUndefined
        | Reason::RouteUnknown
        | Reason::MethodNotAllowed
        | Reason::ScopeRequired
        | Reason::ScopeInsufficient
        | Reason::ClientTypeRejected
        | Reason::AccountMissing
        | Reason::AccountAmbiguous
        | Reason::AccountForbidden
        | Reason::BodyTooLarge
        | Reason::RateLimited
        | Reason::Overloaded
        | Reason::Reported
        | Reason::Granted => return None,
    };
    Some(fault.into())
}

fn time(at: jiff::Timestamp) -> UnixTime {
    UnixTime(at.as_second().unsigned_abs())
}
