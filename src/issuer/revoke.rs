//! Who may revoke tokens, and how a token's own holder does (RFC 7009).

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use thiserror::Error;

use super::authenticated::Authenticated;
use super::environment::Environment;
use super::kept::{Kept, Unusable, secret};
use super::moment::Moment;
use super::revoked::{NotAppended, Revoked, over};
use super::set::IssuerSet;
use super::sha256::sha256;
use crate::policy::{Denial, Policy, TokenFault, UnixTime};
use crate::token::{Credential, Jwt, Revocation};

/// The secret of those who may revoke any token, kept up with its file as long as this lives.
pub(super) struct Revokers(Kept<[u8; 32]>);

/// Why nobody can say that a token is revoked now.
#[derive(Debug, Error)]
pub enum NotRevoked {
    /// There is no list of revoked tokens.
    #[error("there is no list of revoked tokens")]
    NoList,
    /// Its issuer's keys or introspection are not at hand, so nobody knows whether it is a token.
    #[error("what is needed to check the token is not at hand right now")]
    Unverified,
    /// It could not be put on the list.
    #[error("{0}")]
    NotAppended(#[from] NotAppended),
}

/// Why an entry is not on the list of revoked tokens.
#[derive(Debug, Error)]
pub enum NotTaken {
    /// It would revoke nothing: no token of that issuer is good.
    #[error("no issuer of the policy is its `iss`")]
    UnknownIssuer,
    /// It could not be put on the list, or there is no list.
    #[error("{0}")]
    NotRevoked(#[from] NotRevoked),
}

/// In bytes: a shorter secret could be found by trying.
const SHORTEST: usize = 16;

impl Revokers {
    /// Reads the secret, which blocks as long as that takes, and begins to watch its file.
    pub(super) fn start(file: &Path, around: &Environment) -> Self {
        Self(Kept::start("the secret of those who may revoke tokens", &[file], digest, around))
    }

    /// Whether it is theirs, in a time that tells nothing of theirs.
    fn know(&self, shown: &str) -> bool {
        let shown = sha256(shown.as_bytes());
        self.0.current().is_some_and(|own| verify_slices_are_equal(&*own, &shown).is_ok())
    }
}

impl IssuerSet {
    /// The list of revoked tokens, where there is one.
    pub fn revoked(&self) -> Option<&Revoked> {
        self.revoked.as_deref()
    }

    /// Whether who shows this secret may revoke any token; `None` where nobody may.
    pub fn knows_revoker(&self, shown: &str) -> Option<bool> {
        self.revokers.as_ref().map(|revokers| revokers.know(shown))
    }

    /// Puts an entry on the list of revoked tokens. Who may do so is to be asked before.
    ///
    /// # Errors
    /// If it is not on the list then.
    pub async fn revoke_as(&self, entry: &Revocation) -> Result<(), NotTaken> {
        if self.issued_by(entry.issuer()).is_none() {
            return Err(NotTaken::UnknownIssuer);
        }
        let list = self.revoked().ok_or(NotRevoked::NoList)?;
        list.append(entry.clone()).await.map_err(NotRevoked::from)?;
        self.tell_others();
        Ok(())
    }

    /// Revokes a token for whoever has it, and tells whose it was and how it is named. Only a token that is good can be
    /// revoked; that one is not is no error (RFC 7009 section 2.2), and gives `None`. What a token is
    /// bound to need not be shown: who has it without that should not have it.
    ///
    /// # Errors
    /// If it may be good, and was not revoked.
    pub async fn revoke(
        &self,
        token: &str,
        policy: &Policy,
        generation: u64,
        now: Moment,
    ) -> Result<Option<(Arc<Authenticated>, Revocation)>, NotRevoked> {
        let list = self.revoked().ok_or(NotRevoked::NoList)?;
        let Some(Credential { token, .. }) = Credential::bearer(token) else { return Ok(None) };
        let found = match self.know(token, policy, generation, now).await {
            Err(Denial::Token(TokenFault::Expired | TokenFault::NotYetValid)) => {
                self.know_untimely(token, policy, generation, now).await
            }
            known => known,
        };
        let found = match found {
            Ok(found) => found,
            Err(Denial::Token(_)) => return Ok(None),
            Err(_) => return Err(NotRevoked::Unverified),
        };
        let entry = Revocation::of(&found.caller, token);
        list.append(entry.clone()).await?;
        self.tell_others();
        Ok(Some((found, entry)))
    }

    /// Has other gateways told at once of what was revoked.
    fn tell_others(&self) {
        if let Some(told) = &self.told {
            told.has_news();
        }
    }

    /// Whose a token of another time is. It could be good again when the clock is set right, and who has
    /// revoked it relies on that; unless it is so old that no entry would be kept for it.
    async fn know_untimely(
        &self,
        token: &str,
        policy: &Policy,
        generation: u64,
        now: Moment,
    ) -> Result<Arc<Authenticated>, Denial> {
        // What its issuer says of an opaque token is not in it.
        let expiry = Jwt::parse(token).map_err(|_| Denial::IssuerUnavailable)?.claimed_expiry();
        let last = expiry.filter(|expiry| *expiry > over()).and_then(|expiry| expiry.0.checked_sub(1));
        let time = UnixTime(last.ok_or(TokenFault::Expired)?);
        self.know(token, policy, generation, Moment { time, ..now }).await
    }
}

fn digest(contents: &[&[u8]]) -> Result<[u8; 32], Unusable> {
    let secret = secret(contents.first().copied().unwrap_or_default())?;
    if secret.len() < SHORTEST {
        return Err(Unusable::Content(format!("its file has fewer than {SHORTEST} bytes")));
    }
    Ok(sha256(secret))
}
