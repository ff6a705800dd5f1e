//! How the gateway proves who it is at a provider: with a secret, a signed assertion, or a certificate
//! that its connections show. The files are read again when they change.

use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use thiserror::Error;

use super::connections::Trust;
use super::environment::{Environment, now};
use super::kept::{Kept, Unusable, secret};
use crate::config::{ClientAuthentication, Introspection};
use crate::token::{Assertion, AssertionAlgorithm, ClientKey, Unsigned, form_encoded};

/// Who the gateway is at one provider.
pub(super) struct Credentials {
    client_id: Box<str>,
    means: Means,
}

/// What a question must have, so that it is known who asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) authorization: Option<HeaderValue>,
    /// What goes into the form, after what is there; with its `&`.
    pub(super) parameters: String,
}

/// Why nothing can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum NotShown {
    /// There is no file that could be read and used.
    #[error("the file with the gateway's own credentials cannot be used")]
    None,
    #[error("{0}")]
    Unsigned(#[from] Unsigned),
    /// The system has no randomness.
    #[error("no id for an assertion can be made")]
    NoRandomness,
}

enum Means {
    /// The value of `Authorization`.
    Secret(Kept<HeaderValue>),
    /// The key signs for this server, its issuer's name.
    PrivateKey(Kept<ClientKey>, Arc<str>),
    /// The connection shows it.
    Certificate,
}

/// How long an assertion is good, in seconds: it is sent at once, and clocks differ.
const LIFETIME: u64 = 60;

/// RFC 7523 section 2.2, form-encoded.
const ASSERTION_TYPE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

impl Credentials {
    /// Reads the secret or key, which blocks as long as that takes, and begins to watch its file.
    /// `issuer` is who is asked.
    pub(super) fn start(introspection: &Introspection, issuer: &Arc<str>, around: &Environment) -> Self {
        let client_id = introspection.client_id.clone();
        let means = match &introspection.authentication {
            ClientAuthentication::Secret { file } => {
                let id = client_id.clone();
                let make = move |contents: &[&[u8]]| basic(&id, only(contents));
                Means::Secret(Kept::start("the client secret", &[file], make, around))
            }
            ClientAuthentication::PrivateKey { file, algorithm, key_id } => {
                let (algorithm, key_id) = (*algorithm, key_id.clone());
                let make = move |contents: &[&[u8]]| private_key(only(contents), algorithm, key_id.as_deref());
                let key = Kept::start("the client's private key", &[file], make, around);
                Means::PrivateKey(key, Arc::clone(issuer))
            }
            ClientAuthentication::Certificate { .. } => Means::Certificate,
        };
        Self { client_id, means }
    }

    /// Whether it is by a certificate that the gateway is known.
    pub(super) fn are_a_certificate(&self) -> bool {
        matches!(self.means, Means::Certificate)
    }

    /// What to send with a question that is asked now.
    ///
    /// # Errors
    /// If there is nothing to show.
    pub(super) fn show(&self) -> Result<Shown, NotShown> {
        let client_id = || form_encoded(self.client_id.as_bytes());
        Ok(match &self.means {
            Means::Secret(value) => {
                let value = value.current().ok_or(NotShown::None)?;
                Shown { authorization: Some((*value).clone()), parameters: String::new() }
            }
            Means::PrivateKey(key, audience) => {
                let key = key.current().ok_or(NotShown::None)?;
                let id = fresh_id()?;
                let assertion =
                    Assertion { client_id: &self.client_id, audience, id: &id, now: now(), lifetime: LIFETIME };
                let signed = key.assertion(&assertion)?;
                let parameters = format!("&client_assertion_type={ASSERTION_TYPE}&client_assertion={signed}");
                Shown { authorization: None, parameters }
            }
            // RFC 8705 section 2: the id says whose certificate it is.
            Means::Certificate => Shown { authorization: None, parameters: format!("&client_id={}", client_id()) },
        })
    }
}

impl Trust {
    /// Of connections to an introspection endpoint.
    pub(super) fn of(introspection: &Introspection, ca: Option<std::path::PathBuf>) -> Self {
        let certificate = match &introspection.authentication {
            ClientAuthentication::Certificate { file, key_file } => Some((file.clone(), key_file.clone())),
            ClientAuthentication::Secret { .. } | ClientAuthentication::PrivateKey { .. } => None,
        };
        Self { ca, certificate }
    }
}

/// The content of the one file that is watched.
pub(super) fn only<'c>(contents: &[&'c [u8]]) -> &'c [u8] {
    contents.first().copied().unwrap_or_default()
}

/// RFC 6749 section 2.3.1: id and secret are form-encoded before they are joined and put in base64.
pub(super) fn basic(client_id: &str, content: &[u8]) -> Result<HeaderValue, Unusable> {
    let pair = format!("{}:{}", form_encoded(client_id.as_bytes()), form_encoded(secret(content)?));
    // INVARIANT: base64 has no character that a header's value has not.
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| Unusable::Content("it cannot be sent".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn private_key(
    content: &[u8],
    algorithm: Option<AssertionAlgorithm>,
    key_id: Option<&str>,
) -> Result<ClientKey, Unusable> {
    let text = std::str::from_utf8(content).map_err(|_| Unusable::Content("its file is not PEM".to_owned()))?;
    ClientKey::parse(text, algorithm, key_id).map_err(|fault| Unusable::Content(fault.to_string()))
}

fn fresh_id() -> Result<String, NotShown> {
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NotShown::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_and_secret_are_form_encoded_first() {
        let value = basic("s6BhdRkqt3", b"g:X1 f\n").unwrap();
        let pair = STANDARD.decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(pair).unwrap(), "s6BhdRkqt3:g%3AX1+f");
        assert!(value.is_sensitive());
        assert!(basic("a", b"").is_err());
    }

    #[test]
    fn no_id_is_made_twice() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| fresh_id().unwrap()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
