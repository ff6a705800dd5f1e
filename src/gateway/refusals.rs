//! The refusals of one policy: what most of them say is written once, and lacks only a request's id.
//!
//! What a refusal says is `answer`'s.

use std::mem::discriminant;

use http::HeaderValue;

use super::answer::say;
use super::challenge::Challenges;
use super::problem::{Answer, Rendered};
use super::token_error;
use crate::policy::{ApiId, Denial, Policy, TokenFault};

/// How one policy refuses: what most refusals say is written once for it.
#[derive(Debug)]
pub(super) struct Refusals {
    challenges: Challenges,
    usual: Box<[(Denial, Rendered)]>,
}

impl Refusals {
    pub(super) fn new(challenges: Challenges, policy: &Policy) -> Self {
        let usual = usual().into_iter().filter_map(|denial| {
            let rendered = say(&denial, policy, &challenges, None).ok()?.render(denial.reason().as_str());
            Some((denial, rendered))
        });
        Self { usual: usual.collect(), challenges }
    }

    /// The answer to a request that was refused. `nonce`: what a proof must carry, where one is asked for.
    pub(super) fn refuse(
        &self,
        denial: &Denial,
        policy: &Policy,
        nonce: Option<HeaderValue>,
        request_id: &HeaderValue,
    ) -> Answer {
        if let Some((_, rendered)) = self.usual.iter().find(|(usual, _)| are_told_alike(usual, denial)) {
            return rendered.answer(request_id);
        }
        match say(denial, policy, &self.challenges, nonce) {
            Ok(problem) => problem.answer(denial.reason().as_str(), request_id),
            Err(fault) => token_error::refuse(fault, request_id),
        }
    }
}

/// The refusals of which all that is told is that they are, the most frequent first.
fn usual() -> Vec<Denial> {
    let api = ApiId(0);
    let faults = [
        TokenFault::Expired,
        TokenFault::SignatureInvalid,
        TokenFault::KeyUnknown,
        TokenFault::Revoked,
        TokenFault::IssuerUnknown,
        TokenFault::AudienceMismatch,
        TokenFault::AlgorithmRejected,
        TokenFault::TypeRejected,
        TokenFault::NotYetValid,
        TokenFault::BindingMismatch,
    ];
    let others = [
        Denial::RouteUnknown,
        Denial::AccountForbidden { api },
        Denial::AccountMissing { api },
        Denial::AccountAmbiguous { api },
        Denial::ClientTypeRejected { api },
        Denial::IssuerUnavailable,
        Denial::SharedStateUnavailable,
        Denial::Overloaded { api },
        Denial::ClientUnknown,
        Denial::CertificateMismatch,
        Denial::ClientAccountMismatch,
        Denial::ScopeUndefined,
        Denial::BodyTooLarge { api },
        Denial::OriginRejected { api },
    ];
    [Denial::TokenMissing].into_iter().chain(faults.map(Denial::Token)).chain(others).collect()
}

/// Whether a usual refusal, of which the api is not told, is answered as another is.
fn are_told_alike(usual: &Denial, denial: &Denial) -> bool {
    usual == denial || (usual.api().is_some() && discriminant(usual) == discriminant(denial))
}
