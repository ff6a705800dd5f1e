//! What the admin endpoints tell of a running gateway.

use std::sync::Arc;

use super::{AdminState, PolicyReport};
use crate::gateway::Gateway;
use crate::record::MetricsUnmade;
use crate::reload::Status;

/// A gateway and the file that it was made from.
#[derive(Debug)]
pub struct Live {
    /// What is asked for its generation and its metrics.
    pub gateway: Arc<Gateway>,
    /// What is asked for the file.
    pub file: Arc<Status>,
}

impl AdminState for Live {
    fn policy(&self) -> Option<PolicyReport> {
        let generation = self.gateway.current();
        Some(PolicyReport {
            generation: generation.number,
            sha256: generation.sha256,
            loaded_at: generation.loaded_at,
            source: self.file.source().display().to_string(),
            last_error: self.file.last_error(),
        })
    }

    fn issuers_without_keys(&self) -> Vec<String> {
        self.gateway.current().issuers.waiting_for()
    }

    fn metrics(&self) -> Result<String, MetricsUnmade> {
        self.gateway.metrics().render()
    }
}
