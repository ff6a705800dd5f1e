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
    /// Every header. Looked at are `Authorization`, `Host` and `Connection`, for what is ambiguous,
    /// account headers, and what tells a browser.
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

/// Headers that decide, or end the body, whatever the policy; `Connection` must not name them.
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
    /// Whether a browser made it: Fetch's `Origin` is there, or one of the `Sec-Fetch-*` headers that
    /// every browser sends.
    #[must_use]
    pub fn is_from_browser(&self) -> bool {
        has_browser_headers(self.headers)
    }
}

/// Whether these are the headers of a request that a browser made.
#[must_use]
pub fn has_browser_headers(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || SEC_FETCH.iter().any(|name| headers.contains_key(name))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[(&str, &str)], expected: Result<(), HeaderFault>) {
        let parsed = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
        let headers = lines.iter().map(|(name, value)| (parsed(name), value.parse().unwrap())).collect();
        assert_eq!(check_headers(&headers, &[HeaderName::from_static("x-account")]), expected, "{lines:?}");
    }

    #[test]
    fn authorization_and_host_are_given_once() {
        check(&[("authorization", "Bearer a"), ("host", "h")], Ok(()));
        check(&[("authorization", "a"), ("authorization", "a")], Err(HeaderFault::SeveralAuthorizations));
        check(&[("host", "h"), ("Host", "h")], Err(HeaderFault::SeveralHosts));
    }

    #[test]
    fn connection_names_no_header_that_decides() {
        for good in ["close", "keep-alive, Upgrade", "X-Hop", "", ",", "x-account-2", "sec-fetch"] {
            check(&[("connection", good)], Ok(()));
        }
        for named in [
            "Authorization",
            "close,authorization",
            "close ,\tX-Account",
            "X-ACCOUNT",
            "Host",
            "DPoP",
            "Client-Cert",
            "Client-Cert-Chain",
            "X-Forwarded-Client-Cert",
            "X-Forwarded-For",
            "Origin",
            "Sec-Fetch-Site",
            "Content-Length",
            "é",
        ] {
            check(&[("connection", named)], Err(HeaderFault::ConnectionNames));
            check(&[("connection", "close"), ("connection", named)], Err(HeaderFault::ConnectionNames));
        }
    }

    #[test]
    fn a_browser_shows_itself_by_origin_or_fetch_metadata() {
        let target = Target::parse(b"/").unwrap();
        for (name, is_browser) in [
            ("origin", true),
            ("sec-fetch-mode", true),
            ("sec-fetch-site", true),
            ("sec-fetch-dest", true),
            ("sec-fetch-user", true),
            ("referer", false),
            ("user-agent", false),
        ] {
            let headers: HeaderMap = [(HeaderName::from_static(name), "x".parse().unwrap())].into_iter().collect();
            let request =
                Request { method: MethodSet::of_request("GET"), target: &target, host: "h", headers: &headers };
            assert_eq!(request.is_from_browser(), is_browser, "{name}");
        }
    }
}
