//! What a refusal is over HTTP: one exhaustive match from a denial to status, headers and body.
//!
//! A client is told what to fix and nothing of the policy but the names of scopes that discovery may
//! show. Nothing that a client sent is repeated but its request id, which was checked.

use http::StatusCode;
use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER};

use super::challenge::Challenges;
use super::problem::{Problem, SOON, ScopeNames};
use crate::policy::{
    ApiId, Denial, HeadFault, InsufficientScopeStatus, MethodSet, Policy, QuestionFault, RateLimitId, ScopeId,
    TokenFault, TokenRequestFault,
};

pub(super) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// What is said of a refusal; what is wrong with a request for a token is said as its endpoint would.
pub(super) fn say<'p, 'd>(
    denial: &'d Denial,
    policy: &'p Policy,
    challenges: &Challenges,
    nonce: Option<HeaderValue>,
) -> Result<Problem<'p>, &'d TokenRequestFault> {
    Ok(match denial {
        Denial::Question(fault) => question(*fault),
        Denial::PathAmbiguous(fault) => bad_request("Ambiguous request target", fault),
        Denial::HeaderAmbiguous(fault) => bad_request("Ambiguous request header", fault),
        Denial::HeadTooLarge(fault) => head_too_large(*fault),
        Denial::OriginRejected { .. } => forbidden("Origin not allowed", "pages of this origin may not call this api"),
        Denial::TokenMissing => missing(challenges),
        Denial::Token(fault) => token(*fault, challenges, nonce),
        Denial::IssuerUnavailable => unavailable(),
        Denial::SharedStateUnavailable => shared_state_unavailable(),
        Denial::ClientUnknown => forbidden("Client not admitted", "the token's client is not registered here"),
        Denial::CertificateMismatch => {
            forbidden("Client certificate needed", "the client's registered certificate was not presented")
        }
        Denial::ClientAccountMismatch => {
            forbidden("Account not allowed", "the token names an account that is not its client's")
        }
        Denial::ScopeUndefined => {
            forbidden("Undefined scope", "the token carries a scope that is not defined here; ask for one without it")
        }
        Denial::RouteUnknown => Problem::new(StatusCode::NOT_FOUND, "No such service", "no service has this path"),
        Denial::MethodNotAllowed { allow } => method(*allow),
        Denial::ScopeRequired { api, missing } => required(*api, missing, policy, challenges),
        Denial::ScopeInsufficient { api, alternatives } => insufficient(*api, alternatives, policy, challenges),
        Denial::ClientTypeRejected { .. } => {
            forbidden("Client type not allowed", "this scope is for confidential clients, not for browsers and apps")
        }
        Denial::AccountMissing { .. } => {
            forbidden("Account needed", "the request must name the account that it is for")
        }
        Denial::AccountAmbiguous { .. } => forbidden("Account ambiguous", "the request names more than one account"),
        Denial::AccountForbidden { .. } => {
            forbidden("Account not allowed", "the token may not be used for the account that the request names")
        }
        Denial::BodyTooLarge { .. } => body_too_large(),
        Denial::RateLimited { limit, retry_after, .. } => rate_limited(*limit, *retry_after, policy),
        Denial::Overloaded { .. } => {
            let detail = "as many requests are under way as can be served; try again soon";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many requests under way", detail).with(RETRY_AFTER, SOON)
        }
        Denial::TokenRequest { fault, .. } => return Err(fault),
    })
}

fn bad_request<'p>(title: &'static str, fault: &dyn std::fmt::Display) -> Problem<'p> {
    Problem::new(StatusCode::BAD_REQUEST, title, fault)
}

/// To a data plane, or to whoever is none.
fn question<'p>(fault: QuestionFault) -> Problem<'p> {
    let status = match fault {
        QuestionFault::Stranger => StatusCode::FORBIDDEN,
        QuestionFault::Missing(_) | QuestionFault::Repeated(_) | QuestionFault::Unreadable(_) => {
            StatusCode::BAD_REQUEST
        }
    };
    Problem::new(status, "Question not accepted", fault)
}

/// RFC 9110 section 15.5.15 and RFC 6585 section 5.
pub(super) fn head_too_large<'p>(fault: HeadFault) -> Problem<'p> {
    match fault {
        HeadFault::RequestLine => Problem::new(StatusCode::URI_TOO_LONG, "Request line too long", fault),
        HeadFault::Fields | HeadFault::Bytes => {
            Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Head too large", fault)
        }
    }
}

/// RFC 9110 section 15.5.14.
pub(super) fn body_too_large<'p>() -> Problem<'p> {
    let detail = "the body of the request is larger than this api accepts";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Body too large", detail)
}

