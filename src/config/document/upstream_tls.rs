//! What an upstream's entry says of TLS towards its servers.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::entry::Entry;
use crate::config::schema::{needs, texts};

/// TLS towards the servers of an upstream. Changed files are taken into use while the gateway runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("dependentRequired" = needs(&[("certificate", "key"), ("key", "certificate")])))]
pub(in crate::config) struct UpstreamTls {
    /// PEM file of the authorities that the servers' certificates must come from, in the place of those that
    /// the machine trusts.
    #[schemars(with = "Entry<texts::File>")]
    pub(in crate::config) ca_file: Entry<String>,
    /// The name or address that the servers' certificates must be for; each server's own host if left out.
    #[schemars(with = "Entry<texts::Plain>")]
    pub(in crate::config) server_name: Entry<String>,
    /// PEM file of the certificate that the gateway shows, and those that lead to its root.
    #[schemars(with = "Entry<texts::File>")]
    pub(in crate::config) certificate: Entry<String>,
    /// PEM file of that certificate's private key.
    #[schemars(with = "Entry<texts::File>")]
    pub(in crate::config) key: Entry<String>,
}
