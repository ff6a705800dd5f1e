//! `issuers[].introspection`: whom to ask about tokens, and how the gateway proves who it is there.

use std::mem::take;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::take::{optional, parsed, required};
use super::values;
use crate::config::document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Finding, Findings};
use crate::config::{ClientAuthentication, Introspection};
use crate::token::AssertionAlgorithm;

/// What the rest of an issuer's settings has to do with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// Its name, if it is known.
    pub(super) issuer: Option<&'a str>,
    /// Whether it has keys, good or not.
    pub(super) has_keys: bool,
    /// Whether the endpoint can be discovered.
    pub(super) discovers: bool,
    pub(super) directory: &'a Path,
}

pub(super) fn introspection(
    entry: Entry<document::Introspection>,
    context: Context<'_>,
    at: At<'_>,
    findings: &mut Findings,
) -> Option<Introspection> {
    let mut document = optional(entry, at, findings)?;
    let url = endpoint(take(&mut document.url), context, at.key("url"), findings);
    let id = at.key("client_id");
    let text = required(take(&mut document.client_id), id, "write as whom the gateway asks", findings);
    let client_id = parsed(text, id, findings, values::text);
    let cache = at.key("cache_for");
    let text = optional(take(&mut document.cache_for), cache, findings);
    let cache_for = parsed(text, cache, findings, values::duration).unwrap_or(Duration::from_secs(30));
    let jwts = jwts(take(&mut document.jwts), context, at.key("jwts"), findings);
    let authentication = authentication(document, context.directory, at, findings)?;
    let introspection = Introspection { url: url?, client_id: client_id?, authentication, cache_for, jwts };
    check_certificate_is_shown(&introspection, context, at, findings);
    Some(introspection)
}

fn jwts(entry: Entry<bool>, context: Context<'_>, at: At<'_>, findings: &mut Findings) -> bool {
    if entry.is_there() && !context.has_keys {
        let finding = Finding::at_key(at, "`jwts` goes with `keys`, which are missing");
        findings.add(finding.help("remove it: without keys the issuer is asked about every token"));
    }
    optional(entry, at, findings).unwrap_or(false)
}

/// `Some(None)`: it is discovered.
#[expect(clippy::option_option, reason = "no good endpoint, one that is discovered, and a good one")]
fn endpoint(
    entry: Entry<String>,
    context: Context<'_>,
    at: At<'_>,
    findings: &mut Findings,
) -> Option<Option<Box<str>>> {
    if context.discovers && matches!(entry, Entry::Absent) {
        return Some(None);
    }
    let help = "write the endpoint, such as `https://login.example.com/introspect`, or discover it with \
                `keys: { discover: true }`";
    let text = required(entry, at, help, findings);
    parsed(text, at, findings, values::url).map(Some)
}

fn authentication(
    document: document::Introspection,
    directory: &Path,
    at: At<'_>,
    findings: &mut Findings,
) -> Option<ClientAuthentication> {
    const HELP: &str = "write one of `client_secret_file`, `private_key_file`, or `certificate_file` with \
                        `certificate_key_file`";
    let has_certificate = document.certificate_file.is_there() || document.certificate_key_file.is_there();
    let ways = [
        ("client_secret_file", document.client_secret_file.is_there()),
        ("private_key_file", document.private_key_file.is_there()),
        ("certificate_file", has_certificate),
    ];
    let mut there = ways.into_iter().filter(|(_, is_there)| *is_there).map(|(key, _)| key);
    let (first, second) = (there.next(), there.next());
    if let (Some(one), Some(other)) = (first, second) {
        let finding = Finding::new(at, format!("`introspection` has both `{one}` and `{other}`"));
        findings.add(finding.help("keep one of them: the gateway proves in one way who it is"));
        return None;
    }
    let mut file = |entry, key, holds| {
        let text = required(entry, at.key(key), &format!("write the file that holds {holds}"), findings);
        parsed(text, at.key(key), findings, |text| values::file(text, directory))
    };
    let found = match first {
        Some("client_secret_file") => file(document.client_secret_file, "client_secret_file", "the client's secret")
            .map(|file| ClientAuthentication::Secret { file }),
        Some("certificate_file") => {
            let certificate = file(document.certificate_file, "certificate_file", "the client's certificate");
            let key = file(document.certificate_key_file, "certificate_key_file", "the certificate's private key");
            certificate.zip(key).map(|(file, key_file)| ClientAuthentication::Certificate { file, key_file })
        }
        Some(_) => {
            let file = file(document.private_key_file, "private_key_file", "the client's private key");
            return private_key(file, document.private_key_algorithm, document.private_key_id, at, findings);
        }
        None => {
            let message = "`introspection` does not say how the gateway proves who it is";
            findings.add(Finding::new(at, message).help(HELP));
            None
        }
    };
    let of_keys = [
        ("private_key_algorithm", document.private_key_algorithm.is_there()),
        ("private_key_id", document.private_key_id.is_there()),
    ];
    for (key, _) in of_keys.into_iter().filter(|(_, is_there)| *is_there) {
        let finding = Finding::at_key(at.key(key), format!("`{key}` goes with `private_key_file`, which is missing"));
        findings.add(finding.help("write the file, or remove this key"));
    }
    found
}

fn private_key(
    file: Option<PathBuf>,
    algorithm: Entry<document::PrivateKeyAlgorithm>,
    key_id: Entry<String>,
    at: At<'_>,
    findings: &mut Findings,
) -> Option<ClientAuthentication> {
    let algorithm = optional(algorithm, at.key("private_key_algorithm"), findings).map(|algorithm| match algorithm {
        document::PrivateKeyAlgorithm::Rs256 => AssertionAlgorithm::Rs256,
        document::PrivateKeyAlgorithm::Ps256 => AssertionAlgorithm::Ps256,
        document::PrivateKeyAlgorithm::Es256 => AssertionAlgorithm::Es256,
        document::PrivateKeyAlgorithm::EdDsa => AssertionAlgorithm::EdDsa,
    });
    let id = at.key("private_key_id");
    let key_id = optional(key_id, id, findings);
    let key_id = parsed(key_id, id, findings, values::text);
    Some(ClientAuthentication::PrivateKey { file: file?, algorithm, key_id })
}

/// Without TLS no certificate is shown, and the provider would not know who asks.
fn check_certificate_is_shown(
    introspection: &Introspection,
    context: Context<'_>,
    at: At<'_>,
    findings: &mut Findings,
) {
    let url = introspection.url.as_deref().or(context.issuer);
    let is_certificate = matches!(introspection.authentication, ClientAuthentication::Certificate { .. });
    if is_certificate && url.is_some_and(|url| url.starts_with("http://")) {
        let finding = Finding::at_key(at.key("certificate_file"), "a certificate is only shown over `https`");
        findings.add(finding.help("ask at an `https` URL, or prove who it is with a secret or a private key"));
    }
}
