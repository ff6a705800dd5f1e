//! Opaque tokens: their issuer is asked (RFC 7662), once at a time for each token.
//!
//! Good answers are put in the cache of verified tokens by who asked; bad ones are remembered here,
//! briefly. Whatever is no answer at all is [`Denial::IssuerUnavailable`], never a pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use quick_cache::sync::Cache;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::environment::Environment;
use super::flights::{Flights, Subject, Waiting};
use super::secret::{Credentials, form_encoded};
use super::sha256::sha256;
use super::web::{Web, WebFault, shown};
use crate::config::Introspection;
use crate::policy::{Caller, Denial, TokenFault, UnixTime};
use crate::token::{IssuerRules, introspected, is_introspection_answer};

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
    /// Until when it may be used again.
    pub(super) good_until: UnixTime,
}

/// An answer. As long as it is kept, others who ask the same get the same.
pub(super) struct Told {
    pub(super) answer: Answer,
    _waiting: Option<Waiting<Answer>>,
}

type Answer = Result<Arc<Introspected>, Denial>;

struct Asker {
    rules: Arc<IssuerRules>,
    url: Box<str>,
    cache_for: Duration,
    credentials: Credentials,
    web: Arc<Web>,
    turns: Semaphore,
    /// For how long a question may wait for its turn and its answer together.
    patience: Duration,
    /// By the token's digest, so that long tokens do not fill it: what is wrong, and until when that
    /// need not be asked again.
    refusals: Cache<Subject, (TokenFault, UnixTime)>,
    refusal_for: u64,
    failing: AtomicBool,
}

/// Why an issuer has not answered.
#[derive(Debug, Error)]
enum Failure {
    #[error("{0}")]
    Web(#[from] WebFault),
    #[error("the answer is no introspection response")]
    NoAnswer,
    #[error("there is no client secret to ask with")]
    NoSecret,
    #[error("no answer came in time")]
    Late,
    #[error("too many questions wait for an answer")]
    Crowded,
}

impl Introspector {
    /// Reads the client's secret, which blocks as long as that takes.
    pub(super) fn start(introspection: &Introspection, rules: &Arc<IssuerRules>, around: &Environment) -> Self {
        let asker = Asker {
            rules: Arc::clone(rules),
            url: introspection.url.clone(),
            cache_for: introspection.cache_for,
            credentials: Credentials::start(introspection, around),
            web: Arc::clone(&around.web),
            turns: Semaphore::new(AT_ONCE),
            patience: around.pace.exchange,
            refusals: Cache::new(MOST_REFUSALS),
            refusal_for: around.pace.refusal_for,
            failing: AtomicBool::new(false),
        };
        let flights = Flights::new(around.runtime.clone(), MOST_OPEN, around.pace.linger);
        Self { asker: Arc::new(asker), flights }
    }

    /// What the issuer says of the token.
    pub(super) async fn ask(&self, token: &str, now: UnixTime) -> Told {
        let subject = sha256(token.as_bytes());
        if let Some((fault, until)) = self.asker.refusals.get(&subject)
            && now < until
        {
            return Told { answer: Err(fault.into()), _waiting: None };
        }
        // Refusals are remembered above, and a failure is for those who waited for it.
        let is_old = |answer: &Answer| !answer.as_ref().is_ok_and(|told| now < told.good_until);
        let waiting = self.flights.join(subject, is_old, || {
            let (asker, token) = (Arc::clone(&self.asker), Box::from(token));
            async move { asker.ask(subject, token, now).await }
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
    async fn ask(self: Arc<Self>, subject: Subject, token: Box<str>, now: UnixTime) -> Answer {
        let body = match tokio::time::timeout(self.patience, self.exchange(&token)).await {
            Ok(exchanged) => exchanged,
            Err(_) => Err(Failure::Late),
        };
        self.tell(body.as_ref().map(|_| ()));
        let Ok(body) = body else { return Err(Denial::IssuerUnavailable) };
        match introspected(&body, &self.rules, now) {
            Ok(caller) => {
                let cached = UnixTime(now.0.saturating_add(self.cache_for.as_secs()));
                let good_until = cached.min(caller.expires_at);
                Ok(Arc::new(Introspected { caller, good_until }))
            }
            Err(fault) => {
                self.refusals.insert(subject, (fault, UnixTime(now.0.saturating_add(self.refusal_for))));
                Err(fault.into())
            }
        }
    }

    /// RFC 7662 section 2.1.
    async fn exchange(&self, token: &str) -> Result<Vec<u8>, Failure> {
        let authorization = self.credentials.authorization().ok_or(Failure::NoSecret)?;
        let form = format!("token={}&token_type_hint=access_token", form_encoded(token.as_bytes()));
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| Failure::Crowded)?;
        let answer = self.web.ask(&self.url, LONGEST, |client| {
            client
                .post(&*self.url)
                .header(AUTHORIZATION, authorization)
                .header(ACCEPT, "application/json")
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form)
        });
        let body = answer.await?.body;
        if is_introspection_answer(&body) { Ok(body) } else { Err(Failure::NoAnswer) }
    }

    /// Logs the first failure of a row, and its end.
    fn tell(&self, asked: Result<(), &Failure>) {
        let failed = asked.is_err();
        let failing = self.failing.swap(failed, Ordering::Relaxed);
        let (issuer, url) = (&self.rules.issuer, || shown(&self.url));
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
