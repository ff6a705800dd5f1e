//! `gateway.yaml`: text to [`Policy`] and [`Settings`], or all that is wrong with it.
//!
//! The text becomes a tree (`yaml`), the tree a `Document` of the file's shape (`reading`), and the
//! document what it means (`compile`). Each reports what it finds and goes on; `locate` and `problem`
//! then show all of it at its lines. Nothing that the text names is opened here.

mod authorize;
mod balancing;
mod compile;
mod cors;
mod document;
mod entry;
mod expectation;
mod finding;
mod fleet;
mod limits;
mod locate;
mod mapping;
mod narrow;
mod node;
mod places;
mod probe;
mod problem;
mod reading;
mod remark;
mod schema;
mod settings;
mod source;
mod suggest;
mod test_document;
#[cfg(test)]
mod tests;
mod tracing;
mod transport;
mod yaml;

use std::path::Path;

use crate::policy::Policy;

pub use authorize::{Authorizer, Plane};
pub use balancing::{Balance, Ejection, HealthCheck, Retries, UpstreamServer};
pub use compile::{compile, compile_candidate, expectations};
pub use cors::{Cors, Origins};
pub use expectation::{Expectation, Expected};
pub use fleet::{OnOutage, SharedState};
pub use limits::{Http2Limits, Limits};
pub use narrow::{Narrowing, narrowed};
pub use problem::{INVALID, Problem, Problems, Severity, remarked, rendered};
pub use remark::{Remark, Subject};
pub use schema::{policy_schema, tests_schema};
pub use settings::{
    Access, Admin, Audit, ClientAuthentication, ClientCertificates, IdentityHeaders, Introspection, Issuer, KeySource,
    Listener, ListenerTls, ResourceMetadata, RevocationList, ServerAddress, Settings, SignInClient, TokenEndpoint,
    Upstream,
};
pub use source::{SourceFile, Unreadable};
pub use tracing::{FollowParents, Sampling, Share, Tracing};
pub use transport::{ClientIdentity, Transport, UpstreamTls};

/// A file's text, and what to call it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The file's path as messages name it.
    pub shown: &'a str,
    /// What relative paths in the file are relative to.
    pub directory: &'a Path,
    /// What it says.
    pub text: &'a str,
}

/// All that a file means.
#[derive(Debug)]
pub struct Configuration {
    /// What decisions depend on.
    pub policy: Policy,
    /// All else.
    pub settings: Settings,
    /// SHA-256 of the text.
    pub sha256: [u8; 32],
}

/// The text without a byte order mark at its beginning.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
