//! Opaque tokens, and JWTs where the file says so: their issuer is asked (RFC 7662), once at a time
//! for each token.
//!
//! Good answers are put in the cache of verified tokens by who asked; bad ones are remembered here,
//! briefly. Whatever is no answer at all is [`Denial::IssuerUnavailable`], never a pass.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use quick_cache::sync::Cache;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::connections::Trust;
use super::credentials::{Credentials, NotShown, Shown};
use super::discovery::Discovered;
use super::environment::{Environment, Name};
use super::flights::{Flights, Subject, Waiting};
use super::moment::{Moment, Span};
use super::sha256::sha256;
use super::web::{Web, WebFault, shown};
use crate::config::Introspection;
use crate::policy::{Caller, Denial, TokenFault, UnixTime};
use crate::record::{IntrospectionResult, Metrics};
use crate::token::{IssuerRules, confirmed, form_encoded, introspected, is_introspection_answer};

/// The longest answer that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// Questions to one provider that are on their way at once; others wait their turn.
const AT_ONCE: usize = 64;

/// Questions that are open at once, those that wait included; what is beyond is refused.
const MOST_OPEN: usize = 4096;

/// Refusals that are remembered for one issuer.
const MOST_REFUSALS: usize = 16 * 1024;

/// Who asks one issuer about its tokens.
pub(super) struct Introspector {
    asker: Arc<Asker>,
    flights: Flights<Answer>,
}

/// What the issuer says of a token that is good.
#[derive(Debug)]
pub(super) struct Introspected {
    pub(super) caller: Caller,
    /// For how long it may be used again.
    pub(super) good_for: Span,
}

/// An answer. As long as it is kept, others who ask the same get the same.
pub(super) struct Told {
    pub(super) answer: Answer,
    _waiting: Option<Waiting<Answer>>,
}

type Answer = Result<Arc<Introspected>, Denial>;

struct Asker {
    rules: Arc<IssuerRules>,
    endpoint: Endpoint,
    cache_for: Duration,
    credentials: Credentials,
    web: Arc<Web>,
    turns: Semaphore,
    /// For how long a question may wait for its turn and its answer together.
    patience: Duration,
    /// By the token's digest, so that long tokens do not fill it: what is wrong, and for how long that
    /// need not be asked again.
    refusals: Cache<Subject, (TokenFault, Span)>,
    refusal_for: u64,
    failing: AtomicBool,
    metrics: Arc<Metrics>,
    /// As long as something may be counted under it.
    _name: Name,
}

/// Where to ask.
enum Endpoint {
    /// The file says.
    Named(Box<str>),
    /// The issuer's metadata says.
    Discovered(Discovered),
}

