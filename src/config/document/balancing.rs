//! What an upstream's entry says of several servers: shares, balancing, checks, ejection and retries.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;
use crate::config::compile::{HEAVIEST, LONGEST_RUN, MOST_RETRIES};
use crate::config::entry::Entry;
use crate::config::schema::texts;

/// A server as a text.
#[derive(Debug, Deserialize)]
#[serde(rename = "host and port such as `127.0.0.1:9000`")]
pub(in crate::config) struct ServerText(String);

impl AsRef<str> for ServerText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A server and its share of the requests.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["address"]))]
pub(in crate::config) struct WeightedServer {
    /// Host and port.
    #[schemars(with = "Entry<texts::Server>")]
    pub(in crate::config) address: Entry<ServerText>,
    /// Its share: a server of weight 3 gets three requests where one of weight 1 gets one.
    #[schemars(range(min = 1, max = HEAVIEST), extend("default" = 1))]
    pub(in crate::config) weight: Entry<u64>,
}

/// Which server gets a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Balance {
    /// Each in its turn.
    RoundRobin,
    /// Of two at random, the one with fewer requests under way.
    LeastRequests,
    /// One and the same for all requests that touch an account, as far as servers stay (ketama hashing).
    Account,
}

/// How servers are checked without requests of clients. A server that fails gets no requests until it passes again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Health {
    /// What is asked for with `GET`, and must be answered with a status of 200 to 299; without it, a connection
    /// must be made.
    #[schemars(with = "Entry<texts::Path>")]
    pub(in crate::config) path: Entry<String>,
    /// From one check of a server to the next.
    #[schemars(extend("default" = "5s"))]
    pub(in crate::config) interval: Entry<DurationText>,
    /// How long a check may take in all, no longer than `interval`.
    #[schemars(extend("default" = "1s"))]
    pub(in crate::config) timeout: Entry<DurationText>,
    /// Checks that a server must pass in a row to get requests again.
    #[schemars(range(min = 1, max = LONGEST_RUN), extend("default" = 2))]
    pub(in crate::config) healthy_after: Entry<u64>,
    /// Checks that a server must fail in a row to get none.
    #[schemars(range(min = 1, max = LONGEST_RUN), extend("default" = 3))]
    pub(in crate::config) unhealthy_after: Entry<u64>,
}

/// When a server gets no requests for a while because it has failed those of clients.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Ejection {
    /// Requests that fail in a row: no connection, no answer in time, or one that breaks off. A status is an answer.
    #[schemars(range(min = 1, max = LONGEST_RUN), extend("default" = 5))]
    pub(in crate::config) failures: Entry<u64>,
    /// For how long.
    #[schemars(rename = "for", extend("default" = "30s"))]
    #[serde(rename = "for")]
    pub(in crate::config) time: Entry<DurationText>,
}

/// Whether a request that a server has not answered is sent again: of idempotent methods only.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Retries {
    /// How often a request is sent again at most.
    #[schemars(range(min = 1, max = MOST_RETRIES), extend("default" = 1))]
    pub(in crate::config) attempts: Entry<u64>,
    /// How many retries there may be for 100 requests, so that a failing upstream does not get its load many times over.
    #[schemars(range(min = 1, max = 100), extend("default" = 20))]
    pub(in crate::config) budget_percent: Entry<u64>,
}
