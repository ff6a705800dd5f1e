//! What all issuers of a process share, and the tasks that end with them.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::pace::Pace;
use super::web::Web;
use crate::record::Metrics;

/// What all issuers of a process share.
#[derive(Clone)]
pub(super) struct Environment {
    pub(super) metrics: Arc<Metrics>,
    /// Where background tasks run; never one that serves requests.
    pub(super) runtime: Handle,
    pub(super) web: Arc<Web>,
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
        Self { metrics, runtime, web: Arc::new(Web::new(pace)), pace, names: Arc::default() }
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

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Name {
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
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
