//! What the servers' names stand for, as the system's resolver tells it.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::config::ServerAddress;

/// What a server's name stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolved {
    /// The last that were found; none before.
    pub(super) addresses: Vec<SocketAddr>,
    /// Whether that it does not resolve was said.
    fails: bool,
}

impl Resolved {
    /// Resolves again. Better the addresses that it had than none.
    pub(super) fn renew(&mut self, upstream: &str, server: &ServerAddress) {
        match addresses(server) {
            Ok(addresses) => *self = Self { addresses, fails: false },
            Err(error) if !self.fails => {
                self.fails = true;
                tracing::warn!(upstream, host = &*server.host, %error, "the server's name does not resolve");
            }
            Err(_) => {}
        }
    }
}

/// Whether what it stands for may change.
pub(super) fn is_named(server: &ServerAddress) -> bool {
    server.host.parse::<IpAddr>().is_err()
}

fn addresses(server: &ServerAddress) -> std::io::Result<Vec<SocketAddr>> {
    let mut found: Vec<_> = (&*server.host, server.port).to_socket_addrs()?.collect();
    // In one order, so that resolving again does not shuffle the turns.
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
