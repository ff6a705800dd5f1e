//! What a refusal or failure is over HTTP: status, headers and an RFC 9457 problem body.
//!
//! A client is told what to fix and nothing of the policy but the names of scopes that discovery may
//! show. Nothing that a client sent is repeated but its request id, which was checked.

use std::fmt::Display;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use pingora::http::ResponseHeader;
use serde::Serialize;
use smallvec::SmallVec;

use super::challenge::{ChallengeValues, Challenges};
use super::failure::Failure;
use super::trace::REQUEST_ID;
use crate::policy::{ApiId, Denial, InsufficientScopeStatus, MethodSet, Policy, ScopeId, ScopeIds, TokenFault};

/// A whole answer of the gateway's own.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: SmallVec<[(HeaderName, HeaderValue); 8]>,
    pub(super) body: Bytes,
}

/// RFC 9457, with this gateway's extensions from `reason` on.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: Type,
    title: &'static str,
    status: u16,
    detail: &'a str,
    reason: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_scopes: Option<&'a [&'a str]>,
}

/// `urn:scopegate:` and the reason.
struct Type(&'static str);

impl Serialize for Type {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("urn:scopegate:{}", self.0))
    }
}

/// What an answer says, before its body is written.
struct Said<'p> {
    status: StatusCode,
    title: &'static str,
    detail: String,
    /// For what lacks a scope; empty where none may be named.
    scopes: Option<Scopes<'p>>,
    challenges: ChallengeValues,
    header: Option<(HeaderName, HeaderValue)>,
}

type Scopes<'p> = SmallVec<[&'p str; 8]>;

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const BRIEFLY_CACHED: HeaderValue = HeaderValue::from_static("max-age=60");
const A_SECOND: HeaderValue = HeaderValue::from_static("1");
const READ_ONLY: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// The answer to a request that was refused. `nonce`: what a proof must carry, where one is asked for.
pub(super) fn refuse(
    denial: &Denial,
    policy: &Policy,
    challenges: &Challenges,
    nonce: Option<HeaderValue>,
    request_id: &HeaderValue,
) -> Answer {
    say(denial, policy, challenges, nonce).written(denial.reason().as_str(), request_id)
}

/// The answer to a request that was allowed and not served; `None` where nobody is there to answer.
pub(super) fn fail(failure: Failure, request_id: &HeaderValue) -> Option<Answer> {
    let (title, detail) = match failure {
        Failure::UpstreamUnavailable => ("Upstream unavailable", "No server of the upstream can be reached right now."),
        Failure::UpstreamFailed => ("Upstream failed", "The upstream's answer broke off or could not be understood."),
        Failure::UpstreamTimeout => ("Upstream too slow", "The upstream did not answer in time."),
        Failure::RequestTimeout => ("Request too slow", "The body of the request did not arrive in time."),
        Failure::RequestInvalid => ("Broken request", "The body of the request is not framed as HTTP asks for."),
        Failure::ClientGone | Failure::Internal => ("Internal error", "The gateway could not serve the request."),
    };
    let mut said = Said::new(failure.status()?, title, detail);
    if failure == Failure::UpstreamUnavailable {
        said.header = Some((RETRY_AFTER, A_SECOND));
    }
    Some(said.written(failure.as_str(), request_id))
}

/// The protected resource's metadata.
pub(super) fn document(body: Bytes, request_id: &HeaderValue) -> Answer {
    let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, BRIEFLY_CACHED), (REQUEST_ID, request_id.clone())];
    Answer { status: StatusCode::OK, headers: headers.into_iter().collect(), body }
}

