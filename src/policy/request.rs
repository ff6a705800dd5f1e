//! What a decision is asked about: a request and whose it is.

use http::HeaderMap;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, ORIGIN};

use super::{Certificate, Denial, HeaderFault, MethodSet, Standing, Target};

/// One request, as far as its decision goes.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// The set of its one method.
    pub method: MethodSet,
    /// The judged target.
    pub target: &'r Target<'r>,
    /// The `Host`, lower case, as sent (with its port, if it has one).
    pub host: &'r str,
    /// Every header; only account headers and what tells a browser are looked at.
    pub headers: &'r HeaderMap,
}

/// Who sent a request, as far as that could be found out.
#[derive(Debug, Clone)]
pub enum Identity<'r> {
    /// No token was sent (or none was looked for, the service being public).
    Absent,
    /// A token was sent and is no good, or could not be checked.
    Refused(Denial),
    /// The token is good.
    Known {
        /// What the policy makes of its caller.
        standing: &'r Standing,
        /// The TLS client certificate, if one was presented.
        certificate: Option<&'r Certificate>,
    },
}

const SEC_FETCH: [HeaderName; 4] = [
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-user"),
];

/// Headers that decide whatever the policy; `Connection` must not name them.
const DECISIVE: [&str; 8] = [
    "authorization",
    "host",
    "dpop",
    "client-cert",
    "client-cert-chain",
    "x-forwarded-client-cert",
    "origin",
    "content-length",
];

impl Request<'_> {
    /// Whether a browser made it (Fetch's `Origin` or `Sec-Fetch-*` is there).
    #[must_use]
    pub fn is_from_browser(&self) -> bool {
        self.headers.contains_key(ORIGIN) || SEC_FETCH.iter().any(|name| self.headers.contains_key(name))
    }
}

/// Refuses headers that could mean something else to the upstream, whatever the route.
pub(super) fn check_headers(headers: &HeaderMap, account_headers: &[HeaderName]) -> Result<(), HeaderFault> {
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err(HeaderFault::SeveralAuthorizations);
    }
    if headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(HeaderFault::SeveralHosts);
    }
    for value in headers.get_all(CONNECTION) {
        let Ok(options) = value.to_str() else { return Err(HeaderFault::ConnectionNames) };
        if options.split(',').any(|option| is_decisive(option.trim(), account_headers)) {
            return Err(HeaderFault::ConnectionNames);
        }
    }
    Ok(())
}

fn is_decisive(option: &str, account_headers: &[HeaderName]) -> bool {
    let prefixed = |prefix: &str| option.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    DECISIVE.iter().any(|name| option.eq_ignore_ascii_case(name))
        || prefixed("sec-fetch-")
        || prefixed("x-forwarded-")
        || account_headers.iter().any(|name| option.eq_ignore_ascii_case(name.as_str()))
}
