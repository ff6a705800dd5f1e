//! The caller: what a verified token says, whatever the policy.

use std::sync::Arc;

use super::account::Account;

/// Seconds since 1970-01-01T00:00:00Z, as RFC 7519's `NumericDate` without its fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(pub u64);

/// What a verified token says. It holds for every policy; what one policy makes of it is a
/// [`Standing`](super::Standing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who signed or vouched for the token: exactly the configured issuer.
    pub issuer: Arc<str>,
    /// `sub`.
    pub subject: Option<Box<str>>,
    /// The client id.
    pub client: Option<Box<str>>,
    /// The accounts that the token names, in its order; none if it carries none.
    pub accounts: Box<[Account]>,
    /// The scopes that the token carries, privileges written out (`certificate:approve`), each once.
    pub scopes: Box<[Box<str>]>,
    /// `jti`.
    pub token_id: Option<Box<str>>,
    /// `iat`.
    pub issued_at: Option<UnixTime>,
    /// `nbf`.
    pub not_before: Option<UnixTime>,
    /// `exp`: the token is good before it.
    pub expires_at: UnixTime,
    /// What the token is bound to (`cnf`, RFC 7800).
    pub binding: Binding,
}

impl Caller {
    /// One for a trial of a policy: no token says what it holds, so that it never expires and is bound to nothing.
    pub fn supposed(issuer: impl Into<Arc<str>>) -> Self {
        Self {
            issuer: issuer.into(),
            subject: None,
            client: None,
            accounts: [].into(),
            scopes: [].into(),
            token_id: None,
            issued_at: None,
            not_before: None,
            expires_at: UnixTime(u64::MAX),
            binding: Binding::default(),
        }
    }
}

/// What a token is bound to; each that is present must be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Binding {
    /// `x5t#S256`: the SHA-256 of the DER of the TLS client certificate (RFC 8705 section 3.1).
    pub certificate: Option<[u8; 32]>,
    /// `jkt`: the SHA-256 JWK thumbprint of the `DPoP` key (RFC 9449 section 6.1).
    pub proof_key: Option<[u8; 32]>,
}