/// One exhaustive match from the refusal to what is said of it.
fn say<'p>(denial: &Denial, policy: &'p Policy, challenges: &Challenges, nonce: Option<HeaderValue>) -> Said<'p> {
    match denial {
        Denial::PathAmbiguous(fault) => Said::new(StatusCode::BAD_REQUEST, "Ambiguous request target", fault),
        Denial::HeaderAmbiguous(fault) => Said::new(StatusCode::BAD_REQUEST, "Ambiguous request header", fault),
        Denial::TokenMissing => Said {
            challenges: challenges.missing(),
            ..Said::new(
                StatusCode::UNAUTHORIZED,
                "Access token needed",
                "send an access token as `Authorization: Bearer`",
            )
        },
        Denial::Token(fault) => token(*fault, challenges, nonce),
        Denial::IssuerUnavailable => Said {
            header: Some((RETRY_AFTER, A_SECOND)),
            ..Said::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Token cannot be checked",
                "what is needed to check the token is not at hand right now",
            )
        },
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
        Denial::RouteUnknown => Said::new(StatusCode::NOT_FOUND, "No such service", "no service has this path"),
        Denial::MethodNotAllowed { allow } => method(*allow),
        Denial::ScopeRequired { api, missing } => {
            let detail = "the token lacks a scope that every request to this api needs";
            scope(detail, *api, missing.clone(), policy, challenges)
        }
        Denial::ScopeInsufficient { api, alternatives } => {
            let detail = "the token holds no scope that grants this request";
            // A token that is asked for with these does not fail at the required ones next.
            let required = policy.api(*api).map(|api| api.required.clone()).unwrap_or_default();
            let ids = required.into_iter().chain(alternatives.iter().copied()).collect();
            scope(detail, *api, ids, policy, challenges)
        }
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
    }
}

/// 401 `invalid_token` (RFC 6750 section 3.1), or the nonce that is asked for.
fn token<'p>(fault: TokenFault, challenges: &Challenges, nonce: Option<HeaderValue>) -> Said<'p> {
    let mut said = Said::new(StatusCode::UNAUTHORIZED, "Access token not accepted", fault);
    match fault {
        TokenFault::NonceRequired => {
            said.challenges = challenges.nonce(&said.detail);
            said.header = nonce.map(|nonce| (DPOP_NONCE, nonce));
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
        | TokenFault::BindingMismatch => said.challenges = challenges.invalid_token(&said.detail),
    }
    said
}

/// `insufficient_scope` with the api's status.
fn scope<'p>(detail: &str, api: ApiId, ids: ScopeIds, policy: &'p Policy, challenges: &Challenges) -> Said<'p> {
    let status = policy.api(api).map(|api| api.insufficient_scope_status).unwrap_or_default();
    let status = match status {
        InsufficientScopeStatus::Forbidden => StatusCode::FORBIDDEN,
        InsufficientScopeStatus::Unauthorized => StatusCode::UNAUTHORIZED,
    };
    let mut said = Said::new(status, "Insufficient scope", detail);
    let scopes = nameable(&ids, policy);
    said.challenges = challenges.insufficient_scope(&scopes);
    said.scopes = Some(scopes);
    said
}

/// The scopes that discovery may show, those on their way out only where no other is left.
fn nameable<'p>(ids: &[ScopeId], policy: &'p Policy) -> Scopes<'p> {
    let shown = || ids.iter().filter_map(|id| policy.scope(*id)).filter(|scope| scope.marks.show_in_discovery);
    let all_deprecated = shown().all(|scope| scope.marks.deprecated);
    let mut names = Scopes::new();
    for scope in shown().filter(|scope| all_deprecated || !scope.marks.deprecated) {
        if !names.contains(&scope.name.as_str()) {
            names.push(scope.name.as_str());
        }
    }
    names
}

fn method<'p>(allow: MethodSet) -> Said<'p> {
    let said =
        Said::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "no service has this path with this method");
    // INVARIANT: method names are visible ASCII.
    Said { header: HeaderValue::from_str(&allow.to_string()).ok().map(|allow| (ALLOW, allow)), ..said }
}

/// The answer to anything but reading the metadata.
pub(super) fn read_only(request_id: &HeaderValue) -> Answer {
    let said = Said { header: Some((ALLOW, READ_ONLY)), ..method(MethodSet::NONE) };
    said.written(crate::policy::Reason::MethodNotAllowed.as_str(), request_id)
}

fn forbidden<'p>(title: &'static str, detail: &str) -> Said<'p> {
    Said::new(StatusCode::FORBIDDEN, title, detail)
}

