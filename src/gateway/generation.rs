//! The policy in force and all that is prepared from it, and how another takes its place.
//!
//! A generation is immutable: a request takes one at its start and is judged, answered, forwarded and
//! recorded by it. Reading the file is `reload`'s.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use thiserror::Error;

use super::challenge::Challenges;
use super::cors::Cors;
use super::guard::{self, StillCarried};
use super::load::Loads;
use super::metadata::Metadata;
use super::onward::AllTls;
use super::outbound::Outbound;
use super::rates::{Buckets, RateLimits};
use super::refusals::Refusals;
use super::shadow::Shadows;
use super::upstream::Upstreams;
use crate::config::{Configuration, Settings};
use crate::issuer::{IssuerSet, Issuers};
use crate::policy::Policy;
use crate::record::{AuditSink, Labels, Metrics, steady_now};
use crate::spans::{Exports, Spans};

/// What `DPoP` proofs may be signed with, as challenges and metadata list it.
const PROOF_ALGORITHMS: &str = "ES256 ES384 EdDSA PS256 PS384 PS512 RS256 RS384 RS512";

/// A policy in force, with all that is prepared from it.
#[derive(Debug)]
pub struct Generation {
    /// Counted from 1 since the start of the process.
    pub number: u64,
    /// Of the text of its file.
    pub sha256: [u8; 32],
    /// When it was taken into use.
    pub loaded_at: SystemTime,
    /// What decides.
    pub policy: Policy,
    /// What decides nothing.
    pub settings: Settings,
    /// Who says whether a token is good.
    pub issuers: IssuerSet,
    /// Its series.
    pub labels: Labels,
    pub(super) refusals: Refusals,
    pub(super) outbound: Outbound,
    pub(super) metadata: Option<Metadata>,
    pub(super) cors: Option<Box<Cors>>,
    pub(super) upstreams: Upstreams,
    /// `None`: there are none.
    pub(super) rates: Option<Box<RateLimits>>,
    /// Where spans of its requests go, if anywhere.
    pub(super) spans: Option<Arc<Spans>>,
}

/// The gateway of this process: the generation in force, and what outlives generations.
#[derive(Debug)]
pub struct Gateway {
    current: ArcSwap<Generation>,
    /// Out of force, and kept until no request has them: dropping a large policy takes time that
    /// no request should spend.
    retired: Mutex<Vec<Arc<Generation>>>,
    /// The last that were put in force, the newest last.
    past: Mutex<VecDeque<PutInForce>>,
    issuers: Arc<Issuers>,
    metrics: Arc<Metrics>,
    audit: AuditSink,
    in_flight: AtomicUsize,
    loads: Loads,
    buckets: Buckets,
    server_tls: AllTls,
    shadows: Shadows,
    exports: Exports,
}

/// What outlives generations, as one is made of it.
#[derive(Clone, Copy)]
struct Lasting<'g> {
    issuers: &'g Arc<Issuers>,
    metrics: &'g Arc<Metrics>,
    loads: &'g Loads,
    buckets: &'g Buckets,
    exports: &'g Exports,
    server_tls: &'g AllTls,
}

/// That a generation was put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutInForce {
    /// Its number.
    pub generation: u64,
    /// SHA-256 of the text of its file.
    pub sha256: [u8; 32],
    /// When.
    pub at: SystemTime,
}

/// Generations that are remembered.
const MOST_PAST: usize = 100;

/// What became of a configuration that was to replace the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It is in force, under this number.
    By(u64),
    /// It is the text in force.
    Unchanged,
}

