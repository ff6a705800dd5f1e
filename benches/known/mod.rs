//! A gateway's parts around a token that was verified before: what a request finds after its first.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use harness::Signer;
use scopegate::config::{Settings, Source, compile};
use scopegate::issuer::{Authenticated, IssuerSet, Issuers, Moment, Presented};
use scopegate::policy::{ApiId, Denial, Policy, Reason, ScopeId};
use scopegate::record::{AuditGuard, AuditSink, HeldScopes, Labels, Metrics, Outcome, Seen, record};
use scopegate::token::{Credential, Scheme};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// All that such a request asks, with the token in the cache.
pub(crate) struct Known {
    policy: Policy,
    issuers: IssuerSet,
    labels: Labels,
    audit: AuditSink,
    token: String,
    now: Moment,
    caller: Option<Arc<Authenticated>>,
    /// What the others live by.
    _around: (AuditGuard, Runtime, TempDir),
}

const POLICY: &str = r#"
version: 1
listeners: [{ address: "127.0.0.1:8080" }]
upstreams: { one: { servers: ["127.0.0.1:9000"] } }
issuers:
  - issuer: https://issuer.example
    audiences: [https://api.example.com]
    keys: { file: jwks.json }
    claims: { scope: scope, account: account_id, client: client_id }
apis:
  - name: default-data
    base_path: /integration/default-data
    upstream: one
    account: { path: account }
    scopes:
      - name: scope-0
        services: ["GET /integration/default-data/{account}/**"]
"#;

impl Known {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("jwks.json"), Signer::shared().jwks().to_string()).expect("a key file");
        let source = Source { shown: "gateway.yaml", directory: folder.path(), text: POLICY };
        let configuration = compile(&source).expect("a good file");
        let (policy, settings): (Policy, Settings) = (configuration.policy, configuration.settings);
        let runtime = Runtime::new().expect("a runtime");
        let metrics = Metrics::new().expect("metrics");
        let (audit, guard) = AuditSink::open(Some(&folder.path().join("audit.jsonl")), &metrics).expect("a file");
        let mut known = Self {
            issuers: Issuers::new(Arc::clone(&metrics), runtime.handle().clone()).adopt(&settings),
            labels: Labels::new(&metrics, &policy),
            token: Signer::shared().token(json!({ "scope": "openid scope-0", "account_id": "acme" })),
            now: Moment::now(),
            caller: None,
            policy,
            audit,
            _around: (guard, runtime, folder),
        };
        known.caller = Some(known.authenticate().expect("a good token"));
        // Once more before it counts, so that what is lazily made is made.
        known.authenticate().expect("a good token");
        known.record();
        known
    }

    /// Steps 4 to 7 of the decision; with a token in the cache it does not wait.
    pub(crate) fn authenticate(&self) -> Result<Arc<Authenticated>, Denial> {
        let credential = Credential { scheme: Scheme::Bearer, token: &self.token };
        let presented = Presented { credential, certificate: None, proof: None, method: "GET", url: "" };
        let asked = pin!(self.issuers.authenticate(&presented, &self.policy, 1, self.now));
        match asked.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(found) => found,
            Poll::Pending => panic!("it waits"),
        }
    }

    /// Metrics and the audit line of an allowed request.
    pub(crate) fn record(&self) {
        let caller = self.caller.as_ref().expect("a caller");
        let outcome = Outcome {
            time: SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789),
            request_id: "0123456789abcdef0123456789abcdef",
            generation: 1,
            api: Some(ApiId(0)),
            reason: Reason::Granted,
            reported: None,
            issuer: Some(&caller.caller.issuer),
            client: caller.caller.client.as_deref(),
            subject: caller.caller.subject.as_deref(),
            account: Some("acme".into()),
            scopes: Some(HeldScopes { policy: &self.policy, held: caller.standing.held() }),
            client_place: caller.standing.client_place(),
            granted_by: Some("scope-0"),
            granting: Some(ScopeId(0)),
            wanted: &[],
            service: Some("GET /integration/default-data/{account}/**"),
            method: "GET",
            path: "/integration/default-data/acme/packets/42",
            status: 200,
            ended: None,
            rate_limit: None,
            upstream_error: None,
            decision_time: Duration::from_micros(3),
            request_time: Duration::from_micros(345),
            asked_by: None,
            seen: Seen::default(),
        };
        record(&outcome, &self.labels, &self.audit);
    }
}
