//! A listener that answers the questions of a data plane.

use std::net::IpAddr;

use ipnet::IpNet;

/// Whose questions a listener answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorizer {
    /// How they are asked and answered.
    pub plane: Plane,
    /// Who may ask; at least one.
    pub peers: Vec<IpNet>,
    /// Whether the data plane forwards the account headers of an answer in the place of those that came.
    pub applies_account: bool,
    /// Whether it forwards the target of an answer in the place of the one that came.
    pub applies_target: bool,
    /// Whether it says which certificate its client has shown, over whatever its client says of one.
    pub tells_certificate: bool,
}

/// A kind of data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// nginx's `auth_request`.
    Nginx,
    /// Traefik's `ForwardAuth`.
    Traefik,
    /// Caddy's `forward_auth`.
    Caddy,
    /// Envoy's `ext_authz` over HTTP.
    EnvoyHttp,
    /// Envoy's `ext_authz` over gRPC.
    EnvoyGrpc,
}

impl Authorizer {
    /// Whether this address may ask.
    #[must_use]
    pub fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.peers.iter().any(|net| net.contains(&peer))
    }
}

impl Plane {
    /// As the file and the audit line write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::EnvoyHttp => "envoy_http",
            Self::EnvoyGrpc => "envoy_grpc",
        }
    }
}
