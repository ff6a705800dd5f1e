//! What an issuer's server says of itself, found by the issuer's name alone, and fetched again now and
//! then. Only a good document takes the place of a good one.
//!
//! What a document must be is `token`'s; when keys are fetched is `refresh`'s.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use thiserror::Error;
use tokio::time::Instant;

use super::connections::Trust;
use super::environment::Environment;
use super::pace::Pace;
use super::web::{Web, WebFault};
use crate::token::{InvalidServerMetadata, ServerMetadata};

/// The longest document that is read, in bytes.
const LONGEST: usize = 256 * 1024;

/// The last good document, for all who use it; `None` while there was none.
pub(super) type Discovered = Arc<ArcSwapOption<ServerMetadata>>;

/// Finds out where an issuer's endpoints are.
pub(super) struct Discovery {
    issuer: Arc<str>,
    web: Arc<Web>,
    pace: Pace,
    discovered: Discovered,
    /// When it was last fetched, with whatever success.
    fetched: Option<Instant>,
    /// When it is to be fetched again.
    due: Option<Instant>,
    failing: bool,
}

/// Why there is no document.
#[derive(Debug, Error)]
pub(super) enum Undiscovered {
    /// The server did not answer, and was not asked a second time.
    #[error("the metadata cannot be had: {0}")]
    Unasked(WebFault),
    /// It is at neither place.
    #[error("no metadata: at openid-configuration, {openid}; at oauth-authorization-server, {oauth}")]
    Nowhere { openid: NoDocument, oauth: NoDocument },
}

/// Why there is none at one place.
#[derive(Debug, Error)]
pub(super) enum NoDocument {
    #[error("{0}")]
    Web(#[from] WebFault),
    #[error("{0}")]
    Invalid(#[from] InvalidServerMetadata),
}

impl Discovery {
    pub(super) fn new(issuer: &Arc<str>, trust: &Trust, discovered: Discovered, around: &Environment) -> Self {
        Self {
            issuer: Arc::clone(issuer),
            web: around.web(trust),
            pace: around.pace,
            discovered,
            fetched: None,
            due: None,
            failing: false,
        }
    }

    /// Where the issuer's keys are. The document is fetched first, if there is none or it is time to.
    ///
    /// # Errors
    /// If there never was a good document.
    pub(super) async fn keys_url(&mut self) -> Result<Box<str>, Undiscovered> {
        let is_due = self.due.is_none_or(|due| due <= Instant::now());
        let known = self.discovered.load_full();
        let Some(known) = known.filter(|_| !is_due) else { return self.fetch_again().await };
        Ok(known.jwks_uri.clone())
    }

    /// What it fetches with.
    pub(super) fn web(&self) -> &Web {
        &self.web
    }

    /// The keys are not where the document says: before they are fetched again, so is the document,
    /// unless it was a moment ago.
    pub(super) fn doubt(&mut self) {
        let soon = self.fetched.map(|fetched| fetched + self.pace.metadata_every);
        self.due = self.due.min(soon);
    }

    async fn fetch_again(&mut self) -> Result<Box<str>, Undiscovered> {
        let fetched = self.fetch().await;
        let now = Instant::now();
        self.fetched = Some(now);
        match fetched {
            Ok((document, max_age)) => {
                self.due = Some(now + self.pace.life(max_age));
                self.failing = false;
                Ok(self.take(document))
            }
            Err(fault) => {
                self.due = Some(now + self.pace.metadata_every);
                let Some(known) = self.discovered.load_full() else { return Err(fault) };
                if !self.failing {
                    tracing::warn!(issuer = %self.issuer, %fault, "the issuer's metadata stays as it was");
                }
                self.failing = true;
                Ok(known.jwks_uri.clone())
            }
        }
    }

    fn take(&mut self, document: ServerMetadata) -> Box<str> {
        let keys = document.jwks_uri.clone();
        if self.discovered.load().as_deref() != Some(&document) {
            let introspection = document.introspection_endpoint.as_deref();
            tracing::info!(issuer = %self.issuer, %keys, introspection, "the issuer's metadata is taken into use");
            self.discovered.store(Some(Arc::new(document)));
        }
        keys
    }

    /// In the order of the two: `OpenID` Connect's place first.
    async fn fetch(&self) -> Result<(ServerMetadata, Option<Duration>), Undiscovered> {
        let [openid, oauth] = places(&self.issuer);
        let openid = match self.ask(&openid).await {
            Ok(found) => return Ok(found),
            Err(NoDocument::Web(fault @ (WebFault::Unreachable(_) | WebFault::Unprepared))) => {
                return Err(Undiscovered::Unasked(fault));
            }
            Err(fault) => fault,
        };
        self.ask(&oauth).await.map_err(|oauth| Undiscovered::Nowhere { openid, oauth })
    }

    async fn ask(&self, url: &str) -> Result<(ServerMetadata, Option<Duration>), NoDocument> {
        let answer = self.web.get(url, LONGEST).await?;
        Ok((ServerMetadata::parse(&answer.body, &self.issuer)?, answer.max_age))
    }
}

/// Where an issuer's metadata may be: behind its whole name (`OpenID` Connect Discovery 1.0 section
/// 4), or with the well-known path before its own (RFC 8414 section 3). A final slash goes before
/// either is made.
pub(super) fn places(issuer: &str) -> [String; 2] {
    let name = issuer.strip_suffix('/').unwrap_or(issuer);
    let after_scheme = name.find("://").map_or(0, |at| at + 3);
    let path = name.get(after_scheme..).and_then(|rest| rest.find('/')).map_or(name.len(), |at| after_scheme + at);
    let (origin, path) = name.split_at_checked(path).unwrap_or((name, ""));
    [
        format!("{name}/.well-known/openid-configuration"),
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_at_the_places_of_both_specifications() {
        for (issuer, openid, oauth) in [
            (
                "https://a.example",
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://a.example/",
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://a.example:8443/realms/acme",
                "https://a.example:8443/realms/acme/.well-known/openid-configuration",
                "https://a.example:8443/.well-known/oauth-authorization-server/realms/acme",
            ),
            (
                "http://[::1]:9000/a/",
                "http://[::1]:9000/a/.well-known/openid-configuration",
                "http://[::1]:9000/.well-known/oauth-authorization-server/a",
            ),
        ] {
            assert_eq!(places(issuer), [openid, oauth], "{issuer}");
        }
    }
}
