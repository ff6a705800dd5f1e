//! Faults of the program that end what a thread or task was doing: counted, whatever thread it was.

use std::panic::{PanicHookInfo, set_hook};
use std::sync::Arc;

use super::Metrics;

/// Counts them from now on, of every thread of the process, and has `tell` told of each. What was in
/// force before is replaced.
pub fn count_panics(metrics: &Arc<Metrics>, tell: impl Fn(&PanicHookInfo<'_>) + Send + Sync + 'static) {
    let metrics = Arc::clone(metrics);
    set_hook(Box::new(move |panic| {
        metrics.panicked();
        tell(panic);
    }));
}
