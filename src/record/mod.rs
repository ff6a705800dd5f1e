//! What became of each request, told once: an [`Outcome`] moves the metrics and writes an audit line.
//!
//! It knows the policy's names and nothing of HTTP, tokens or files but the one it appends to. What
//! labels a series comes from `gateway.yaml`, never from a request.

mod audit;
mod labels;
mod line;
mod metrics;
mod outcome;
mod queue;
mod register;
mod result;

#[cfg(any(test, fuzzing))]
pub(crate) use line::append as audit_line;

pub use audit::{AuditGuard, AuditSink};
pub use labels::Labels;
pub use metrics::{Metrics, MetricsUnmade};
pub use outcome::{HeldScopes, Outcome, record};
pub use result::{CacheResult, FetchResult, IntrospectionResult, ReloadResult};
