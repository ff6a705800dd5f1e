//! The connection to the shared state: made again whenever it is lost, and given up as soon as it does not
//! answer, so that who asks is told at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};

use super::identity::{self, Found};
use super::wire::connect;
use crate::config::SharedState;
use crate::record::{Metrics, SharedFault};

/// The connection to the shared state, kept up as long as this lives.
pub struct Link {
    state: Arc<State>,
    keeper: AbortHandle,
}

struct State {
    settings: SharedState,
    metrics: Arc<Metrics>,
    current: ArcSwapOption<Current>,
    /// How many connections there were so far.
    made: AtomicU64,
}

struct Current {
    connection: MultiplexedConnection,
    driver: AbortHandle,
    /// That it is no good.
    lost: Notify,
}

/// That a question brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the shared state does not answer")]
pub struct Unanswered;

/// A question of several steps that are one: a script that the server keeps.
#[derive(Debug)]
pub struct Script(redis::Script);

/// The first wait before another connection is tried, and the longest: an outage that ends is noticed soon.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// A connection that was lost sooner is no sign that all is well again.
const STEADY: Duration = Duration::from_secs(1);

/// For a connection, with all that belongs to it.
const CONNECT: Duration = Duration::from_secs(2);

impl Link {
    pub(super) fn start(settings: &SharedState, metrics: &Arc<Metrics>, runtime: &Handle) -> Arc<Self> {
        let state = Arc::new(State {
            settings: settings.clone(),
            metrics: Arc::clone(metrics),
            current: ArcSwapOption::empty(),
            made: AtomicU64::new(0),
        });
        let keeper = runtime.spawn(keep_up(Arc::clone(&state), runtime.clone())).abort_handle();
        Arc::new(Self { state, keeper })
    }

    pub(super) fn settings(&self) -> &SharedState {
        &self.state.settings
    }

    /// Whether there ever was a connection.
    #[must_use]
    pub fn was_there(&self) -> bool {
        self.made() > 0
    }

    /// How many connections there were so far: over each of them may be another server, or one that knows less.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.state.made.load(Ordering::Acquire)
    }

    /// A key's whole name.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        [&*self.state.settings.prefix, name].concat()
    }

    /// The metrics of the process.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.state.metrics
    }

    /// Asks, and waits for the answer as long as the file says. While there is no connection, nobody waits.
    ///
    /// # Errors
    /// If no good answer came.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unanswered> {
        let current = self.current()?;
        let answered = self.within(&current, command.query_async(&mut current.connection.clone())).await?;
        T::from_redis_value(answered).map_err(|_| self.rubbish())
    }

    /// Whether nobody has asked this before of the same name, for so many seconds.
    ///
    /// # Errors
    /// If no good answer came.
    pub async fn is_first(&self, name: &str, seconds: u64) -> Result<bool, Unanswered> {
        let mut command = redis::cmd("SET");
        command.arg(self.key(name)).arg("").arg("NX").arg("EX").arg(seconds);
        let answered: Value = self.ask(&command).await?;
        if answered == Value::Okay {
            Ok(true)
        } else if answered == Value::Nil {
            Ok(false)
        } else {
            Err(self.rubbish())
        }
    }

    /// The same of a script: what it is given are the names of keys, and texts.
    ///
    /// # Errors
    /// If no good answer came.
    pub async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[String],
        texts: &[Vec<u8>],
    ) -> Result<T, Unanswered> {
        let current = self.current()?;
        let mut invocation = script.0.prepare_invoke();
        for key in keys {
            invocation.key(key);
        }
        for text in texts {
            invocation.arg(text);
        }
        let mut connection = current.connection.clone();
        let answered = self.within(&current, invocation.invoke_async(&mut connection)).await?;
        T::from_redis_value(answered).map_err(|_| self.rubbish())
    }

    /// That what came is not what was asked for: who knows what else the server would say.
    pub fn rubbish(&self) -> Unanswered {
        self.state.metrics.shared().failed(SharedFault::Rubbish);
        if let Some(current) = self.state.current.load_full() {
            self.state.give_up(&current);
        }
        Unanswered
    }

    fn current(&self) -> Result<Arc<Current>, Unanswered> {
        self.state.current.load_full().ok_or_else(|| {
            self.state.metrics.shared().failed(SharedFault::Unreachable);
            Unanswered
        })
    }

    async fn within(
        &self,
        current: &Arc<Current>,
        asking: impl Future<Output = Result<Value, RedisError>>,
    ) -> Result<Value, Unanswered> {
        let (fault, is_over) = match timeout(self.state.settings.timeout, asking).await {
            Ok(Ok(value)) => {
                // Another's end may have said otherwise.
                self.state.metrics.shared().connected(true);
                return Ok(value);
            }
            Err(_) => (SharedFault::Late, true),
            Ok(Err(error)) => (fault(&error), fault(&error) != SharedFault::Refused || is_replica(&error)),
        };
        self.state.metrics.shared().failed(fault);
        if is_over {
            self.state.give_up(current);
        }
        Err(Unanswered)
    }
}

