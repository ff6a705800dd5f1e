//! The issuers against providers on real sockets and files that change.

mod answers;
mod binding;
mod cache;
mod confirmation;
mod credentials;
mod discovery;
mod files;
mod introspection;
mod keys;
mod provider;
mod revoking;
mod settings;
mod tls;

use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::provider::{Provider, Says};
use super::keys::HeldKeys;
use super::pace::Pace;
use super::{Authenticated, IssuerSet, Issuers, Moment, Presented};
use crate::config::{self, Introspection, KeySource, Settings};
use crate::policy::{
    ApiName, ApiSpec, BasePath, Denial, Policy, PolicySpec, Reach, ScopeName, ScopeSpec, TokenFault, UnixTime,
    UpstreamId,
};
use crate::record::Metrics;
use crate::token::samples::{ISSUER, KEYS, NOW, Signer, claims, rules, with};
use crate::token::{Credential, IssuerRules, Scheme};

/// Longer than anything takes; whatever takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// Issuers, their current set, and a policy to judge by.
struct World {
    metrics: Arc<Metrics>,
    issuers: Arc<Issuers>,
    settings: Settings,
    set: IssuerSet,
    policy: Policy,
}

/// A key with a name.
struct Key {
    kid: &'static str,
    signer: Signer,
}

/// Issuers that look and fetch so often that no test waits long.
fn quick() -> Pace {
    let short = Duration::from_millis(20);
    Pace {
        look: short,
        shortest_life: short,
        longest_life: short,
        first_backoff: short,
        backoff_without_keys: short,
        backoff_with_keys: short,
        ..Pace::default()
    }
}

/// Issuers that fetch only at the start and when asked.
fn unhurried() -> Pace {
    Pace::default()
}

impl World {
    fn new(pace: Pace, issuers: Vec<config::Issuer>) -> Self {
        Self::of(pace, 64 * 1024 * 1024, settings(issuers))
    }

    fn of(pace: Pace, cache: usize, settings: Settings) -> Self {
        let metrics = Metrics::new().unwrap();
        let issuers = Issuers::paced(Arc::clone(&metrics), tokio::runtime::Handle::current(), pace, cache);
        let set = issuers.adopt(&settings);
        Self { metrics, issuers, settings, set, policy: policy(&["read", "write"]) }
    }

    /// Whose keys are there.
    async fn ready(pace: Pace, issuers: Vec<config::Issuer>) -> Self {
        let world = Self::new(pace, issuers);
        eventually("ready", async || world.set.are_ready()).await;
        world
    }

    async fn ask(&self, token: &str) -> Result<Arc<Authenticated>, Denial> {
        self.ask_at(token, NOW).await
    }

    /// When so much time has passed as the clock says.
    async fn ask_at(&self, token: &str, now: UnixTime) -> Result<Arc<Authenticated>, Denial> {
        self.set.authenticate(&bearer(token), &self.policy, 1, moment(now)).await
    }

    /// The value of a metric that is there.
    fn metric<T: FromStr<Err: Debug>>(&self, series: &str) -> T {
        let text = self.metrics.render().unwrap();
        let value =
            text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("{series}: {text}"));
        value.trim().parse().unwrap()
    }

    fn held(&self) -> &HeldKeys {
        self.set.states[0].keys.as_ref().unwrap().held()
    }

    /// Returns when a fetch that begins from now on has ended; whether it was good.
    async fn fetched(&self) -> bool {
        let attempts = &self.held().attempts;
        attempts.end_of(attempts.ask()).await
    }
}

/// By two clocks that agree.
fn moment(time: UnixTime) -> Moment {
    clocks(time, time.0.saturating_sub(NOW.0))
}

/// What the two clocks say: the time, and how many seconds have passed.
fn clocks(time: UnixTime, passed: u64) -> Moment {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Moment { time, instant: *START + Duration::from_secs(passed) }
}

