//! What became of a request to revoke tokens, and its audit line: one JSON object with the member
//! `event`, which the lines of decisions do not have. Every other member is always there.
//!
//! It names no token: of a single one that is meant, it has a digest.

use std::net::IpAddr;
use std::time::SystemTime;

use super::line::{number_or_null, optional, text, time};

/// What became of one request to revoke tokens.
#[derive(Debug, Clone, Copy)]
pub struct RevocationOutcome<'a> {
    /// When that was known.
    pub time: SystemTime,
    /// `X-Request-Id`, where requests have one.
    pub request_id: Option<&'a str>,
    /// The generation that answered.
    pub generation: u64,
    /// Who asked.
    pub by: RevokedBy,
    /// The address that it was asked from.
    pub peer: Option<IpAddr>,
    /// What became of it.
    pub result: RevocationResult,
    /// Which tokens are meant, where that could be read and is for this asker to say.
    pub meant: Option<MeantTokens<'a>>,
}

/// Which tokens are meant.
#[derive(Debug, Clone, Copy)]
pub struct MeantTokens<'a> {
    /// By what they are named: `jti`, `sub`, `client_id` or `token_sha256`.
    pub kind: &'a str,
    /// Whose tokens.
    pub issuer: &'a str,
    /// Whose they are: of one that its holder revokes, what it says; else the subject that is named.
    pub subject: Option<&'a str>,
    /// As `subject`.
    pub client: Option<&'a str>,
    /// Of a single token: the SHA-256, in hexadecimal digits, of its `jti` or of itself.
    pub digest: Option<&'a str>,
    /// Tokens issued at this time, in seconds since 1970, and later are not meant.
    pub issued_before: Option<u64>,
    /// When the last of them expires, in seconds since 1970.
    pub expires_at: Option<u64>,
}

/// Who asked that tokens be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedBy {
    /// Whoever has the token.
    Holder,
    /// Whoever asks on the admin address.
    Admin,
}

/// What became of a request to revoke tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationResult {
    /// They are on the list, and refused from now on.
    Revoked,
    /// What was shown is no good token here, so that there is nothing to revoke.
    NoGoodToken,
    /// What was sent names no tokens of this gateway.
    Rejected,
    /// The secret of those who may revoke any token was not shown.
    Unauthorized,
    /// They are not on the list: it cannot be written, or the token could not be checked.
    NotRevoked,
}

impl RevokedBy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Holder => "holder",
            Self::Admin => "admin",
        }
    }
}

impl RevocationResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::NoGoodToken => "no_good_token",
            Self::Rejected => "rejected",
            Self::Unauthorized => "unauthorized",
            Self::NotRevoked => "not_revoked",
        }
    }
}

/// Appends the line, with its final newline.
pub(super) fn append(outcome: &RevocationOutcome<'_>, line: &mut Vec<u8>) {
    let meant = outcome.meant.as_ref();
    let peer = outcome.peer.map(|peer| peer.to_canonical().to_string());
    line.extend_from_slice(b"{\"time\":");
    time(outcome.time, line);
    text(",\"event\":", "revocation", line);
    optional(",\"request_id\":", outcome.request_id, line);
    number_or_null(",\"generation\":", Some(outcome.generation), line);
    text(",\"by\":", outcome.by.as_str(), line);
    optional(",\"peer\":", peer.as_deref(), line);
    text(",\"result\":", outcome.result.as_str(), line);
    optional(",\"kind\":", meant.map(|meant| meant.kind), line);
    optional(",\"issuer\":", meant.map(|meant| meant.issuer), line);
    optional(",\"subject\":", meant.and_then(|meant| meant.subject), line);
    optional(",\"client\":", meant.and_then(|meant| meant.client), line);
    optional(",\"digest\":", meant.and_then(|meant| meant.digest), line);
    number_or_null(",\"issued_before\":", meant.and_then(|meant| meant.issued_before), line);
    number_or_null(",\"expires_at\":", meant.and_then(|meant| meant.expires_at), line);
    line.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(outcome: &RevocationOutcome<'_>) -> String {
        let mut buffer = Vec::new();
        append(outcome, &mut buffer);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn a_line_says_who_what_and_what_became_of_it_in_a_fixed_order() {
        let meant = MeantTokens {
            kind: "sub",
            issuer: "https://login.example.com",
            subject: Some("ali\"ce\n"),
            client: None,
            digest: None,
            issued_before: Some(1_700_000_000),
            expires_at: None,
        };
        let outcome = RevocationOutcome {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
            request_id: Some("b3c1"),
            generation: 7,
            by: RevokedBy::Admin,
            peer: Some("::ffff:10.0.0.7".parse().unwrap()),
            result: RevocationResult::Revoked,
            meant: Some(meant),
        };
        assert_eq!(
            line(&outcome),
            concat!(
                r#"{"time":"2023-11-14T22:13:20.250000Z","event":"revocation","request_id":"b3c1","generation":7,"#,
                r#""by":"admin","peer":"10.0.0.7","result":"revoked","kind":"sub","issuer":"https://login.example.com","#,
                r#""subject":"ali\"ce\n","client":null,"digest":null,"issued_before":1700000000,"expires_at":null}"#,
                "\n"
            )
        );
        let nothing = RevocationOutcome { request_id: None, peer: None, meant: None, ..outcome };
        let read: serde_json::Value = serde_json::from_str(&line(&nothing)).unwrap();
        for member in ["request_id", "peer", "kind", "issuer", "subject", "client", "digest", "issued_before"] {
            assert_eq!(read.get(member), Some(&serde_json::Value::Null), "{member}");
        }
    }
}
