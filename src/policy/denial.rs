//! Why a request is refused.
//!
//! A [`Denial`] carries what its answer needs and nothing more; how it is said over HTTP is
//! `gateway::answer`'s. [`Reason`] is its code in bodies, metrics and audit lines.

use std::fmt;

use smallvec::SmallVec;
use thiserror::Error;

use super::{ApiId, MethodSet, QuestionFault, RateLimitId, ScopeId, TokenRequestFault};

/// A refusal, in the order of the decision.
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

/// What of a head is larger than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadFault {
    /// Its first line.
    #[error("the request line is longer than is accepted")]
    RequestLine,
    /// The number of its other lines.
    #[error("there are more header fields than are accepted")]
    Fields,
    /// All of it.
    #[error("the head of the request is larger than is accepted")]
    Bytes,
}

/// What makes a target ambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathFault {
    /// Not `/path?query`: RFC 9112's other forms name no service.
    #[error("the target is not a path that starts with `/`")]
    NotOriginForm,
    /// `.` or `..`, or a segment of nothing but dots and spaces.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `//`.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `\` or `%5C`.
    #[error("the path has a backslash")]
    Backslash,
    /// `%2F`.
    #[error("the path has an encoded slash")]
    EncodedSlash,
    /// `%25`.
    #[error("the path is encoded twice")]
    DoubleEncoding,
    /// A control character, encoded or not.
    #[error("the target has a control character")]
    Control,
    /// A byte over 127, encoded or not.
    #[error("the target has a byte that is not ASCII")]
    NonAscii,
    /// `%` without two hexadecimal digits.
    #[error("the target has a broken percent-encoding")]
    BrokenEscape,
    /// `;` or `%3B`.
    #[error("the path has a matrix parameter")]
    MatrixParameter,
    /// `#` or, in the path, `%23`.
    #[error("the target has a `#`")]
    Fragment,
    /// `%3F`.
    #[error("the path has an encoded question mark")]
    EncodedQuestionMark,
    /// A character that RFC 3986 section 3.3 does not allow in a path.
    #[error("the target has a character that must be percent-encoded")]
    IllegalCharacter,
    /// Encoded characters that are judged, and would be forwarded, as themselves, where who forwards takes
    /// no other target than the one that came.
    #[error("the path has percent-encoded letters, digits, `-`, `.`, `_` or `~`")]
    Respelled,
}

/// What makes a header or parameter ambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderFault {
    /// More than one `Authorization`.
    #[error("there is more than one Authorization header")]
    SeveralAuthorizations,
    /// More than one `Host`.
    #[error("there is more than one Host header")]
    SeveralHosts,
    /// No `Host`, or one that is no host.
    #[error("the Host header is missing or is no host")]
    HostUnreadable,
    /// `Connection` names a header that the decision uses.
    #[error("the Connection header names a header that is needed end to end")]
    ConnectionNames,
    /// An account header more than once.
    #[error("the account header is given more than once")]
    SeveralAccountHeaders,
    /// An account query parameter more than once, or under a name that some servers would read as it.
    #[error("the account parameter is given more than once")]
    SeveralAccountParameters,
    /// More query parameters than every server reads, where one of them can name the account.
    #[error("there are more query parameters than some servers read")]
    TooManyParameters,
    /// An account value that servers decode differently.
    #[error("the account value has characters that servers read differently")]
    AccountUnreadable,
    /// A header that the decision uses more than once, such as `DPoP`.
    #[error("a header that is needed once is given more than once")]
    SeveralOfOne,
    /// The body's length is given twice, or in a coding other than `chunked` alone.
    #[error("the length of the body is given in a way that servers read differently")]
    Framing,
    /// A line of the head ends with a line feed alone, which some servers take for a part of the line.
    #[error("a line of the head does not end with CR and LF")]
    LineEnd,
    /// An `Expect` of anything but `100-continue` (RFC 9110 section 10.1.1).
    #[error("the Expect header is not `100-continue`")]
    Expectation,
    /// `Destination` (RFC 4918 section 10.3) names another target, for which nothing was asked.
    #[error("the Destination header names a second target, which is not judged")]
    SecondTarget,
    /// A trusted proxy's certificate header that holds no certificate.
    #[error("the certificate header cannot be read")]
    CertificateUnreadable,
    /// One that is never forwarded, where who forwards cannot be told to take it off.
    #[error("a header is given that only a proxy may write")]
    NotForwarded,
}

