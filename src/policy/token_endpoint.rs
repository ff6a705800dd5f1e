//! Token endpoints that are guarded: which requests are for one.
//!
//! An endpoint owns its path, whatever the method, before any service is looked at, so that no other
//! service can lead around it. What a client may ask for there is `token_decision`'s.

use super::percent::reading;
use super::request::check_headers;
use super::{
    ApiId, Denial, MethodSet, Policy, Request, Segment, Service, ServiceId, Target, TokenEndpointId, UpstreamId,
};

/// A token endpoint, compiled.
#[derive(Debug)]
pub struct TokenEndpoint {
    /// The api that names it.
    pub api: ApiId,
    /// As the file writes it.
    pub service: ServiceId,
    /// The provider.
    pub upstream: UpstreamId,
    methods: MethodSet,
    /// What the least exact of servers reads in each segment.
    path: Box<[Box<str>]>,
}

impl TokenEndpoint {
    /// `None` if the service is anything but `POST` (RFC 6749 section 3.2) and one literal path.
    pub(super) fn new(api: ApiId, id: ServiceId, upstream: UpstreamId, service: &Service) -> Option<Self> {
        let (methods, pattern) = (service.methods(), service.pattern());
        let literal = |segment: &Segment| match segment {
            Segment::Literal(text) => Some(reading(text).into()),
            Segment::Any | Segment::Capture(_) => None,
        };
        let path = pattern.segments().iter().map(literal).collect::<Option<_>>()?;
        let is_post = Some(methods) == MethodSet::known("POST");
        (is_post && !pattern.any_rest()).then_some(Self { api, service: id, upstream, methods, path })
    }

    /// Whether some server would take the path for the endpoint's.
    fn is_at(&self, target: &Target<'_>) -> bool {
        let is_same = |own: &str, place| target.reading(place).is_some_and(|read| own.eq_ignore_ascii_case(&read));
        target.segment(self.path.len()).is_none()
            && self.path.iter().enumerate().all(|(place, own)| is_same(own, place))
    }
}

impl Policy {
    /// The token endpoint of that number.
    #[must_use]
    pub fn token_endpoint(&self, id: TokenEndpointId) -> Option<&TokenEndpoint> {
        self.token_endpoints.get(id.0 as usize)
    }

    /// The token endpoint that a request is for, whatever its method and in whatever letters and
    /// spelling some provider would take its path for the endpoint's; the first of the file where
    /// several have its path and host.
    #[must_use]
    pub fn find_token_endpoint(&self, request: &Request<'_>) -> Option<TokenEndpointId> {
        let is_asked = |endpoint: &TokenEndpoint| {
            endpoint.is_at(request.target) && self.api(endpoint.api).is_some_and(|api| api.admits_host(request.host))
        };
        let found = (0..).zip(&self.token_endpoints).find(|(_, endpoint)| is_asked(endpoint));
        found.map(|(place, _)| TokenEndpointId(place))
    }

    /// What can be judged of a request for a token before its form is read.
    ///
    /// # Errors
    /// If a header that the decision uses is ambiguous, or the method is not `POST`.
    pub fn check_token_request(&self, id: TokenEndpointId, request: &Request<'_>) -> Result<(), Denial> {
        let endpoint = self.token_endpoint(id).ok_or(Denial::RouteUnknown)?;
        check_headers(request.headers, self.account_headers())
            .map_err(|fault| Denial::TokenRequest { api: endpoint.api, fault: fault.into() })?;
        if endpoint.methods.and(request.method).is_empty() {
            return Err(Denial::MethodNotAllowed { allow: endpoint.methods });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::policy::token_decision::tests::{ENDPOINT, spec};
    use crate::policy::{HeaderFault, PolicySpec, Reason, TokenRequestFault};

    #[track_caller]
    fn check_found(policy: &Policy, method: &str, target: &str, host: &str, expected: Option<Result<(), Reason>>) {
        let target = Target::parse(target.as_bytes()).unwrap();
        let headers = HeaderMap::new();
        let method = MethodSet::of_request(method);
        let request = Request { method, target: &target, host, headers: &headers };
        let found = policy.find_token_endpoint(&request);
        let found = found.map(|id| policy.check_token_request(id, &request).map_err(|denial| denial.reason()));
        assert_eq!(found, expected, "{} of {host}", target.path());
    }

    #[test]
    fn an_endpoint_owns_its_path_whatever_the_method_and_the_base_path() {
        let policy = Policy::compile(spec()).unwrap();
        for path in ["/data/oauth/token", "/data/oauth/token/", "/data/oauth/%74oken?x=1", "/DATA/oauth/Token"] {
            check_found(&policy, "POST", path, "a", Some(Ok(())));
            for method in ["GET", "OPTIONS", "post", "TRACE"] {
                check_found(&policy, method, path, "a", Some(Err(Reason::MethodNotAllowed)));
            }
        }
        for path in ["/data/oauth", "/data/oauth/token/x", "/oauth/token", "/data/oauth/tokens", "/"] {
            check_found(&policy, "POST", path, "a", None);
        }
        check_found(&Policy::compile(PolicySpec::default()).unwrap(), "POST", "/", "a", None);
    }

    #[test]
    fn an_endpoint_owns_every_spelling_of_its_path() {
        let mut spec = spec();
        spec.token_endpoints[0].service = Service::parse("POST /data/v1:token").unwrap();
        let policy = Policy::compile(spec).unwrap();
        for path in
            ["/data/v1:token", "/data/v1%3Atoken", "/Data./V1%3atoken", "/data/v1:token.", "/data%20/v1:token%20/"]
        {
            check_found(&policy, "POST", path, "a", Some(Ok(())));
        }
        check_found(&policy, "POST", "/data/.v1:token", "a", None);
    }

    #[test]
    fn an_endpoint_is_one_of_its_apis_hosts() {
        let mut spec = spec();
        spec.apis[1].hosts = vec!["a.example".into()];
        let policy = Policy::compile(spec).unwrap();
        check_found(&policy, "POST", "/data/oauth/token", "A.example:8080", Some(Ok(())));
        check_found(&policy, "POST", "/data/oauth/token", "b.example", None);
    }

    #[test]
    fn ambiguous_headers_are_refused_before_the_form_is_read() {
        let policy = Policy::compile(spec()).unwrap();
        let target = Target::parse(b"/data/oauth/token").unwrap();
        let headers: HeaderMap = ["Basic YTpi", "Basic YTpj"]
            .map(|value| (http::header::AUTHORIZATION, value.parse().unwrap()))
            .into_iter()
            .collect();
        let request = Request { method: MethodSet::of_request("POST"), target: &target, host: "a", headers: &headers };
        let fault = TokenRequestFault::Header(HeaderFault::SeveralAuthorizations);
        let expected = Denial::TokenRequest { api: ApiId(1), fault };
        assert_eq!(policy.check_token_request(ENDPOINT, &request), Err(expected));
    }

    #[test]
    fn anything_but_a_post_to_one_path_of_an_api_cannot_be_indexed() {
        for (service, api) in [
            ("GET /token", 1),
            ("/token", 1),
            ("GET,POST /token", 1),
            ("POST /{a}/token", 1),
            ("POST /*", 1),
            ("POST /token/**", 1),
            ("POST /token", 2),
        ] {
            let mut spec = spec();
            spec.token_endpoints[0].api = ApiId(api);
            spec.token_endpoints[0].service = Service::parse(service).unwrap();
            assert!(Policy::compile(spec).is_err(), "{service}");
        }
    }
}
