//! Why a request is refused.
//!
//! A [`Denial`] carries what its answer needs and nothing more; how it is said over HTTP is
//! `gateway::answer`'s. [`Reason`] is its code; what was wrong is a fault (`fault`).

use smallvec::SmallVec;

use super::{
    ApiId, HeadFault, HeaderFault, MethodSet, PathFault, QuestionFault, RateLimitId, Reason, ScopeId, TokenFault,
    TokenRequestFault,
};

/// A refusal. In which order they are looked for, [`Reason`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// A data plane's question is no good.
    Question(QuestionFault),
    /// The target could mean something else to the upstream.
    PathAmbiguous(PathFault),
    /// A header or parameter that the decision uses could mean something else to the upstream.
    HeaderAmbiguous(HeaderFault),
    /// A browser asks whether a page may call, and the page's origin is not one that may.
    OriginRejected {
        /// Whose `cors` says so.
        api: ApiId,
    },
    /// No token was sent.
    TokenMissing,
    /// The head is larger than it may be.
    HeadTooLarge(HeadFault),
    /// The token is no good.
    Token(TokenFault),
    /// The issuer's keys or its introspection are not at hand.
    IssuerUnavailable,
    /// What other gateways have seen or revoked is not at hand, and has to be.
    SharedStateUnavailable,
    /// There is a list of clients, and the token's is not on it.
    ClientUnknown,
    /// The client's entry asks for a certificate that was not presented.
    CertificateMismatch,
    /// The token names an account that its client's entry does not have.
    ClientAccountMismatch,
    /// The token carries a scope that no api defines, and the policy rejects that.
    ScopeUndefined,
    /// No service has this path.
    RouteUnknown,
    /// Services have this path, but none with this method.
    MethodNotAllowed {
        /// The methods that they have.
        allow: MethodSet,
    },
    /// A required scope of the api is not held.
    ScopeRequired {
        /// Whose scope it is.
        api: ApiId,
        /// The api's required scopes that are not held, in the order of the file.
        missing: ScopeIds,
    },
    /// No scope that grants this service is held.
    ScopeInsufficient {
        /// Whose service it is.
        api: ApiId,
        /// The scopes of which one would do, in the order of the file.
        alternatives: ScopeIds,
    },
    /// The scopes held are for confidential clients only, and this one is public or a browser.
    ClientTypeRejected {
        /// Whose scopes they are.
        api: ApiId,
    },
    /// The request names no account.
    AccountMissing {
        /// Whose services ask for one.
        api: ApiId,
    },
    /// The places that name the request's account disagree.
    AccountAmbiguous {
        /// Whose services they are.
        api: ApiId,
    },
    /// The account is not within reach.
    AccountForbidden {
        /// Whose services they are.
        api: ApiId,
    },
    /// The body is larger than it may be.
    BodyTooLarge {
        /// Whose services bound it.
        api: ApiId,
    },
    /// More requests than a rate limit lets through.
    RateLimited {
        /// Whose limit it is.
        api: ApiId,
        /// Which; the one that takes longest.
        limit: RateLimitId,
        /// After how many seconds one more would pass.
        retry_after: u64,
    },
    /// As many requests are under way to the upstream as may be.
    Overloaded {
        /// Whose upstream it is.
        api: ApiId,
    },
    /// A request for a token may not go to the provider.
    TokenRequest {
        /// Whose token endpoint it is.
        api: ApiId,
        /// Why not.
        fault: TokenRequestFault,
    },
}

/// A few scopes, in the order of the file.
pub type ScopeIds = SmallVec<[ScopeId; 8]>;

impl Denial {
    /// The scopes for want of which it refuses: all of them, or one, would have done.
    #[must_use]
    pub fn wanted_scopes(&self) -> &[ScopeId] {
        match self {
            Self::ScopeRequired { missing: wanted, .. } | Self::ScopeInsufficient { alternatives: wanted, .. } => {
                wanted
            }
            Self::Question(_)
            | Self::PathAmbiguous(_)
            | Self::HeaderAmbiguous(_)
            | Self::HeadTooLarge(_)
            | Self::BodyTooLarge { .. }
            | Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::OriginRejected { .. }
            | Self::TokenMissing
            | Self::Token(_)
            | Self::IssuerUnavailable
            | Self::SharedStateUnavailable
            | Self::ClientUnknown
            | Self::ClientAccountMismatch
            | Self::CertificateMismatch
            | Self::ScopeUndefined
            | Self::RouteUnknown
            | Self::MethodNotAllowed { .. }
            | Self::ClientTypeRejected { .. }
            | Self::AccountMissing { .. }
            | Self::AccountAmbiguous { .. }
            | Self::AccountForbidden { .. }
            | Self::TokenRequest { .. } => &[],
        }
    }

