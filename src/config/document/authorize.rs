//! `listeners[].authorize`: whose questions a listener answers.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::entry::{Entry, List};
use crate::config::schema::texts;

/// A listener that forwards nothing: a data plane asks there about each of its own requests.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["as", "peers"]))]
pub(in crate::config) struct Authorize {
    /// How questions are asked and answered.
    pub(in crate::config) r#as: Entry<Plane>,
    /// Who may ask; anybody else is refused.
    #[schemars(with = "List<texts::Network>", length(min = 1))]
    pub(in crate::config) peers: List<String>,
    /// What the data plane does as an answer says, beside what every one does. Where something that is
    /// not listed here would be needed, the request is refused.
    pub(in crate::config) applies: List<Applies>,
    /// What the data plane says of its clients, beside what every one says: it writes over what they send of it.
    pub(in crate::config) tells: List<Tells>,
}

/// A kind of data plane.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Plane {
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

/// What a data plane may be set up to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Tells {
    /// Which certificate a client has shown, verified: nginx and Envoy in `X-Forwarded-Client-Cert`, Caddy in
    /// `Client-Cert`.
    Certificate,
}

/// What a data plane may be told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Applies {
    /// It forwards the account headers of the answer in the place of those that came, so that
    /// `account_when_absent: inject` can be done.
    Account,
    /// It forwards the target of the answer in the place of the one that came.
    Target,
    /// It bounds bodies as `body_bytes` of the apis has it: no body comes here.
    BodyBytes,
}
