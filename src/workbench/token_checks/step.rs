//! What is checked of a token, and in which order.

use crate::policy::TokenFault;

/// What is checked of a token, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenStep {
    /// It is one credential, and a JWT whose claims are of their types.
    WellFormed,
    /// Its issuer is one of the file's.
    Issuer,
    /// Its algorithm is one that the issuer may use.
    Algorithm,
    /// Its `typ` is an access token's.
    Type,
    /// The issuer's keys are at hand.
    Keys,
    /// One of them fits the token.
    Key,
    /// The signature is by it.
    Signature,
    /// It is meant for this resource.
    Audience,
    /// Its end has not passed.
    NotExpired,
    /// Its beginning has.
    AlreadyValid,
    /// The issuer that is asked about it says that it is good.
    Introspection,
    /// The list of revoked tokens does not have it.
    NotRevoked,
    /// What it is bound to was shown.
    Binding,
}

/// Of a JWT whose issuer has keys.
pub(super) const OF_JWT: [TokenStep; 12] = [
    TokenStep::WellFormed,
    TokenStep::Issuer,
    TokenStep::Algorithm,
    TokenStep::Type,
    TokenStep::Keys,
    TokenStep::Key,
    TokenStep::Signature,
    TokenStep::Audience,
    TokenStep::NotExpired,
    TokenStep::AlreadyValid,
    TokenStep::NotRevoked,
    TokenStep::Binding,
];
/// Of a JWT whose issuer is asked about it too.
pub(super) const OF_CONFIRMED: [TokenStep; 13] = [
    TokenStep::WellFormed,
    TokenStep::Issuer,
    TokenStep::Algorithm,
    TokenStep::Type,
    TokenStep::Keys,
    TokenStep::Key,
    TokenStep::Signature,
    TokenStep::Audience,
    TokenStep::NotExpired,
    TokenStep::AlreadyValid,
    TokenStep::Introspection,
    TokenStep::NotRevoked,
    TokenStep::Binding,
];
/// Of a token that its issuer is asked about.
pub(super) const OF_OPAQUE: [TokenStep; 4] =
    [TokenStep::WellFormed, TokenStep::Introspection, TokenStep::NotRevoked, TokenStep::Binding];

impl TokenStep {
    /// What is asked, in a few words.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::WellFormed => "well formed",
            Self::Issuer => "known issuer",
            Self::Algorithm => "allowed algorithm",
            Self::Type => "an access token",
            Self::Keys => "keys at hand",
            Self::Key => "known key",
            Self::Signature => "signature",
            Self::Audience => "audience",
            Self::NotExpired => "not expired",
            Self::AlreadyValid => "valid already",
            Self::Introspection => "introspection",
            Self::NotRevoked => "not revoked",
            Self::Binding => "binding",
        }
    }

    /// The check that a token fails with this.
    pub(super) fn failed_by(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Malformed(_) => Self::WellFormed,
            TokenFault::IssuerUnknown => Self::Issuer,
            TokenFault::AlgorithmRejected => Self::Algorithm,
            TokenFault::KeyUnknown => Self::Key,
            TokenFault::TypeRejected => Self::Type,
            TokenFault::SignatureInvalid => Self::Signature,
            TokenFault::AudienceMismatch => Self::Audience,
            TokenFault::Expired => Self::NotExpired,
            TokenFault::NotYetValid => Self::AlreadyValid,
            TokenFault::Revoked => Self::NotRevoked,
            TokenFault::BindingMismatch | TokenFault::NonceRequired => Self::Binding,
        }
    }
}
