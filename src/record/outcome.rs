//! What became of one request.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::{AuditSink, Labels};
use crate::policy::{Account, AccountSource, ApiId, Certificate, Policy, Reason, ScopeId, ScopeSet};

/// What became of one request: all that metrics and the audit line say of it.
#[derive(Debug, Clone)]
pub struct Outcome<'a> {
    /// When the decision was made.
    pub time: SystemTime,
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// The generation that decided.
    pub generation: u64,
    /// The api, where one was found.
    pub api: Option<ApiId>,
    /// Why; it also says whether the request was allowed.
    pub reason: Reason,
    /// Why it would be refused, where its api only reports.
    pub reported: Option<Reason>,
    /// Of a token that was good.
    pub issuer: Option<&'a str>,
    /// Of a token that was good; of a request for a token, the listed one that it names.
    pub client: Option<&'a str>,
    /// Of a token that was good.
    pub subject: Option<&'a str>,
    /// The account that the request asked for.
    pub account: Option<Cow<'a, str>>,
    /// The scopes and privileges held; `None` without a good token.
    pub scopes: Option<HeldScopes<'a>>,
    /// The client's place in the list of clients, where it is on it.
    pub client_place: Option<u32>,
    /// The scope or privilege that granted.
    pub granted_by: Option<&'a str>,
    /// The same, by its number.
    pub granting: Option<ScopeId>,
    /// The scopes for want of which the request was refused: all, or one of them, would have done.
    pub wanted: &'a [ScopeId],
    /// The service that matched, as the file writes it.
    pub service: Option<&'a str>,
    /// As sent.
    pub method: &'a str,
    /// As sent, without its query; what is not UTF-8 replaced.
    pub path: &'a str,
    /// Of the answer that the client got; 0 where it got none.
    pub status: u16,
    /// Why an exchange that had begun was ended.
    pub ended: Option<Reason>,
    /// The rate limit that it went beyond.
    pub rate_limit: Option<&'a str>,
    /// What failed between here and the upstream.
    pub upstream_error: Option<&'static str>,
    /// From the request's head to the decision, without waiting for an issuer.
    pub decision_time: Duration,
    /// From the request's head to the end of the answer.
    pub request_time: Duration,
    /// Which data plane asked, where one did.
    pub asked_by: Option<AskedBy>,
    /// What the decision looked at besides, so that another policy can judge the request again.
    pub seen: Seen<'a>,
}

/// A data plane that asked about a request of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedBy {
    /// Its kind, as the file has it.
    pub plane: &'static str,
    /// Its address.
    pub peer: Option<IpAddr>,
}

/// What a decision looks at beside what else is told of it.
#[derive(Debug, Clone, Default)]
pub struct Seen<'a> {
    /// The api's name, where one was found.
    pub api: Option<&'a str>,
    /// Where that api's requests name their account.
    pub account_sources: &'a [AccountSource],
    /// Whether the account was written in, the request naming none.
    pub injected: bool,
    /// The `Host`, as sent.
    pub host: Option<&'a str>,
    /// Whether a browser sent it.
    pub browser: bool,
    /// The scopes that the token carries, of whatever policy.
    pub token_scopes: Option<&'a [Box<str>]>,
    /// The accounts that the token names.
    pub token_accounts: Option<&'a [Account]>,
    /// The client's TLS certificate, if it was looked at.
    pub certificate: Option<&'a Certificate>,
}

/// The scopes that a caller holds, in the words of the policy that gave them their numbers.
#[derive(Debug, Clone, Copy)]
pub struct HeldScopes<'a> {
    /// Whose numbering it is.
    pub policy: &'a Policy,
    /// The scopes and privileges.
    pub held: &'a ScopeSet,
}

impl<'a> HeldScopes<'a> {
    /// Their names, in the order of the file.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.held.iter().filter_map(move |id| self.policy.scope(id)).map(|scope| scope.name.as_str())
    }
}

/// Tells metrics and audit of a request; once a request, and it never blocks.
pub fn record(outcome: &Outcome<'_>, labels: &Labels, audit: &AuditSink) {
    labels.count(outcome);
    audit.write(outcome);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::policy::{ApiName, ApiSpec, BasePath, PolicySpec, Reach, ScopeName, ScopeSpec, UpstreamId};

    fn scope(name: &str) -> ScopeSpec {
        ScopeSpec::new(ScopeName::parse(name).unwrap(), Reach::Any)
    }

    pub(crate) fn policy_of(apis: &[&str]) -> Policy {
        Policy::compile(spec_of(apis)).unwrap()
    }

    /// Apis of these names, each with the scopes `NAME.read` and `NAME.write`.
    pub(crate) fn spec_of(apis: &[&str]) -> PolicySpec {
        let api = |name: &&str| ApiSpec {
            scopes: vec![scope(&format!("{name}.read")), scope(&format!("{name}.write"))],
            ..ApiSpec::new(ApiName::parse(name).unwrap(), BasePath::default(), UpstreamId(0))
        };
        PolicySpec { apis: apis.iter().map(api).collect(), ..PolicySpec::default() }
    }

    pub(crate) fn policy() -> Policy {
        policy_of(&["orders"])
    }

    /// Of a request that was allowed, with everything there is to say.
    pub(crate) fn outcome(policy: &Policy) -> Outcome<'_> {
        Outcome {
            time: SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789),
            request_id: "b3c1",
            generation: 7,
            api: Some(ApiId(0)),
            reason: Reason::Granted,
            reported: None,
            issuer: Some("https://login.example.com"),
            client: Some("acme-integration"),
            subject: Some("s-1"),
            account: Some(Cow::Borrowed("acme")),
            scopes: None,
            client_place: None,
            granted_by: policy.scopes().first().map(|scope| scope.name.as_str()),
            granting: Some(ScopeId(0)),
            wanted: &[],
            service: Some("GET /orders/{account}/**"),
            method: "GET",
            path: "/orders/acme/1",
            status: 200,
            ended: None,
            rate_limit: None,
            upstream_error: None,
            decision_time: Duration::from_nanos(2_900),
            request_time: Duration::from_micros(4_321),
            asked_by: None,
            seen: Seen { api: Some("orders"), host: Some("api.example"), ..Seen::default() },
        }
    }

    #[test]
    fn one_outcome_moves_the_metrics_and_writes_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let metrics = crate::record::Metrics::new().unwrap();
        let policy = policy();
        let labels = Labels::new(&metrics, &policy);
        let (audit, guard) = AuditSink::open(Some(&path), &metrics).unwrap();
        record(&outcome(&policy), &labels, &audit);
        drop(guard);
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 1);
        let text = metrics.render().unwrap();
        let sample = "scopegate_decisions_total{api=\"orders\",decision=\"allow\",reason=\"granted\"} 1\n";
        assert!(text.contains(sample), "{text}");
    }
}
