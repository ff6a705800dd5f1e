//! What a client asks a token for, and why it may not ask for that.
//!
//! How a form is read is `token`'s, what RFC 6749 section 5.2 answers to a fault is `gateway`'s.

use thiserror::Error;

use super::{Certificate, ClientId, HeaderFault, Permit, Reason};

/// What a client asks a token for (RFC 6749 section 3.2), as far as it is judged here.
#[derive(Debug, Clone, Copy)]
pub struct TokenRequest<'r> {
    /// Who says to be asking; the provider finds out whether it is.
    pub client: &'r ClientId,
    /// The TLS client certificate, if one was presented.
    pub certificate: Option<&'r Certificate>,
    /// Its scopes, privileges written out, each once; `None` where that is left to the provider.
    pub scopes: Option<&'r [Box<str>]>,
}

/// A request for a token that may go to the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedTokenRequest {
    /// That it may.
    pub permit: Permit<'static>,
    /// The scopes to ask the provider for: as the client wrote them, then the required ones that it
    /// left out, as the file writes them. `None` where the client asked for none.
    pub scopes: Option<Vec<Box<str>>>,
}

/// Why a request for a token goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenRequestFault {
    /// A header that the decision uses is ambiguous.
    Header(HeaderFault),
    /// The form cannot be read, or could be read in another way.
    Form(FormFault),
    /// It names no client that can be read.
    ClientMissing,
    /// There is a list of clients, and it leaves this one out.
    ClientUnknown,
    /// The client's entry asks for a certificate that was not presented.
    CertificateMismatch,
    /// Its scope parameter is not in the issuer's syntax.
    ScopeMalformed,
    /// No api defines some of its scopes.
    ScopeUndefined {
        /// Those, and those beyond the client's ceiling, as it wrote them.
        refused: Box<[Box<str>]>,
    },
    /// Some of its scopes are beyond the client's ceiling.
    ScopeBeyond {
        /// Those, as it wrote them.
        refused: Box<[Box<str>]>,
    },
}

/// What is wrong with the form of a request for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FormFault {
    /// It has more bytes than the token endpoint takes.
    #[error("the form is larger than is accepted here")]
    TooLarge,
    /// It took too long to arrive.
    #[error("the form did not arrive in time")]
    TooSlow,
    /// It broke off, or its framing is no HTTP.
    #[error("the form broke off or is not framed as HTTP asks for")]
    Broken,
    /// Another media type, or another character encoding than UTF-8.
    #[error("the parameters must be sent as application/x-www-form-urlencoded in UTF-8")]
    MediaType,
    /// A `Content-Encoding`.
    #[error("the form must not be compressed")]
    Compressed,
    /// `%` without two hexadecimal digits.
    #[error("the form has a broken percent-encoding")]
    BrokenEscape,
    /// Not UTF-8, encoded or not.
    #[error("the form is not UTF-8")]
    NotText,
    /// More parameters than any request for a token has.
    #[error("the form has more parameters than are accepted here")]
    TooManyParameters,
    /// What is asked for is not in it.
    #[error("the form lacks the parameter that is asked for")]
    Missing,
    /// RFC 6749 section 3.2: parameters must not be included more than once.
    #[error("a parameter is included more than once")]
    Repeated,
    /// A name that is not of RFC 6749's `name-char`s (section 8.2), which some servers repair.
    #[error("a parameter's name has other characters than letters, digits, `-`, `.` and `_`")]
    Name,
    /// A name that some servers take for that of a parameter which is judged.
    #[error("a parameter's name is spelled in another way than RFC 6749 spells it")]
    Spelling,
    /// RFC 6749 section 2.3.1: parameters that count belong in the body.
    #[error("a parameter that belongs in the body is in the URL")]
    InUrl,
    /// A data plane asks about a request for a token, and its form is what would be judged.
    #[error("requests for tokens are not answered for data planes, which show no forms")]
    NotShown,
    /// The places that name the client disagree.
    #[error("the request names more than one client")]
    SeveralClients,
}

impl TokenRequestFault {
    /// Its code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Header(_) => Reason::HeaderAmbiguous,
            Self::Form(_) | Self::ScopeMalformed => Reason::FormRejected,
            Self::ClientMissing | Self::ClientUnknown => Reason::ClientUnknown,
            Self::CertificateMismatch => Reason::CertificateMismatch,
            Self::ScopeUndefined { .. } => Reason::ScopeUndefined,
            Self::ScopeBeyond { .. } => Reason::ScopeInsufficient,
        }
    }
}

impl From<HeaderFault> for TokenRequestFault {
    fn from(fault: HeaderFault) -> Self {
        Self::Header(fault)
    }
}

impl From<FormFault> for TokenRequestFault {
    fn from(fault: FormFault) -> Self {
        Self::Form(fault)
    }
}
