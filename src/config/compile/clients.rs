//! `clients`: applications known by their client id.

use super::names::DefinedNames;
use super::take::{Firsts, Wrong, items, optional, parsed, required};
use super::values;
use crate::config::document;
use crate::config::entry::{Entry, List};
use crate::config::finding::{At, Finding, Findings, Quoted};
use crate::policy::{Account, CertificateRule, ClientId, ClientSpec, ClientType, ScopeName, ScopeNames};

/// The list; `None` where the file has none, which lets every client be as its token says.
pub(super) fn clients(
    list: List<document::Client>,
    at: At<'_>,
    defined: &DefinedNames,
    compared: ScopeNames,
    findings: &mut Findings,
) -> Option<Vec<ClientSpec>> {
    match list {
        Entry::Absent => return None,
        // Nothing could mean no list or no client: one lets every client pass, the other none.
        Entry::Empty => {
            let finding = Finding::at_key(at, "`clients` has no value");
            findings.add(finding.help("write `[]` to refuse every client, or remove the key to admit them all"));
        }
        Entry::Given(_) | Entry::Faulty => {}
    }
    let mut firsts = Firsts::new();
    let mut clients = Vec::new();
    for (place, document) in items(list, at, findings) {
        let here = at.nth(place);
        if let Entry::Given(id) = &document.id {
            firsts.note(
                id.clone(),
                here.key("id"),
                &format!("the client {}", Quoted(id)),
                "remove one of them",
                findings,
            );
        }
        clients.extend(client(document, here, defined, compared, findings));
    }
    Some(clients)
}

fn client(
    document: document::Client,
    at: At<'_>,
    defined: &DefinedNames,
    compared: ScopeNames,
    findings: &mut Findings,
) -> Option<ClientSpec> {
    let (id_at, account_at) = (at.key("id"), at.key("account"));
    let id = required(document.id, id_at, "write its client id as tokens carry it", findings);
    let id = parsed(id, id_at, findings, client_id);
    let account = parsed(optional(document.account, account_at, findings), account_at, findings, account);
    let scopes = ceiling(document.scopes, at.key("scopes"), defined, compared, findings);
    let client_type = match optional(document.client_type, at.key("type"), findings) {
        Some(document::ClientType::Confidential) | None => ClientType::Confidential,
        Some(document::ClientType::Public) => ClientType::Public,
    };
    let certificate = optional(document.certificate, at.key("certificate"), findings);
    let certificate = certificate.and_then(|document| certificate_rule(document, at.key("certificate"), findings));
    Some(ClientSpec { id: id?, account, scopes, client_type, certificate })
}

fn client_id(text: &str) -> Result<ClientId, Wrong> {
    ClientId::parse(text).map_err(|invalid| {
        let help = "a client id has printable ASCII characters";
        Wrong::new(format!("{} is not a client id: {invalid}", Quoted(text)), help)
    })
}

fn account(text: &str) -> Result<Account, Wrong> {
    Account::parse(text).ok_or_else(|| {
        let help = "an account's name is not empty and has no control characters";
        Wrong::new(format!("{} is not an account's name", Quoted(text)), help)
    })
}

fn ceiling(
    list: List<String>,
    at: At<'_>,
    defined: &DefinedNames,
    compared: ScopeNames,
    findings: &mut Findings,
) -> Option<Vec<ScopeName>> {
    match list {
        Entry::Absent => return None,
        // As with the list of clients, nothing could mean all or none.
        Entry::Empty => {
            let finding = Finding::at_key(at, "`scopes` has no value");
            findings.add(finding.help("write `[]` for no scope, or remove the key for all that the token says"));
        }
        Entry::Given(_) | Entry::Faulty => {}
    }
    let mut scopes = Vec::new();
    for (place, text) in items(list, at, findings) {
        let here = at.nth(place);
        let name = parsed(Some(text), here, findings, |text| {
            ScopeName::parse(text).map_err(|invalid| {
                let help = "write a scope that an api defines";
                Wrong::new(format!("{} is not a scope's name: {invalid}", Quoted(text)), help)
            })
        });
        if let Some(name) = name {
            defined.check(&name, compared, here, findings);
            scopes.push(name);
        }
    }
    Some(scopes)
}

fn certificate_rule(document: document::Certificate, at: At<'_>, findings: &mut Findings) -> Option<CertificateRule> {
    let there = [document.sha256.is_there(), document.subject.is_there(), document.san_dns.is_there()];
    if there.iter().filter(|there| **there).count() != 1 {
        let finding = Finding::new(at, "`certificate` has exactly one of `sha256`, `subject` and `san_dns`");
        findings.add(finding.help("keep the one that the certificate must be known by"));
        return None;
    }
    let (sha256_at, subject_at, dns_at) = (at.key("sha256"), at.key("subject"), at.key("san_dns"));
    let sha256 = optional(document.sha256, sha256_at, findings);
    let subject = optional(document.subject, subject_at, findings);
    let dns = optional(document.san_dns, dns_at, findings);
    parsed(sha256, sha256_at, findings, values::sha256)
        .map(CertificateRule::Sha256)
        .or_else(|| parsed(subject, subject_at, findings, values::text).map(CertificateRule::Subject))
        .or_else(|| parsed(dns, dns_at, findings, values::dns_name).map(CertificateRule::SanDns))
}
