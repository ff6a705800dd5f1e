//! Headers that the file names: those that tell the upstream of the caller, and which names are free.

use http::header::{self, HeaderName};

use super::take::{Wrong, optional, parsed};
use super::values;
use crate::config::IdentityHeaders;
use crate::config::document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Finding, Findings, Place, Quoted};

/// Headers that mean something to HTTP, to authentication or to the gateway itself.
const TAKEN: [HeaderName; 20] = [
    header::HOST,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::COOKIE,
    header::FORWARDED,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("dpop"),
    HeaderName::from_static("client-cert"),
    HeaderName::from_static("x-forwarded-client-cert"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
];

/// A header's name that has no meaning of its own.
pub(super) fn own_name(text: &str) -> Result<HeaderName, Wrong> {
    let name = values::header_name(text)?;
    let folded = folded(&name);
    if TAKEN.iter().any(|taken| *taken == *folded) || folded.starts_with("x-forwarded-") {
        let help = "write a name of your own, such as `X-Account-Id`";
        return Err(Wrong::new(format!("the header `{name}` has a meaning of its own"), help));
    }
    Ok(name)
}

/// `identity_headers`. `in_requests` are the headers in which requests name their account.
pub(super) fn identity_headers(
    entry: Entry<document::IdentityHeaders>,
    in_requests: &[HeaderName],
    at: At<'_>,
    findings: &mut Findings,
) -> IdentityHeaders {
    let document = optional(entry, at, findings).unwrap_or_default();
    let mut firsts: Vec<(String, Place)> = Vec::new();
    let mut header = |entry, key| {
        let at = at.key(key);
        let name = parsed(optional(entry, at, findings), at, findings, own_name)?;
        if in_requests.iter().any(|own| folded(own) == folded(&name)) {
            let message = format!("requests name their account in {}, which is replaced here", Quoted(name.as_str()));
            findings.add(Finding::new(at, message).help("write another header"));
        }
        match firsts.iter().find(|(first, _)| *first == folded(&name)) {
            Some((_, first)) => {
                let finding = Finding::new(at, format!("the header `{name}` is there twice")).first(first.clone());
                findings.add(finding.help("write another header"));
            }
            None => firsts.push((folded(&name), Place::Value(at.path()))),
        }
        Some(name)
    };
    IdentityHeaders {
        subject: header(document.subject, "subject"),
        client: header(document.client, "client"),
        account: header(document.account, "account"),
        scopes: header(document.scopes, "scopes"),
    }
}

/// Several servers take `_` and `-` in a header's name for the same.
fn folded(name: &HeaderName) -> String {
    name.as_str().replace('_', "-")
}
