//! Secrets that the console makes: 256 random bits each, told to one browser, and compared without
//! telling by the time how much of them was right.

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 256 random bits, as text that a cookie, a form and a URL can have.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(Box<str>);

/// What is kept of a secret that need only be recognised.
pub(super) type Fingerprint = [u8; 32];

/// The system has no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRandomness;

impl Secret {
    pub(super) fn fresh() -> Result<Self, NoRandomness> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.0)
    }

    /// Whether `text` is the secret.
    pub(super) fn is(&self, text: &str) -> bool {
        constant_time::verify_slices_are_equal(self.0.as_bytes(), text.as_bytes()).is_ok()
    }
}

/// Shows nothing of it.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// SHA-256 of a secret as somebody sends it.
pub(super) fn fingerprint(text: &str) -> Fingerprint {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    sum
}

/// What PKCE sends ahead of a verifier: its SHA-256 in base64url (RFC 7636 section 4.2).
pub(super) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(fingerprint(verifier))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_secret_is_made_twice_and_each_is_a_verifier() {
        let secrets: HashSet<_> = (0..1000).map(|_| Secret::fresh().unwrap().as_str().to_owned()).collect();
        assert_eq!(secrets.len(), 1000);
        // RFC 7636 section 4.1: 43 to 128 unreserved characters.
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        assert!(secrets.iter().all(|secret| secret.len() == 43 && secret.chars().all(is_good)));
    }

    #[test]
    fn a_secret_is_its_own_text_and_no_other() {
        let secret = Secret::fresh().unwrap();
        assert!(secret.is(secret.as_str()));
        assert!(!secret.is("") && !secret.is(&secret.as_str()[1..]) && !secret.is(&format!("{}A", secret.as_str())));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    /// RFC 7636 appendix B.
    #[test]
    fn the_challenge_is_the_one_of_the_specification() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
