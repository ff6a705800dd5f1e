//! What several gateways know together, over a Redis or Valkey.
//!
//! - `link` is the connection, made again whenever it is lost; `wire` is how it is made, `meter` how much
//!   may come over it, `identity` which server is behind it.
//! - `counts` exchanges what was taken of rate limits, `expiries` until when scopes are carried.
//!
//! Nothing here decides. Revocations and proofs that were used, which decisions rest on, are `issuer`'s; they
//! ask by the same link. No request waits for an exchange.

mod counts;
mod expiries;
mod identity;
mod link;
mod meter;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::sleep;

pub use link::{Link, Script, Unanswered};

use crate::config::{OnOutage, SharedState};
use crate::rates::Table;
use crate::record::Metrics;

/// The state that this gateway shares with others, as long as this lives.
pub struct Fleet {
    link: Arc<Link>,
    counted: Arc<ArcSwapOption<Table>>,
    tasks: Vec<AbortHandle>,
}

/// Between two exchanges of what was taken of rate limits.
const COUNTS_EVERY: Duration = Duration::from_millis(100);

/// Between two exchanges of until when scopes are carried.
const EXPIRIES_EVERY: Duration = Duration::from_secs(1);

impl Fleet {
    /// Begins to connect, on a runtime that should serve no requests.
    pub fn start(settings: &SharedState, metrics: &Arc<Metrics>, runtime: &Handle) -> Arc<Self> {
        let link = Link::start(settings, metrics, runtime);
        let counted = Arc::new(ArcSwapOption::empty());
        let (by, of, known) = (Arc::clone(&link), Arc::clone(&counted), Arc::clone(metrics));
        let counts = runtime.spawn(async move {
            loop {
                sleep(COUNTS_EVERY).await;
                if let Some(table) = &*of.load() {
                    counts::exchange(&by, table).await;
                }
            }
        });
        let by = Arc::clone(&link);
        let expiries = runtime.spawn(async move {
            loop {
                sleep(EXPIRIES_EVERY).await;
                expiries::exchange(&by, &known).await;
            }
        });
        let tasks = vec![counts.abort_handle(), expiries.abort_handle()];
        Arc::new(Self { link, counted, tasks })
    }

    /// By which the state is asked.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Whether it is what these settings say.
    #[must_use]
    pub fn is_of(&self, settings: &SharedState) -> bool {
        self.link.settings() == settings
    }

    /// What becomes of requests that rest on it while it is away.
    #[must_use]
    pub fn on_outage(&self) -> OnOutage {
        self.link.settings().on_outage
    }

    /// Has what is taken of these buckets told to others, and of no others.
    pub fn count(&self, table: &Arc<Table>) {
        self.counted.store(Some(Arc::clone(table)));
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("settings", self.link.settings()).finish_non_exhaustive()
    }
}
