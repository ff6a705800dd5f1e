//! What the admin endpoints tell of a running gateway.

use std::sync::Arc;

use async_trait::async_trait;

use super::{AdminState, PolicyReport, Revocation};
use crate::gateway::Gateway;
use crate::issuer::NotTaken;
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

#[async_trait]
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

    async fn revoke(&self, secret: Option<&str>, entry: Option<&[u8]>) -> Revocation {
        let generation = self.gateway.current();
        match generation.issuers.knows_revoker(secret.unwrap_or_default()) {
            None => return Revocation::Closed,
            Some(false) => {
                tracing::warn!("somebody without the right secret asked on the admin address to revoke a token");
                return Revocation::Unauthorized;
            }
            Some(true) => {}
        }
        let Some(entry) = entry else { return Revocation::TooLong };
        match generation.issuers.revoke_as(entry).await {
            Ok(entry) => {
                tracing::info!(entry, "revoked on the admin address");
                Revocation::Added(entry)
            }
            Err(fault @ (NotTaken::Invalid(_) | NotTaken::UnknownIssuer)) => Revocation::Invalid(fault.to_string()),
            Err(NotTaken::NotRevoked(fault)) => Revocation::NotAdded(fault.to_string()),
        }
    }
}
