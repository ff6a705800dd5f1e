//! Who may see and change the registry: bearers of the tokens of the one issuer that `admin.access`
//! names, judged by the gateway's own engine.
//!
//! How somebody shows a token, and how a refusal is said, is up to who asks.

use crate::config::Access;
use crate::gateway::Generation;
use crate::issuer::{Moment, Presented};
use crate::policy::{Denial, ScopeName, UnixTime};

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See everything.
    Viewer,
    /// Change it, too.
    Manager,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Who signed the token.
    pub issuer: String,
    /// Its `sub`.
    pub subject: Option<String>,
    /// Its client id.
    pub client: Option<String>,
    /// What its scopes permit.
    pub role: Role,
    /// Until when the token is good.
    pub expires_at: UnixTime,
}

/// Why somebody may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The token is no good.
    Token(Denial),
    /// It is another issuer's than the one that `admin.access` names.
    OtherIssuer,
    /// It does not carry this scope.
    Lacks(ScopeName),
}

/// Who may, if the file says so.
pub fn access(generation: &Generation) -> Option<&Access> {
    generation.settings.admin.as_ref()?.access.as_ref()
}

/// Who shows a token, if that is somebody who may do what is needed.
///
/// # Errors
/// Why that is not so.
pub async fn admit(
    generation: &Generation,
    access: &Access,
    presented: &Presented<'_>,
    needed: Role,
) -> Result<Who, NotAdmitted> {
    let (policy, now) = (&generation.policy, Moment::now());
    let found = generation.issuers.authenticate(presented, policy, generation.number, now).await;
    let caller = &found.map_err(NotAdmitted::Token)?.caller;
    if *caller.issuer != *access.issuer {
        return Err(NotAdmitted::OtherIssuer);
    }
    let carries = |scope: &ScopeName| caller.scopes.iter().any(|own| **own == *scope.as_str());
    let role = match (carries(&access.manage), carries(&access.view)) {
        (true, _) => Some(Role::Manager),
        (false, true) => Some(Role::Viewer),
        (false, false) => None,
    };
    let wanted = match needed {
        Role::Viewer => &access.view,
        Role::Manager => &access.manage,
    };
    let role = role.filter(|role| *role >= needed).ok_or_else(|| NotAdmitted::Lacks(wanted.clone()))?;
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    let (subject, client) = (text(&caller.subject), text(&caller.client));
    Ok(Who { issuer: caller.issuer.to_string(), subject, client, role, expires_at: caller.expires_at })
}

/// What the system's clock says.
pub fn now() -> UnixTime {
    Moment::now().time
}

impl Who {
    /// As whom changes are recorded.
    pub fn editor(&self) -> super::Editor<'_> {
        super::Editor { issuer: &self.issuer, subject: self.subject.as_deref(), client: self.client.as_deref() }
    }
}
