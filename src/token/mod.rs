//! Tokens: bytes, keys and a time become a [`Caller`](crate::policy::Caller), or why not.
//!
//! Pure: keys are given, `now` is given, nothing is remembered. Fetching keys, asking for
//! introspection and remembering verdicts is `issuer`'s; what a caller may do is `policy`'s.

mod base64url;
mod basic;
mod bearer;
mod binding;
mod certificate;
mod claims;
mod client_key;
mod distinguished_name;
mod dpop;
mod form;
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
mod revocation_entry;
mod rules;
#[cfg(test)]
pub(crate) mod samples;
mod scopes;
mod server_metadata;
mod sha256;
mod sign_in;
mod spki;
mod token_form;

pub use basic::{Basic, basic_credentials};
pub use bearer::{Credential, LONGEST_TOKEN, Scheme, credential};
pub use binding::check_binding;
pub use certificate::{
    InvalidCertificate, certificate_from_client_cert, certificate_from_der, certificate_from_encoded_pem,
    certificate_from_forwarded_client_cert, certificate_from_header, certificate_from_pem,
};
pub use claims::check_times;
pub use client_key::{Assertion, AssertionAlgorithm, ClientKey, InvalidClientKey, Unsigned};
pub use dpop::{Proof, ProofRequest};
pub use form::{form_encoded, form_parameter};
pub use introspection::{confirmed, introspected, is_introspection_answer};
pub use jwt::{Jwt, Verified};
pub use keys::{InvalidKeySet, KeyFault, KeyFingerprint, KeySet, ParsedKeys, RefusedKey};
pub use revocation::{InvalidRevocation, Revocations};
pub use revocation_entry::{InvalidEntry, Revocation, is_torn};
pub use rules::{ClaimPath, ClaimPaths, DpopRules, IssuerRules, ScopeSyntax, TokenBounds, TokenType, WIDEST_BOUNDS};
pub use server_metadata::{InvalidServerMetadata, ServerMetadata};
pub use sign_in::{NoToken, SignInMetadata, token_of_answer};
pub use token_form::{TokenForm, check_media_type};
