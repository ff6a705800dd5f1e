//! `WWW-Authenticate`: RFC 6750 section 3, RFC 9449 section 7.1 and RFC 9728 section 5.1.
//!
//! What is the same for every request is written once a policy.

use http::header::HeaderValue;
use smallvec::{SmallVec, smallvec};

/// One challenge, or two where `DPoP` is taken too.
pub(super) type ChallengeValues = SmallVec<[HeaderValue; 2]>;

/// The challenges of one policy.
#[derive(Debug)]
pub(super) struct Challenges {
    missing: ChallengeValues,
    /// `resource_metadata="…"`, if it is served.
    metadata: Option<Box<str>>,
    /// `algs="…"`, where some issuer takes proofs.
    proofs: Option<Box<str>>,
}

impl Challenges {
    /// `proof_algorithms`: what `DPoP` proofs may be signed with, spaces between, if they are taken.
    pub(super) fn new(metadata_url: Option<&str>, proof_algorithms: Option<&str>) -> Self {
        let metadata = metadata_url.map(|url| parameter("resource_metadata", url));
        let proofs = proof_algorithms.map(|names| parameter("algs", names));
        let realm = parameter("realm", "scopegate");
        let mut missing: ChallengeValues = smallvec![challenge("Bearer", [metadata.as_deref().unwrap_or(&realm)])];
        missing.extend(proofs.as_deref().map(|proofs| challenge("DPoP", [proofs])));
        Self { missing, metadata: metadata.map(Into::into), proofs: proofs.map(Into::into) }
    }

    /// To a request without a token: no error code.
    pub(super) fn missing(&self) -> ChallengeValues {
        self.missing.clone()
    }

    /// To a request whose token is no good.
    pub(super) fn invalid_token(&self, description: &str) -> ChallengeValues {
        self.error(&[parameter("error", "invalid_token"), parameter("error_description", description)])
    }

    /// To a request whose token is good and holds too little; `scopes` would do.
    pub(super) fn insufficient_scope(&self, scopes: &[&str]) -> ChallengeValues {
        let error = parameter("error", "insufficient_scope");
        match scopes {
            [] => self.error(&[error]),
            [_, ..] => self.error(&[error, parameter("scope", &scopes.join(" "))]),
        }
    }

    /// To a request whose proof lacks the nonce that the answer carries (RFC 9449 section 9).
    pub(super) fn nonce(&self, description: &str) -> ChallengeValues {
        let parameters = [parameter("error", "use_dpop_nonce"), parameter("error_description", description)];
        smallvec![challenge("DPoP", parameters.iter().map(String::as_str).chain(self.proofs.as_deref()))]
    }

    fn error(&self, parameters: &[String]) -> ChallengeValues {
        let parameters = || parameters.iter().map(String::as_str);
        let mut challenges: ChallengeValues =
            smallvec![challenge("Bearer", parameters().chain(self.metadata.as_deref()))];
        challenges.extend(self.proofs.as_deref().map(|proofs| challenge("DPoP", parameters().chain([proofs]))));
        challenges
    }
}

/// `scheme a="b", c="d"`.
fn challenge<'a>(scheme: &str, parameters: impl IntoIterator<Item = &'a str>) -> HeaderValue {
    let mut text = scheme.to_owned();
    for (place, parameter) in parameters.into_iter().enumerate() {
        text.push_str(if place == 0 { " " } else { ", " });
        text.push_str(parameter);
    }
    // INVARIANT: every parameter is visible ASCII and spaces.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// `name="text"`, with what a quoted string (and RFC 6750's narrower set) cannot have left out.
fn parameter(name: &str, text: &str) -> String {
    let mut written = String::with_capacity(name.len() + text.len() + 3);
    written.push_str(name);
    written.push_str("=\"");
    written.extend(text.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')));
    written.push('"');
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_there_is_no_error_code() {
        assert_eq!(Challenges::new(None, None).missing()[..], ["Bearer realm=\"scopegate\""]);
        assert_eq!(
            Challenges::new(Some("https://a/.well-known/x"), Some("ES256 EdDSA")).missing()[..],
            ["Bearer resource_metadata=\"https://a/.well-known/x\"", "DPoP algs=\"ES256 EdDSA\""]
        );
    }

    #[test]
    fn an_error_names_the_scopes_that_would_do() {
        let challenges = Challenges::new(Some("https://a/b"), Some("ES256"));
        assert_eq!(
            challenges.insufficient_scope(&["a", "b"])[..],
            [
                "Bearer error=\"insufficient_scope\", scope=\"a b\", resource_metadata=\"https://a/b\"",
                "DPoP error=\"insufficient_scope\", scope=\"a b\", algs=\"ES256\"",
            ]
        );
        let challenges = Challenges::new(None, None);
        assert_eq!(challenges.insufficient_scope(&[])[..], ["Bearer error=\"insufficient_scope\""]);
        assert_eq!(
            challenges.invalid_token("expired")[..],
            ["Bearer error=\"invalid_token\", error_description=\"expired\""]
        );
    }

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(
            Challenges::new(None, None).invalid_token("a\"b\\c\r\nd: é")[..],
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
