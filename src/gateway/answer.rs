//! What a refusal is over HTTP: one exhaustive match from a denial to status, headers and body.
//!
//! A client is told what to fix and nothing of the policy but the names of scopes that discovery may
//! show. Nothing that a client sent is repeated but its request id, which was checked.

use http::StatusCode;
use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER};

use super::challenge::Challenges;
use super::problem::{Answer, Problem, SOON, ScopeNames};
use super::token_error;
use crate::policy::{ApiId, Denial, HeadFault, InsufficientScopeStatus, MethodSet, Policy, ScopeId, TokenFault};

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The answer to a request that was refused. `nonce`: what a proof must carry, where one is asked for.
pub(super) fn refuse(
    denial: &Denial,
    policy: &Policy,
    challenges: &Challenges,
    nonce: Option<HeaderValue>,
    request_id: &HeaderValue,
) -> Answer {
    let problem = match denial {
        Denial::PathAmbiguous(fault) => bad_request("Ambiguous request target", fault),
        Denial::HeaderAmbiguous(fault) => bad_request("Ambiguous request header", fault),
        Denial::HeadTooLarge(fault) => head_too_large(*fault),
        Denial::TokenMissing => missing(challenges),
        Denial::Token(fault) => token(*fault, challenges, nonce),
        Denial::IssuerUnavailable => unavailable(),
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
        Denial::Overloaded { .. } => {
            let detail = "as many requests are under way as can be served; try again soon";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many requests under way", detail).with(RETRY_AFTER, SOON)
        }
        Denial::TokenRequest { fault, .. } => return token_error::refuse(fault, request_id),
    };
    problem.answer(denial.reason().as_str(), request_id)
}

fn bad_request<'p>(title: &'static str, fault: &dyn std::fmt::Display) -> Problem<'p> {
    Problem::new(StatusCode::BAD_REQUEST, title, fault)
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
mod tests {
    use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
    use serde_json::{Value, json};

    use super::super::trace::REQUEST_ID;
    use super::*;
    use crate::policy::{
        AccountWhenAbsent, ApiName, ApiSpec, BasePath, HeaderFault, Marks, Mode, PathFault, PolicySpec, Reach,
        ScopeName, ScopeSpec, UpstreamId,
    };

    fn scope(name: &str, marks: Marks) -> ScopeSpec {
        ScopeSpec {
            name: ScopeName::parse(name).unwrap(),
            display_name: None,
            description: None,
            reach: Reach::Any,
            marks,
            services: vec![],
            except: vec![],
            privileges: vec![],
        }
    }

    fn api(name: &str, insufficient_scope_status: InsufficientScopeStatus, scopes: Vec<ScopeSpec>) -> ApiSpec {
        ApiSpec {
            name: ApiName::parse(name).unwrap(),
            display_name: None,
            base_path: BasePath::default(),
            hosts: vec![],
            upstream: UpstreamId(0),
            account: vec![],
            account_when_absent: AccountWhenAbsent::Deny,
            mode: Mode::Enforce,
            insufficient_scope_status,
            public: vec![],
            scopes,
        }
    }

    /// Scopes 0 to 3: plain, plain, deprecated, hidden; 4 is of an api that answers 401.
    fn policy() -> Policy {
        let deprecated = Marks { deprecated: true, ..Marks::default() };
        let hidden = Marks { show_in_discovery: false, ..Marks::default() };
        let scopes = vec![
            scope("a", Marks::default()),
            scope("b", Marks::default()),
            scope("old", deprecated),
            scope("hidden", hidden),
        ];
        let apis = vec![
            api("one", InsufficientScopeStatus::Forbidden, scopes),
            api("two", InsufficientScopeStatus::Unauthorized, vec![scope("c", Marks::default())]),
        ];
        Policy::compile(PolicySpec { apis, ..PolicySpec::default() }).unwrap()
    }

    fn ids(places: &[u32]) -> crate::policy::ScopeIds {
        places.iter().map(|place| ScopeId(*place)).collect()
    }

