//! Where gateways share what they know, as `gateway.yaml` says it under `shared_state`.

use std::path::PathBuf;
use std::time::Duration;

/// A Redis or Valkey, and what becomes of requests that rest on it while it is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedState {
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: Box<str>,
    /// Its TCP port.
    pub port: u16,
    /// The number of its database.
    pub database: u8,
    /// As whom the gateway signs in; `None`: as the default user.
    pub username: Option<Box<str>>,
    /// A file with the password, if one is asked for. A final newline does not count.
    pub password_file: Option<PathBuf>,
    /// A PEM file of the authorities of its certificate; `None`: those that the machine trusts.
    pub ca_file: Option<PathBuf>,
    /// What the names of all keys begin with.
    pub prefix: Box<str>,
    /// What becomes of requests that rest on it while it is away.
    pub on_outage: OnOutage,
    /// How long it may take to answer.
    pub timeout: Duration,
}

/// What becomes of requests that rest on the shared state while it is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOutage {
    /// They are refused: those that rest on what others have revoked, once that was not heard for so long.
    Deny {
        /// How long what was heard last is trusted.
        stale_for: Duration,
    },
    /// They are judged by what this gateway knows itself.
    Local,
}
