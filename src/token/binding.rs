//! Whether what a token is bound to was shown: step 7 of the decision.
//!
//! What was shown was checked for itself before: a proof by [`Proof::verify`], a certificate by
//! whoever ended TLS.

use crate::policy::{Binding, Certificate, TokenFault};

use super::{IssuerRules, Proof, Scheme};

/// Each binding of a token must be shown; a `DPoP`-bound token needs the scheme `DPoP` (RFC 9449
/// section 7.1); a token that is not bound may not come under that scheme, nor come at all where the
/// issuer's rules ask for bound ones.
///
/// # Errors
/// [`TokenFault::BindingMismatch`] if one was not shown, or another's was.
pub fn check_binding(
    binding: Binding,
    scheme: Scheme,
    certificate: Option<&Certificate>,
    proof: Option<&Proof>,
    rules: &IssuerRules,
) -> Result<(), TokenFault> {
    let certificate_shown = match binding.certificate {
        Some(bound) => certificate.is_some_and(|shown| shown.sha256 == bound),
        None => true,
    };
    let proof_shown = match (binding.proof_key, scheme) {
        (Some(bound), Scheme::Dpop) => proof.is_some_and(|shown| shown.key == bound),
        (Some(_), Scheme::Bearer) | (None, Scheme::Dpop) => false,
        (None, Scheme::Bearer) => !rules.dpop.is_some_and(|dpop| dpop.required),
    };
    if certificate_shown && proof_shown { Ok(()) } else { Err(TokenFault::BindingMismatch) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::UnixTime;
    use crate::token::DpopRules;
    use crate::token::samples;

    fn proof(key: u8) -> Proof {
        Proof { key: [key; 32], id: [0; 32], issued_at: UnixTime(0) }
    }

    fn certificate(sha256: u8) -> Certificate {
        Certificate { sha256: [sha256; 32], subject: "CN=acme".into(), san_dns: [].into() }
    }

    #[test]
    fn each_binding_must_be_shown_and_be_the_right_one() {
        let none = Binding::default();
        let by_certificate = Binding { certificate: Some([1; 32]), proof_key: None };
        let by_proof = Binding { certificate: None, proof_key: Some([2; 32]) };
        let by_both = Binding { certificate: Some([1; 32]), proof_key: Some([2; 32]) };
        let rules = samples::rules();
        for (binding, scheme, shown_certificate, shown_proof, good) in [
            (none, Scheme::Bearer, None, None, true),
            (none, Scheme::Bearer, Some(1), Some(2), true),
            (none, Scheme::Dpop, None, Some(2), false),
            (none, Scheme::Dpop, None, None, false),
            (by_certificate, Scheme::Bearer, Some(1), None, true),
            (by_certificate, Scheme::Bearer, None, None, false),
            (by_certificate, Scheme::Bearer, Some(9), None, false),
            (by_certificate, Scheme::Dpop, Some(1), Some(2), false),
            (by_proof, Scheme::Dpop, None, Some(2), true),
            (by_proof, Scheme::Dpop, None, None, false),
            (by_proof, Scheme::Dpop, None, Some(9), false),
            (by_proof, Scheme::Bearer, None, Some(2), false),
            (by_both, Scheme::Dpop, Some(1), Some(2), true),
            (by_both, Scheme::Dpop, None, Some(2), false),
            (by_both, Scheme::Dpop, Some(1), None, false),
            (by_both, Scheme::Bearer, Some(1), Some(2), false),
        ] {
            let certificate = shown_certificate.map(certificate);
            let proof = shown_proof.map(proof);
            let verdict = check_binding(binding, scheme, certificate.as_ref(), proof.as_ref(), &rules);
            assert_eq!(verdict.is_ok(), good, "{binding:?} {scheme:?} {certificate:?} {proof:?}");
        }
    }

    #[test]
    fn an_unbound_token_is_refused_where_proofs_are_required() {
        let dpop = DpopRules { max_age: 60, nonce: false, required: true };
        let rules = IssuerRules { dpop: Some(dpop), ..samples::rules() };
        let verdict = check_binding(Binding::default(), Scheme::Bearer, None, Some(&proof(2)), &rules);
        assert_eq!(verdict, Err(TokenFault::BindingMismatch));
    }
}
