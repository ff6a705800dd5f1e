//! What an issuer's tokens must be, as `gateway.yaml` says it. Parsed; `config` builds it.

use std::sync::Arc;

use jsonwebtoken::Algorithm;

/// What an issuer's tokens must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerRules {
    /// Exactly the token's `iss`.
    pub issuer: Arc<str>,
    /// A token's `aud` must have one of them; never empty.
    pub audiences: Box<[Box<str>]>,
    /// The signature algorithms that it may use; never empty.
    pub algorithms: Box<[Algorithm]>,
    /// Whether the header's `typ` must be that of an access token.
    pub token_type: TokenType,
    /// How far clocks may be apart, in seconds.
    pub leeway: u64,
    /// Where a token says what.
    pub claims: ClaimPaths,
    /// How its scopes are written.
    pub scope_syntax: ScopeSyntax,
    /// How much it may say.
    pub bounds: TokenBounds,
    /// RFC 9449; `None` where the file says nothing, which still holds bound tokens to their proof.
    pub dpop: Option<DpopRules>,
}

/// RFC 9068 section 2.1: the `typ` of an access token is `at+jwt` or `application/at+jwt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenType {
    /// It must be that.
    Require,
    /// It must be that, `JWT`, or absent: what is declared to be something else (an ID token's
    /// `id_token+jwt`, a `logout+jwt`, a `dpop+jwt`) is refused.
    #[default]
    Prefer,
    /// It is not looked at.
    Off,
}

/// Where a token says what: each a list of places, tried in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPaths {
    /// The scopes.
    pub scope: Box<[ClaimPath]>,
    /// The account or accounts.
    pub account: Box<[ClaimPath]>,
    /// The client id.
    pub client: Box<[ClaimPath]>,
}

/// The names that lead to a claim, from the outside in; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(pub Box<[Box<str>]>);

/// How scopes are written in a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScopeSyntax {
    /// `"a b"` or `["a", "b"]` (RFC 6749 section 3.3, and arrays as several products have them).
    #[default]
    Words,
    /// `certificate:approve,delete;ssh`.
    Privileges,
}

/// How much a token may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBounds {
    /// Different scopes and privileges.
    pub scopes: usize,
    /// Objects and arrays inside each other, the claims themselves counted; 1 to 32.
    pub depth: usize,
}

/// The most that a file may allow.
pub const WIDEST_BOUNDS: TokenBounds = TokenBounds { scopes: 10_000, depth: 32 };

impl Default for TokenBounds {
    fn default() -> Self {
        Self { scopes: 1_000, depth: 32 }
    }
}

/// What a `DPoP` proof must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DpopRules {
    /// How old its `iat` may be, in seconds; 60 where the file says nothing.
    pub max_age: u64,
    /// Whether a server nonce is asked for (RFC 9449 section 9).
    pub nonce: bool,
    /// Whether tokens that are not bound are refused.
    pub required: bool,
}

/// What holds a bound token's proof where the file says nothing.
impl Default for DpopRules {
    fn default() -> Self {
        Self { max_age: 60, nonce: false, required: false }
    }
}
