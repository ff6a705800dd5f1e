//! Where the console is, as browsers know it: its origin, and which `Host` and `Origin` a request may
//! have.
//!
//! A page of somebody else whose name is made to lead to this address (DNS rebinding) says its own name
//! as `Host`, and is refused. Names that nobody can make lead elsewhere are the address itself and
//! `localhost`.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::config::Admin;

/// Where the console is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Scheme, host and port, as `Origin` has them.
    origin: String,
    /// What tells its cookies from those of other servers of the machine, for which browsers do not
    /// ask the port.
    port: u16,
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl Place {
    /// Where the console of this address was asked; `None` if that is not where it is.
    pub(super) fn of(admin: &Admin, headers: &HeaderMap) -> Option<Self> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next()?.to_str().ok()?.to_ascii_lowercase();
        if hosts.next().is_some() {
            return None;
        }
        let url = admin.access.as_ref().and_then(|access| access.url.as_deref());
        let is_own = is_address(&host, admin.address);
        match url {
            Some(url) if is_own || url.split_once("://").is_some_and(|(_, authority)| authority == host) => {
                Some(Self { origin: url.to_owned(), port: admin.address.port() })
            }
            None if is_own => Some(Self { origin: format!("http://{host}"), port: admin.address.port() }),
            Some(_) | None => None,
        }
    }

    /// Such as `https://console.example.com`.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether browsers reach it over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// Of the session's cookie. With the prefix, browsers take it from this host alone and over TLS
    /// alone (RFC 6265bis section 4.1.3).
    pub(super) fn cookie(&self, what: &str) -> String {
        if self.is_secure() { format!("__Host-scopegate-{what}") } else { format!("scopegate-{what}-{}", self.port) }
    }

    /// Whether a request says that one of the console's own pages sent it, and says nothing else.
    pub(super) fn sent(&self, headers: &HeaderMap) -> bool {
        let all = |name: &HeaderName, expected: &str| {
            let mut values = headers.get_all(name).iter().map(|value| value.as_bytes() == expected.as_bytes());
            values.next().map(|first| first && values.all(|same| same))
        };
        let verdicts = [all(&header::ORIGIN, &self.origin), all(&FETCH_SITE, "same-origin")];
        verdicts.contains(&Some(true)) && !verdicts.contains(&Some(false))
    }

    /// Whether a request says that some other site set it off.
    pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
        let mut sites = headers.get_all(FETCH_SITE).iter().map(HeaderValue::as_bytes);
        sites.any(|site| !matches!(site, b"same-origin" | b"none"))
    }
}

/// Whether a `Host` is an address that leads here wherever it is looked up. Its port may be another: a
/// tunnel's.
fn is_address(host: &str, address: SocketAddr) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    match literal.parse::<IpAddr>() {
        Ok(ip) => ip == address.ip() || ip.is_loopback() || address.ip().is_unspecified(),
        Err(_) => name == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Access;
    use crate::policy::ScopeName;

    fn admin(address: &str, url: Option<&str>) -> Admin {
        let name = |text| ScopeName::parse(text).unwrap();
        let access = Access {
            issuer: "https://issuer.example".into(),
            view: name("view"),
            manage: name("manage"),
            url: url.map(Into::into),
            sign_in: None,
        };
        Admin { address: address.parse().unwrap(), revocations_token_file: None, access: Some(access) }
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[track_caller]
    fn check(address: &str, url: Option<&str>, host: &str, origin: Option<&str>) {
        let place = Place::of(&admin(address, url), &headers(&[("host", host)]));
        assert_eq!(place.as_ref().map(Place::origin), origin, "{host}");
    }

    #[test]
    fn only_names_that_nobody_can_lead_elsewhere_are_taken() {
        let (local, url) = ("127.0.0.1:9901", Some("https://console.example.com"));
        check(local, None, "127.0.0.1:9901", Some("http://127.0.0.1:9901"));
        check(local, None, "LOCALHOST:9901", Some("http://localhost:9901"));
        // By a tunnel.
        check(local, None, "localhost:18080", Some("http://localhost:18080"));
        check(local, None, "[::1]:9901", Some("http://[::1]:9901"));
        for host in [
            "evil.example",
            "evil.example:9901",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:9901",
            "127.0.0.1@evil.example",
            "localhost@127.0.0.1",
            "",
            "a b",
            "console.example.com",
        ] {
            check(local, None, host, None);
        }
        check("0.0.0.0:9901", None, "10.0.0.1:9901", Some("http://10.0.0.1:9901"));
        check("0.0.0.0:9901", None, "gateway.example:9901", None);
        check("10.0.0.1:9901", None, "10.0.0.1:9901", Some("http://10.0.0.1:9901"));
        check("10.0.0.1:9901", None, "10.0.0.2:9901", None);
        check(local, url, "console.example.com", url);
        check(local, url, "Console.Example.com", url);
        // As a proxy before it may say.
        check(local, url, "127.0.0.1:9901", url);
        check(local, url, "evil.example", None);
        check(local, url, "console.example.com:444", None);
        let twice = headers(&[("host", "localhost"), ("host", "localhost")]);
        let twice = twice.iter().fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name.clone(), value.clone());
            all.append(name.clone(), value.clone());
            all
        });
        assert_eq!(Place::of(&admin(local, None), &twice), None);
        assert_eq!(Place::of(&admin(local, None), &HeaderMap::new()), None);
    }

    #[test]
    fn a_form_says_that_it_is_the_consoles_own_and_nothing_else() {
        let place = Place::of(&admin("127.0.0.1:9901", None), &headers(&[("host", "127.0.0.1:9901")])).unwrap();
        for (list, expected) in [
            (&[("origin", "http://127.0.0.1:9901")][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("origin", "http://127.0.0.1:9901"), ("sec-fetch-site", "same-origin")], true),
            (&[], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://127.0.0.1:9901")], false),
            (&[("origin", "http://127.0.0.1:9902")], false),
            (&[("origin", "http://localhost:9901")], false),
            (&[("origin", "http://127.0.0.1:9901"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "http://127.0.0.1:9901"), ("sec-fetch-site", "same-site")], false),
            (&[("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")], false),
            (&[("sec-fetch-site", "none")], false),
        ] {
            assert_eq!(place.sent(&headers(list)), expected, "{list:?}");
        }
        let mut twice = headers(&[("origin", "http://127.0.0.1:9901")]);
        twice.append(header::ORIGIN, "http://evil.example".parse().unwrap());
        assert!(!place.sent(&twice));
    }
}
