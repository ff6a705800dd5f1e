//! `apis[].rate_limits` as serde sees it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;
use crate::config::compile::MOST_REQUESTS;
use crate::config::entry::{Entry, List, OneOrMany};
use crate::config::schema::texts;

/// A bound on how many requests pass in a time. Several apply together.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["by", "requests", "per"]))]
pub(in crate::config) struct RateLimit {
    /// What clients and metrics call it; made of `by` and `per` if left out, such as `client-1m`.
    #[schemars(with = "Entry<texts::Name>")]
    pub(in crate::config) name: Entry<String>,
    /// What is counted together, or a list for what has all of it in common.
    pub(in crate::config) by: Entry<OneOrMany<CountedBy>>,
    /// How many requests pass in that time.
    #[schemars(range(min = 1, max = MOST_REQUESTS))]
    pub(in crate::config) requests: Entry<u64>,
    /// In which time, in whole seconds.
    pub(in crate::config) per: Entry<DurationText>,
    /// How many may come at once; as many as `requests` if left out.
    #[schemars(range(min = 1, max = MOST_REQUESTS))]
    pub(in crate::config) burst: Entry<u64>,
    /// Only what these scopes of the api grant; all that passes if left out.
    #[schemars(with = "List<texts::Scope>")]
    pub(in crate::config) scopes: List<String>,
}

/// What requests have in common that are counted together.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum CountedBy {
    /// The api: all of its requests.
    Api,
    /// The client; who has none is its issuer's subject, and who has no token its address.
    Client,
    /// The account that is touched, or the caller's own; where there is none, as by client.
    Account,
    /// The scope that grants.
    Scope,
    /// The service that matches.
    Service,
    /// The address that the request comes from: one of IPv4, or an IPv6 /64.
    Address,
}