/// RFC 6585 section 4.
fn rate_limited<'p>(limit: RateLimitId, retry_after: u64, policy: &Policy) -> Problem<'p> {
    let name = policy.rate_limit(limit).map_or("", |limit| limit.spec.name.as_str());
    let detail = format!("more requests have come than the limit `{name}` lets through; try again in {retry_after} s");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests", detail);
    problem.with(RETRY_AFTER, HeaderValue::from(retry_after))
}

fn forbidden<'p>(title: &'static str, detail: &str) -> Problem<'p> {
    Problem::new(StatusCode::FORBIDDEN, title, detail)
}

fn missing<'p>(challenges: &Challenges) -> Problem<'p> {
    let detail = "send an access token as `Authorization: Bearer`";
    Problem {
        challenges: challenges.missing(),
        ..Problem::new(StatusCode::UNAUTHORIZED, "Access token needed", detail)
    }
}

fn unavailable<'p>() -> Problem<'p> {
    let detail = "what is needed to check the token is not at hand right now";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Token cannot be checked", detail).with(RETRY_AFTER, SOON)
}

fn shared_state_unavailable<'p>() -> Problem<'p> {
    let detail = "what other gateways know of the token is not at hand right now";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Token cannot be checked", detail).with(RETRY_AFTER, SOON)
}

fn method<'p>(allow: MethodSet) -> Problem<'p> {
    let detail = "no service has this path with this method";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail);
    // INVARIANT: method names are visible ASCII.
    let allow = HeaderValue::from_str(&allow.to_string()).unwrap_or(HeaderValue::from_static(""));
    problem.with(ALLOW, allow)
}

/// 401 `invalid_token` (RFC 6750 section 3.1), or the nonce that is asked for.
fn token<'p>(fault: TokenFault, challenges: &Challenges, nonce: Option<HeaderValue>) -> Problem<'p> {
    let mut problem = Problem::new(StatusCode::UNAUTHORIZED, "Access token not accepted", fault);
    match fault {
        TokenFault::NonceRequired => {
            problem.challenges = challenges.nonce(&problem.detail);
            problem.header = nonce.map(|nonce| (DPOP_NONCE, nonce));
        }
        TokenFault::Malformed(_)
        | TokenFault::IssuerUnknown
        | TokenFault::AlgorithmRejected
        | TokenFault::KeyUnknown
        | TokenFault::TypeRejected
        | TokenFault::SignatureInvalid
        | TokenFault::AudienceMismatch
        | TokenFault::Expired
        | TokenFault::NotYetValid
        | TokenFault::Revoked
        | TokenFault::BindingMismatch => problem.challenges = challenges.invalid_token(&problem.detail),
    }
    problem
}

/// All of the missing ones are needed, on their way out or not.
fn required<'p>(api: ApiId, missing: &[ScopeId], policy: &'p Policy, challenges: &Challenges) -> Problem<'p> {
    let names = shown(missing, policy).map(|(name, _)| name).collect();
    insufficient_scope("the token lacks a scope that every request to this api needs", api, names, policy, challenges)
}

/// One of the alternatives is needed, and one that stays; a token that is asked for with these names
/// does not fail at the api's required scopes next.
fn insufficient<'p>(api: ApiId, alternatives: &[ScopeId], policy: &'p Policy, challenges: &Challenges) -> Problem<'p> {
    let required = policy.api(api).map(|api| &*api.required).unwrap_or_default();
    let mut names: ScopeNames<'p> = shown(required, policy).map(|(name, _)| name).collect();
    let all_deprecated = shown(alternatives, policy).all(|(_, deprecated)| deprecated);
    for (name, deprecated) in shown(alternatives, policy) {
        if (all_deprecated || !deprecated) && !names.contains(&name) {
            names.push(name);
        }
    }
    insufficient_scope("the token holds no scope that grants this request", api, names, policy, challenges)
}

/// `insufficient_scope` (RFC 6750 section 3.1) with the api's status.
fn insufficient_scope<'p>(
    detail: &str,
    api: ApiId,
    names: ScopeNames<'p>,
    policy: &Policy,
    challenges: &Challenges,
) -> Problem<'p> {
    let status = match policy.api(api).map(|api| api.insufficient_scope_status).unwrap_or_default() {
        InsufficientScopeStatus::Forbidden => StatusCode::FORBIDDEN,
        InsufficientScopeStatus::Unauthorized => StatusCode::UNAUTHORIZED,
    };
    Problem {
        challenges: challenges.insufficient_scope(&names),
        scopes: Some(names),
        ..Problem::new(status, "Insufficient scope", detail)
    }
}

/// The scopes that discovery may show, and whether they are on their way out.
fn shown<'p>(ids: &[ScopeId], policy: &'p Policy) -> impl Iterator<Item = (&'p str, bool)> {
    let shown = ids.iter().filter_map(|id| policy.scope(*id)).filter(|scope| scope.marks.show_in_discovery);
    shown.map(|scope| (scope.name.as_str(), scope.marks.deprecated))
}

#[cfg(test)]
mod tests;
