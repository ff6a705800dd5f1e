//! What the admin endpoints tell of a running gateway.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;

use super::{AdminState, PolicyReport, Revocation, RevocationCall, ShadowReport, TriedReport};
use crate::gateway::{Gateway, Generation, IssuerApart, Shadow};
use crate::issuer::NotTaken;
use crate::record::{AuditSink, MeantTokens, MetricsUnmade, RevocationOutcome, RevocationResult, RevokedBy};
use crate::reload::Status;
use crate::token;

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
            report_only: generation.policy.reporting_apis().map(|api| api.name.to_string()).collect(),
            shadow: generation.settings.shadow.as_deref().map(|file| self.shadow(file, &generation)),
        })
    }

    fn issuers_without_keys(&self) -> Vec<String> {
        self.gateway.current().issuers.waiting_for()
    }

    fn metrics(&self) -> Result<String, MetricsUnmade> {
        self.gateway.metrics().render()
    }

    fn takes_revocations(&self) -> bool {
        self.gateway.current().issuers.knows_revoker("").is_some()
    }

    async fn revoke(&self, call: &RevocationCall<'_>) -> Revocation {
        let generation = self.gateway.current();
        let read = call.entry.map(token::Revocation::parse);
        let (answer, result) = match generation.issuers.knows_revoker(call.secret.unwrap_or_default()) {
            None => return Revocation::Closed,
            Some(false) => (Revocation::Unauthorized, RevocationResult::Unauthorized),
            Some(true) => match &read {
                None => (Revocation::TooLong, RevocationResult::Rejected),
                Some(Err(fault)) => (Revocation::Invalid(fault.to_string()), RevocationResult::Rejected),
                Some(Ok(entry)) => revoke(&generation, entry).await,
            },
        };
        // What somebody without the secret says is not repeated.
        let told = result != RevocationResult::Unauthorized;
        let entry = read.as_ref().and_then(|read| read.as_ref().ok()).filter(|_| told);
        record(self.gateway.audit(), generation.number, call.peer, result, entry);
        answer
    }
}

impl Live {
    fn shadow(&self, file: &Path, generation: &Generation) -> ShadowReport {
        // For a moment after a reload, another file's candidate may still be at work.
        let candidate = self.gateway.candidate().filter(|candidate| candidate.file == file);
        let tried = candidate.map(|candidate| TriedReport {
            generation: candidate.number,
            sha256: candidate.sha256,
            loaded_at: candidate.loaded_at,
            issuers_apart: apart(&candidate, generation),
        });
        ShadowReport { file: file.display().to_string(), tried, last_error: self.file.candidate_error() }
    }
}

fn apart(candidate: &Shadow, generation: &Generation) -> Vec<(String, &'static str)> {
    let apart = candidate.issuers_apart(&generation.settings).into_iter();
    let word = |apart| match apart {
        IssuerApart::ReadAsInForce => "read_as_in_force",
        IssuerApart::NotOfCandidate => "refused_by_candidate",
        IssuerApart::NotInForce => "not_tried",
    };
    apart.map(|(issuer, apart)| (issuer.into(), word(apart))).collect()
}

async fn revoke(generation: &Generation, entry: &token::Revocation) -> (Revocation, RevocationResult) {
    match generation.issuers.revoke_as(entry).await {
        Ok(()) => (Revocation::Added(entry.to_line()), RevocationResult::Revoked),
        Err(fault @ NotTaken::UnknownIssuer) => (Revocation::Invalid(fault.to_string()), RevocationResult::Rejected),
        Err(NotTaken::NotRevoked(fault)) => (Revocation::NotAdded(fault.to_string()), RevocationResult::NotRevoked),
    }
}

fn record(
    audit: &AuditSink,
    generation: u64,
    peer: Option<IpAddr>,
    result: RevocationResult,
    entry: Option<&token::Revocation>,
) {
    let digest = entry.and_then(token::Revocation::digest);
    let meant = entry.map(|entry| MeantTokens {
        kind: entry.kind(),
        issuer: entry.issuer(),
        subject: entry.subject(),
        client: entry.client(),
        digest: digest.as_deref(),
        issued_before: entry.issued_before().map(|time| time.0),
        expires_at: entry.expires_at().map(|time| time.0),
    });
    let (time, by) = (SystemTime::now(), RevokedBy::Admin);
    audit.revocation(&RevocationOutcome { time, request_id: None, generation, by, peer, result, meant });
}
