//! Exchanges that go on after their answer has begun, and that end when what lets them through does.
//!
//! A `WebSocket` and a stream of server-sent events can outlive the token that they were asked for with.
//! Each is judged again twice a second, as if it were asked for anew: by the generation in force, with
//! what is known of its token now. What bound the token was shown at its start, by whoever still holds
//! the connection. Other answers have an end of their own, and are not cut: a download that began is one
//! permitted request. How a connection ends is `farewell`'s.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use parking_lot::Mutex;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType};
use tokio::task::AbortHandle;

use super::forward::Forward;
use super::generation::Gateway;
use super::inbound::Peer;
use super::judge::{Asked, Findings, Judged, judge};
use super::known::Known;
use crate::issuer::Moment;
use crate::policy::{Certificate, Denial, Reason};

/// How far apart two looks are.
const LOOK: Duration = Duration::from_millis(500);
const EVENTS: &[u8] = b"text/event-stream";

/// How long an exchange may go on.
#[derive(Debug)]
pub(super) struct Tenure {
    pub(super) kind: Kind,
    ended: AtomicBool,
    why: OnceLock<Reason>,
    /// Who waits for the client meanwhile.
    waker: Mutex<Option<Waker>>,
}

/// What an exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Both sides say something whenever they like.
    WebSocket,
    /// The upstream does.
    Events,
    /// Of gRPC: either side or both.
    Call,
}

/// An exchange under way that is looked at, as long as this lives.
#[derive(Debug)]
pub(super) struct Watched {
    tenure: Arc<Tenure>,
    task: AbortHandle,
    /// The connection that ends with it; none where others share it.
    connection: Option<Arc<Known>>,
}

/// What an exchange was asked for with.
pub(super) struct Grounds {
    pub(super) gateway: Arc<Gateway>,
    pub(super) head: RequestHeader,
    pub(super) peer: Peer,
    pub(super) certificate: Option<Certificate>,
    /// For which the upstream takes it.
    pub(super) account: Option<HeaderValue>,
}

impl Kind {
    /// Of an answer that goes on; `None` for all others.
    pub(super) fn of(response: &ResponseHeader) -> Option<Self> {
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            return Some(Self::WebSocket);
        }
        let media_type = response.headers.get(CONTENT_TYPE)?.as_bytes();
        let (start, rest) = media_type.split_at_checked(EVENTS.len())?;
        let is_events = start.eq_ignore_ascii_case(EVENTS) && matches!(rest.first(), None | Some(b';' | b' '));
        (is_events && response.status.is_success()).then_some(Self::Events)
    }
}

impl Tenure {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, ended: AtomicBool::new(false), why: OnceLock::new(), waker: Mutex::new(None) }
    }

    /// Its end.
    pub(super) fn ended(&self) -> impl Future<Output = ()> {
        poll_fn(|context| if self.poll_ended(context) { Poll::Ready(()) } else { Poll::Pending })
    }

    /// Whether it has ended; if not, the task is woken when it does.
    pub(super) fn poll_ended(&self, context: &Context<'_>) -> bool {
        if self.has_ended() {
            return true;
        }
        let mut waker = self.waker.lock();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        drop(waker);
        self.has_ended()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Why it has ended, if it has.
    pub(super) fn why(&self) -> Option<Reason> {
        self.why.get().copied()
    }

    fn end(&self, why: Reason) {
        // Once: there is one task that looks.
        let _ = self.why.set(why);
        self.ended.store(true, Ordering::Release);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }
}

impl Watched {
    /// Looks from now on. `connection`: the one that ends with the exchange.
    pub(super) fn new(kind: Kind, grounds: Grounds, connection: Option<Arc<Known>>) -> Self {
        let tenure = Arc::new(Tenure::new(kind));
        if let Some(connection) = &connection {
            connection.watch(Some(Arc::clone(&tenure)));
        }
        let looking = Arc::clone(&tenure);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                if let Err(why) = grounds.look().await {
                    return looking.end(why);
                }
            }
        });
        Self { tenure, task: task.abort_handle(), connection }
    }

    /// Why it has ended, if it has.
    pub(super) fn why(&self) -> Option<Reason> {
        self.tenure.why()
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.tenure.has_ended()
    }

    /// How long it may go on.
    pub(super) fn tenure(&self) -> Arc<Tenure> {
        Arc::clone(&self.tenure)
    }
}

/// What an exchange comes to that has ended before its answer has.
///
/// # Errors
/// Always.
pub(super) fn ended<T>() -> pingora::Result<T> {
    Err(Error::new_down(ErrorType::ConnectionClosed))
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
        // A connection that ends must go on doing so.
        if let Some(connection) = self.connection.as_ref().filter(|_| !self.has_ended()) {
            connection.watch(None);
        }
    }
}

impl Grounds {
    /// Whether the exchange would be let through now, for the same account.
    async fn look(&self) -> Result<(), Reason> {
        let generation = self.gateway.current();
        let asked = Asked {
            generation: &generation,
            head: &self.head,
            raw_head: &[],
            peer: self.peer,
            certificate: self.certificate.as_ref(),
            now: Moment::of(SystemTime::now(), Instant::now()),
            shadow: None,
            is_under_way: true,
        };
        match judge(&asked, &mut Findings::default()).await {
            Ok(Judged::Permitted(forward)) if forward.account() == self.account.as_ref() => Ok(()),
            Ok(Judged::Permitted(_)) => Err(Reason::AccountForbidden),
            Ok(Judged::Preflight(_) | Judged::AsksForToken(_)) => Err(Reason::RouteUnknown),
            Err(denial) => Err(Denial::reason(&denial)),
        }
    }

    /// For which account an exchange was let through.
    pub(super) fn account(forward: Option<&Forward>) -> Option<HeaderValue> {
        forward.and_then(Forward::account).cloned()
    }
}
