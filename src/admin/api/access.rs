//! What the registry's API makes of a request's token, and how it says that it is no good.

use axum::http::StatusCode;

use super::answer::Refusal;
use super::request::Asked;
use crate::config::Access;
use crate::gateway::Generation;
use crate::issuer::Presented;
use crate::policy::Denial;
use crate::registry::{NotAdmitted, Role, Who, access, admit};
use crate::token::credential;

const DPOP: &str = "dpop";

/// Who may, if anybody may.
pub(super) fn settings(generation: &Generation) -> Result<&Access, Refusal> {
    access(generation).ok_or_else(Refusal::off)
}

/// Who asks, if that is somebody who may do what is needed.
pub(super) async fn authorize(
    generation: &Generation,
    access: &Access,
    asked: &Asked<'_>,
    needed: Role,
) -> Result<Who, Refusal> {
    if asked.headers.get_all(axum::http::header::AUTHORIZATION).iter().nth(1).is_some() {
        return Err(Refusal::unauthorized("token_malformed", "send one `Authorization` header", true));
    }
    let credential = match credential(asked.headers) {
        Ok(Some(credential)) => credential,
        Ok(None) => {
            let detail = "send a token of the issuer that `admin.access` names as `Authorization: Bearer`";
            return Err(Refusal::unauthorized("token_missing", detail, false));
        }
        Err(fault) => return Err(refused(&fault.into())),
    };
    let mut proofs = asked.headers.get_all(DPOP).iter();
    let proof = proofs.next().map(|proof| proof.to_str().unwrap_or_default());
    // RFC 9449 section 4.3.
    if proofs.next().is_some() {
        return Err(Refusal::unauthorized("binding_mismatch", "send one `DPoP` header", true));
    }
    // What a proof must be for is told by the file, and not by whoever sends it.
    let address = generation.settings.admin.as_ref().map(|admin| admin.address.to_string()).unwrap_or_default();
    let presented = Presented {
        credential,
        certificate: None,
        proof,
        method: asked.method.as_str(),
        url: &format!("http://{address}{}", asked.uri.path()),
    };
    admit(generation, access, &presented, needed).await.map_err(|fault| match fault {
        NotAdmitted::Token(denial) => refused(&denial),
        NotAdmitted::OtherIssuer => {
            let detail = "this token's issuer is not the one that `admin.access` names";
            Refusal::unauthorized("issuer_unknown", detail, true)
        }
        NotAdmitted::Lacks(scope) => Refusal::forbidden(scope.as_str()),
    })
}

fn refused(denial: &Denial) -> Refusal {
    match denial {
        Denial::IssuerUnavailable | Denial::SharedStateUnavailable => Refusal::unavailable(),
        Denial::Token(fault) => Refusal::unauthorized(denial.reason().as_str(), &fault.to_string(), true),
        Denial::Question(_)
        | Denial::PathAmbiguous(_)
        | Denial::HeaderAmbiguous(_)
        | Denial::HeadTooLarge(_)
        | Denial::BodyTooLarge { .. }
        | Denial::RateLimited { .. }
        | Denial::Overloaded { .. }
        | Denial::OriginRejected { .. }
        | Denial::TokenMissing
        | Denial::ClientUnknown
        | Denial::ClientAccountMismatch
        | Denial::CertificateMismatch
        | Denial::ScopeUndefined
        | Denial::RouteUnknown
        | Denial::MethodNotAllowed { .. }
        | Denial::ScopeRequired { .. }
        | Denial::ScopeInsufficient { .. }
        | Denial::ClientTypeRejected { .. }
        | Denial::AccountMissing { .. }
        | Denial::AccountAmbiguous { .. }
        | Denial::AccountForbidden { .. }
        | Denial::TokenRequest { .. } => {
            Refusal::unauthorized(denial.reason().as_str(), StatusCode::UNAUTHORIZED.as_str(), true)
        }
    }
}
