//! CORS (the Fetch standard, section 3.3): which pages of other origins a browser lets call an api, and
//! which of its answers it lets them read.
//!
//! It says what the file says, prepared once a policy, and controls no access: whoever is no browser
//! takes no notice. A preflight is answered here and never forwarded; whether the request that it asks
//! for may pass is decided when that comes.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER, VARY,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, StatusCode};
use pingora::http::ResponseHeader;
use smallvec::SmallVec;

use super::answer::DPOP_NONCE;
use super::outbound::DPOP;
use super::problem::Answer;
use super::trace::REQUEST_ID;
use crate::config::{self, Origins, Settings};
use crate::policy::{AccountSource, Api, ApiId, Denial, MethodSet, Policy, Request, Role, Target};

/// What the apis of one policy say to pages of other origins.
#[derive(Debug)]
pub(super) struct Cors {
    /// By the api's place; `None`: nothing.
    apis: Box<[Option<Sharing>]>,
}

/// What one api says.
#[derive(Debug)]
struct Sharing {
    origins: Origins,
    /// `Access-Control-Expose-Headers`.
    exposed: HeaderValue,
    methods: HeaderValue,
    headers: HeaderValue,
    max_age: HeaderValue,
}

/// The headers of an answer that say who may read it.
type Said = SmallVec<[(HeaderName, HeaderValue); 4]>;

/// What the gateway itself reads, so that every page must be let send it.
const READ: [HeaderName; 4] = [AUTHORIZATION, CONTENT_TYPE, DPOP, REQUEST_ID];
/// What the gateway itself writes beside what every page may read anyway.
const WRITTEN: [HeaderName; 7] = [
    WWW_AUTHENTICATE,
    RETRY_AFTER,
    REQUEST_ID,
    ALLOW,
    DPOP_NONCE,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
];
/// What an upstream says of its own that the policy's word stands for.
const SAID_BEFORE: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

const EVERY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// An answer to `OPTIONS` depends on whether it was a preflight, too.
const VARY_OF_OPTIONS: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
const VARY_OF_OTHERS: HeaderValue = HeaderValue::from_static("Origin");

impl Cors {
    /// `None` where no api says anything.
    pub(super) fn new(settings: &Settings, policy: &Policy) -> Option<Box<Self>> {
        if settings.cors.iter().all(Option::is_none) {
            return None;
        }
        let apis = (0..).map(ApiId).zip(policy.apis()).zip(&settings.cors);
        let apis = apis.map(|((id, api), cors)| cors.as_ref().map(|cors| Sharing::new(id, api, cors, policy)));
        Some(Box::new(Self { apis: apis.collect() }))
    }

    /// The api that answers, if a request is a preflight: `OPTIONS` of a page that asks for a method.
    /// Where no `cors` is, it is a request like any other.
    ///
    /// # Errors
    /// If something of it is ambiguous, as it would be of the request that it asks for, or the page's
    /// origin is not one that may call.
    pub(super) fn preflight(
        &self,
        method: &Method,
        request: &Request<'_>,
        policy: &Policy,
    ) -> Result<Option<ApiId>, Denial> {
        if *method != Method::OPTIONS
            || !request.headers.contains_key(ORIGIN)
            || !request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        {
            return Ok(None);
        }
        let Some((api, sharing)) = api_of(request, policy)?.and_then(|api| Some((api, self.of(api)?))) else {
            return Ok(None);
        };
        match origin(request.headers) {
            Some(origin) if sharing.origins.admit(origin.as_bytes()) => Ok(Some(api)),
            Some(_) | None => Err(Denial::OriginRejected { api }),
        }
    }

    /// The answer to a preflight. It says all that pages may do, whatever this one asks for: browsers
    /// compare, and tell developers what of it was too much.
    pub(super) fn answer(&self, api: ApiId, request_id: &HeaderValue) -> Answer {
        let sharing = self.of(api).map(|sharing| {
            [
                (ACCESS_CONTROL_ALLOW_METHODS, sharing.methods.clone()),
                (ACCESS_CONTROL_ALLOW_HEADERS, sharing.headers.clone()),
                (ACCESS_CONTROL_MAX_AGE, sharing.max_age.clone()),
            ]
        });
        let fixed = [(CACHE_CONTROL, NO_STORE), (REQUEST_ID, request_id.clone())];
        let headers = sharing.into_iter().flatten().chain(fixed).collect();
        Answer { status: StatusCode::NO_CONTENT, headers, body: bytes::Bytes::new() }
    }

    /// Says of an answer of the gateway's own who may read it. `api`: whose it is, where that is known.
    pub(super) fn share_own(&self, api: Option<ApiId>, asked: &Shared<'_>, policy: &Policy, answer: &mut Answer) {
        let is_said = answer.headers.iter().any(|(name, _)| *name == ACCESS_CONTROL_ALLOW_ORIGIN);
        let Some(sharing) = self.of_answer(api, asked, policy).filter(|_| !is_said) else { return };
        let (said, vary) = sharing.said(asked);
        answer.headers.extend(said);
        answer.headers.extend(vary.map(|vary| (VARY, vary)));
    }

