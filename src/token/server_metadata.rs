//! What an issuer's server says of itself (RFC 8414 section 2, `OpenID` Connect Discovery 1.0 section 3),
//! as far as the gateway uses it.
//!
//! Where the document comes from, and which of two stands, is `issuer`'s.

use http::Uri;
use thiserror::Error;

use super::json::{self, Json, Object};

/// A document that is the issuer's and names nothing that may not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerMetadata {
    /// Where its keys are.
    pub jwks_uri: Box<str>,
    /// RFC 7662, where it has one.
    pub introspection_endpoint: Option<Box<str>>,
    /// The same for clients that show a certificate (RFC 8705 section 5), where that is another.
    pub introspection_endpoint_for_certificates: Option<Box<str>>,
}

/// Why a document is not used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidServerMetadata {
    /// It cannot be read; the text says why.
    #[error("the document is no good: {0}")]
    Json(&'static str),
    /// A member is missing or of the wrong type.
    #[error("the document has no `{0}` that is a string")]
    Member(&'static str),
    /// A member that may be missing is of the wrong type.
    #[error("the document's `{0}` is not an object")]
    NotAnObject(&'static str),
    /// It is another's, or written in another way: section 3.3 of RFC 8414 asks for the same text.
    #[error("the document's `issuer` is `{}`, which is not exactly the configured one", .0.escape_debug())]
    Issuer(Box<str>),
    /// What an issuer behind `https` names must be behind `https` too.
    #[error("the document's `{0}` is not a whole `https` URL")]
    Url(&'static str),
    /// PKCE is only done by other methods (RFC 7636 section 4.2).
    #[error("the document's `code_challenge_methods_supported` has no `S256`")]
    NoS256,
}

/// In bytes; so much of another's `issuer` is shown.
const LONGEST_SHOWN: usize = 200;

impl ServerMetadata {
    /// Reads the document of `issuer`. URLs in it are `https`, or `http` where the issuer itself is.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(body: &[u8], issuer: &str) -> Result<Self, InvalidServerMetadata> {
        let members = json::object(body).map_err(|fault| InvalidServerMetadata::Json(fault.text()))?;
        check_issuer(&members, issuer)?;
        let plain = issuer.starts_with("http://");
        let aliases = match members.get("mtls_endpoint_aliases") {
            None => &Object::new(),
            Some(Json::Object(aliases)) => aliases,
            Some(_) => return Err(InvalidServerMetadata::NotAnObject("mtls_endpoint_aliases")),
        };
        Ok(Self {
            jwks_uri: url(&members, "jwks_uri", plain)?.ok_or(InvalidServerMetadata::Member("jwks_uri"))?,
            introspection_endpoint: url(&members, "introspection_endpoint", plain)?,
            introspection_endpoint_for_certificates: url(aliases, "introspection_endpoint", plain)?,
        })
    }
}

/// The document is the issuer's: section 3.3 of RFC 8414.
pub(super) fn check_issuer(members: &Object, issuer: &str) -> Result<(), InvalidServerMetadata> {
    let named = text(members, "issuer")?.ok_or(InvalidServerMetadata::Member("issuer"))?;
    if named == issuer { Ok(()) } else { Err(InvalidServerMetadata::Issuer(shortened(named))) }
}

pub(super) fn text<'o>(members: &'o Object, name: &'static str) -> Result<Option<&'o str>, InvalidServerMetadata> {
    match members.get(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(InvalidServerMetadata::Member(name)),
    }
}

pub(super) fn url(
    members: &Object,
    name: &'static str,
    plain: bool,
) -> Result<Option<Box<str>>, InvalidServerMetadata> {
    let Some(text) = text(members, name)? else { return Ok(None) };
    let scheme = text.starts_with("https://") || (plain && text.starts_with("http://"));
    // What URL parsers forgive or drop would be asked for otherwise than it is written.
    let is_plain_text = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
    let names_a_host = text.parse::<Uri>().is_ok_and(|uri| {
        uri.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
    });
    if scheme && is_plain_text && names_a_host { Ok(Some(text.into())) } else { Err(InvalidServerMetadata::Url(name)) }
}

fn shortened(text: &str) -> Box<str> {
    text.char_indices()
        .take_while(|(at, _)| *at < LONGEST_SHOWN)
        .map(|(_, character)| character)
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::token::samples::with;

    const ISSUER: &str = "https://login.example.com/tenant";

    fn document() -> Value {
        json!({ "issuer": ISSUER, "jwks_uri": "https://keys.example.com/jwks?v=1" })
    }

    fn read(members: &Value) -> Result<ServerMetadata, InvalidServerMetadata> {
        ServerMetadata::parse(with(document(), members).to_string().as_bytes(), ISSUER)
    }

    #[track_caller]
    fn check(members: &Value, fault: &InvalidServerMetadata) {
        assert_eq!(read(members).as_ref(), Err(fault), "{members}");
    }

    #[test]
    fn what_is_used_is_read_and_the_rest_is_not_looked_at() {
        let found = read(&json!({ "token_endpoint": 1, "scopes_supported": null })).unwrap();
        assert_eq!(&*found.jwks_uri, "https://keys.example.com/jwks?v=1");
        assert_eq!((found.introspection_endpoint, found.introspection_endpoint_for_certificates), (None, None));
        let found = read(&json!({
            "introspection_endpoint": "https://login.example.com:8443/introspect",
            "mtls_endpoint_aliases": { "introspection_endpoint": "https://mtls.example.com/introspect" },
        }))
        .unwrap();
        assert_eq!(found.introspection_endpoint.as_deref(), Some("https://login.example.com:8443/introspect"));
        let alias = found.introspection_endpoint_for_certificates;
        assert_eq!(alias.as_deref(), Some("https://mtls.example.com/introspect"));
    }

    #[test]
    fn the_issuer_is_compared_exactly() {
        for other in [
            "https://login.example.com/tenant/",
            "https://login.example.com/Tenant",
            "https://LOGIN.example.com/tenant",
            "https://login.example.com:443/tenant",
            "http://login.example.com/tenant",
            "https://login.example.com/other",
            "",
        ] {
            check(&json!({ "issuer": other }), &InvalidServerMetadata::Issuer(other.into()));
        }
        check(&json!({ "issuer": null }), &InvalidServerMetadata::Member("issuer"));
        check(&json!({ "issuer": [ISSUER] }), &InvalidServerMetadata::Member("issuer"));
        let long = read(&json!({ "issuer": "\u{e9}\n".repeat(1000) })).unwrap_err().to_string();
        assert!(long.len() < 500 && !long.contains('\n'), "{long}");
    }

    #[test]
    fn only_whole_https_urls_are_asked() {
        let names = [("jwks_uri", false), ("introspection_endpoint", false), ("introspection_endpoint", true)];
        for bad in [
            "http://login.example.com/jwks",
            "HTTPS://login.example.com/jwks",
            "/jwks",
            "https:///jwks",
            "https://",
            "https://me:secret@login.example.com/jwks",
            "https://login.example.com/jwks#a",
            "https://login.example.com/a b",
            "https://login.example.com\\@evil.example/",
            "https://login.example.com/\u{e9}",
            "file:///etc/passwd",
            "ftp://login.example.com/jwks",
            "",
        ] {
            for (name, is_alias) in names {
                let member = json!({ name: bad });
                let members = if is_alias { json!({ "mtls_endpoint_aliases": member }) } else { member };
                check(&members, &InvalidServerMetadata::Url(name));
            }
        }
        check(&json!({ "jwks_uri": null }), &InvalidServerMetadata::Member("jwks_uri"));
        check(&json!({ "jwks_uri": 1 }), &InvalidServerMetadata::Member("jwks_uri"));
        check(&json!({ "introspection_endpoint": {} }), &InvalidServerMetadata::Member("introspection_endpoint"));
        let aliases = InvalidServerMetadata::NotAnObject("mtls_endpoint_aliases");
        check(&json!({ "mtls_endpoint_aliases": [] }), &aliases);
    }

    #[test]
    fn an_issuer_behind_http_may_name_either() {
        let issuer = "http://127.0.0.1:9400";
        for url in ["http://127.0.0.1:9400/jwks", "https://127.0.0.1/jwks"] {
            let body = json!({ "issuer": issuer, "jwks_uri": url }).to_string();
            assert_eq!(&*ServerMetadata::parse(body.as_bytes(), issuer).unwrap().jwks_uri, url);
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["", "<!doctype html>", "[]", "{\"issuer\":", "{\"issuer\":\"a\",\"issuer\":\"b\"}"] {
            let found = ServerMetadata::parse(body.as_bytes(), ISSUER);
            assert!(matches!(found, Err(InvalidServerMetadata::Json(_))), "{body}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(ServerMetadata::parse(&body, ISSUER).is_err());
        }
    }
}
