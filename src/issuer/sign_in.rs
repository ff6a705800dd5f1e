//! Signing people in at an issuer, for the console: where they are sent, and the token that their code
//! becomes (RFC 6749 section 4.1 with PKCE, RFC 7636).
//!
//! What was sent with them, and what comes back, is the console's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use thiserror::Error;
use tokio::time::Instant;

use super::connections::Trust;
use super::credentials::{basic, only};
use super::discovery::places;
use super::environment::Environment;
use super::kept::Kept;
use super::web::{Web, WebFault};
use crate::config::{Settings, SignInClient};
use crate::token::{InvalidServerMetadata, NoToken, SignInMetadata, form_encoded, token_of_answer};

/// The longest document and the longest answer that are read, in bytes.
const LONGEST_DOCUMENT: usize = 256 * 1024;
const LONGEST_ANSWER: usize = 256 * 1024;

/// How long what an issuer says of itself counts.
const LIFE: Duration = Duration::from_secs(5 * 60);

/// The issuer that people sign in at, and as whom they are sent there.
pub struct SignIn {
    issuer: Box<str>,
    client: SignInClient,
    ca: Option<std::path::PathBuf>,
    web: Arc<Web>,
    /// The value of `Authorization`; `None` for a public client.
    secret: Option<Kept<HeaderValue>>,
    known: Mutex<Option<(Instant, Arc<SignInMetadata>)>>,
}

/// What somebody brings back, and what they were sent with.
#[derive(Debug, Clone, Copy)]
pub struct Brought<'a> {
    /// The code.
    pub code: &'a str,
    /// What the challenge was made of (RFC 7636 section 4.1).
    pub verifier: &'a str,
    /// Where the code was brought.
    pub redirect_uri: &'a str,
}

/// Why nobody can sign in. Its text has no secret in it.
#[derive(Debug, Error)]
pub enum CannotSignIn {
    /// The issuer does not answer, or with something else.
    #[error("the issuer cannot be asked: {0}")]
    Unasked(String),
    /// It says of itself what is no good, or nothing of signing in.
    #[error("the issuer's metadata: {0}")]
    Metadata(#[from] InvalidServerMetadata),
    /// There is no file with the secret that could be read.
    #[error("the file with the console's secret cannot be used")]
    NoSecret,
    /// The code is not accepted.
    #[error("the issuer does not accept the code: {0}")]
    Refused(String),
    /// The answer to it has no token.
    #[error("the issuer's answer to the code: {0}")]
    NoToken(#[from] NoToken),
}

impl SignIn {
    /// What these settings say, or `earlier` if that is the same. It reads files, and blocks as long as
    /// that takes.
    pub(super) fn start(settings: &Settings, earlier: Option<Arc<Self>>, around: &Environment) -> Option<Arc<Self>> {
        let access = settings.admin.as_ref()?.access.as_ref()?;
        let client = access.sign_in.clone()?;
        let issuer = settings.issuers.iter().find(|issuer| *issuer.rules.issuer == *access.issuer);
        let ca = issuer.and_then(|issuer| issuer.ca_file.clone());
        let is_same = |own: &Arc<Self>| own.issuer == access.issuer && own.client == client && own.ca == ca;
        if let Some(same) = earlier.filter(is_same) {
            return Some(same);
        }
        let id = client.client_id.clone();
        let make = move |contents: &[&[u8]]| basic(&id, only(contents));
        let secret =
            client.secret_file.as_deref().map(|file| Kept::start("the console's secret", &[file], make, around));
        let web = around.web(&Trust { ca: ca.clone(), certificate: None });
        Some(Arc::new(Self { issuer: access.issuer.clone(), client, ca, web, secret, known: Mutex::default() }))
    }

    /// The issuer's name.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// As whom people are sent there.
    pub fn client(&self) -> &SignInClient {
        &self.client
    }

    /// Where people are sent. The issuer is asked if that is not known, or was some time ago.
    ///
    /// # Errors
    /// If it does not say so.
    pub async fn metadata(&self) -> Result<Arc<SignInMetadata>, CannotSignIn> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, metadata)) = known
            && at.elapsed() < LIFE
        {
            return Ok(metadata);
        }
        let metadata = Arc::new(self.fetch().await?);
        let known = Some((Instant::now(), Arc::clone(&metadata)));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(metadata)
    }

    async fn fetch(&self) -> Result<SignInMetadata, CannotSignIn> {
        let mut last = None;
        for place in places(&self.issuer) {
            match self.web.get(&place, LONGEST_DOCUMENT).await {
                Ok(answer) => return Ok(SignInMetadata::parse(&answer.body, &self.issuer)?),
                Err(fault) => last = Some(fault),
            }
        }
        Err(CannotSignIn::Unasked(last.map(|fault| fault.to_string()).unwrap_or_default()))
    }

    /// The token that a code becomes (RFC 6749 section 4.1.3).
    ///
    /// # Errors
    /// If it becomes none.
    pub async fn exchange(&self, metadata: &SignInMetadata, brought: &Brought<'_>) -> Result<Box<str>, CannotSignIn> {
        let encoded = |text: &str| form_encoded(text.as_bytes());
        let mut form = format!(
            "grant_type=authorization_code&code={}&redirect_uri={}&code_verifier={}",
            encoded(brought.code),
            encoded(brought.redirect_uri),
            encoded(brought.verifier)
        );
        if let Some(resource) = &self.client.resource {
            form = form + "&resource=" + &encoded(resource);
        }
        let secret = self.secret.as_ref().map(|secret| secret.current().ok_or(CannotSignIn::NoSecret)).transpose()?;
        if secret.is_none() {
            form = form + "&client_id=" + &encoded(&self.client.client_id);
        }
        let url = &metadata.token_endpoint;
        let answer = self.web.ask(url, LONGEST_ANSWER, |http| {
            let question = http
                .post(&**url)
                .header(ACCEPT, "application/json")
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form);
            match secret {
                Some(value) => question.header(AUTHORIZATION, (*value).clone()),
                None => question,
            }
        });
        match answer.await {
            Ok(answer) => Ok(token_of_answer(&answer.body)?),
            Err(fault @ WebFault::Status(status)) if status.is_client_error() => {
                Err(CannotSignIn::Refused(fault.to_string()))
            }
            Err(fault) => Err(CannotSignIn::Unasked(fault.to_string())),
        }
    }
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn").field("issuer", &self.issuer).field("client", &self.client).finish_non_exhaustive()
    }
}