/// Why an issuer has not answered.
#[derive(Debug, Error)]
enum Failure {
    #[error("{0}")]
    Web(#[from] WebFault),
    #[error("the answer is no introspection response")]
    NoAnswer,
    #[error("{0}")]
    NotShown(#[from] NotShown),
    #[error("the issuer's metadata names no introspection endpoint")]
    NoEndpoint,
    #[error("no answer came in time")]
    Late,
    #[error("too many questions wait for an answer")]
    Crowded,
}

impl Introspector {
    /// Reads the client's credentials, which blocks as long as that takes. `discovered` is what the
    /// issuer says of itself, for where the file does not name the endpoint.
    pub(super) fn start(
        introspection: &Introspection,
        rules: &Arc<IssuerRules>,
        ca: Option<PathBuf>,
        discovered: Discovered,
        around: &Environment,
    ) -> Self {
        let asker = Asker {
            rules: Arc::clone(rules),
            endpoint: introspection.url.clone().map_or(Endpoint::Discovered(discovered), Endpoint::Named),
            cache_for: introspection.cache_for,
            credentials: Credentials::start(introspection, &rules.issuer, around),
            web: around.web(&Trust::of(introspection, ca)),
            turns: Semaphore::new(AT_ONCE),
            patience: around.pace.exchange,
            refusals: Cache::new(MOST_REFUSALS),
            refusal_for: around.pace.refusal_for,
            failing: AtomicBool::new(false),
            metrics: Arc::clone(&around.metrics),
            _name: around.name(&rules.issuer),
        };
        let flights = Flights::new(around.runtime.clone(), MOST_OPEN, around.pace.linger);
        Self { asker: Arc::new(asker), flights }
    }

    /// What the issuer says of the token, or leaves of what a JWT was `verified` to say.
    pub(super) async fn ask(&self, token: &str, verified: Option<&Caller>, now: Moment) -> Told {
        let subject = sha256(token.as_bytes());
        if let Some((fault, span)) = self.asker.refusals.get(&subject)
            && span.lasts_by_the_same_clock(now)
        {
            return Told { answer: Err(fault.into()), _waiting: None };
        }
        // Refusals are remembered above, and a failure is for those who waited for it.
        let is_old = |answer: &Answer| !answer.as_ref().is_ok_and(|told| told.good_for.lasts(now));
        let waiting = self.flights.join(subject, is_old, || {
            let (asker, token, verified) = (Arc::clone(&self.asker), Box::from(token), verified.cloned());
            async move { asker.ask(subject, token, verified, now).await }
        });
        let Some(mut waiting) = waiting else {
            self.asker.tell(Err(&Failure::Crowded));
            return Told { answer: Err(Denial::IssuerUnavailable), _waiting: None };
        };
        let answer = waiting.answer().await.unwrap_or(Err(Denial::IssuerUnavailable));
        Told { answer, _waiting: Some(waiting) }
    }
}

impl Asker {
    async fn ask(self: Arc<Self>, subject: Subject, token: Box<str>, verified: Option<Caller>, now: Moment) -> Answer {
        let body = match tokio::time::timeout(self.patience, self.exchange(&token)).await {
            Ok(exchanged) => exchanged,
            Err(_) => Err(Failure::Late),
        };
        self.tell(body.as_ref().map(|_| ()));
        let Ok(body) = body else { return Err(Denial::IssuerUnavailable) };
        let told = match &verified {
            Some(verified) => confirmed(&body, verified, &self.rules, now.time),
            None => introspected(&body, &self.rules, now.time),
        };
        self.count(match &told {
            Ok(_) => IntrospectionResult::Active,
            Err(TokenFault::Revoked) => IntrospectionResult::Inactive,
            Err(_) => IntrospectionResult::Rejected,
        });
        match told {
            Ok(caller) => {
                let cached = UnixTime(now.time.0.saturating_add(self.cache_for.as_secs()));
                let good_for = Span::new(now, cached.min(caller.expires_at));
                Ok(Arc::new(Introspected { caller, good_for }))
            }
            Err(fault) => {
                self.refusals.insert(subject, (fault, Span::of(now, self.refusal_for)));
                Err(fault.into())
            }
        }
    }

    /// RFC 7662 section 2.1.
    async fn exchange(&self, token: &str) -> Result<Vec<u8>, Failure> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| Failure::Crowded)?;
        let url = self.endpoint.url(self.credentials.are_a_certificate()).ok_or(Failure::NoEndpoint)?;
        // Now, and not before the turn came: an assertion does not last.
        let Shown { authorization, parameters } = self.credentials.show()?;
        let form = format!("token={}&token_type_hint=access_token{parameters}", form_encoded(token.as_bytes()));
        let answer = self.web.ask(&url, LONGEST, |client| {
            let question = client
                .post(&*url)
                .header(ACCEPT, "application/json")
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form);
            match authorization {
                Some(value) => question.header(AUTHORIZATION, value),
                None => question,
            }
        });
        let body = answer.await?.body;
        if is_introspection_answer(&body) { Ok(body) } else { Err(Failure::NoAnswer) }
    }

    fn count(&self, result: IntrospectionResult) {
        self.metrics.introspection(&self.rules.issuer, result);
    }

    /// Counts a failure. Logs the first of a row, and its end.
    fn tell(&self, asked: Result<(), &Failure>) {
        if let Err(failure) = asked {
            self.count(failure.result());
        }
        let failed = asked.is_err();
        let failing = self.failing.swap(failed, Ordering::Relaxed);
        let issuer = &self.rules.issuer;
        let url = || self.endpoint.url(self.credentials.are_a_certificate()).map(|url| shown(&url));
        match asked {
            Err(failure) if !failing => {
                tracing::warn!(%issuer, url = url(), %failure, "the issuer cannot be asked about tokens");
            }
            Ok(()) if failing => {
                tracing::info!(%issuer, url = url(), "the issuer can be asked about tokens again");
            }
            Err(_) | Ok(()) => {}
        }
    }
}

impl Endpoint {
    /// Where to ask; a client that shows a certificate may have to ask elsewhere (RFC 8705 section 5).
    fn url(&self, shows_certificate: bool) -> Option<Box<str>> {
        match self {
            Self::Named(url) => Some(url.clone()),
            Self::Discovered(discovered) => {
                let metadata = discovered.load();
                let metadata = metadata.as_deref()?;
                let other = metadata.introspection_endpoint_for_certificates.as_ref().filter(|_| shows_certificate);
                other.or(metadata.introspection_endpoint.as_ref()).cloned()
            }
        }
    }
}

impl Failure {
    fn result(&self) -> IntrospectionResult {
        match self {
            Self::Web(WebFault::Unreachable(_)) | Self::Late => IntrospectionResult::Unreachable,
            Self::Web(WebFault::Status(_)) => IntrospectionResult::BadStatus,
            Self::Web(WebFault::TooLong(_)) | Self::NoAnswer => IntrospectionResult::BadAnswer,
            Self::Web(WebFault::Unprepared) | Self::NotShown(_) | Self::NoEndpoint | Self::Crowded => {
                IntrospectionResult::NotAsked
            }
        }
    }
}
