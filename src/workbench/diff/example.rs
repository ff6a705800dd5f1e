//! A request and its caller written down, which one policy lets through and another does not.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::cases::Stand;
use crate::policy::{
    Account, AccountSource, Caller, Certificate, CertificateRule, Identity, MethodSet, Policy, Reason, Request, Target,
};

/// A request and its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Its method.
    pub method: String,
    /// Its `Host`.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// Other headers.
    pub headers: Vec<(String, String)>,
    /// Whose it is; `None`: it has no token.
    pub bearer: Option<Bearer>,
}

/// What a token says, and the certificate that is shown with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bearer {
    /// The client id.
    pub client: Option<String>,
    /// The accounts.
    pub accounts: Vec<String>,
    /// The scopes.
    pub scopes: Vec<String>,
    /// The TLS client certificate.
    pub certificate: Option<Certificate>,
}

/// What a policy answers to an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Allowed,
    /// It may not.
    Denied(Reason),
}

impl Example {
    /// The request that a stand describes.
    pub(super) fn new(stand: &Stand, host: &str, methods: MethodSet, bearer: Option<Bearer>) -> Self {
        let (mut target, mut headers) = (stand.sample.path(), Vec::new());
        for (source, value) in &stand.sent {
            match source {
                AccountSource::Path(_) => {}
                AccountSource::Query(name) => {
                    let joint = if target.contains('?') { '&' } else { '?' };
                    target = format!("{target}{joint}{name}={}", super::classes::as_query(value));
                }
                AccountSource::Header(name) => headers.push((name.as_str().to_owned(), value.clone())),
            }
        }
        let method = methods.names().next().unwrap_or("BREW").to_owned();
        Self { method, host: host.to_owned(), target, headers, bearer }
    }

    /// The same from a browser.
    pub(super) fn by_browser(mut self) -> Self {
        self.headers.push(("origin".to_owned(), "https://page.example".to_owned()));
        self
    }

    /// What the policy answers; `None` if it could mean several things, and so is never judged.
    #[must_use]
    pub fn verdict(&self, policy: &Policy) -> Option<Verdict> {
        let target = Target::parse(self.target.as_bytes()).ok()?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?);
        }
        let method = MethodSet::of_request(&self.method);
        let request = Request { method, target: &target, host: &self.host, headers: &headers };
        if policy.find_token_endpoint(&request).is_some() {
            return None;
        }
        let route = policy.find(request).ok()?;
        let standing = self.bearer.as_ref().map(|bearer| policy.standing(&bearer.caller()));
        let certificate = self.bearer.as_ref().and_then(|bearer| bearer.certificate.as_ref());
        let identity = match &standing {
            Some(standing) => Identity::Known { standing, certificate },
            None => Identity::Absent,
        };
        Some(match policy.enforce(&route, identity) {
            Ok(_) => Verdict::Allowed,
            Err(denial) => Verdict::Denied(denial.reason()),
        })
    }

    /// Whether `to` lets it through and `from` does not.
    pub(super) fn tells(&self, from: &Policy, to: &Policy) -> bool {
        self.verdict(to) == Some(Verdict::Allowed) && matches!(self.verdict(from), Some(Verdict::Denied(_)))
    }
}

impl Bearer {
    fn caller(&self) -> Caller {
        Caller {
            client: self.client.as_deref().map(Into::into),
            accounts: self.accounts.iter().filter_map(|account| Account::parse(account)).collect(),
            scopes: self.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            ..Caller::supposed("")
        }
    }
}

/// A certificate that does for each of the rules, if one can.
pub(super) fn certificate(rules: &[Option<&CertificateRule>]) -> Option<Certificate> {
    let mut certificate = Certificate { sha256: [0; 32], subject: "".into(), san_dns: [].into() };
    let rules: Vec<&CertificateRule> = rules.iter().copied().flatten().collect();
    for rule in rules.iter().rev() {
        match rule {
            CertificateRule::Sha256(sha256) => certificate.sha256 = *sha256,
            CertificateRule::Subject(subject) => certificate.subject = subject.clone(),
            CertificateRule::SanDns(name) => certificate.san_dns = [name.clone()].into(),
        }
    }
    (!rules.is_empty()).then_some(certificate)
}
