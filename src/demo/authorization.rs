//! The development issuer's authorization endpoint, for the console alone: whoever is sent there is
//! signed in at once, as viewer or as manager, by what is asked for (RFC 6749 section 4.1, RFC 7636,
//! RFC 9207).
//!
//! It asks nobody who they are. It listens on loopback, and gives its codes to a console on loopback.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use reqwest::Url;
use serde_json::{Value, json};

use super::clients::DemoClient;
use super::issuer::{DemoIssuer, token_id};
use super::scope;
use super::token_endpoint::Refusal;
use crate::token::ScopeSyntax;

/// The console. It is a public client: PKCE is what its codes are bound by.
pub(super) static CONSOLE: DemoClient = DemoClient {
    id: "scopegate-console",
    secret: None,
    account: None,
    syntax: ScopeSyntax::Words,
    algorithm: Algorithm::ES256,
    may: &["scopegate:view", "scopegate:manage"],
};

/// Where the console takes codes.
const BACK: &str = "/console/sign-in/back";
const LIFETIME: Duration = Duration::from_secs(60);
const MOST: usize = 100;

/// Codes that were given and not yet brought.
#[derive(Debug, Default)]
pub(super) struct Codes {
    given: Mutex<BTreeMap<String, Given>>,
}

#[derive(Debug)]
struct Given {
    challenge: String,
    redirect_uri: String,
    scopes: Vec<String>,
    at: Instant,
}

/// What the bearer of a code gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SignedIn {
    pub(super) subject: &'static str,
    pub(super) scopes: Vec<String>,
}

/// RFC 6749 section 4.1.1: whoever is sent here by the console is signed in and sent back.
pub(super) async fn authorize(
    State(issuer): State<Arc<DemoIssuer>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    if !issuer.signs_people_in() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Ok(code) = token_id() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    match issuer.codes.give(issuer.url(), &query, code) {
        Ok(back) => (StatusCode::SEE_OTHER, [(header::LOCATION, back), (header::CACHE_CONTROL, "no-store".to_owned())])
            .into_response(),
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    }
}

/// What the issuer's metadata say of it.
pub(super) fn tell(issuer: &str, metadata: &mut Value) {
    if let Some(members) = metadata.as_object_mut() {
        members.insert("authorization_endpoint".to_owned(), format!("{issuer}/authorize").into());
        members.insert("code_challenge_methods_supported".to_owned(), json!(["S256"]));
        members.insert("authorization_response_iss_parameter_supported".to_owned(), true.into());
    }
}

impl Codes {
    /// Where to send somebody who comes with these parameters.
    ///
    /// # Errors
    /// Why they are sent nowhere: the console is not the one who sent them.
    pub(super) fn give(&self, issuer: &str, query: &[(String, String)], code: String) -> Result<String, &'static str> {
        let one = |name: &str| {
            let mut values = query.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
            values.next().filter(|_| values.next().is_none())
        };
        if one("client_id") != Some(CONSOLE.id) {
            return Err("the client is not the console");
        }
        let redirect_uri = one("redirect_uri").filter(|uri| is_console(uri));
        let redirect_uri = redirect_uri.ok_or("the redirect URI is not a console's on this machine")?;
        let mut back = Url::parse(redirect_uri).map_err(|_| "the redirect URI is no URL")?;
        let challenge = one("code_challenge").filter(|challenge| challenge.len() == 43);
        let scopes = scope::read(one("scope").unwrap_or_default(), ScopeSyntax::Words);
        let scopes = scopes.ok().filter(|scopes| !scopes.is_empty() && scope::check(scopes, &CONSOLE).is_ok());
        let answer = match (one("response_type"), one("code_challenge_method"), challenge, scopes) {
            (Some("code"), Some("S256"), Some(challenge), Some(scopes)) => {
                let given = Given {
                    challenge: challenge.to_owned(),
                    redirect_uri: redirect_uri.to_owned(),
                    scopes,
                    at: Instant::now(),
                };
                self.keep(code.clone(), given);
                ("code", code)
            }
            (Some("code"), Some("S256"), Some(_), None) => ("error", "invalid_scope".to_owned()),
            _ => ("error", "invalid_request".to_owned()),
        };
        let state = one("state").unwrap_or_default();
        back.query_pairs_mut().append_pair(answer.0, &answer.1).append_pair("state", state).append_pair("iss", issuer);
        Ok(back.into())
    }

    fn keep(&self, code: String, given: Given) {
        let mut all = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, own| own.at.elapsed() < LIFETIME);
        if all.len() >= MOST {
            all.pop_first();
        }
        all.insert(code, given);
    }

    /// What the bearer of a code gets, once (RFC 6749 section 4.1.3).
    pub(super) fn redeem(&self, form: &[(String, String)]) -> Result<SignedIn, Refusal> {
        let one = |name: &str| {
            let mut values = form.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
            values.next().filter(|_| values.next().is_none()).unwrap_or_default()
        };
        if one("client_id") != CONSOLE.id {
            return Err(Refusal::InvalidClient);
        }
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner).remove(one("code"));
        let given = given.filter(|given| given.at.elapsed() < LIFETIME).ok_or(Refusal::InvalidGrant)?;
        let challenge = digest::digest(&digest::SHA256, one("code_verifier").as_bytes());
        if URL_SAFE_NO_PAD.encode(challenge) != given.challenge || one("redirect_uri") != given.redirect_uri {
            return Err(Refusal::InvalidGrant);
        }
        let manages = given.scopes.iter().any(|scope| scope == "scopegate:manage");
        Ok(SignedIn { subject: if manages { "demo manager" } else { "demo viewer" }, scopes: given.scopes })
    }
}

