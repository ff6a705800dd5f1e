//! How requests are spread over the servers of an upstream, as the policy has it.

use std::time::Duration;

use super::settings::ServerAddress;

/// A server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServer {
    /// Where it is.
    pub address: ServerAddress,
    /// Its share of the requests, beside those of the others; at least one.
    pub weight: u16,
}

/// Which server gets a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Balance {
    /// Each in its turn.
    #[default]
    RoundRobin,
    /// Of two at random, the one with fewer requests under way.
    LeastRequests,
    /// By the account that the request touches.
    Account,
}

/// How servers are checked without requests of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for; `None` if a connection is enough.
    pub path: Option<Box<str>>,
    /// From one check of a server to the next.
    pub interval: Duration,
    /// For a whole check.
    pub timeout: Duration,
    /// Checks passed in a row that make a server healthy; at least one.
    pub healthy_after: u32,
    /// Checks failed in a row that make it unhealthy; at least one.
    pub unhealthy_after: u32,
}

/// When a server gets no requests for a while because it has failed those of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row; at least one.
    pub failures: u32,
    /// For how long.
    pub time: Duration,
}

/// How requests of idempotent methods are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// How often one is; at least once.
    pub attempts: u8,
    /// How many there may be for 100 requests.
    pub budget_percent: u8,
}
