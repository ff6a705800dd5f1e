//! RFC 9728: the protected resource's metadata, which tells clients where tokens come from.
//!
//! Prepared once a policy; who may read it is not asked, and it names only what discovery may show.

use bytes::Bytes;
use hashbrown::HashMap;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode, Uri};
use serde::Serialize;

use super::problem::{Answer, Problem};
use super::trace::REQUEST_ID;
use crate::config::{ResourceMetadata, Settings};
use crate::policy::{ApiId, Policy, Reason, Scope, is_host};

/// RFC 9728 section 3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const A_MINUTE: HeaderValue = HeaderValue::from_static("max-age=60");
const READING: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// The documents: that of the whole resource, and one for each api's base path.
#[derive(Debug)]
pub(super) struct Metadata {
    /// The resource's host, with its port if it has one.
    host: Box<str>,
    url: Box<str>,
    /// By the path that follows the well-known one (section 3.1), without final slash.
    bodies: HashMap<Box<str>, Bytes>,
}

/// Section 2, section 5.1 of RFC 9449 for the proofs, and of our own `scopegate_scopes`, which tells
/// consent screens what the scopes are (section 2 lets there be more members).
#[derive(Serialize)]
struct Document<'a> {
    resource: &'a str,
    authorization_servers: Vec<&'a str>,
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dpop_signing_alg_values_supported: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dpop_bound_access_tokens_required: bool,
    scopegate_scopes: Vec<ShownScope<'a>>,
}

/// A scope that discovery may show, for people.
#[derive(Serialize)]
struct ShownScope<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    required: bool,
    emphasize: bool,
    deprecated: bool,
}

/// What every document says alike.
struct Common<'a> {
    settings: &'a Settings,
    policy: &'a Policy,
    /// What `DPoP` proofs may be signed with, spaces between, if they are taken.
    proof_algorithms: Option<&'a str>,
    /// The scopes to show, by the number of their api.
    shown: HashMap<ApiId, Vec<&'a Scope>>,
}

impl Common<'_> {
    /// The document of these apis, as its bytes.
    fn document(&self, resource: &str, apis: &[ApiId]) -> Bytes {
        let Self { settings, policy, proof_algorithms, shown } = self;
        let rules = || settings.issuers.iter().map(|issuer| &issuer.rules);
        let shown: Vec<_> = apis.iter().filter_map(|api| shown.get(api)).flatten().collect();
        let takes_certificates = settings.listeners.iter().any(|listener| {
            listener.tls.as_ref().is_some_and(|tls| tls.clients.is_some())
                || listener.authorizer.as_ref().is_some_and(|authorizer| authorizer.tells_certificate)
                || !settings.trusted_proxies.is_empty()
        });
        let document = Document {
            resource,
            authorization_servers: rules().map(|rules| &*rules.issuer).collect(),
            scopes_supported: shown.iter().map(|scope| scope.name.as_str()).collect(),
            bearer_methods_supported: ["header"],
            resource_name: match apis {
                [only] => policy.api(*only).and_then(|api| api.display_name.as_deref()),
                [] | [_, _, ..] => None,
            },
            tls_client_certificate_bound_access_tokens: takes_certificates,
            dpop_signing_alg_values_supported: proof_algorithms.map(|names| names.split(' ').collect()),
            dpop_bound_access_tokens_required: !settings.issuers.is_empty()
                && rules().all(|rules| rules.dpop.is_some_and(|dpop| dpop.required)),
            scopegate_scopes: shown
                .iter()
                .map(|scope| ShownScope {
                    name: scope.name.as_str(),
                    display_name: scope.display_name.as_deref(),
                    description: scope.description.as_deref(),
                    required: scope.marks.required,
                    emphasize: scope.marks.emphasize,
                    deprecated: scope.marks.deprecated,
                })
                .collect(),
        };
        // INVARIANT: texts and lists of texts can always be written as JSON.
        serde_json::to_vec(&document).unwrap_or_default().into()
    }
}

impl Metadata {
    /// `proof_algorithms`: what `DPoP` proofs may be signed with, spaces between, if they are taken.
    pub(super) fn new(
        resource: &ResourceMetadata,
        settings: &Settings,
        policy: &Policy,
        proof_algorithms: Option<&str>,
    ) -> Self {
        let mut shown: HashMap<_, Vec<_>> = HashMap::new();
        for scope in policy.scopes().iter().filter(|scope| scope.marks.show_in_discovery) {
            shown.entry(scope.api).or_default().push(scope);
        }
        let common = Common { settings, policy, proof_algorithms, shown };
        let (origin, suffix) = split(&resource.resource);
        let mut at_base: HashMap<Box<str>, Vec<ApiId>> = HashMap::new();
        for (id, api) in (0..).map(ApiId).zip(policy.apis()).filter(|(_, api)| !api.base_path.segments().is_empty()) {
            at_base.entry(api.base_path.to_string().into()).or_default().push(id);
        }
        let of_apis = at_base.into_iter().map(|(base, apis)| {
            let body = common.document(&format!("{origin}{base}"), &apis);
            (base, body)
        });
        let mut bodies: HashMap<_, _> = of_apis.collect();
        // That of the whole comes last: it stays where an api's base path is the resource's own.
        let all: Vec<_> = (0..).map(ApiId).zip(policy.apis()).map(|(id, _)| id).collect();
        let whole = common.document(&resource.resource, &all);
        bodies.insert("".into(), whole.clone());
        bodies.insert(suffix.clone().into(), whole);
        Self { url: format!("{origin}{WELL_KNOWN}{suffix}").into(), host: host(origin).into(), bodies }
    }

    /// Whether a request for this path asks for a document.
    pub(super) fn is_at(&self, path: &[u8]) -> bool {
        self.body(path).is_some()
    }

    fn body(&self, path: &[u8]) -> Option<&Bytes> {
        let suffix = path.strip_prefix(WELL_KNOWN.as_bytes())?;
        self.bodies.get(std::str::from_utf8(suffix).ok()?)
    }

    /// Whether this host is the resource's.
    pub(super) fn is_host(&self, host: &str) -> bool {
        is_host(&self.host, host)
    }

    /// Where that of the whole is, for challenges.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The answer to a request for a document, which must be one to read (405 otherwise), and what it
    /// is recorded as.
    pub(super) fn answer(&self, path: &[u8], method: &Method, request_id: &HeaderValue) -> (Answer, Reason) {
        if matches!(*method, Method::GET | Method::HEAD) {
            let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, A_MINUTE), (REQUEST_ID, request_id.clone())];
            let headers = headers.into_iter().collect();
            let body = self.body(path).cloned().unwrap_or_default();
            return (Answer { status: StatusCode::OK, headers, body }, Reason::Public);
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
        let bodies = ["".into(), suffix.clone().into()].map(|suffix| (suffix, Bytes::new()));
        let metadata = Metadata {
            host: host(origin).into(),
            url: format!("{origin}{WELL_KNOWN}{suffix}").into(),
            bodies: bodies.into_iter().collect(),
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