#[track_caller]
fn refused(answer: Result<Arc<Authenticated>, Denial>, fault: TokenFault) {
    assert_eq!(answer.map(|found| found.caller.clone()), Err(Denial::Token(fault)));
}

#[track_caller]
fn unavailable(answer: Result<Arc<Authenticated>, Denial>) {
    assert_eq!(answer.map(|found| found.caller.clone()), Err(Denial::IssuerUnavailable));
}

/// Asks again and again until it is so; for what no event tells of.
async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    in_time(what, asking).await;
}

/// Whether a provider that answered nobody who connected is noticed soon enough once it has come up:
/// at once, and right after the second packet of an attempt was lost, of the first and of later ones.
async fn check_noticed(start: impl AsyncFn() -> (Provider, Arc<World>, String)) {
    let mut trials = JoinSet::new();
    for up_after in [10, 1100, 1500, 3400, 3600, 5200] {
        let (mut provider, world, token) = start().await;
        trials.spawn(async move {
            tokio::time::sleep(Duration::from_millis(up_after)).await;
            assert_eq!(provider.asked(), 0);
            provider.run().await;
            let up = Instant::now();
            let asking = async {
                while world.ask(&token).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            in_time("a good answer", asking).await;
            (up_after, up.elapsed())
        });
    }
    for (up_after, noticed) in trials.join_all().await {
        println!("up after {up_after} ms, noticed {noticed:?} later");
        assert!(noticed < Duration::from_secs(2), "{up_after}: {noticed:?}");
    }
}

async fn in_time<T>(what: &str, happening: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happening).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

fn bearer(token: &str) -> Presented<'_> {
    let credential = Credential { scheme: Scheme::Bearer, token };
    Presented { credential, certificate: None, proof: None, method: "GET", url: "https://api.example.com/x" }
}

impl Key {
    fn new(kid: &'static str) -> Self {
        let signing = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        Self { kid, signer: Signer::P256(aws_lc_rs::signature::EcdsaKeyPair::generate(signing).unwrap()) }
    }

    fn token(&self, members: &Value) -> String {
        self.token_of_kid(self.kid, members)
    }

    fn token_of_kid(&self, kid: &str, members: &Value) -> String {
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid });
        self.signer.token(Algorithm::ES256, &header.to_string(), &with(claims(), members).to_string())
    }
}

fn jwks(keys: &[&Key]) -> Vec<u8> {
    let keys: Vec<_> = keys.iter().map(|key| with(key.signer.jwk(), &json!({ "kid": key.kid }))).collect();
    json!({ "keys": keys }).to_string().into()
}

fn with_keys_at(url: String) -> config::Issuer {
    of_source(KeySource::Url(url.into()))
}

fn of_source(source: KeySource) -> config::Issuer {
    config::Issuer {
        rules: Arc::new(rules()),
        keys: Some(source),
        stale_keys_for: Duration::from_secs(24 * 60 * 60),
        refetch_interval: Duration::from_secs(10),
        ca_file: None,
        introspection: None,
    }
}

/// One that is asked about its tokens and publishes no keys.
fn asked_by(introspection: Introspection) -> config::Issuer {
    config::Issuer { keys: None, introspection: Some(introspection), ..of_source(KeySource::Discover) }
}

fn policy(scopes: &[&str]) -> Policy {
    let scope = |name: &&str| ScopeSpec::new(ScopeName::parse(name).unwrap(), Reach::Own);
    let api = ApiSpec {
        scopes: scopes.iter().map(scope).collect(),
        ..ApiSpec::new(ApiName::parse("api").unwrap(), BasePath::parse("/api").unwrap(), UpstreamId(0))
    };
    Policy::compile(PolicySpec { apis: vec![api], ..PolicySpec::default() }).unwrap()
}

fn settings(issuers: Vec<config::Issuer>) -> Settings {
    Settings { issuers, ..Settings::bare() }
}
