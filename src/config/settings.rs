//! What the file says that no decision depends on: where to listen, whom to ask, what to record.
//!
//! Parsed and typed; nothing here opens a socket or reads a file.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use ipnet::IpNet;

use super::authorize::Authorizer;
use super::balancing::{Balance, Ejection, HealthCheck, Retries, UpstreamServer};
use super::cors::Cors;
use super::fleet::SharedState;
use super::limits::Limits;
use super::tracing::Tracing;
use super::transport::Transport;
use crate::policy::ScopeName;
use crate::token::{AssertionAlgorithm, IssuerRules, ScopeSyntax};

/// All that the file says beside the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Worker threads; at least one. Fixed at start.
    pub threads: usize,
    /// Where requests come in; at least one. Fixed at start.
    pub listeners: Vec<Listener>,
    /// The admin endpoints, if there are any.
    pub admin: Option<Admin>,
    /// How much of anything a client may use.
    pub limits: Limits,
    /// In the order of the file: a [`UpstreamId`](crate::policy::UpstreamId) is a place here.
    pub upstreams: Vec<Upstream>,
    /// In the order of the file.
    pub issuers: Vec<Issuer>,
    /// How requests for tokens are read: a [`TokenEndpointId`](crate::policy::TokenEndpointId) is a place here.
    pub token_endpoints: Vec<TokenEndpoint>,
    /// Which headers tell the upstream of the caller.
    pub identity_headers: IdentityHeaders,
    /// Whether `Authorization` goes on to the upstream, for each api by its place in the file.
    pub forward_authorization: Vec<bool>,
    /// The largest body of a request in bytes, where it is bounded, for each api by its place in the file.
    pub body_bytes: Vec<Option<u64>>,
    /// What pages of other origins are told, for each api by its place in the file.
    pub cors: Vec<Option<Cors>>,
    /// RFC 9728, if served.
    pub resource_metadata: Option<ResourceMetadata>,
    /// The list of revoked tokens, if there is one.
    pub revocations: Option<RevocationList>,
    /// Where gateways share what they know, if they do.
    pub shared_state: Option<SharedState>,
    /// Peers whose `Client-Cert` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The candidate that live requests are judged by besides, if there is one.
    pub shadow: Option<PathBuf>,
    /// Where audit lines go. Fixed at start.
    pub audit: Audit,
    /// Where spans of requests go, if anywhere.
    pub tracing: Option<Tracing>,
    /// Whether a configuration that lacks a scope in use is refused.
    pub removal_guard: bool,
}

#[cfg(test)]
impl Settings {
    /// Those of a file that says as little as can be, and less: it has neither listeners nor upstreams.
    pub(crate) fn bare() -> Self {
        Self {
            threads: 1,
            listeners: vec![],
            admin: None,
            limits: Limits::default(),
            upstreams: vec![],
            issuers: vec![],
            token_endpoints: vec![],
            identity_headers: IdentityHeaders::default(),
            forward_authorization: vec![],
            body_bytes: vec![],
            cors: vec![],
            resource_metadata: None,
            revocations: None,
            shared_state: None,
            trusted_proxies: vec![],
            shadow: None,
            audit: Audit { file: None },
            tracing: None,
            removal_guard: false,
        }
    }
}

/// A socket that requests come in by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it speaks HTTP/2 too: with TLS if ALPN says so, else with prior knowledge (RFC 9113
    /// section 3.3).
    pub http2: bool,
    /// Its TLS, if it ends TLS.
    pub tls: Option<ListenerTls>,
    /// Whose questions it answers, if it forwards nothing.
    pub authorizer: Option<Authorizer>,
}

/// The PEM files of a listener's TLS. Their contents are read again whenever they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificate, and after it those that lead to its root.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Whether clients show certificates.
    pub clients: Option<ClientCertificates>,
}

/// Certificates that clients show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// A PEM file of the authorities that issue them.
    pub authorities: PathBuf,
    /// Whether a client without one is turned away.
    pub required: bool,
}

/// Where the admin endpoints are, and who may change something there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where they listen. Fixed at start.
    pub address: SocketAddr,
    /// A file with the secret of those who may revoke tokens; without it nobody may. A final newline
    /// does not count.
    pub revocations_token_file: Option<PathBuf>,
    /// Who may see and change the registry; without it nobody may.
    pub access: Option<Access>,
}

/// Who may see and change the registry of scopes, by the tokens of one issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The only one whose tokens count; an issuer of the file.
    pub issuer: Box<str>,
    /// What a token must carry to see the registry.
    pub view: ScopeName,
    /// What it must carry to change it, which includes seeing it.
    pub manage: ScopeName,
    /// The console's origin, such as `https://console.example.com`, where that is not `http://` and the
    /// admin address.
    pub url: Option<Box<str>>,
    /// As whom the console has its visitors sign in at the issuer; without it they paste a token.
    pub sign_in: Option<SignInClient>,
}