/// What is wrong with a token; each is answered 401 `invalid_token` (RFC 6750 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenFault {
    /// It is no token that can be judged; the text says what is wrong, without quoting it.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// No configured issuer is its `iss`.
    #[error("the token's issuer is not accepted here")]
    IssuerUnknown,
    /// Its `alg` is not one that the issuer may use.
    #[error("the token's signature algorithm is not accepted here")]
    AlgorithmRejected,
    /// The issuer has no key that fits its `kid` and `alg`.
    #[error("the token is signed with a key that its issuer does not publish")]
    KeyUnknown,
    /// Its `typ` is not one that the issuer may use (RFC 9068 section 2.1).
    #[error("the token is not an access token")]
    TypeRejected,
    /// The signature does not verify.
    #[error("the token's signature is not valid")]
    SignatureInvalid,
    /// None of its `aud` is ours.
    #[error("the token is not meant for this resource")]
    AudienceMismatch,
    /// Its `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// Its `nbf` or `iat` is ahead.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It was revoked, or its issuer says that it is not active.
    #[error("the token is revoked")]
    Revoked,
    /// It is bound to a certificate or proof key that was not shown.
    #[error("the token is bound to a key that was not shown")]
    BindingMismatch,
    /// The proof lacks a nonce that this server gave out (RFC 9449 section 9).
    #[error("the proof needs the nonce that the answer carries")]
    NonceRequired,
}

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

impl TokenFault {
    /// Its code.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Malformed(_) => Reason::TokenMalformed,
            Self::IssuerUnknown => Reason::IssuerUnknown,
            Self::AlgorithmRejected => Reason::AlgorithmRejected,
            Self::KeyUnknown => Reason::KeyUnknown,
            Self::TypeRejected => Reason::TokenTypeRejected,
            Self::SignatureInvalid => Reason::SignatureInvalid,
            Self::AudienceMismatch => Reason::AudienceMismatch,
            Self::Expired => Reason::TokenExpired,
            Self::NotYetValid => Reason::TokenNotYetValid,
            Self::Revoked => Reason::TokenRevoked,
            Self::BindingMismatch | Self::NonceRequired => Reason::BindingMismatch,
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

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident => $code:literal,)*) => {
        /// The code of a decision: fixed texts, safe as labels.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {$(
            #[doc = concat!("`", $code, "`")]
            $variant,
        )*}

        impl Reason {
            /// Every reason, in the order of the decision.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code as bodies, metrics and audit lines write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$variant => $code,)*}
            }
        }
    };
}

reasons! {
    QuestionRejected => "question_rejected",
    HeadTooLarge => "head_too_large",
    PathAmbiguous => "path_ambiguous",
    HeaderAmbiguous => "header_ambiguous",
    OriginRejected => "origin_rejected",
    Preflight => "preflight",
    FormRejected => "form_rejected",
    Public => "public",
    TokenMissing => "token_missing",
    TokenMalformed => "token_malformed",
    IssuerUnknown => "issuer_unknown",
    AlgorithmRejected => "algorithm_rejected",
    KeyUnknown => "key_unknown",
    TokenTypeRejected => "token_type_rejected",
    SignatureInvalid => "signature_invalid",
    AudienceMismatch => "audience_mismatch",
    TokenExpired => "token_expired",
    TokenNotYetValid => "token_not_yet_valid",
    IssuerUnavailable => "issuer_unavailable",
    SharedStateUnavailable => "shared_state_unavailable",
    TokenRevoked => "token_revoked",
    BindingMismatch => "binding_mismatch",
    ClientUnknown => "client_unknown",
    CertificateMismatch => "certificate_mismatch",
    ScopeUndefined => "scope_undefined",
    RouteUnknown => "route_unknown",
    MethodNotAllowed => "method_not_allowed",
    ScopeRequired => "scope_required",
    ScopeInsufficient => "scope_insufficient",
    ClientTypeRejected => "client_type_rejected",
    AccountMissing => "account_missing",
    AccountAmbiguous => "account_ambiguous",
    AccountForbidden => "account_forbidden",
    BodyTooLarge => "body_too_large",
    RateLimited => "rate_limited",
    Overloaded => "overloaded",
    Reported => "reported",
    Granted => "granted",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_reasons_share_a_code() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
    }
}
