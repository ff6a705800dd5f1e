//! RFC 9728: the protected resource's metadata, which tells clients where tokens come from.
//!
//! Prepared once a policy; who may read it is not asked, and it names only what discovery may show.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode, Uri};
use serde::Serialize;

use super::problem::{Answer, Problem};
use super::trace::REQUEST_ID;
use crate::config::{ResourceMetadata, Settings};
use crate::policy::{Policy, Reason, is_host};

/// RFC 9728 section 3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const A_MINUTE: HeaderValue = HeaderValue::from_static("max-age=60");
const READING: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// The document and where it is.
#[derive(Debug)]
pub(super) struct Metadata {
    /// The resource's own path, which may follow the well-known one (section 3.1); without final slash.
    suffix: Box<str>,
    /// The resource's host, with its port if it has one.
    host: Box<str>,
    url: Box<str>,
    body: Bytes,
}

/// Section 2, and section 5.1 of RFC 9449 for the proofs.
#[derive(Serialize)]
struct Document<'a> {
    resource: &'a str,
    authorization_servers: Vec<&'a str>,
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dpop_signing_alg_values_supported: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dpop_bound_access_tokens_required: bool,
}

impl Metadata {
    /// `proof_algorithms`: what `DPoP` proofs may be signed with, spaces between, if they are taken.
    pub(super) fn new(
        resource: &ResourceMetadata,
        settings: &Settings,
        policy: &Policy,
        proof_algorithms: Option<&str>,
    ) -> Self {
        let rules = || settings.issuers.iter().map(|issuer| &issuer.rules);
        let document = Document {
            resource: &resource.resource,
            authorization_servers: rules().map(|rules| &*rules.issuer).collect(),
            scopes_supported: policy
                .scopes()
                .iter()
                .filter(|scope| scope.marks.show_in_discovery)
                .map(|scope| scope.name.as_str())
                .collect(),
            bearer_methods_supported: ["header"],
            resource_name: match policy.apis() {
                [only] => only.display_name.as_deref(),
                [] | [_, _, ..] => None,
            },
            dpop_signing_alg_values_supported: proof_algorithms.map(|names| names.split(' ').collect()),
            dpop_bound_access_tokens_required: !settings.issuers.is_empty()
                && rules().all(|rules| rules.dpop.is_some_and(|dpop| dpop.required)),
        };
        let (origin, suffix) = split(&resource.resource);
        Self {
            url: format!("{origin}{WELL_KNOWN}{suffix}").into(),
            suffix: suffix.into(),
            host: host(origin).into(),
            // INVARIANT: texts and lists of texts can always be written as JSON.
            body: serde_json::to_vec(&document).unwrap_or_default().into(),
        }
    }

    /// Whether a request for this path asks for the document.
    pub(super) fn is_at(&self, path: &[u8]) -> bool {
        path.strip_prefix(WELL_KNOWN.as_bytes()).is_some_and(|rest| rest.is_empty() || rest == self.suffix.as_bytes())
    }

    /// Whether this host is the resource's.
    pub(super) fn is_host(&self, host: &str) -> bool {
        is_host(&self.host, host)
    }

    /// Where it is, for challenges.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The answer to a request for it, which must be one to read (405 otherwise), and what it is
    /// recorded as.
    pub(super) fn answer(&self, method: &Method, request_id: &HeaderValue) -> (Answer, Reason) {
        if matches!(*method, Method::GET | Method::HEAD) {
            let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, A_MINUTE), (REQUEST_ID, request_id.clone())];
            let headers = headers.into_iter().collect();
            return (Answer { status: StatusCode::OK, headers, body: self.body.clone() }, Reason::Public);
        }
        let reason = Reason::MethodNotAllowed;
        let detail = "the metadata can only be read";
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail).with(ALLOW, READING);
        (problem.answer(reason.as_str(), request_id), reason)
    }
}

/// What follows the scheme.
fn host(origin: &str) -> &str {
    origin.split_once("://").map_or(origin, |(_, host)| host)
}

/// `https://host` and the path, which is empty where it is `/`.
fn split(resource: &str) -> (&str, String) {
    let path = resource.parse::<Uri>().map(|uri| uri.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    let after_scheme = resource.find("://").map_or(0, |at| at + 3);
    let end = resource.get(after_scheme..).and_then(|rest| rest.find(['/', '?'])).map(|at| at + after_scheme);
    (end.and_then(|end| resource.get(..end)).unwrap_or(resource), path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(resource: &str, url: &str, path: &str) {
        let (origin, suffix) = split(resource);
        let metadata = Metadata {
            url: format!("{origin}{WELL_KNOWN}{suffix}").into(),
            suffix: suffix.into(),
            host: host(origin).into(),
            body: Bytes::new(),
        };
        assert_eq!(metadata.url(), url);
        assert!(metadata.is_at(path.as_bytes()), "{path}");
        assert!(metadata.is_at(WELL_KNOWN.as_bytes()));
        assert!(!metadata.is_at(b"/.well-known/oauth-protected-resource/other"));
        assert!(!metadata.is_at(b"/.well-known/oauth-protected-resources"));
        assert!(!metadata.is_at(b"/"));
    }

    #[test]
    fn the_well_known_path_stands_between_host_and_path() {
        for resource in ["https://a.example", "https://a.example/"] {
            check(resource, "https://a.example/.well-known/oauth-protected-resource", WELL_KNOWN);
        }
        for resource in ["https://a.example:8443/x/y", "https://a.example:8443/x/y/"] {
            check(
                resource,
                "https://a.example:8443/.well-known/oauth-protected-resource/x/y",
                "/.well-known/oauth-protected-resource/x/y",
            );
        }
        check("https://a.example?x=1", "https://a.example/.well-known/oauth-protected-resource", WELL_KNOWN);
    }

    #[test]
    fn the_resources_host_is_the_one_of_its_url() {
        for (origin, asked, expected) in [
            ("https://a.example", "a.example", true),
            ("https://a.example", "A.example:8443", true),
            ("https://a.example:8443", "a.example:8443", true),
            ("https://a.example:8443", "a.example", false),
            ("https://[::1]", "[::1]:80", true),
            ("https://a.example", "b.example", false),
            ("https://a.example", "a.example.b.example", false),
        ] {
            assert_eq!(is_host(host(origin), asked), expected, "{origin} {asked}");
        }
    }
}