/// Whether a code goes to a console on this machine.
fn is_console(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.scheme() == "http" && is_loopback && url.path() == BACK && url.query().is_none() && url.username().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "http://127.0.0.1:9400";
    const URI: &str = "http://127.0.0.1:9901/console/sign-in/back";
    /// RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn give(codes: &Codes, change: (&str, &str)) -> Result<String, &'static str> {
        let mut pairs = owned(&[
            ("response_type", "code"),
            ("client_id", "scopegate-console"),
            ("redirect_uri", URI),
            ("scope", "scopegate:view"),
            ("state", "a b"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        for (name, value) in &mut pairs {
            if name == change.0 {
                change.1.clone_into(value);
            }
        }
        codes.give(ISSUER, &pairs, "the-code".to_owned())
    }

    fn redeem(codes: &Codes, change: (&str, &str)) -> Result<SignedIn, Refusal> {
        let mut pairs = owned(&[
            ("client_id", "scopegate-console"),
            ("code", "the-code"),
            ("code_verifier", VERIFIER),
            ("redirect_uri", URI),
        ]);
        for (name, value) in &mut pairs {
            if name == change.0 {
                change.1.clone_into(value);
            }
        }
        codes.redeem(&pairs)
    }

    #[test]
    fn a_code_is_for_its_bearer_with_its_verifier_and_once() {
        let codes = Codes::default();
        let back = give(&codes, ("", "")).unwrap();
        assert_eq!(back, format!("{URI}?code=the-code&state=a+b&iss=http%3A%2F%2F127.0.0.1%3A9400"));
        let viewer = SignedIn { subject: "demo viewer", scopes: vec!["scopegate:view".to_owned()] };
        assert_eq!(redeem(&codes, ("", "")), Ok(viewer));
        assert_eq!(redeem(&codes, ("", "")), Err(Refusal::InvalidGrant));
        give(&codes, ("scope", "scopegate:view scopegate:manage")).unwrap();
        assert_eq!(redeem(&codes, ("", "")).unwrap().subject, "demo manager");
        for change in
            [("code_verifier", "other"), ("redirect_uri", "http://localhost:9901/console/sign-in/back"), ("code", "x")]
        {
            give(&codes, ("", "")).unwrap();
            assert_eq!(redeem(&codes, change), Err(Refusal::InvalidGrant), "{change:?}");
        }
        give(&codes, ("", "")).unwrap();
        assert_eq!(redeem(&codes, ("client_id", "acme-integration")), Err(Refusal::InvalidClient));
    }

    #[test]
    fn nobody_is_sent_anywhere_but_to_a_console_on_this_machine() {
        let codes = Codes::default();
        for uri in [
            "https://127.0.0.1:9901/console/sign-in/back",
            "http://evil.example/console/sign-in/back",
            "http://127.0.0.1.evil.example/console/sign-in/back",
            "http://127.0.0.1:9901/other",
            "http://127.0.0.1:9901/console/sign-in/back?x=1",
            "http://evil@127.0.0.1:9901/console/sign-in/back",
            "javascript:alert(1)",
            "",
        ] {
            assert!(give(&codes, ("redirect_uri", uri)).is_err(), "{uri}");
        }
        assert!(give(&codes, ("client_id", "acme-integration")).is_err());
        for (change, error) in [
            (("response_type", "token"), "invalid_request"),
            (("code_challenge_method", "plain"), "invalid_request"),
            (("code_challenge", ""), "invalid_request"),
            (("scope", "wk-dgs-core-read"), "invalid_scope"),
            (("scope", ""), "invalid_scope"),
        ] {
            let back = give(&codes, change).unwrap();
            assert!(back.starts_with(&format!("{URI}?error={error}&state=a+b&iss=")), "{back}");
        }
        assert!(codes.given.lock().unwrap().is_empty());
    }
}
