//! Step 7's other half: is a bound token shown by whom it is bound to, with a proof that is new?

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::authenticate::Presented;
use super::moment::Moment;
use super::replay::Admission;
use super::set::IssuerSet;
use crate::config::OnOutage;
use crate::fleet::{Fleet, Unanswered};
use crate::policy::{Binding, Denial, TokenFault, UnixTime};
use crate::token::{DpopRules, IssuerRules, Proof, ProofRequest, Scheme, check_binding};

impl IssuerSet {
    /// Whether what binds the token is shown. A proof is taken last, so that a request that fails for
    /// something else does not use it up; what it is known by then, and until when it is good.
    pub(super) fn check_binding(
        &self,
        presented: &Presented<'_>,
        binding: Binding,
        rules: &IssuerRules,
        now: Moment,
    ) -> Result<Option<([u8; 32], UnixTime)>, Denial> {
        let scheme = presented.credential.scheme;
        // A proof that nothing asks for proves nothing, and is not looked at.
        let counts = scheme == Scheme::Dpop || binding.proof_key.is_some();
        let dpop = rules.dpop.unwrap_or_default();
        let proof = match presented.proof.filter(|_| counts) {
            Some(proof) => Some(self.verify_proof(proof, presented, dpop, rules.leeway, now)?),
            None => None,
        };
        check_binding(binding, scheme, presented.certificate, proof.as_ref(), rules)?;
        let Some(proof) = proof else { return Ok(None) };
        let until = UnixTime(proof.issued_at.0.saturating_add(dpop.max_age).saturating_add(rules.leeway));
        match self.memory.replays.admit(proof.id, until, now) {
            Admission::New => Ok(Some((proof.id, until))),
            Admission::Used => Err(TokenFault::BindingMismatch.into()),
            Admission::Full | Admission::Forgotten => Err(Denial::IssuerUnavailable),
        }
    }

    fn verify_proof(
        &self,
        proof: &str,
        presented: &Presented<'_>,
        dpop: DpopRules,
        leeway: u64,
        now: Moment,
    ) -> Result<Proof, TokenFault> {
        let given = |nonce: &str| self.memory.nonces.takes(nonce, now.instant);
        let request = ProofRequest {
            method: presented.method,
            url: presented.url,
            access_token: presented.credential.token,
            nonce: if dpop.nonce { Some(&given) } else { None },
        };
        Proof::verify(proof, &request, dpop, leeway, now.time)
    }
}

/// Whether no other gateway has taken a proof that is new here: the one thing of a request that nobody knows
/// without asking. Who takes it first is settled where all ask.
///
/// # Errors
/// If it was used, or nobody can tell and the file says that this refuses it.
pub(super) async fn check_first_use(fleet: &Fleet, id: [u8; 32], until: UnixTime, now: Moment) -> Result<(), Denial> {
    let name = URL_SAFE_NO_PAD.encode(id);
    match (fleet.link().is_first(&format!("proof:{name}"), kept_for(until, now)).await, fleet.on_outage()) {
        (Ok(true), _) | (Err(Unanswered), OnOutage::Local) => Ok(()),
        (Ok(false), _) => Err(TokenFault::BindingMismatch.into()),
        (Err(Unanswered), OnOutage::Deny { .. }) => Err(Denial::SharedStateUnavailable),
    }
}

/// For how many seconds a proof is remembered where all ask.
fn kept_for(until: UnixTime, now: Moment) -> u64 {
    until.0.saturating_sub(now.time.0).clamp(1, LONGEST) + MARGIN
}

/// Longer than a file lets a proof be good, in seconds, and than any clock is set back.
const LONGEST: u64 = 2 * 365 * 24 * 60 * 60;

/// How far apart the clocks of gateways may be, in seconds.
const MARGIN: u64 = 60;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::*;

    #[test]
    fn a_proof_is_remembered_by_all_for_as_long_as_it_is_good() {
        let now = Moment::of(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000), Instant::now());
        for (good_for, expected) in [(90, 150), (0, 61), (48 * 3600, 48 * 3600 + 60), (365 * 86_400, 365 * 86_400 + 60)]
        {
            assert_eq!(kept_for(UnixTime(now.time.0 + good_for), now), expected);
        }
        assert!(kept_for(UnixTime(u64::MAX), now) < 1 << 32, "a clock that is far behind");
    }
}
