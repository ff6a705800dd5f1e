//! `tracing`: its keys.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;
use crate::config::entry::Entry;
use crate::config::schema::texts;

/// Where a span of each sampled request goes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["otlp"]))]
pub(in crate::config) struct Tracing {
    /// The URL at which a collector takes spans by OTLP (protobuf over HTTP).
    #[schemars(with = "Entry<texts::Url>")]
    pub(in crate::config) otlp: Entry<String>,
    /// File with header fields for the collector, such as its key: a `Name: value` a line.
    #[schemars(with = "Entry<texts::File>")]
    pub(in crate::config) headers_file: Entry<String>,
    /// PEM file of the authorities of the collector's certificate, where they are not the system's.
    #[schemars(with = "Entry<texts::File>")]
    pub(in crate::config) ca_file: Entry<String>,
    /// What traces call the gateway.
    #[schemars(with = "Entry<texts::Plain>", extend("default" = "scopegate"))]
    pub(in crate::config) service_name: Entry<String>,
    /// The share of requests that are sampled, where no `traceparent` decides.
    #[schemars(range(min = 0.0, max = 1.0), extend("default" = 1.0))]
    pub(in crate::config) sample: Entry<f64>,
    /// Whose `traceparent` decides whether a request is sampled.
    #[schemars(extend("default" = "always"))]
    pub(in crate::config) follow_parents: Entry<FollowParents>,
    /// How long the collector may take to answer.
    #[schemars(extend("default" = "10s"))]
    pub(in crate::config) timeout: Entry<DurationText>,
}

/// Whose `traceparent` decides.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum FollowParents {
    /// Everybody's.
    Always,
    /// That of `trusted_proxies`.
    TrustedProxies,
    /// Nobody's.
    Never,
}