/// Why a configuration does not replace the one in force.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotReplaced {
    /// It differs in what is fixed while the process runs.
    #[error(transparent)]
    NeedsRestart(#[from] NeedsRestart),
    /// It has `removal_guard: true` and lacks scopes that are in use.
    #[error(transparent)]
    StillCarried(#[from] StillCarried),
}

/// Keys that cannot change while the process runs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} cannot change while the gateway runs; restart it to take the change into use", .keys.join(", "))]
pub struct NeedsRestart {
    /// As the file names them, in backticks; never empty.
    pub keys: Vec<&'static str>,
}

impl Gateway {
    /// A gateway whose first generation is `configuration`. Names are resolved and files read: it
    /// blocks as long as that takes.
    #[must_use]
    pub fn new(configuration: Configuration, issuers: Arc<Issuers>, metrics: Arc<Metrics>, audit: AuditSink) -> Self {
        let (loads, buckets, exports) = (Loads::default(), Buckets::default(), Exports::default());
        let server_tls = AllTls::default();
        let lasting = Lasting {
            issuers: &issuers,
            metrics: &metrics,
            loads: &loads,
            buckets: &buckets,
            exports: &exports,
            server_tls: &server_tls,
        };
        let first = Generation::new(1, configuration, lasting, None);
        first.announce(&metrics);
        let past = Mutex::new(VecDeque::from([first.put_in_force()]));
        Self {
            current: ArcSwap::from_pointee(first),
            retired: Mutex::default(),
            past,
            issuers,
            metrics,
            audit,
            in_flight: AtomicUsize::new(0),
            loads,
            buckets,
            server_tls,
            shadows: Shadows::default(),
            exports,
        }
    }

    /// The generation in force.
    pub fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// The last generations that were put in force, the newest last.
    pub fn past(&self) -> Vec<PutInForce> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// The process's metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Where audit lines go.
    pub fn audit(&self) -> &AuditSink {
        &self.audit
    }

    /// Puts another configuration in force, whole or not at all. Names are resolved and files read:
    /// it blocks as long as that takes, and requests go on meanwhile.
    ///
    /// # Errors
    /// If it differs in what is fixed while the process runs, or its removal guard refuses it.
    pub fn replace(&self, configuration: Configuration) -> Result<Replaced, NotReplaced> {
        // Held to the end, so that one replaces after another.
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current();
        if configuration.sha256 == current.sha256 {
            return Ok(Replaced::Unchanged);
        }
        self.check(&current, &configuration)?;
        let Self { issuers, metrics, loads, buckets, exports, server_tls, .. } = self;
        let lasting = Lasting { issuers, metrics, loads, buckets, exports, server_tls };
        let next = Generation::new(current.number + 1, configuration, lasting, Some(&current.upstreams));
        let number = next.number;
        next.announce(&self.metrics);
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.push_back(next.put_in_force());
        if past.len() > MOST_PAST {
            past.pop_front();
        }
        drop(past);
        retired.retain(is_used);
        retired.push(self.current.swap(Arc::new(next)));
        Ok(Replaced::By(number))
    }

    /// Whether a configuration could replace the one in force, and is another.
    ///
    /// # Errors
    /// Why [`Gateway::replace`] would refuse it now.
    pub fn could_replace(&self, configuration: &Configuration) -> Result<(), NotReplaced> {
        self.check(&self.current(), configuration)
    }

    /// The scopes that `next` lacks and an unexpired token that was seen carries, whatever the removal
    /// guard says.
    ///
    /// # Errors
    /// If there are any.
    pub fn check_removed(&self, next: &Policy) -> Result<(), StillCarried> {
        guard::check(&self.current(), next, &self.metrics, steady_now())
    }

    fn check(&self, current: &Generation, configuration: &Configuration) -> Result<(), NotReplaced> {
        check_fixed(&current.settings, &configuration.settings)?;
        if configuration.settings.removal_guard {
            guard::check(current, &configuration.policy, &self.metrics, steady_now())?;
        }
        Ok(())
    }

    /// What is to be done now and then: drops generations that no request has any more, and begins to resolve the
    /// names of servers again. It blocks as long as the first takes.
    pub fn tend(&self) {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).retain(is_used);
        self.shadows.tend();
        self.buckets.tend(&self.metrics);
        self.current().upstreams.tend();
    }

    /// Has the spans that wait sent, for as long as that may take. There are no more after that.
    pub fn end_spans(&self, patience: Duration) {
        self.exports.end(patience);
    }

    /// Lets idle connections to servers go.
    pub(super) fn tend_connections(&self) {
        self.current().upstreams.tend_connections();
    }

    /// The TLS towards all servers.
    pub(super) fn server_tls(&self) -> &AllTls {
        &self.server_tls
    }

    /// Has servers checked and brings back those that were ejected, where it is time. To be called again and
    /// again, within a runtime.
    pub(super) fn watch_upstreams(&self, now: Instant) {
        self.current().upstreams.watch(now);
    }

    /// How many requests are between their head and the end of their answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(super) fn shadows(&self) -> &Shadows {
        &self.shadows
    }

    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Generation {
    fn put_in_force(&self) -> PutInForce {
        PutInForce { generation: self.number, sha256: self.sha256, at: self.loaded_at }
    }

    fn new(number: u64, configuration: Configuration, lasting: Lasting<'_>, before: Option<&Upstreams>) -> Self {
        let Configuration { policy, settings, sha256 } = configuration;
        let Lasting { issuers, metrics, loads, buckets, exports, server_tls } = lasting;
        let (metadata, challenges) = told(&settings, &policy);
        let rates = RateLimits::new(&policy, &settings, metrics, buckets);
        let issuers = issuers.adopt(&settings);
        if let (Some(rates), Some(fleet)) = (&rates, issuers.fleet()) {
            rates.share(fleet);
        }
        Self {
            number,
            sha256,
            loaded_at: SystemTime::now(),
            refusals: Refusals::new(challenges, &policy),
            outbound: Outbound::new(&settings, &policy),
            upstreams: Upstreams::new(&settings, loads.adopt(&settings.upstreams, metrics), server_tls, before),
            issuers,
            labels: Labels::new(metrics, &policy),
            cors: Cors::new(&settings, &policy),
            rates,
            metadata,
            spans: exports.adopt(settings.tracing.as_ref(), metrics.spans()),
            policy,
            settings,
        }
    }
}

