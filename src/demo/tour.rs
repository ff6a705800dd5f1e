//! Makes the demo's requests over HTTP, as clients would, and notes what came of them.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hashbrown::HashMap;
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::acts::{ACTS, Act, Ask, Token};
use super::issuer::DemoIssuer;
use super::key::KeyFault;
use super::{Stage, scope};

/// What came of every act.
pub struct Tour {
    pub(super) acts: Vec<ActSeen>,
    pub(super) gateway: String,
}

/// What came of one act.
pub(super) struct ActSeen {
    pub(super) act: &'static Act,
    pub(super) token: Option<String>,
    /// The scopes that the token has, as its issuer writes them.
    pub(super) scope: String,
    pub(super) asks: Vec<AskSeen>,
}

/// What came of one request.
pub(super) struct AskSeen {
    pub(super) ask: &'static Ask,
    pub(super) status: u16,
    /// The reason code, where the answer or the audit line tells it.
    pub(super) reason: Option<String>,
    request_id: String,
}

/// Why the tour was broken off.
#[derive(Debug, Error)]
pub enum TourFailed {
    /// No answer came.
    #[error("the demo's own request failed: {0}")]
    Request(#[from] reqwest::Error),
    /// The issuer cannot sign.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// The issuer gives no token for what the tour asks.
    #[error("the demo's issuer gives `{client}` no token: {answer}")]
    NoToken {
        /// The client that asked.
        client: &'static str,
        /// What it got.
        answer: String,
    },
    /// The tour needs issuers of both scope syntaxes.
    #[error("the file names no issuer for `{0}`")]
    NoIssuer(&'static str),
}

/// How long audit lines may take to reach their file.
const AUDIT_PATIENCE: Duration = Duration::from_secs(2);

impl Tour {
    /// Makes every request of the tour to the gateway at `gateway`, a URL without a path. Where its
    /// audit lines go to the file `audit`, they tell the reason of what was allowed.
    ///
    /// # Errors
    /// If a request gets no answer, or a token cannot be had.
    pub async fn run(stage: &Stage, gateway: &str, audit: Option<&Path>) -> Result<Self, TourFailed> {
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let start = match audit {
            Some(path) => tokio::fs::metadata(path).await.map_or(0, |metadata| metadata.len()),
            None => 0,
        };
        let mut acts = Vec::with_capacity(ACTS.len());
        for act in ACTS {
            acts.push(play(stage, &http, gateway, act).await?);
        }
        let mut tour = Self { acts, gateway: gateway.to_owned() };
        if let Some(path) = audit {
            tour.read_reasons(path, start).await;
        }
        Ok(tour)
    }

    /// Whether each answer was the expected one.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.seen().all(AskSeen::is_as_expected)
    }

    pub(super) fn seen(&self) -> impl Iterator<Item = &AskSeen> {
        self.acts.iter().flat_map(|act| &act.asks)
    }

    /// Fills in the reasons that only the audit lines from `start` on tell.
    async fn read_reasons(&mut self, path: &Path, start: u64) {
        let began = Instant::now();
        loop {
            let lines = read_from(path, start).await.unwrap_or_default();
            let mut reasons: HashMap<String, String> = lines
                .lines()
                .filter_map(|line| serde_json::from_str::<AuditLine>(line).ok())
                .map(|line| (line.request_id, line.reason))
                .collect();
            for seen in self.acts.iter_mut().flat_map(|act| &mut act.asks) {
                if seen.reason.is_none() {
                    seen.reason = reasons.remove(&seen.request_id);
                }
            }
            if self.seen().all(|seen| seen.reason.is_some()) || began.elapsed() > AUDIT_PATIENCE {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl AskSeen {
    pub(super) fn is_as_expected(&self) -> bool {
        self.status == self.ask.status && self.reason.as_deref().is_none_or(|reason| reason == self.ask.reason.as_str())
    }
}

/// What is read of an audit line.
#[derive(Deserialize)]
struct AuditLine {
    request_id: String,
    reason: String,
}

/// What is read of a token answer.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    scope: String,
}

async fn play(stage: &Stage, http: &Client, gateway: &str, act: &'static Act) -> Result<ActSeen, TourFailed> {
    let (token, scope) = match token(stage, http, act).await? {
        Some((token, scope)) => (Some(token), scope),
        None => (None, String::new()),
    };
    let mut asks = Vec::with_capacity(act.asks.len());
    for ask in act.asks {
        asks.push(send(http, gateway, ask, token.as_deref()).await?);
    }
    Ok(ActSeen { act, token, scope, asks })
}

/// The act's token and the scopes that it has.
async fn token(stage: &Stage, http: &Client, act: &'static Act) -> Result<Option<(String, String)>, TourFailed> {
    let client = act.client();
    let issuer = || {
        let fits = |issuer: &&DemoIssuer| issuer.syntax == client.syntax;
        stage.issuers().iter().map(AsRef::as_ref).find(fits).ok_or(TourFailed::NoIssuer(client.id))
    };
    match act.token {
        Token::Absent => Ok(None),
        Token::Asked(scope) => ask_for_token(http, issuer()?, act, scope).await.map(Some),
        Token::Edited(scope) => {
            let (token, scope) = ask_for_token(http, issuer()?, act, scope).await?;
            Ok(Some((edited(&token, "acme", "globex"), scope)))
        }
        Token::Signed(scope, oddity) => {
            let scopes = scope::read(scope, client.syntax).unwrap_or_default();
            Ok(Some(issuer()?.issue(client, scopes, oddity)?))
        }
    }
}

async fn ask_for_token(
    http: &Client,
    issuer: &DemoIssuer,
    act: &Act,
    scope: &str,
) -> Result<(String, String), TourFailed> {
    let client = act.client();
    let basic = STANDARD.encode(format!("{}:{}", client.id, client.secret.unwrap_or_default()));
    // The scopes of the tour need no encoding but that of their spaces.
    let form = format!("grant_type=client_credentials&scope={}", scope.replace(' ', "+"));
    let answer = http
        .post(issuer.token_endpoint())
        .header("Authorization", format!("Basic {basic}"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await?
        .text()
        .await?;
    match serde_json::from_str::<TokenAnswer>(&answer) {
        Ok(TokenAnswer { access_token, scope }) => Ok((access_token, scope)),
        Err(_) => Err(TourFailed::NoToken { client: client.id, answer }),
    }
}

async fn send(http: &Client, gateway: &str, ask: &'static Ask, token: Option<&str>) -> Result<AskSeen, TourFailed> {
    let request_id = format!("demo-{:016x}", fastrand::u64(..));
    let method = Method::from_bytes(ask.method.as_bytes()).unwrap_or_default();
    let mut request = http.request(method, format!("{gateway}{}", ask.path)).header("X-Request-Id", &request_id);
    if let Some((name, value)) = ask.header {
        request = request.header(name, value);
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await?;
    let status = answer.status();
    let body = answer.text().await?;
    Ok(AskSeen { ask, status: status.as_u16(), reason: reason_in(status, &body), request_id })
}

/// The `reason` of a problem.
fn reason_in(status: StatusCode, body: &str) -> Option<String> {
    if status.is_success() {
        return None;
    }
    let problem: Value = serde_json::from_str(body).ok()?;
    problem.get("reason")?.as_str().map(str::to_owned)
}

/// The token with other words in its claims and its signature as it was.
fn edited(token: &str, from: &str, to: &str) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    if let Some(claims) = parts.get_mut(1) {
        let text = URL_SAFE_NO_PAD.decode(&*claims).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace(&format!("\"{from}\""), &format!("\"{to}\""));
        *claims = URL_SAFE_NO_PAD.encode(text);
    }
    parts.join(".")
}

async fn read_from(path: &Path, start: u64) -> std::io::Result<String> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(std::io::SeekFrom::Start(start)).await?;
    let mut text = String::new();
    file.read_to_string(&mut text).await?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_token_says_something_else_under_the_same_signature() {
        let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(r#"{"account_id":"acme","sub":"acme-integration"}"#));
        let claims = URL_SAFE_NO_PAD.encode(r#"{"account_id":"globex","sub":"acme-integration"}"#);
        assert_eq!(edited(&token, "acme", "globex"), format!("h.{claims}.s"));
    }

    #[test]
    fn the_tour_covers_the_products_and_the_main_reasons() {
        let asks = || ACTS.iter().flat_map(|act| act.asks);
        assert!(asks().count() >= 14);
        for product in ["EZ Config", "WireWheel", "Venafi", "webMethods", "API Scopes"] {
            assert!(ACTS.iter().any(|act| act.product == product), "{product}");
        }
        let mut statuses: Vec<u16> = asks().map(|ask| ask.status).collect();
        statuses.sort_unstable();
        statuses.dedup();
        assert_eq!(statuses, [200, 400, 401, 403, 404, 405]);
        assert!(asks().filter(|ask| ask.pasted).count() >= 8);
    }
}
