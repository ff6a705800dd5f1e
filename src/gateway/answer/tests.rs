//! What each refusal says.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::super::problem::Answer;
use super::super::refusals::Refusals;
use super::super::trace::REQUEST_ID;
use super::*;
use crate::policy::{
    ApiName, ApiSpec, BasePath, HeaderFault, Marks, PathFault, PolicySpec, RateLimitId, Reach, ScopeName, ScopeSpec,
    UpstreamId,
};

fn scope(name: &str, marks: Marks) -> ScopeSpec {
    ScopeSpec { marks, ..ScopeSpec::new(ScopeName::parse(name).unwrap(), Reach::Any) }
}

fn api(name: &str, insufficient_scope_status: InsufficientScopeStatus, scopes: Vec<ScopeSpec>) -> ApiSpec {
    ApiSpec {
        insufficient_scope_status,
        scopes,
        ..ApiSpec::new(ApiName::parse(name).unwrap(), BasePath::default(), UpstreamId(0))
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
    let policy = policy();
    let refusals = Refusals::new(Challenges::new(None, None), &policy);
    let id = HeaderValue::from_static("r-1");
    let answer = refusals.refuse(denial, &policy, nonce.clone(), &id);
    // What is written beforehand says what is said on the spot.
    if let Ok(problem) = say(denial, &policy, &Challenges::new(None, None), nonce) {
        let said = problem.answer(denial.reason().as_str(), &id);
        assert_eq!(
            (said.status, said.headers, said.body),
            (answer.status, answer.headers.clone(), answer.body.clone())
        );
    }
    answer
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
        (Denial::RateLimited { api, limit: RateLimitId(0), retry_after: 7 }, 429),
        (Denial::Overloaded { api }, 503),
        (Denial::SharedStateUnavailable, 503),
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
    let answer = Refusals::new(Challenges::new(None, None), &policy).refuse(&denial, &policy, None, &id);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["required_scopes"], json!(["always", "a"]));
    let denial = Denial::ScopeRequired { api: ApiId(0), missing: ids(&[0]) };
    let answer = Refusals::new(Challenges::new(None, None), &policy).refuse(&denial, &policy, None, &id);
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
