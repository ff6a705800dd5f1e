//! The audit line: an [`Outcome`] as one line of JSON. Every member is always there, `null` where
//! there is nothing to say, so that what reads it can rely on its shape.
//!
//! It names no token and no part of one; there is no field that could hold it.

use std::time::{Duration, SystemTime};

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{HeldScopes, Outcome};
use crate::policy::Reason;

/// Appends the outcome's line to `buffer`, with its final newline.
pub(super) fn append(outcome: &Outcome<'_>, buffer: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *buffer, &Line(outcome))?;
    buffer.push(b'\n');
    Ok(())
}

/// Whether a decision of this reason allows.
pub(super) fn decision(reason: Reason) -> &'static str {
    match reason {
        Reason::Public | Reason::Granted => "allow",
        Reason::PathAmbiguous
        | Reason::HeaderAmbiguous
        | Reason::FormRejected
        | Reason::TokenMissing
        | Reason::TokenMalformed
        | Reason::IssuerUnknown
        | Reason::AlgorithmRejected
        | Reason::KeyUnknown
        | Reason::TokenTypeRejected
        | Reason::SignatureInvalid
        | Reason::AudienceMismatch
        | Reason::TokenExpired
        | Reason::TokenNotYetValid
        | Reason::IssuerUnavailable
        | Reason::TokenRevoked
        | Reason::BindingMismatch
        | Reason::ClientUnknown
        | Reason::CertificateMismatch
        | Reason::ScopeUndefined
        | Reason::RouteUnknown
        | Reason::MethodNotAllowed
        | Reason::ScopeRequired
        | Reason::ScopeInsufficient
        | Reason::ClientTypeRejected
        | Reason::AccountMissing
        | Reason::AccountAmbiguous
        | Reason::AccountForbidden => "deny",
    }
}

struct Line<'o, 'a>(&'o Outcome<'a>);

impl Serialize for Line<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(outcome) = self;
        let mut line = serializer.serialize_struct("Line", 18)?;
        line.serialize_field("time", &Time(outcome.time))?;
        line.serialize_field("request_id", outcome.request_id)?;
        line.serialize_field("generation", &outcome.generation)?;
        line.serialize_field("decision", decision(outcome.reason))?;
        line.serialize_field("reason", outcome.reason.as_str())?;
        line.serialize_field("issuer", &outcome.issuer)?;
        line.serialize_field("client", &outcome.client)?;
        line.serialize_field("subject", &outcome.subject)?;
        line.serialize_field("account", &outcome.account)?;
        line.serialize_field("scopes", &Names(outcome.scopes))?;
        line.serialize_field("granted_by", &outcome.granted_by)?;
        line.serialize_field("service", &outcome.service)?;
        line.serialize_field("method", outcome.method)?;
        line.serialize_field("path", outcome.path)?;
        line.serialize_field("status", &outcome.status)?;
        line.serialize_field("upstream_error", &outcome.upstream_error)?;
        line.serialize_field("microseconds", &microseconds(outcome.decision_time))?;
        line.serialize_field("duration_microseconds", &microseconds(outcome.request_time))?;
        line.end()
    }
}

/// RFC 3339 in UTC with six digits of a second; `null` beyond the year 9999.
struct Time(SystemTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::try_from(self.0) {
            Ok(time) => serializer.collect_str(&format_args!("{time:.6}")),
            Err(_) => serializer.serialize_none(),
        }
    }
}

/// An array; empty where no token was good.
struct Names<'a>(Option<HeldScopes<'a>>);

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.into_iter().flat_map(HeldScopes::names))
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::Value;

    use super::*;
    use crate::policy::{ScopeId, ScopeSet};
    use crate::record::outcome::tests::{outcome, policy};

    fn line(outcome: &Outcome<'_>) -> String {
        let mut buffer = Vec::new();
        append(outcome, &mut buffer).unwrap();
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn a_line_says_everything_in_a_fixed_order() {
        let policy = policy();
        let held: ScopeSet = [ScopeId(1), ScopeId(0)].into_iter().collect();
        let allowed = Outcome { scopes: Some(HeldScopes { policy: &policy, held: &held }), ..outcome(&policy) };
        assert_eq!(
            line(&allowed),
            concat!(
                r#"{"time":"2023-11-14T22:13:20.123456Z","request_id":"b3c1","generation":7,"#,
                r#""decision":"allow","reason":"granted","issuer":"https://login.example.com","#,
                r#""client":"acme-integration","subject":"s-1","account":"acme","#,
                r#""scopes":["orders.read","orders.write"],"granted_by":"orders.read","#,
                r#""service":"GET /orders/{account}/**","method":"GET","path":"/orders/acme/1","#,
                r#""status":200,"upstream_error":null,"microseconds":2,"duration_microseconds":4321}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_is_not_known_is_null_and_scopes_are_an_empty_list() {
        let policy = policy();
        let denied = Outcome {
            reason: Reason::TokenMissing,
            api: None,
            issuer: None,
            client: None,
            subject: None,
            account: None,
            granted_by: None,
            service: None,
            status: 401,
            time: SystemTime::UNIX_EPOCH,
            ..outcome(&policy)
        };
        let read: Value = serde_json::from_str(&line(&denied)).unwrap();
        for member in ["issuer", "client", "subject", "account", "granted_by", "service", "upstream_error"] {
            assert_eq!(read.get(member), Some(&Value::Null), "{member}");
        }
        assert_eq!(read["scopes"], Value::Array(vec![]));
        assert_eq!((read["decision"].as_str(), read["reason"].as_str()), (Some("deny"), Some("token_missing")));
        assert_eq!(read["time"], "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn whatever_a_request_says_stays_one_line_and_reads_back_the_same() {
        let policy = policy();
        let all: String = ('\0'..='\u{ff}').chain(['\u{2028}', '\u{fffd}', '\u{1f600}', '\u{10ffff}']).collect();
        for text in [all.as_str(), "\"", "\\", "\\\"", "a\nb\r", "{\"decision\":\"allow\"}", ""] {
            let told = line(&Outcome {
                request_id: text,
                issuer: Some(text),
                client: Some(text),
                subject: Some(text),
                account: Some(Cow::Borrowed(text)),
                service: Some(text),
                method: text,
                path: text,
                ..outcome(&policy)
            });
            assert_eq!(told.matches(['\n', '\r']).count(), 1, "{text:?}");
            let read: Value = serde_json::from_str(&told).unwrap();
            for member in ["request_id", "issuer", "client", "subject", "account", "service", "method", "path"] {
                assert_eq!(read[member], text, "{member}");
            }
            assert_eq!(read["decision"], "allow");
        }
    }
}