    /// The api that the refusal is about, where one was found.
    #[must_use]
    pub fn api(&self) -> Option<ApiId> {
        match self {
            Self::ScopeRequired { api, .. }
            | Self::ScopeInsufficient { api, .. }
            | Self::ClientTypeRejected { api }
            | Self::AccountMissing { api }
            | Self::AccountAmbiguous { api }
            | Self::AccountForbidden { api }
            | Self::BodyTooLarge { api }
            | Self::RateLimited { api, .. }
            | Self::Overloaded { api }
            | Self::OriginRejected { api }
            | Self::TokenRequest { api, .. } => Some(*api),
            Self::Question(_)
            | Self::PathAmbiguous(_)
            | Self::HeaderAmbiguous(_)
            | Self::HeadTooLarge(_)
            | Self::TokenMissing
            | Self::Token(_)
            | Self::IssuerUnavailable
            | Self::SharedStateUnavailable
            | Self::ClientUnknown
            | Self::CertificateMismatch
            | Self::ClientAccountMismatch
            | Self::ScopeUndefined
            | Self::RouteUnknown
            | Self::MethodNotAllowed { .. } => None,
        }
    }

    /// Its code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Question(_) => Reason::QuestionRejected,
            Self::PathAmbiguous(_) => Reason::PathAmbiguous,
            Self::HeaderAmbiguous(_) => Reason::HeaderAmbiguous,
            Self::HeadTooLarge(_) => Reason::HeadTooLarge,
            Self::OriginRejected { .. } => Reason::OriginRejected,
            Self::TokenMissing => Reason::TokenMissing,
            Self::Token(fault) => fault.reason(),
            Self::IssuerUnavailable => Reason::IssuerUnavailable,
            Self::SharedStateUnavailable => Reason::SharedStateUnavailable,
            Self::ClientUnknown => Reason::ClientUnknown,
            Self::CertificateMismatch => Reason::CertificateMismatch,
            Self::ScopeUndefined => Reason::ScopeUndefined,
            Self::RouteUnknown => Reason::RouteUnknown,
            Self::MethodNotAllowed { .. } => Reason::MethodNotAllowed,
            Self::ScopeRequired { .. } => Reason::ScopeRequired,
            Self::ScopeInsufficient { .. } => Reason::ScopeInsufficient,
            Self::ClientTypeRejected { .. } => Reason::ClientTypeRejected,
            Self::AccountMissing { .. } => Reason::AccountMissing,
            Self::AccountAmbiguous { .. } => Reason::AccountAmbiguous,
            Self::AccountForbidden { .. } | Self::ClientAccountMismatch => Reason::AccountForbidden,
            Self::BodyTooLarge { .. } => Reason::BodyTooLarge,
            Self::RateLimited { .. } => Reason::RateLimited,
            Self::Overloaded { .. } => Reason::Overloaded,
            Self::TokenRequest { fault, .. } => fault.reason(),
        }
    }
}

impl From<QuestionFault> for Denial {
    fn from(fault: QuestionFault) -> Self {
        Self::Question(fault)
    }
}

impl From<TokenFault> for Denial {
    fn from(fault: TokenFault) -> Self {
        Self::Token(fault)
    }
}

impl From<HeadFault> for Denial {
    fn from(fault: HeadFault) -> Self {
        Self::HeadTooLarge(fault)
    }
}

impl From<PathFault> for Denial {
    fn from(fault: PathFault) -> Self {
        Self::PathAmbiguous(fault)
    }
}

impl From<HeaderFault> for Denial {
    fn from(fault: HeaderFault) -> Self {
        Self::HeaderAmbiguous(fault)
    }
}