/// What a policy tells clients: where its tokens come from, and how to present them.
pub(super) fn told(settings: &Settings, policy: &Policy) -> (Option<Metadata>, Challenges) {
    let takes_proofs = settings.issuers.iter().any(|issuer| issuer.rules.dpop.is_some());
    let proof_algorithms = takes_proofs.then_some(PROOF_ALGORITHMS);
    let metadata = settings.resource_metadata.as_ref();
    let metadata = metadata.map(|resource| Metadata::new(resource, settings, policy, proof_algorithms));
    let challenges = Challenges::new(metadata.as_ref().map(Metadata::url), proof_algorithms);
    (metadata, challenges)
}

impl Generation {
    /// Says that it is in force, and never without saying so what it lets through.
    fn announce(&self, metrics: &Metrics) {
        metrics.policy_generation(self.number, self.policy.reporting_apis().count());
        for api in self.policy.reporting_apis() {
            tracing::warn!(
                api = api.name.as_str(),
                "`mode: report_only`: what this api refuses is let through and recorded"
            );
        }
    }

    /// Whether clients know the gateway under this host, as far as the file says it: where there is no
    /// resource's metadata, they may under any.
    pub(super) fn is_known_as(&self, host: &str) -> bool {
        is_known_as(self.metadata.as_ref(), &self.policy, host)
    }
}

/// Whether clients know the gateway of this metadata and policy under a host.
pub(super) fn is_known_as(metadata: Option<&Metadata>, policy: &Policy, host: &str) -> bool {
    metadata.is_none_or(|metadata| metadata.is_host(host)) || policy.apis().iter().any(|api| api.names_host(host))
}

/// Whether a request still has it.
fn is_used(retired: &Arc<Generation>) -> bool {
    Arc::strong_count(retired) > 1
}

fn check_fixed(running: &Settings, wanted: &Settings) -> Result<(), NeedsRestart> {
    let admin = |settings: &Settings| settings.admin.as_ref().map(|admin| admin.address);
    let fixed = [
        ("`threads`", running.threads == wanted.threads),
        ("`listeners`", running.listeners == wanted.listeners),
        ("`admin`", admin(running) == admin(wanted)),
        ("`audit`", running.audit == wanted.audit),
    ];
    let keys: Vec<_> = fixed.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect();
    if keys.is_empty() { Ok(()) } else { Err(NeedsRestart { keys }) }
}