impl Answer {
    /// Its head as pingora writes it.
    pub(super) fn head(&self) -> pingora::Result<ResponseHeader> {
        let mut head = ResponseHeader::build(self.status, Some(self.headers.len() + 3))?;
        for (name, value) in &self.headers {
            head.append_header(name, value.clone())?;
        }
        head.set_content_length(self.body.len())?;
        Ok(head)
    }
}

impl Said<'_> {
    fn new(status: StatusCode, title: &'static str, detail: impl Display) -> Self {
        Self {
            status,
            title,
            detail: detail.to_string(),
            scopes: None,
            challenges: ChallengeValues::new(),
            header: None,
        }
    }

    fn written(self, reason: &'static str, request_id: &HeaderValue) -> Answer {
        let problem = Problem {
            r#type: Type(reason),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            reason,
            // INVARIANT: an id is made of letters, digits, `.`, `_` and `-`.
            request_id: request_id.to_str().unwrap_or_default(),
            required_scopes: self.scopes.as_deref(),
        };
        let mut body = Vec::with_capacity(512);
        // It cannot fail: texts and numbers are written to memory.
        let _ = serde_json::to_writer(&mut body, &problem);
        let fixed = [(CONTENT_TYPE, PROBLEM), (CACHE_CONTROL, NO_STORE), (REQUEST_ID, request_id.clone())];
        let challenges = self.challenges.into_iter().map(|challenge| (WWW_AUTHENTICATE, challenge));
        let headers = fixed.into_iter().chain(challenges).chain(self.header).collect();
        Answer { status: self.status, headers, body: body.into() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::{
        AccountWhenAbsent, ApiName, ApiSpec, BasePath, HeaderFault, Marks, PathFault, PolicySpec, Reach, ScopeName,
        ScopeSpec, UpstreamId,
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
        let required = scope("always", Marks { required: true, ..Marks::default() });
        let scopes = vec![required, scope("a", Marks::default())];
        let apis = vec![api("one", InsufficientScopeStatus::Forbidden, scopes)];
        let policy = Policy::compile(PolicySpec { apis, ..PolicySpec::default() }).unwrap();
        let denial = Denial::ScopeInsufficient { api: ApiId(0), alternatives: ids(&[1]) };
        let id = HeaderValue::from_static("r-1");
        let answer = refuse(&denial, &policy, &Challenges::new(None, None), None, &id);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["required_scopes"], json!(["always", "a"]));
    }

    #[test]
    fn a_method_that_is_not_allowed_is_told_which_are() {
        let allow = MethodSet::known("GET").unwrap().or(MethodSet::known("POST").unwrap());
        assert_eq!(headers(&answer(&Denial::MethodNotAllowed { allow }), &ALLOW), ["GET, POST"]);
        assert_eq!(headers(&read_only(&HeaderValue::from_static("r")), &ALLOW), ["GET, HEAD"]);
    }

    #[test]
    fn a_proof_without_a_nonce_gets_one() {
        assert_eq!(headers(&answer(&Denial::Token(TokenFault::NonceRequired)), &DPOP_NONCE), ["n-1"]);
        assert_eq!(headers(&answer(&Denial::TokenMissing), &DPOP_NONCE), [""; 0]);
    }

    #[test]
    fn what_may_pass_soon_says_when_to_try_again() {
        assert_eq!(headers(&answer(&Denial::IssuerUnavailable), &RETRY_AFTER), ["1"]);
        let id = HeaderValue::from_static("r-1");
        for (failure, status, retry) in [
            (Failure::UpstreamUnavailable, 503, &["1"][..]),
            (Failure::UpstreamFailed, 502, &[]),
            (Failure::UpstreamTimeout, 504, &[]),
            (Failure::RequestTimeout, 408, &[]),
            (Failure::RequestInvalid, 400, &[]),
            (Failure::Internal, 500, &[]),
        ] {
            let answer = fail(failure, &id).unwrap();
            assert_eq!(answer.status.as_u16(), status);
            assert_eq!(headers(&answer, &RETRY_AFTER), retry);
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["reason"], failure.as_str());
        }
        assert!(fail(Failure::ClientGone, &id).is_none());
    }
}