/// What an error says of the server.
fn fault(error: &RedisError) -> SharedFault {
    if error.is_timeout() {
        return SharedFault::Late;
    }
    let kind = error.kind();
    if matches!(kind, ErrorKind::Server(_) | ErrorKind::Extension) {
        SharedFault::Refused
    } else if kind == ErrorKind::Io {
        SharedFault::Unreachable
    } else {
        SharedFault::Rubbish
    }
}

/// Whether the server takes nothing because it follows another: that one is where new connections lead.
fn is_replica(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
}

impl State {
    /// Gives a connection up, unless another has taken its place.
    fn give_up(&self, of: &Arc<Current>) {
        let previous = self.current.compare_and_swap(of, None);
        if previous.as_ref().is_some_and(|previous| Arc::ptr_eq(previous, of)) {
            of.driver.abort();
            self.metrics.shared().connected(false);
            of.lost.notify_one();
        }
    }
}

/// Connects, waits until that is lost, and connects again, for ever.
async fn keep_up(state: Arc<State>, runtime: Handle) {
    let mut backoff = FIRST_BACKOFF;
    let (mut is_told, mut is_steady, mut is_unsaid) = (false, true, false);
    loop {
        let connecting = timeout(CONNECT, connect(&state.settings, &runtime));
        match connecting.await {
            Ok(Ok((connection, driver))) => {
                if is_steady || is_told {
                    tracing::info!(host = %state.settings.host, port = state.settings.port, "the shared state is connected to");
                }
                is_told = false;
                let current = Arc::new(Current { connection, driver: driver.abort_handle(), lost: Notify::new() });
                state.made.fetch_add(1, Ordering::AcqRel);
                state.current.store(Some(Arc::clone(&current)));
                state.metrics.shared().connected(true);
                let began = Instant::now();
                let why = until_lost(&state, &current, driver, &mut is_unsaid).await;
                let (was_steady, after) = (is_steady, began.elapsed());
                is_steady = after >= STEADY;
                if is_steady {
                    backoff = FIRST_BACKOFF;
                }
                // One that is lost again and again is said once.
                if is_steady || was_steady {
                    tracing::warn!(?after, why, "the connection to the shared state is lost");
                }
            }
            failed => {
                state.metrics.shared().failed(SharedFault::Unreachable);
                if !is_told {
                    let why = match failed {
                        Ok(Err(error)) => error.to_string(),
                        Ok(Ok(_)) | Err(_) => "it does not answer".to_owned(),
                    };
                    tracing::error!(%why, "the shared state cannot be connected to; it is tried again and again");
                    is_told = true;
                }
            }
        }
        sleep(backoff.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
}

/// Returns when a connection is no good any more, and is given up; why. `is_unsaid` is that of [`until_another`].
async fn until_lost(
    state: &State,
    current: &Arc<Current>,
    driver: JoinHandle<()>,
    is_unsaid: &mut bool,
) -> &'static str {
    let why = tokio::select! {
        () = current.lost.notified() => return "it does not answer as it should",
        _ = driver => "it has ended",
        () = until_another(state, current, is_unsaid) => "another server answers",
    };
    state.give_up(current);
    why
}

/// Returns when another server answers than at first; `is_unsaid`: that nobody can tell was said.
async fn until_another(state: &State, current: &Current, is_unsaid: &mut bool) {
    match identity::watch(current.connection.clone(), state.settings.timeout).await {
        Found::Another => {}
        Found::Unsaid => {
            if !std::mem::replace(is_unsaid, true) {
                tracing::warn!(
                    "the gateway may not ask the shared state which server it is (`INFO replication`): another behind \
                     the same connection is noticed after five minutes"
                );
            }
            std::future::pending::<()>().await;
        }
    }
}

impl Script {
    /// A script in the server's language.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(redis::Script::new(text))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
        if let Some(current) = self.state.current.swap(None) {
            current.driver.abort();
        }
        self.state.metrics.shared().gone();
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("settings", &self.state.settings).finish_non_exhaustive()
    }
}
