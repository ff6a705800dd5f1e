//! Questions to providers over HTTP: bounded in time and size, and 200 is the only good answer.
//!
//! No redirect is followed, no proxy of the environment is used, and nothing is made of a body here.

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL};
use http::{HeaderMap, StatusCode};
use reqwest::{Client, RequestBuilder, Response, Url};
use thiserror::Error;

use super::connections::Connections;
use crate::record::with_causes;

/// Asks providers, over connections that those share who trust and show the same.
pub(super) struct Web {
    connections: Connections,
    /// From a question to the end of its answer.
    patience: Duration,
}

/// A good answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// For how much longer it says that it is fresh.
    pub(super) max_age: Option<Duration>,
}

/// Why there was no good answer. Its text names no URL, which may have secrets in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum WebFault {
    /// None came, or not whole, or not in time.
    #[error("no answer: {0}")]
    Unreachable(Box<str>),
    /// Another status than 200.
    #[error("the answer's status is {0}")]
    Status(StatusCode),
    /// More bytes than are read of it.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// Nobody was asked: the files that say whom to trust, or as whom to ask, cannot be used.
    #[error("the certificates and keys for the connection cannot be used")]
    Unprepared,
}

impl Web {
    pub(super) fn new(connections: Connections, patience: Duration) -> Self {
        Self { connections, patience }
    }

    /// Gets what is at `url`, at most `limit` bytes.
    ///
    /// # Errors
    /// If there was no good answer.
    pub(super) async fn get(&self, url: &str, limit: usize) -> Result<Answer, WebFault> {
        self.ask(url, limit, |client| client.get(url)).await
    }

    /// Sends what `question` makes and reads the answer, at most `limit` bytes.
    ///
    /// # Errors
    /// If there was no good answer.
    pub(super) async fn ask(
        &self,
        url: &str,
        limit: usize,
        question: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<Answer, WebFault> {
        let question = question(&self.connections.to(url)?);
        let exchange = async {
            let response = question.send().await?;
            if response.status() != StatusCode::OK {
                return Err(WebFault::Status(response.status()));
            }
            let max_age = max_age(response.headers());
            Ok(Answer { body: read(response, limit).await?, max_age })
        };
        tokio::time::timeout(self.patience, exchange)
            .await
            .unwrap_or_else(|_| Err(WebFault::Unreachable("it did not come in time".into())))
    }
}

/// A URL without the parts that may be secret, for messages.
pub(super) fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => format!("{}{}", url.origin().ascii_serialization(), url.path()),
        Err(_) => "a URL that cannot be read".to_owned(),
    }
}

async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, WebFault> {
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).map_or(true, |announced| announced > limit) {
        return Err(WebFault::TooLong(limit));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(WebFault::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// RFC 9111 section 4.2: `max-age` less the time that the answer has spent in caches. An answer that
/// is not to be stored has none to spend.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut max_age = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
                return Some(Duration::ZERO);
            }
            if name.eq_ignore_ascii_case("max-age") {
                max_age = argument.trim().trim_matches('"').parse().ok();
            }
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
    max_age.map(|max_age: u64| Duration::from_secs(max_age.saturating_sub(age)))
}

impl From<reqwest::Error> for WebFault {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(with_causes(&error.without_url()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &str)], seconds: Option<u64>) {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect();
        assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{headers:?}");
    }

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        assert_eq!(shown("https://me:secret@idp.example:8443/jwks?key=secret#x"), "https://idp.example:8443/jwks");
        assert_eq!(shown("secret"), "a URL that cannot be read");
    }

    #[test]
    fn an_answer_says_how_long_it_is_fresh() {
        check(&[], None);
        check(&[("cache-control", "public")], None);
        check(&[("cache-control", "max-age=300")], Some(300));
        check(&[("cache-control", "public, Max-Age = \"300\" , must-revalidate")], Some(300));
        check(&[("cache-control", "max-age=300"), ("age", "100")], Some(200));
        check(&[("cache-control", "max-age=300"), ("age", "1000")], Some(0));
        check(&[("cache-control", "max-age=300"), ("age", "old")], Some(300));
        check(&[("cache-control", "s-maxage=5")], None);
        check(&[("cache-control", "max-age=300, no-cache")], Some(0));
        check(&[("cache-control", "no-store")], Some(0));
        check(&[("cache-control", "max-age=-1")], None);
        check(&[("cache-control", "max-age=99999999999999999999")], None);
    }
}