    fn answer(denial: &Denial) -> Answer {
        let nonce = Some(HeaderValue::from_static("n-1"));
        let challenges = Challenges::new(None, None);
        refuse(denial, &policy(), &challenges, nonce, &HeaderValue::from_static("r-1"))
    }

    fn headers<'a>(answer: &'a Answer, name: &HeaderName) -> Vec<&'a str> {
        answer.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.to_str().unwrap()).collect()
    }

    /// `challenge`: what the one challenge starts with, if there is one.
    #[track_caller]
    fn check(denial: &Denial, status: u16, challenge: Option<&str>) -> Value {
        let answer = answer(denial);
        assert_eq!(answer.status.as_u16(), status, "{denial:?}");
        let challenges = headers(&answer, &WWW_AUTHENTICATE);
        match challenge {
            None => assert_eq!(challenges, [""; 0], "{denial:?}"),
            Some(start) => assert!(challenges.len() == 1 && challenges[0].starts_with(start), "{challenges:?}"),
        }
        assert_eq!(headers(&answer, &CONTENT_TYPE), ["application/problem+json"]);
        assert_eq!(headers(&answer, &CACHE_CONTROL), ["no-store"]);
        assert_eq!(headers(&answer, &REQUEST_ID), ["r-1"]);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let reason = denial.reason().as_str();
        assert_eq!(body["type"], format!("urn:scopegate:{reason}"));
        assert_eq!(body["reason"], reason);
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"], "r-1");
        assert!(["title", "detail"].iter().all(|member| body[member].as_str().is_some_and(|text| !text.is_empty())));
        body
    }

    #[test]
    fn what_is_beyond_a_bound_has_its_status() {
        let api = ApiId(0);
        for (denial, status) in [
            (Denial::HeadTooLarge(HeadFault::RequestLine), 414),
            (Denial::HeadTooLarge(HeadFault::Fields), 431),
            (Denial::HeadTooLarge(HeadFault::Bytes), 431),
            (Denial::BodyTooLarge { api }, 413),
            (Denial::Overloaded { api }, 503),
        ] {
            let answer = answer(&denial);
            assert_eq!(answer.status.as_u16(), status, "{denial:?}");
            assert!(headers(&answer, &WWW_AUTHENTICATE).is_empty(), "{denial:?}");
        }
    }

    #[test]
    fn every_refusal_has_its_status_and_challenge() {
        let api = ApiId(0);
        let missing = "Bearer realm=\"scopegate\"";
        let invalid = "Bearer error=\"invalid_token\", error_description=\"the ";
        for (denial, status, challenge) in [
            (Denial::PathAmbiguous(PathFault::DotSegment), 400, None),
            (Denial::HeaderAmbiguous(HeaderFault::SeveralHosts), 400, None),
            (Denial::TokenMissing, 401, Some(missing)),
            (Denial::Token(TokenFault::Malformed("the end is missing")), 401, Some(invalid)),
            (Denial::Token(TokenFault::IssuerUnknown), 401, Some(invalid)),
            (Denial::Token(TokenFault::AlgorithmRejected), 401, Some(invalid)),
            (Denial::Token(TokenFault::KeyUnknown), 401, Some(invalid)),
            (Denial::Token(TokenFault::TypeRejected), 401, Some(invalid)),
            (Denial::Token(TokenFault::SignatureInvalid), 401, Some(invalid)),
            (Denial::Token(TokenFault::AudienceMismatch), 401, Some(invalid)),
            (Denial::Token(TokenFault::Expired), 401, Some(invalid)),
            (Denial::Token(TokenFault::NotYetValid), 401, Some(invalid)),
            (Denial::Token(TokenFault::Revoked), 401, Some(invalid)),
            (Denial::Token(TokenFault::BindingMismatch), 401, Some(invalid)),
            (Denial::Token(TokenFault::NonceRequired), 401, Some("DPoP error=\"use_dpop_nonce\"")),
            (Denial::IssuerUnavailable, 503, None),
            (Denial::ClientUnknown, 403, None),
            (Denial::CertificateMismatch, 403, None),
            (Denial::ClientAccountMismatch, 403, None),
            (Denial::ScopeUndefined, 403, None),
            (Denial::RouteUnknown, 404, None),
            (Denial::MethodNotAllowed { allow: MethodSet::NONE }, 405, None),
            (
                Denial::ScopeRequired { api, missing: ids(&[0, 1]) },
                403,
                Some("Bearer error=\"insufficient_scope\", scope=\"a b\""),
            ),
            (
                Denial::ScopeInsufficient { api, alternatives: ids(&[0, 1]) },
                403,
                Some("Bearer error=\"insufficient_scope\", scope=\"a b\""),
            ),
            (
                Denial::ScopeInsufficient { api: ApiId(1), alternatives: ids(&[4]) },
                401,
                Some("Bearer error=\"insufficient_scope\", scope=\"c\""),
            ),
            (Denial::ClientTypeRejected { api }, 403, None),
            (Denial::AccountMissing { api }, 403, None),
            (Denial::AccountAmbiguous { api }, 403, None),
            (Denial::AccountForbidden { api }, 403, None),
        ] {
            let body = check(&denial, status, challenge);
            let about_scopes = matches!(denial, Denial::ScopeRequired { .. } | Denial::ScopeInsufficient { .. });
            assert_eq!(body.get("required_scopes").is_some(), about_scopes, "{denial:?}");
        }
    }

    #[test]
    fn scopes_are_named_as_far_as_discovery_shows_them() {
        for (places, named) in [
            (&[0, 1][..], json!(["a", "b"])),
            (&[1, 2, 3], json!(["b"])),
            (&[2, 3], json!(["old"])),
            (&[3], json!([])),
            (&[1, 1], json!(["b"])),
        ] {
            let denial = Denial::ScopeInsufficient { api: ApiId(0), alternatives: ids(places) };
            let answer = answer(&denial);
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["required_scopes"], named);
            let challenge = headers(&answer, &WWW_AUTHENTICATE)[0];
            let names: Vec<_> = named.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            let scope = format!(", scope=\"{}\"", names.join(" "));
            let expected = if names.is_empty() { "" } else { &scope };
            assert_eq!(challenge, format!("Bearer error=\"insufficient_scope\"{expected}"));
        }
    }

    #[test]
    fn scopes_that_would_do_include_the_required_ones() {
        let required = scope("always", Marks { required: true, deprecated: true, ..Marks::default() });
        let scopes = vec![required, scope("a", Marks::default())];
        let apis = vec![api("one", InsufficientScopeStatus::Forbidden, scopes)];
        let policy = Policy::compile(PolicySpec { apis, ..PolicySpec::default() }).unwrap();
        let denial = Denial::ScopeInsufficient { api: ApiId(0), alternatives: ids(&[1]) };
        let id = HeaderValue::from_static("r-1");
        let answer = refuse(&denial, &policy, &Challenges::new(None, None), None, &id);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["required_scopes"], json!(["always", "a"]));
        let denial = Denial::ScopeRequired { api: ApiId(0), missing: ids(&[0]) };
        let answer = refuse(&denial, &policy, &Challenges::new(None, None), None, &id);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["required_scopes"], json!(["always"]));
    }

    #[test]
    fn a_method_that_is_not_allowed_is_told_which_are() {
        let allow = MethodSet::known("GET").unwrap().or(MethodSet::known("POST").unwrap());
        assert_eq!(headers(&answer(&Denial::MethodNotAllowed { allow }), &ALLOW), ["GET, POST"]);
    }

    #[test]
    fn a_proof_without_a_nonce_gets_one() {
        assert_eq!(headers(&answer(&Denial::Token(TokenFault::NonceRequired)), &DPOP_NONCE), ["n-1"]);
        assert_eq!(headers(&answer(&Denial::TokenMissing), &DPOP_NONCE), [""; 0]);
    }

    #[test]
    fn an_issuer_that_is_not_at_hand_says_when_to_try_again() {
        assert_eq!(headers(&answer(&Denial::IssuerUnavailable), &RETRY_AFTER), ["1"]);
        assert_eq!(headers(&answer(&Denial::Overloaded { api: ApiId(0) }), &RETRY_AFTER), ["1"]);
    }
}
