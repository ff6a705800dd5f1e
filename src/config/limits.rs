//! How much of anything a client may use, as `gateway.yaml` says it under `limits`.
//!
//! Each has a default that no honest client meets. What an api or an upstream bounds for itself is
//! with them.

use std::time::Duration;

use crate::token::TokenBounds;

/// The bounds that hold for every client.
///
/// A connection takes those of the policy that was in force when it was accepted, a request those of
/// the policy by which it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A request's method, target and version with the spaces between, in bytes.
    pub request_line_bytes: usize,
    /// The lines of a head after the first.
    pub header_count: usize,
    /// A whole head in bytes; as HTTP/2 counts it, with 32 more a field (RFC 9113 section 6.5.2).
    pub header_bytes: usize,
    /// A token in a request, in bytes.
    pub token_bytes: usize,
    /// What a token may say.
    pub token: TokenBounds,
    /// From the opening of a connection to the end of its TLS handshake; from there, or from the
    /// first byte of a later request, to the end of the head.
    pub head_timeout: Duration,
    /// Between two pieces of a request's body.
    pub body_timeout: Duration,
    /// How fast a request's body must come on average, after its first seconds; 0: at any pace.
    pub body_bytes_per_second: usize,
    /// Between the end of an answer and the first byte of the next request.
    pub idle_timeout: Duration,
    /// While a client takes nothing of what was sent.
    pub send_timeout: Duration,
    /// How long requests that are under way may take to end once the process is told to.
    pub drain_timeout: Duration,
    /// Connections that are open at once, of all listeners.
    pub connections: usize,
    /// The same of one IPv4 address or IPv6 /64; trusted proxies do not count.
    pub connections_per_address: usize,
    /// Buckets of rate limits that are kept.
    pub rate_limit_keys: usize,
    /// Those of one HTTP/2 connection.
    pub http2: Http2Limits,
}

/// The bounds of one HTTP/2 connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Limits {
    /// Requests that are under way at once.
    pub streams: u32,
    /// Requests that the client has reset before they were looked at; one more ends the connection
    /// (CVE-2023-44487).
    pub resets: usize,
    /// Requests that were reset for what the client did wrong in them; likewise (CVE-2025-8671).
    pub errors: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes: 8 * 1024,
            header_count: 100,
            header_bytes: 64 * 1024,
            token_bytes: 16 * 1024,
            token: TokenBounds::default(),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            body_bytes_per_second: 240,
            idle_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
            connections: 10_000,
            connections_per_address: 1_000,
            rate_limit_keys: 100_000,
            http2: Http2Limits { streams: 100, resets: 20, errors: 1_024 },
        }
    }
}

/// Requests of one upstream that are under way at once, where its entry does not say.
pub(super) const USUAL_REQUESTS: usize = 1_024;
