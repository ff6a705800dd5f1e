//! Who may see and change the registry: bearer tokens of the one issuer that `admin.access` names,
//! judged by the gateway's own engine.

use axum::http::StatusCode;

use super::answer::Refusal;
use super::request::Asked;
use crate::config::Access;
use crate::gateway::Generation;
use crate::issuer::{Moment, Presented};
use crate::policy::Denial;
use crate::token::credential;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Viewer,
    Manager,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) issuer: String,
    pub(super) subject: Option<String>,
    pub(super) client: Option<String>,
    pub(super) role: Role,
}

const DPOP: &str = "dpop";

/// Who may, if anybody may.
pub(super) fn settings(generation: &Generation) -> Result<&Access, Refusal> {
    generation.settings.admin.as_ref().and_then(|admin| admin.access.as_ref()).ok_or_else(Refusal::off)
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
    // What a proof must be for is told by the file, and not by whoever sends it.
    let address = generation.settings.admin.as_ref().map(|admin| admin.address.to_string()).unwrap_or_default();
    let presented = Presented {
        credential,
        certificate: None,
        proof: asked.headers.get(DPOP).and_then(|proof| proof.to_str().ok()),
        method: asked.method.as_str(),
        url: &format!("http://{address}{}", asked.uri.path()),
    };
    let (policy, now) = (&generation.policy, Moment::now());
    let found = generation.issuers.authenticate(&presented, policy, generation.number, now).await;
    let caller = &found.map_err(|denial| refused(&denial))?.caller;
    if *caller.issuer != *access.issuer {
        let detail = "this token's issuer is not the one that `admin.access` names";
        return Err(Refusal::unauthorized("issuer_unknown", detail, true));
    }
    let carries = |scope: &crate::policy::ScopeName| caller.scopes.iter().any(|own| **own == *scope.as_str());
    let role = match (carries(&access.manage), carries(&access.view)) {
        (true, _) => Some(Role::Manager),
        (false, true) => Some(Role::Viewer),
        (false, false) => None,
    };
    let wanted = match needed {
        Role::Viewer => &access.view,
        Role::Manager => &access.manage,
    };
    let role = role.filter(|role| *role >= needed).ok_or_else(|| Refusal::forbidden(wanted.as_str()))?;
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    let (subject, client) = (text(&caller.subject), text(&caller.client));
    Ok(Who { issuer: caller.issuer.to_string(), subject, client, role })
}

fn refused(denial: &Denial) -> Refusal {
    match denial {
        Denial::IssuerUnavailable => Refusal::unavailable(),
        Denial::Token(fault) => Refusal::unauthorized(denial.reason().as_str(), &fault.to_string(), true),
        Denial::PathAmbiguous(_)
        | Denial::HeaderAmbiguous(_)
        | Denial::HeadTooLarge(_)
        | Denial::BodyTooLarge { .. }
        | Denial::Overloaded { .. }
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
