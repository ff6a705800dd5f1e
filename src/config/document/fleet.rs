//! `shared_state` as serde sees it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;
use crate::config::entry::Entry;
use crate::config::schema::texts;

/// The Redis or Valkey over which gateways share revocations, proofs that were used, rate limits, and which scopes live
/// tokens carry.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["url", "on_outage"]))]
pub(in crate::config) struct SharedState {
    /// Where it is: `redis://host:6379/0`, or `rediss://` for TLS.
    #[schemars(with = "Entry<texts::RedisUrl>")]
    pub(in crate::config) url: Entry<String>,
    /// As whom the gateway signs in there.
    #[schemars(with = "Entry<texts::Plain>")]
    pub(in crate::config) username: Entry<String>,
    /// File with the password.
    #[schemars(with = "Entry<texts::File>")]
    pub(in crate::config) password_file: Entry<String>,
    /// PEM file of the authorities of its certificate, where they are not the system's.
    #[schemars(with = "Entry<texts::File>")]
    pub(in crate::config) ca_file: Entry<String>,
    /// What the names of all keys there begin with.
    #[schemars(with = "Entry<texts::Plain>", extend("default" = "scopegate:"))]
    pub(in crate::config) prefix: Entry<String>,
    /// What becomes of requests that rest on it while it is away.
    pub(in crate::config) on_outage: Entry<OnOutage>,
    /// With `deny`: how long a gateway goes on by what it heard last of the others' revocations, `1s` to `1h`.
    #[schemars(extend("default" = "1s"))]
    pub(in crate::config) stale_for: Entry<DurationText>,
    /// How long it may take to answer: `10ms` to `5s`.
    #[schemars(extend("default" = "250ms"))]
    pub(in crate::config) timeout: Entry<DurationText>,
}

/// What becomes of requests that rest on the shared state while it is away.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum OnOutage {
    /// They are refused: 503.
    Deny,
    /// They are judged by what this gateway knows itself.
    Local,
}
