//! Tokens: bytes, keys and a time become a [`Caller`](crate::policy::Caller), or why not.
//!
//! Pure: keys are given, `now` is given, nothing is remembered. Fetching keys, asking for
//! introspection and remembering verdicts is `issuer`'s; what a caller may do is `policy`'s.

mod base64url;
mod bearer;
mod binding;
mod certificate;
mod claims;
mod distinguished_name;
mod dpop;
mod forwarded;
mod htu;
mod introspection;
mod json;
mod jwk;
mod jws;
mod jwt;
mod keys;
mod material;
mod pem;
mod revocation;
mod rules;
#[cfg(test)]
pub(crate) mod samples;
mod scopes;
mod sha256;
mod spki;

pub use bearer::{Credential, Scheme, credential};
pub use binding::check_binding;
pub use certificate::{InvalidCertificate, certificate_from_der, certificate_from_header, certificate_from_pem};
pub use claims::check_times;
pub use dpop::{Proof, ProofRequest};
pub use introspection::{introspected, is_introspection_answer};
pub use jwt::{Jwt, Verified};
pub use keys::{InvalidKeySet, KeyFault, KeyFingerprint, KeySet, ParsedKeys, RefusedKey};
pub use revocation::{InvalidRevocation, Revocations};
pub use rules::{ClaimPath, ClaimPaths, DpopRules, IssuerRules, ScopeSyntax, TokenType};
