//! `WWW-Authenticate`: RFC 6750 section 3, RFC 9449 section 7.1 and RFC 9728 section 5.1.
//!
//! What is the same for every request is written once a policy.

use std::fmt::Write as _;

use http::header::HeaderValue;
use smallvec::{SmallVec, smallvec};

/// One challenge, or two where `DPoP` is taken too.
pub(super) type ChallengeValues = SmallVec<[HeaderValue; 2]>;

/// The challenges of one policy.
#[derive(Debug)]
pub(super) struct Challenges {
    missing: ChallengeValues,
    /// `, resource_metadata="…"`, or nothing.
    metadata: Box<str>,
    /// `, algs="…"`, where some issuer takes proofs.
    proofs: Option<Box<str>>,
}

impl Challenges {
    /// `proof_algorithms`: what `DPoP` proofs may be signed with, spaces between, if they are taken.
    pub(super) fn new(metadata_url: Option<&str>, proof_algorithms: Option<&str>) -> Self {
        let metadata = metadata_url.map(|url| parameter("resource_metadata", url)).unwrap_or_default();
        let mut missing: ChallengeValues = smallvec![value(&format!("Bearer realm=\"scopegate\"{metadata}"))];
        if let Some(names) = proof_algorithms {
            missing.push(value(&format!("DPoP algs=\"{names}\"")));
        }
        Self {
            missing,
            metadata: metadata.into(),
            proofs: proof_algorithms.map(|names| parameter("algs", names).into()),
        }
    }

    /// To a request without a token: no error code.
    pub(super) fn missing(&self) -> ChallengeValues {
        self.missing.clone()
    }

    /// To a request whose token will not do. `scopes` are those that would.
    pub(super) fn error(&self, error: &str, description: &str, scopes: &[&str]) -> ChallengeValues {
        let mut parameters = format!("error=\"{error}\"{}", parameter("error_description", description));
        if !scopes.is_empty() {
            parameters.push_str(&parameter("scope", &scopes.join(" ")));
        }
        let mut challenges: ChallengeValues = smallvec![value(&format!("Bearer {parameters}{}", self.metadata))];
        if let Some(proofs) = &self.proofs {
            challenges.push(value(&format!("DPoP {parameters}{proofs}")));
        }
        challenges
    }

    /// To a request whose proof lacks the nonce that the answer carries (RFC 9449 section 9).
    pub(super) fn nonce(&self, description: &str) -> ChallengeValues {
        let proofs = self.proofs.as_deref().unwrap_or_default();
        let description = parameter("error_description", description);
        smallvec![value(&format!("DPoP error=\"use_dpop_nonce\"{description}{proofs}"))]
    }
}

/// `, name="text"`, with what a quoted string (and RFC 6750's narrower set) cannot have left out.
fn parameter(name: &str, text: &str) -> String {
    let mut written = String::with_capacity(name.len() + text.len() + 5);
    // It cannot fail: it is a string that grows.
    let _ = write!(written, ", {name}=\"");
    written.extend(text.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')));
    written.push('"');
    written
}

fn value(text: &str) -> HeaderValue {
    // INVARIANT: every text above is visible ASCII and spaces.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("Bearer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_there_is_no_error_code() {
        assert_eq!(Challenges::new(None, None).missing()[..], ["Bearer realm=\"scopegate\""]);
        assert_eq!(
            Challenges::new(Some("https://a/.well-known/x"), Some("ES256 EdDSA")).missing()[..],
            ["Bearer realm=\"scopegate\", resource_metadata=\"https://a/.well-known/x\"", "DPoP algs=\"ES256 EdDSA\""]
        );
    }

    #[test]
    fn an_error_names_the_scopes_that_would_do() {
        let challenges = Challenges::new(Some("https://a/b"), Some("ES256"));
        assert_eq!(
            challenges.error("insufficient_scope", "none held", &["a", "b"])[..],
            [
                "Bearer error=\"insufficient_scope\", error_description=\"none held\", scope=\"a b\", \
                 resource_metadata=\"https://a/b\"",
                "DPoP error=\"insufficient_scope\", error_description=\"none held\", scope=\"a b\", algs=\"ES256\"",
            ]
        );
        assert_eq!(
            Challenges::new(None, None).error("invalid_token", "expired", &[])[..],
            ["Bearer error=\"invalid_token\", error_description=\"expired\""]
        );
    }

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(
            Challenges::new(None, None).error("invalid_token", "a\"b\\c\r\nd: é", &[])[..],
            ["Bearer error=\"invalid_token\", error_description=\"abcd: \""]
        );
    }

    #[test]
    fn a_nonce_is_asked_for_of_proofs_alone() {
        assert_eq!(
            Challenges::new(None, Some("ES256")).nonce("needed")[..],
            ["DPoP error=\"use_dpop_nonce\", error_description=\"needed\", algs=\"ES256\""]
        );
    }
}
