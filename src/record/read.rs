//! An audit line read again, by commands that ask what another policy would have made of it.

use std::borrow::Cow;

use serde::Deserialize;
use thiserror::Error;

/// What an audit line says, as far as it takes to judge the request again.
#[derive(Debug, Clone, Deserialize)]
pub struct AuditLine<'l> {
    /// When it was decided.
    #[serde(borrow)]
    pub time: Option<Cow<'l, str>>,
    /// `X-Request-Id`.
    #[serde(borrow)]
    pub request_id: Cow<'l, str>,
    /// `allow` or `deny`.
    #[serde(borrow)]
    pub decision: Cow<'l, str>,
    /// The generation that decided; `None` in lines of other programs.
    #[serde(default)]
    pub generation: Option<u64>,
    /// The reason's code.
    #[serde(borrow)]
    pub reason: Cow<'l, str>,
    /// Why it would have been refused, where its api only reported.
    #[serde(borrow, default)]
    pub reported: Option<Cow<'l, str>>,
    /// Of a token that was good.
    #[serde(borrow)]
    pub issuer: Option<Cow<'l, str>>,
    /// Of a token that was good, or the listed one of a request for a token.
    #[serde(borrow)]
    pub client: Option<Cow<'l, str>>,
    /// Of a token that was good.
    #[serde(borrow, default)]
    pub subject: Option<Cow<'l, str>>,
    /// The account that the request asked for.
    #[serde(borrow)]
    pub account: Option<Cow<'l, str>>,
    /// The scope or privilege that granted.
    #[serde(borrow)]
    pub granted_by: Option<Cow<'l, str>>,
    /// The service that matched.
    #[serde(borrow)]
    pub service: Option<Cow<'l, str>>,
    /// As sent.
    #[serde(borrow)]
    pub method: Cow<'l, str>,
    /// As sent, without its query.
    #[serde(borrow)]
    pub path: Cow<'l, str>,
    /// The scopes and privileges held.
    #[serde(borrow, default)]
    pub scopes: Vec<Cow<'l, str>>,
    /// The api's name, where one was found.
    #[serde(borrow, default)]
    pub api: Option<Cow<'l, str>>,
    /// Where that api's requests name their account; `None` in lines of before it was recorded.
    #[serde(borrow, default)]
    pub account_sources: Option<Vec<Cow<'l, str>>>,
    /// Whether the account was written in.
    #[serde(default)]
    pub injected: bool,
    /// The `Host`.
    #[serde(borrow, default)]
    pub host: Option<Cow<'l, str>>,
    /// Whether a browser sent it.
    #[serde(default)]
    pub browser: bool,
    /// The scopes that the token carried; `None` in lines of before it was recorded.
    #[serde(borrow, default)]
    pub token_scopes: Option<Vec<Cow<'l, str>>>,
    /// The accounts that the token named.
    #[serde(borrow, default)]
    pub token_accounts: Option<Vec<Cow<'l, str>>>,
    /// The client's certificate.
    #[serde(borrow, default)]
    pub certificate: Option<PresentedCertificate<'l>>,
}

/// The client's certificate, as a line has it.
#[derive(Debug, Clone, Deserialize)]
pub struct PresentedCertificate<'l> {
    /// In hexadecimal digits.
    #[serde(borrow)]
    pub sha256: Cow<'l, str>,
    /// As RFC 4514 writes it.
    #[serde(borrow)]
    pub subject: Cow<'l, str>,
    /// The DNS names.
    #[serde(borrow)]
    pub san_dns: Vec<Cow<'l, str>>,
}

/// A line that tells of something else than a request.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "event")]
    _event: String,
}

/// Why a line is none: it is not JSON, or lacks what every line has.
#[derive(Debug, Error)]
#[error("this is no audit line: {}", what(.0))]
pub struct NoAuditLine(#[from] serde_json::Error);

impl NoAuditLine {
    /// Where in the line, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.0.column().max(1)
    }
}

/// Without the place, which is the line's in its file.
fn what(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

impl<'l> AuditLine<'l> {
    /// Reads a line, without its newline; `None` if it tells of an event and not of a request.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(line: &'l [u8]) -> Result<Option<Self>, NoAuditLine> {
        match serde_json::from_slice(line) {
            Ok(line) => Ok(Some(line)),
            Err(_) if serde_json::from_slice::<Event>(line).is_ok() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What the policy made of the request: why it was or would have been refused, or what let it through.
    #[must_use]
    pub fn verdict(&self) -> &str {
        self.reported.as_deref().unwrap_or(&self.reason)
    }

    /// Whether the request was let through.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.decision == "allow"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Account, AccountSource, Certificate};
    use crate::record::outcome::tests::{outcome, policy};
    use crate::record::{Outcome, Seen, line};

    #[test]
    fn what_was_seen_reads_back_as_it_was() {
        let policy = policy();
        let certificate =
            Certificate { sha256: [0xa7; 32], subject: "CN=\"a\"".into(), san_dns: ["a.example".into()].into() };
        let scopes: [Box<str>; 2] = ["orders.read".into(), "other".into()];
        let accounts = [Account::parse("acme").unwrap()];
        let sources = [AccountSource::Path("account".into()), AccountSource::Query("a\"b".into())];
        let seen = Seen {
            api: Some("orders"),
            account_sources: &sources,
            injected: true,
            host: Some("api.example:8080"),
            browser: true,
            token_scopes: Some(&scopes),
            token_accounts: Some(&accounts),
            certificate: Some(&certificate),
        };
        let mut text = Vec::new();
        line::append(&Outcome { seen, ..outcome(&policy) }, &mut text);
        let read = AuditLine::parse(&text).unwrap().unwrap();
        assert_eq!((read.api.as_deref(), read.host.as_deref()), (Some("orders"), Some("api.example:8080")));
        assert_eq!(read.account_sources.unwrap(), ["path:account", "query:a\"b"]);
        assert!(read.injected && read.browser && read.decision == "allow");
        assert_eq!(read.token_scopes.unwrap(), ["orders.read", "other"]);
        assert_eq!(read.token_accounts.unwrap(), ["acme"]);
        let read = read.certificate.unwrap();
        assert_eq!((&*read.sha256, &*read.subject), (&*"a7".repeat(32), "CN=\"a\""));
        assert_eq!(read.san_dns, ["a.example"]);
    }

    #[test]
    fn what_is_no_audit_line_is_refused() {
        for text in ["", "{}", "[]", "{\"time\":", "null", "{\"request_id\":1}"] {
            assert!(AuditLine::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(AuditLine::parse(b"{\"event\":\"registry_changed\",\"time\":null}").unwrap().is_none());
    }
}
