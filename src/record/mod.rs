//! What became of each request, told once: an [`Outcome`] moves the metrics and writes an audit line.
//!
//! It knows the policy's names and nothing of HTTP, tokens or files but the one it appends to. What
//! labels a series comes from `gateway.yaml`, never from a request.

mod audit;
mod causes;
mod change_line;
mod connections;
mod denials;
mod exchanges;
mod fleet;
mod labels;
mod line;
mod metrics;
mod outcome;
mod panics;
mod queue;
mod rates;
mod read;
mod recent;
mod register;
mod result;
mod revocation;
mod shadow;
mod spans;
mod steady;
mod upstreams;
mod usage;

#[cfg(any(test, fuzzing))]
pub(crate) use line::append as audit_line;

pub use audit::{AuditGuard, AuditSink};
pub use causes::with_causes;
pub use change_line::RegistryChange;
pub use connections::{ConnectionEnd, Handshake};
pub use denials::Denied;
pub use exchanges::EndedExchanges;
pub use fleet::{SharedFault, SharedSeries};
pub use labels::Labels;
pub(crate) use line::decision;
pub use metrics::Metrics;
pub use outcome::{AskedBy, HeldScopes, Outcome, Seen, record};
pub use panics::count_panics;
pub use rates::LimitSeries;
pub use read::{AuditLine, NoAuditLine, PresentedCertificate};
pub use register::MetricsUnmade;
pub use result::{CacheResult, FetchResult, IntrospectionResult, ReloadResult};
pub use revocation::{MeantTokens, RevocationOutcome, RevocationResult, RevokedBy};
pub use shadow::{ShadowDifference, ShadowResult, ShadowSeries};
pub use spans::SpanSeries;
pub use steady::steady_now;
pub use upstreams::UpstreamSeries;
pub use usage::Used;
