//! What is wrong with a target, a head, its headers or a token.
//!
//! Which refusal that is, is `denial`'s; the texts are for clients, and quote nothing that was sent.

use thiserror::Error;

use super::Reason;

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