/// The console, as a client of the issuer that its visitors sign in at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInClient {
    /// Its id there.
    pub client_id: Box<str>,
    /// A file with its secret, if it is a confidential client. A final newline does not count.
    pub secret_file: Option<PathBuf>,
    /// What to ask for tokens for (RFC 8707), if the issuer wants to know.
    pub resource: Option<Box<str>>,
}

/// The unchanged servers behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Unique in the file.
    pub name: Box<str>,
    /// At least one.
    pub servers: Vec<UpstreamServer>,
    /// Which of them gets a request.
    pub balance: Balance,
    /// How each of them is spoken to.
    pub transport: Transport,
    /// How they are checked, if they are.
    pub health: Option<HealthCheck>,
    /// When one that fails requests gets none, if ever.
    pub ejection: Option<Ejection>,
    /// How requests are sent again, if they are.
    pub retries: Option<Retries>,
    /// Requests that are under way at once, to all of its servers; at least one.
    pub max_requests: usize,
}

/// A server as the file names it; a name is resolved when the policy is taken into use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// A host name or an address, without brackets.
    pub host: Box<str>,
    /// Its TCP port.
    pub port: u16,
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Who signs or vouches for tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// What its tokens must be.
    pub rules: Arc<IssuerRules>,
    /// Where its keys are; `None` where it only answers introspection.
    pub keys: Option<KeySource>,
    /// How long keys stay in use while new ones cannot be fetched.
    pub stale_keys_for: Duration,
    /// At least so long apart are two fetches of its keys that tokens with unknown ones set off.
    pub refetch_interval: Duration,
    /// A PEM file with the authorities that its provider's certificate must come from, in the place of
    /// those that the machine trusts.
    pub ca_file: Option<PathBuf>,
    /// RFC 7662, for tokens that are no JWTs, and for others where it says so.
    pub introspection: Option<Introspection>,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A JWKS or PEM file, read again when it changes.
    File(PathBuf),
    /// A JWKS behind a URL, `http` or `https`.
    Url(Box<str>),
    /// A JWKS at the URL that the issuer's metadata names (`OpenID` Connect Discovery 1.0 section 4, else
    /// RFC 8414 section 3).
    Discover,
}

/// RFC 7662.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// The endpoint, `http` or `https`; `None` where it is discovered with the keys.
    pub url: Option<Box<str>>,
    /// Who asks.
    pub client_id: Box<str>,
    /// How the gateway proves that it is this client.
    pub authentication: ClientAuthentication,
    /// How long an answer may be remembered.
    pub cache_for: Duration,
    /// Whether JWTs are asked about too, once they were verified. An issuer without keys is asked about
    /// all of its tokens anyway.
    pub jwts: bool,
}

/// How the gateway proves who it is at a provider. Files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_secret_basic` (RFC 6749 section 2.3.1).
    Secret {
        /// A final newline does not count.
        file: PathBuf,
    },
    /// `private_key_jwt` (RFC 7523 section 2.2).
    PrivateKey {
        /// In PEM.
        file: PathBuf,
        /// The most common one for the kind of key, if it is left out.
        algorithm: Option<AssertionAlgorithm>,
        /// The `kid` under which the provider knows the key.
        key_id: Option<Box<str>>,
    },
    /// `tls_client_auth` or `self_signed_tls_client_auth` (RFC 8705 section 2).
    Certificate {
        /// The certificate, and those between it and its authority, in PEM.
        file: PathBuf,
        /// Its private key, in PEM.
        key_file: PathBuf,
    },
}

/// The list of revoked tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// Where it is kept, an entry a line.
    pub file: PathBuf,
    /// The path at which the holder of a token may revoke it (RFC 7009), if it may.
    pub endpoint: Option<Box<str>>,
}

/// How requests for tokens are read at a token endpoint that is guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEndpoint {
    /// How the provider, and so its clients, write scopes.
    pub scope_syntax: ScopeSyntax,
    /// The largest form that is read, in bytes; at most 64 KiB.
    pub max_form_bytes: usize,
}

/// Which headers tell the upstream of the caller; inbound copies of them never pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdentityHeaders {
    /// `sub`.
    pub subject: Option<HeaderName>,
    /// The client id.
    pub client: Option<HeaderName>,
    /// The account that the request touches or, if it names none, the caller's single own one.
    pub account: Option<HeaderName>,
    /// The scopes and privileges held, with spaces between.
    pub scopes: Option<HeaderName>,
}

/// RFC 9728.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceMetadata {
    /// The resource identifier, an `https` (or `http`) URL without a fragment.
    pub resource: Box<str>,
}

/// Where audit lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// `None`: standard output.
    pub file: Option<PathBuf>,
}
