//! A listener's TLS: which files hold its certificate, its key and the authorities of its clients.
//!
//! Nothing is opened here; what is in the files is `gateway`'s.

use std::path::Path;

use super::take::{optional, parsed, required};
use super::values;
use crate::config::document::{self, ClientCertificate};
use crate::config::entry::Entry;
use crate::config::finding::{At, Findings};
use crate::config::{ClientCertificates, ListenerTls};

pub(super) fn tls(
    entry: Entry<document::ListenerTls>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<ListenerTls> {
    let document = optional(entry, at, findings)?;
    let file = |entry, key, help, findings: &mut Findings| {
        let here = at.key(key);
        let text: Option<String> = required(entry, here, help, findings);
        parsed(text, here, findings, |text| values::file(text, directory))
    };
    let help = "write the PEM file of the certificate and those that lead to its root";
    let certificate = file(document.certificate, "certificate", help, findings);
    let key = file(document.key, "key", "write the PEM file of the certificate's private key", findings);
    if matches!((&document.client_ca, &document.client_certificate), (Entry::Absent, Entry::Absent)) {
        return Some(ListenerTls { certificate: certificate?, key: key?, clients: None });
    }
    let help = "write the PEM file of the authorities that issue the clients' certificates";
    let authorities = file(document.client_ca, "client_ca", help, findings);
    let help = "write `required`, or `optional` where clients without one may connect too";
    let asked = required(document.client_certificate, at.key("client_certificate"), help, findings);
    let required = match asked? {
        ClientCertificate::Required => true,
        ClientCertificate::Optional => false,
    };
    let clients = ClientCertificates { authorities: authorities?, required };
    Some(ListenerTls { certificate: certificate?, key: key?, clients: Some(clients) })
}
