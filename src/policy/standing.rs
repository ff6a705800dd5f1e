//! What one policy makes of a caller: once a token and generation, not once a request.

use super::ClientType;
use super::account::Account;
use super::scope_set::ScopeSet;

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
    /// The list's entry, by its place, and the type it gives.
    Listed(ClientType, u32),
    /// There is a list, and it leaves this client out.
    Unknown,
    /// The token names an account, and the client's entry another.
    AccountMismatch,
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

    /// The accounts that count as the caller's own.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }
}
