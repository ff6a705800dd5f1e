//! Signing people in at an issuer: what its server says of that (RFC 8414 section 2), and its answer to
//! a code (RFC 6749 section 5.1).
//!
//! Where the documents come from is `issuer`'s.

use super::json::{self, Json, Object};
use super::server_metadata::{InvalidServerMetadata, check_issuer, text, url};
use super::{Credential, Scheme};

/// What an issuer's server says of signing people in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInMetadata {
    /// Where they are sent.
    pub authorization_endpoint: Box<str>,
    /// Where their code becomes a token.
    pub token_endpoint: Box<str>,
    /// Whether its answers say whose they are (RFC 9207 section 3).
    pub names_itself: bool,
}

/// Why an answer to a code has no token that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// It cannot be read.
    #[error("the answer is no good: {0}")]
    Json(&'static str),
    /// A member is missing or of the wrong type.
    #[error("the answer has no `{0}` that can be used")]
    Member(&'static str),
    /// It is of another kind than a bearer token, and could not be used as one.
    #[error("the token is no bearer token")]
    NotBearer,
}

impl SignInMetadata {
    /// Reads the document of `issuer`. URLs in it are `https`, or `http` where the issuer itself is.
    ///
    /// # Errors
    /// The first thing that is wrong with it, or that PKCE is done otherwise than by S256 (RFC 7636).
    pub fn parse(body: &[u8], issuer: &str) -> Result<Self, InvalidServerMetadata> {
        let members = json::object(body).map_err(|fault| InvalidServerMetadata::Json(fault.text()))?;
        check_issuer(&members, issuer)?;
        let plain = issuer.starts_with("http://");
        let endpoint = |name| url(&members, name, plain)?.ok_or(InvalidServerMetadata::Member(name));
        check_methods(&members)?;
        Ok(Self {
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?,
            names_itself: matches!(
                members.get("authorization_response_iss_parameter_supported"),
                Some(Json::Bool(true))
            ),
        })
    }
}

/// A server that does not list its methods may still do PKCE.
fn check_methods(members: &Object) -> Result<(), InvalidServerMetadata> {
    let is_s256 = |method: &Json| matches!(method, Json::String(text) if &**text == "S256");
    match members.get("code_challenge_methods_supported") {
        None => Ok(()),
        Some(Json::Array(methods)) if methods.iter().any(is_s256) => Ok(()),
        Some(_) => Err(InvalidServerMetadata::NoS256),
    }
}

/// The bearer token of an answer.
///
/// # Errors
/// If it has none that could be sent.
pub fn token_of_answer(body: &[u8]) -> Result<Box<str>, NoToken> {
    let members = json::object(body).map_err(|fault| NoToken::Json(fault.text()))?;
    let member = |name| match text(&members, name) {
        Ok(Some(text)) => Ok(text),
        Ok(None) | Err(_) => Err(NoToken::Member(name)),
    };
    if !member("token_type")?.eq_ignore_ascii_case("bearer") {
        return Err(NoToken::NotBearer);
    }
    match Credential::bearer(member("access_token")?) {
        Some(Credential { scheme: Scheme::Bearer | Scheme::Dpop, token }) => Ok(token.into()),
        None => Err(NoToken::Member("access_token")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::token::samples::with;

    const ISSUER: &str = "https://login.example.com";

    fn read(members: &Value) -> Result<SignInMetadata, InvalidServerMetadata> {
        let document = json!({
            "issuer": ISSUER, "authorization_endpoint": "https://login.example.com/authorize?tenant=1",
            "token_endpoint": "https://login.example.com/token",
        });
        SignInMetadata::parse(with(document, members).to_string().as_bytes(), ISSUER)
    }

    #[test]
    fn an_issuer_says_where_one_signs_in_and_may_say_how() {
        let found = read(&json!({})).unwrap();
        assert_eq!(&*found.authorization_endpoint, "https://login.example.com/authorize?tenant=1");
        assert_eq!((&*found.token_endpoint, found.names_itself), ("https://login.example.com/token", false));
        let says = json!({ "authorization_response_iss_parameter_supported": true,
            "code_challenge_methods_supported": ["plain", "S256"] });
        assert!(read(&says).unwrap().names_itself);
    }

    #[test]
    fn a_document_that_lies_or_asks_for_less_is_not_used() {
        for (members, fault) in [
            (json!({ "issuer": "https://evil.example" }), InvalidServerMetadata::Issuer("https://evil.example".into())),
            (json!({ "authorization_endpoint": null }), InvalidServerMetadata::Member("authorization_endpoint")),
            (
                json!({ "authorization_endpoint": "http://a.example" }),
                InvalidServerMetadata::Url("authorization_endpoint"),
            ),
            (
                json!({ "authorization_endpoint": "javascript:alert(1)" }),
                InvalidServerMetadata::Url("authorization_endpoint"),
            ),
            (json!({ "token_endpoint": "http://a.example" }), InvalidServerMetadata::Url("token_endpoint")),
            (json!({ "token_endpoint": 1 }), InvalidServerMetadata::Member("token_endpoint")),
            (json!({ "code_challenge_methods_supported": ["plain"] }), InvalidServerMetadata::NoS256),
            (json!({ "code_challenge_methods_supported": "S256" }), InvalidServerMetadata::NoS256),
        ] {
            assert_eq!(read(&members), Err(fault), "{members}");
        }
    }

    #[test]
    fn only_a_bearer_token_that_could_be_sent_is_taken() {
        let read = |answer: Value| token_of_answer(answer.to_string().as_bytes());
        assert_eq!(read(json!({ "access_token": "a.b", "token_type": "Bearer" })).as_deref(), Ok("a.b"));
        for (answer, fault) in [
            (json!({ "access_token": "a.b" }), NoToken::Member("token_type")),
            (json!({ "access_token": "a.b", "token_type": "DPoP" }), NoToken::NotBearer),
            (json!({ "access_token": "", "token_type": "bearer" }), NoToken::Member("access_token")),
            (json!({ "access_token": "a b", "token_type": "bearer" }), NoToken::Member("access_token")),
            (json!({ "access_token": ["a"], "token_type": "bearer" }), NoToken::Member("access_token")),
            (json!({ "token_type": "bearer" }), NoToken::Member("access_token")),
        ] {
            assert_eq!(read(answer.clone()), Err(fault), "{answer}");
        }
        assert!(matches!(token_of_answer(b"<html>"), Err(NoToken::Json(_))));
    }
}
