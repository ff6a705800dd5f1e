//! What one policy makes of a caller: once a token and generation, not once a request.
//!
//! Whether that is enough for a request is `decision`'s.

use super::account::Account;
use super::client::Listed;
use super::{Caller, Policy, ScopeSet, UndefinedScopes, UnregisteredClients};

/// What one policy makes of a caller: the scopes it holds under its client's ceiling, its client's
/// entry, its accounts. Made by [`Policy::standing`](super::Policy::standing); meaningless for
/// another policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub(super) held: ScopeSet,
    pub(super) client: ClientStanding,
    pub(super) accounts: Box<[Account]>,
    pub(super) undefined_scope: bool,
}

/// What the list of clients says of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientStanding {
    /// There is no list, or it lets others through.
    Unlisted,
    /// The list's entry, by its place.
    Listed(u32),
    /// There is a list, and it leaves this client out.
    Unknown,
    /// The token names an account, and the list's entry at this place another.
    AccountMismatch(u32),
}

impl Standing {
    /// Of a client that gets no further: it holds nothing.
    pub(super) fn nobody(client: ClientStanding) -> Self {
        Self { held: ScopeSet::default(), client, accounts: [].into(), undefined_scope: false }
    }

    /// The scopes and privileges held, under the client's ceiling.
    #[must_use]
    pub fn held(&self) -> &ScopeSet {
        &self.held
    }

    /// The client's place in the list of clients, where it is on it.
    #[must_use]
    pub fn client_place(&self) -> Option<u32> {
        match self.client {
            ClientStanding::Listed(place) | ClientStanding::AccountMismatch(place) => Some(place),
            ClientStanding::Unlisted | ClientStanding::Unknown => None,
        }
    }

    /// The accounts that count as the caller's own.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }
}

impl Policy {
    /// What this policy makes of a caller.
    #[must_use]
    pub fn standing(&self, caller: &Caller) -> Standing {
        let listed = self.clients.as_ref().map(|clients| clients.find(caller.client.as_deref()));
        let listed = match listed {
            None => None,
            Some(Some(listed)) => Some(listed),
            Some(None) if self.unregistered_clients == UnregisteredClients::Allow => None,
            Some(None) => return Standing::nobody(ClientStanding::Unknown),
        };
        let accounts = match own_accounts(caller, listed) {
            Ok(accounts) => accounts,
            Err(contradiction) => return Standing::nobody(contradiction),
        };
        let mut held = ScopeSet::default();
        let mut undefined = false;
        for name in &caller.scopes {
            match self.scope_named(name) {
                Some(id) => self.add_with_included(&mut held, id),
                None => undefined = true,
            }
        }
        if let Some(ceiling) = listed.and_then(|listed| listed.client.ceiling.as_ref()) {
            held = held.and(ceiling);
        }
        Standing {
            held,
            accounts,
            client: listed.map_or(ClientStanding::Unlisted, |listed| ClientStanding::Listed(listed.place)),
            undefined_scope: undefined && self.undefined_scopes == UndefinedScopes::Reject,
        }
    }
}

/// A token's accounts, or its client's where it carries none; they must not contradict each other.
fn own_accounts(caller: &Caller, listed: Option<Listed<'_>>) -> Result<Box<[Account]>, ClientStanding> {
    let Some(Listed { client, place }) = listed else { return Ok(caller.accounts.clone()) };
    match &client.account {
        None => Ok(caller.accounts.clone()),
        Some(account) if caller.accounts.is_empty() || caller.accounts.contains(account) => {
            Ok([account.clone()].into())
        }
        Some(_) => Err(ClientStanding::AccountMismatch(place)),
    }
}
