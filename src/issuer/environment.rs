//! What all issuers of a process share, and the tasks that end with them.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use hashbrown::HashMap;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::connections::{Connections, Trust};
use super::pace::Pace;
use super::web::Web;
use crate::policy::UnixTime;
use crate::record::Metrics;

/// What all issuers of a process share.
#[derive(Clone)]
pub(super) struct Environment {
    pub(super) metrics: Arc<Metrics>,
    /// Where background tasks run; never one that serves requests.
    pub(super) runtime: Handle,
    web: Arc<Web>,
    pub(super) pace: Pace,
    /// How many key holders each issuer has: two while an old generation still answers.
    names: Arc<Mutex<HashMap<Arc<str>, usize>>>,
}

/// A task that ends when this is dropped, wherever it waits.
pub(super) struct Background(AbortHandle);

/// An issuer's name as metrics have it, which they forget with the last of those that have it.
pub(super) struct Name {
    issuer: Arc<str>,
    around: Environment,
}

impl Environment {
    pub(super) fn new(metrics: Arc<Metrics>, runtime: Handle, pace: Pace) -> Self {
        let web = Arc::new(Web::new(Connections::new(pace), pace.exchange));
        Self { metrics, runtime, web, pace, names: Arc::default() }
    }

    /// What asks providers. Files that say whom to trust are read, which blocks as long as that takes.
    pub(super) fn web(&self, trust: &Trust) -> Arc<Web> {
        if *trust == Trust::default() {
            return Arc::clone(&self.web);
        }
        Arc::new(Web::new(Connections::start(trust, self), self.pace.exchange))
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Background {
        Background(self.runtime.spawn(task).abort_handle())
    }

    pub(super) fn name(&self, issuer: &Arc<str>) -> Name {
        *self.names().entry(Arc::clone(issuer)).or_default() += 1;
        Name { issuer: Arc::clone(issuer), around: self.clone() }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time of what is no request's.
pub(super) fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut names = self.around.names();
        let Some(holders) = names.get_mut(&self.issuer) else { return };
        *holders -= 1;
        if *holders == 0 {
            names.remove(&self.issuer);
            self.around.metrics.issuer_forgotten(&self.issuer);
        }
    }
}
