//! Step 7's other half: is a bound token shown by whom it is bound to, with a proof that is new?

use super::authenticate::Presented;
use super::moment::Moment;
use super::replay::Admission;
use super::set::IssuerSet;
use crate::policy::{Binding, Denial, TokenFault, UnixTime};
use crate::token::{DpopRules, IssuerRules, Proof, ProofRequest, Scheme, check_binding};

impl IssuerSet {
    /// Whether what binds the token is shown. A proof is taken last, so that a request that fails for
    /// something else does not use it up.
    pub(super) fn check_binding(
        &self,
        presented: &Presented<'_>,
        binding: Binding,
        rules: &IssuerRules,
        now: Moment,
    ) -> Result<(), Denial> {
        let scheme = presented.credential.scheme;
        // A proof that nothing asks for proves nothing, and is not looked at.
        let counts = scheme == Scheme::Dpop || binding.proof_key.is_some();
        let dpop = rules.dpop.unwrap_or_default();
        let proof = match presented.proof.filter(|_| counts) {
            Some(proof) => Some(self.verify_proof(proof, presented, dpop, rules.leeway, now)?),
            None => None,
        };
        check_binding(binding, scheme, presented.certificate, proof.as_ref(), rules)?;
        let Some(proof) = proof else { return Ok(()) };
        let until = proof.issued_at.0.saturating_add(dpop.max_age).saturating_add(rules.leeway);
        match self.memory.replays.admit(proof.id, UnixTime(until), now) {
            Admission::New => Ok(()),
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
