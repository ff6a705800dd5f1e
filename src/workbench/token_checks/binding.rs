//! The last check: what a token is bound to was shown (RFC 8705 section 3, RFC 9449 section 7).

use super::{Checking, Showing, Stop, TokenStep};
use crate::policy::{Binding, Caller, TokenFault, UnixTime};
use crate::token::{Credential, IssuerRules, Proof, ProofRequest, Scheme, check_binding};

impl Checking {
    pub(super) fn check_binding(
        &mut self,
        credential: Credential<'_>,
        showing: &Showing<'_>,
        caller: &Caller,
        rules: &IssuerRules,
        now: UnixTime,
    ) -> Result<(), Stop> {
        let bound = bound_to(caller.binding);
        match binding(credential, showing, caller.binding, rules, now) {
            Ok(()) => {
                self.note(
                    TokenStep::Binding,
                    bound.map_or("it is bound to nothing".to_owned(), |to| format!("{to}, which was shown")),
                );
                Ok(())
            }
            Err(fault) => {
                let shown = match (showing.certificate, showing.proof, credential.scheme) {
                    (None, None, _) => "neither a certificate nor a proof was shown",
                    (Some(_), None, _) => "a certificate and no proof was shown",
                    (None, Some(_), _) => "a proof and no certificate was shown",
                    (Some(_), Some(_), _) => "a certificate and a proof were shown",
                };
                let bound = bound.unwrap_or("it is bound to nothing".to_owned());
                let scheme = match credential.scheme {
                    Scheme::Bearer => "Bearer",
                    Scheme::Dpop => "DPoP",
                };
                let why = format!("{fault}: {bound}; {shown}, under the scheme {scheme}");
                Err(Stop::new(TokenStep::Binding, fault, why))
            }
        }
    }
}

/// Step 7's second half, without the memory of proofs: one that was used before is not known here.
fn binding(
    credential: Credential<'_>,
    showing: &Showing<'_>,
    binding: Binding,
    rules: &IssuerRules,
    now: UnixTime,
) -> Result<(), TokenFault> {
    let counts = credential.scheme == Scheme::Dpop || binding.proof_key.is_some();
    let request = ProofRequest {
        method: showing.method,
        url: &showing.url,
        access_token: credential.token,
        // Nonces are given out by a gateway that runs.
        nonce: None,
    };
    let verify = |proof| Proof::verify(proof, &request, rules.dpop.unwrap_or_default(), rules.leeway, now);
    let proof = showing.proof.filter(|_| counts).map(verify).transpose()?;
    check_binding(binding, credential.scheme, showing.certificate, proof.as_ref(), rules)
}

fn bound_to(binding: Binding) -> Option<String> {
    match (binding.certificate, binding.proof_key) {
        (None, None) => None,
        (Some(_), None) => Some("it is bound to a certificate".to_owned()),
        (None, Some(_)) => Some("it is bound to the key of a proof".to_owned()),
        (Some(_), Some(_)) => Some("it is bound to a certificate and to the key of a proof".to_owned()),
    }
}