    /// Says of an upstream's answer who may read it, in the place of what the upstream says.
    ///
    /// # Errors
    /// If pingora refuses a header, which it does not with those that are written here.
    pub(super) fn share(&self, api: ApiId, asked: &Shared<'_>, response: &mut ResponseHeader) -> pingora::Result<()> {
        let Some(sharing) = self.of(api) else { return Ok(()) };
        for name in &SAID_BEFORE {
            response.remove_header(name);
        }
        let (said, vary) = sharing.said(asked);
        for (name, value) in said {
            response.insert_header(name, value)?;
        }
        match vary.filter(|_| !varies(&response.headers)) {
            Some(vary) => response.append_header(VARY, vary).map(drop),
            None => Ok(()),
        }
    }

    /// What is public may be read by every page.
    pub(super) fn share_public(answer: &mut Answer) {
        answer.headers.push((ACCESS_CONTROL_ALLOW_ORIGIN, EVERY_ORIGIN));
    }

    fn of(&self, api: ApiId) -> Option<&Sharing> {
        self.apis.get(api.0 as usize)?.as_ref()
    }

    /// By whose word an answer of the gateway's own is read. Of a target that cannot be judged nobody
    /// knows the api, and every page that may call one may know that.
    fn of_answer(&self, api: Option<ApiId>, asked: &Shared<'_>, policy: &Policy) -> Option<&Sharing> {
        if let Some(api) = api {
            return self.of(api);
        }
        let Ok(target) = Target::parse(asked.target) else {
            let admits =
                |sharing: &&Sharing| asked.origin().is_some_and(|origin| sharing.origins.admit(origin.as_bytes()));
            return self.apis.iter().flatten().find(admits);
        };
        let method = MethodSet::of_request(asked.method.as_str());
        let host = asked.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let request = Request { method, target: &target, host, headers: asked.headers };
        let nearest = policy.apis_of(&request).next();
        self.of(nearest?)
    }
}

/// The request that an answer is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<'r> {
    pub(super) method: &'r Method,
    /// As it came.
    pub(super) target: &'r [u8],
    pub(super) headers: &'r HeaderMap,
}

impl<'r> Shared<'r> {
    fn origin(&self) -> Option<&'r HeaderValue> {
        origin(self.headers)
    }
}

impl Sharing {
    fn new(id: ApiId, api: &Api, cors: &config::Cors, policy: &Policy) -> Self {
        let listings = policy.listings().into_iter().filter(|listing| listing.api == id);
        let of_services = |listing: crate::policy::Listing<'_>| match listing.role {
            Role::Public | Role::Grant { .. } | Role::TokenEndpoint(_) => listing.service.methods(),
        };
        let methods = cors.methods.unwrap_or_else(|| listings.map(of_services).fold(MethodSet::NONE, MethodSet::or));
        let accounts = api.account.iter().filter_map(|source| match source {
            AccountSource::Header(name) => Some(name),
            AccountSource::Path(_) | AccountSource::Query(_) => None,
        });
        Self {
            origins: cors.origins.clone(),
            exposed: names(WRITTEN.iter().chain(&cors.expose)),
            // INVARIANT: method names are visible ASCII.
            methods: HeaderValue::from_str(&methods.to_string()).unwrap_or(HeaderValue::from_static("")),
            headers: names(READ.iter().chain(accounts).chain(&cors.headers)),
            max_age: HeaderValue::from(cors.max_age.as_secs()),
        }
    }

    /// What an answer says, and what it depends on.
    fn said(&self, asked: &Shared<'_>) -> (Said, Option<HeaderValue>) {
        let is_options = *asked.method == Method::OPTIONS;
        let mut said = Said::new();
        let vary = match &self.origins {
            Origins::Any => {
                said.push((ACCESS_CONTROL_ALLOW_ORIGIN, EVERY_ORIGIN));
                is_options.then_some(VARY_OF_OPTIONS)
            }
            Origins::Listed { credentials, .. } => {
                if let Some(origin) = asked.origin().filter(|origin| self.origins.admit(origin.as_bytes())) {
                    said.push((ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()));
                    said.extend(credentials.then_some((ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE)));
                }
                Some(if is_options { VARY_OF_OPTIONS } else { VARY_OF_OTHERS })
            }
        };
        if !said.is_empty() {
            said.push((ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed.clone()));
        }
        (said, vary)
    }
}

/// Whose preflight it is: that of the api that is nearest among those whose services have the path, else
/// of the one that is nearest by its base path.
fn api_of(request: &Request<'_>, policy: &Policy) -> Result<Option<ApiId>, Denial> {
    if let Some(endpoint) = policy.find_token_endpoint(request).and_then(|id| policy.token_endpoint(id)) {
        return Ok(Some(endpoint.api));
    }
    let nearest = policy.find(*request)?.nearest_api();
    Ok(nearest.or_else(|| policy.apis_of(request).next()))
}

/// The page's origin, if there is one and no more.
fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut origins = headers.get_all(ORIGIN).iter();
    origins.next().filter(|_| origins.next().is_none())
}

/// Whether an answer says already that it depends on the origin.
fn varies(headers: &HeaderMap) -> bool {
    let is_it = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"origin");
    headers
        .get_all(VARY)
        .iter()
        .any(|value| value.as_bytes().split(|byte| *byte == b',').any(|name| is_it(name.trim_ascii())))
}

/// Each once, in their order.
fn names<'n>(names: impl Iterator<Item = &'n HeaderName>) -> HeaderValue {
    let mut written: Vec<&str> = Vec::new();
    for name in names.map(HeaderName::as_str) {
        if !written.contains(&name) {
            written.push(name);
        }
    }
    // INVARIANT: names of headers are visible ASCII.
    HeaderValue::from_str(&written.join(", ")).unwrap_or(HeaderValue::from_static(""))
}
