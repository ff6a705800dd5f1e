//! Claims to a [`Caller`](crate::policy::Caller): each of the right type, or an error.

use crate::policy::{Caller, TokenFault, UnixTime};

use super::IssuerRules;

/// Whether the caller's token is good now; to be asked again each time that a verdict is used again.
///
/// # Errors
/// [`TokenFault::Expired`] or [`TokenFault::NotYetValid`].
pub fn check_times(caller: &Caller, rules: &IssuerRules, now: UnixTime) -> Result<(), TokenFault> {
    let ahead = |time: Option<UnixTime>| time.is_some_and(|time| time.0 > now.0.saturating_add(rules.leeway));
    if now.0 >= caller.expires_at.0.saturating_add(rules.leeway) {
        return Err(TokenFault::Expired);
    }
    if ahead(caller.not_before) || ahead(caller.issued_at) {
        return Err(TokenFault::NotYetValid);
    }
    Ok(())
}
