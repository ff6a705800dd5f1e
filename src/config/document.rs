//! `gateway.yaml` as serde sees it: its keys and the shapes of their values, and nothing else.
//!
//! What the values mean is `compile`'s. A newtype's serde name is what messages say is expected in its
//! place. The file's JSON Schema is made of the same definitions: of their comments, which editors
//! show, and of what `schemars` says beside them of the values: most of this file's lines are that text, which
//! belongs to its keys.

pub(super) mod authorize;
mod balancing;
mod cors;
mod fleet;
mod rates;
pub(super) mod tracing;
mod upstream_tls;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use balancing::{Balance, Ejection, Health, Retries, ServerText, WeightedServer};
pub(super) use cors::Cors;

use super::compile::{
    FASTEST, LARGEST_FORM, LARGEST_HEAD, LEAST_KEYS, MOST_AT_ONCE, MOST_HEADERS, MOST_KEYS, MOST_RESETS, MOST_STREAMS,
    MOST_THREADS, SMALLEST_HEAD, USUAL_FORM,
};
use super::entry::{Entry, List, Named, OneOrMany, WordOr};
use super::schema::{keys, names, needs, privilege_names, texts};
use crate::token::{LONGEST_TOKEN, WIDEST_BOUNDS};
pub(super) use fleet::{OnOutage, SharedState};
pub(super) use rates::{CountedBy, RateLimit};
pub(super) use upstream_tls::UpstreamTls;

/// What the gateway enforces: listeners, upstreams, issuers, clients, and apis with their scopes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["version", "listeners", "upstreams", "apis"]))]
pub(super) struct Document {
    /// The version of this format, which is 1.
    #[schemars(extend("const" = 1))]
    pub(super) version: Entry<u64>,
    /// Worker threads; as many as there are cores if left out.
    #[schemars(range(min = 1, max = MOST_THREADS))]
    pub(super) threads: Entry<u64>,
    /// Where the gateway listens.
    #[schemars(length(min = 1))]
    pub(super) listeners: List<Listener>,
    /// The admin address, for operators only: health, metrics, the policy in force.
    pub(super) admin: Entry<Admin>,
    /// How much of anything a client may use.
    pub(super) limits: Entry<Limits>,
    /// The unchanged servers behind the gateway, by names of your choice.
    #[schemars(extend("propertyNames" = names(), "minProperties" = 1))]
    pub(super) upstreams: Entry<Named<Upstream>>,
    /// Who signs tokens, or tells what opaque ones mean.
    pub(super) issuers: List<Issuer>,
    /// The applications that may call. Where there is a list, others are refused, but see
    /// `unregistered_clients`.
    pub(super) clients: List<Client>,
    /// What comes of clients that `clients` leaves out.
    #[schemars(extend("default" = "refuse"))]
    pub(super) unregistered_clients: Entry<UnregisteredClients>,
    /// Groups of scopes, each in front of one upstream.
    #[schemars(length(min = 1))]
    pub(super) apis: List<Api>,
    /// Whether `Authorization` goes on to the upstreams, where an api does not say.
    #[schemars(extend("default" = true))]
    pub(super) forward_authorization: Entry<bool>,
    /// The headers that tell upstreams who is calling. They are taken off what clients send.
    pub(super) identity_headers: Entry<IdentityHeaders>,
    /// What comes of a token with a scope that no api defines.
    #[schemars(extend("default" = "ignore"))]
    pub(super) undefined_scopes: Entry<UndefinedScopes>,
    /// How the scopes of tokens are compared with this file's. In the file, names are unique whatever the
    /// case.
    #[schemars(extend("default" = "case_sensitive"))]
    pub(super) scope_names: Entry<ScopeNames>,
    /// Protected resource metadata (RFC 9728), served at `/.well-known/oauth-protected-resource`.
    pub(super) resource_metadata: Entry<ResourceMetadata>,
    /// The list of revoked tokens.
    pub(super) revocations: Entry<Revocations>,
    /// Where several gateways share what they know: a Redis or Valkey. Without it, each knows what it saw itself.
    pub(super) shared_state: Entry<SharedState>,
    /// Peers whose `X-Forwarded-*` and `Client-Cert` headers are believed.
    #[schemars(with = "List<texts::Network>")]
    pub(super) trusted_proxies: List<String>,
    /// Where the audit lines go, one for each decision.
    pub(super) audit: Entry<Audit>,
    /// Spans of requests, for a collector of traces.
    pub(super) tracing: Entry<tracing::Tracing>,
    /// A candidate for this file's place: live requests are judged by it too, and what it would answer
    /// differently is recorded. It changes no answer.
    pub(super) shadow: Entry<Shadow>,
    /// Whether a reload that drops a scope of a live token is refused.
    #[schemars(extend("default" = false))]
    pub(super) removal_guard: Entry<bool>,
}

/// A file that live requests are judged by beside this one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["file"]))]
pub(super) struct Shadow {
    /// The candidate, a whole policy file, read again when it changes.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) file: Entry<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "a duration such as `30s`")]
pub(super) struct DurationText(String);

#[derive(Debug, Deserialize)]
#[serde(rename = "an address and port such as `0.0.0.0:8080`")]
pub(super) struct AddressText(String);

impl AsRef<str> for DurationText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for AddressText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// An address to listen at.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["address"]))]
pub(super) struct Listener {
    /// Address and port.
    pub(super) address: Entry<AddressText>,
    /// HTTP/2: with prior knowledge on a plain listener; with `tls`, offered to clients by ALPN.
    #[schemars(extend("default" = false))]
    pub(super) http2: Entry<bool>,
    /// TLS at this address; its files are read again when they change.
    pub(super) tls: Entry<ListenerTls>,
    /// Instead of forwarding requests: whether those of a data plane that asks here may pass.
    pub(super) authorize: Entry<authorize::Authorize>,
}

/// The certificate of a listener, and what is asked of its clients'.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend(
    "required" = ["certificate", "key"],
    "dependentRequired" = needs(&[("client_ca", "client_certificate"), ("client_certificate", "client_ca")])
))]
pub(super) struct ListenerTls {
    /// PEM file of the certificate and those that lead to its root.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) certificate: Entry<String>,
    /// PEM file of the certificate's private key.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) key: Entry<String>,
    /// PEM file of the authorities that issue clients' certificates.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) client_ca: Entry<String>,
    /// Whether clients must show a certificate.
    pub(super) client_certificate: Entry<ClientCertificate>,
}

/// What is asked of the clients of a listener.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientCertificate {
    /// Clients without one may connect too.
    Optional,
    /// Connections without a good one are refused.
    Required,
}

/// The admin address.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["address"]))]
pub(super) struct Admin {
    /// Address and port; keep it off the network that clients come from.
    pub(super) address: Entry<AddressText>,
    /// File with the secret that `POST /revocations` asks for; without it, there is no such endpoint.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) revocations_token_file: Entry<String>,
    /// Who may see and change the registry; without it, there is none.
    pub(super) access: Entry<Access>,
}

/// How much of anything a client may use.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    /// The longest request line, in bytes; beyond it the answer is 414.
    #[schemars(range(min = 64, max = LARGEST_HEAD), extend("default" = 8192))]
    pub(super) request_line_bytes: Entry<u64>,
    /// The most header fields; beyond it the answer is 431.
    #[schemars(range(min = 1, max = MOST_HEADERS), extend("default" = 100))]
    pub(super) header_count: Entry<u64>,
    /// The largest head, in bytes; beyond it the answer is 431.
    #[schemars(range(min = SMALLEST_HEAD, max = LARGEST_HEAD), extend("default" = 65536))]
    pub(super) header_bytes: Entry<u64>,
    /// The longest token, in bytes.
    #[schemars(range(min = 1, max = LONGEST_TOKEN), extend("default" = 16384))]
    pub(super) token_bytes: Entry<u64>,
    /// The most scopes of a token.
    #[schemars(range(min = 1, max = WIDEST_BOUNDS.scopes), extend("default" = 1000))]
    pub(super) scopes_per_token: Entry<u64>,
    /// The most objects and arrays inside each other in a token's claims.
    #[schemars(range(min = 1, max = WIDEST_BOUNDS.depth), extend("default" = 32))]
    pub(super) claims_depth: Entry<u64>,
    /// How long a TLS handshake may take, and a head from its first byte.
    #[schemars(extend("default" = "10s"))]
    pub(super) head_timeout: Entry<DurationText>,
    /// How long a client may pause in a body.
    #[schemars(extend("default" = "60s"))]
    pub(super) body_timeout: Entry<DurationText>,
    /// How fast a body must come on average after its first 5 seconds; 0 for any pace.
    #[schemars(range(min = 0, max = FASTEST), extend("default" = 240))]
    pub(super) body_bytes_per_second: Entry<u64>,
    /// How long a connection may be idle between requests.
    #[schemars(extend("default" = "60s"))]
    pub(super) idle_timeout: Entry<DurationText>,
    /// How long a client may take nothing of an answer.
    #[schemars(extend("default" = "60s"))]
    pub(super) send_timeout: Entry<DurationText>,
    /// How long requests that are under way may take to end once the process is told to, by a signal or its successor.
    #[schemars(extend("default" = "10s"))]
    pub(super) drain_timeout: Entry<DurationText>,
    /// The most connections at once.
    #[schemars(range(min = 1, max = MOST_AT_ONCE), extend("default" = 10000))]
    pub(super) connections: Entry<u64>,
    /// The most of one IPv4 address or IPv6 /64.
    #[schemars(range(min = 1, max = MOST_AT_ONCE), extend("default" = 1000))]
    pub(super) connections_per_address: Entry<u64>,
    /// The most buckets of rate limits that are kept.
    #[schemars(range(min = LEAST_KEYS, max = MOST_KEYS), extend("default" = 100_000))]
    pub(super) rate_limit_keys: Entry<u64>,
    /// The bounds of one HTTP/2 connection.
    pub(super) http2: Entry<Http2Limits>,
}

/// How much one HTTP/2 connection may use.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Http2Limits {
    /// The most requests at once.
    #[schemars(range(min = 1, max = MOST_STREAMS), extend("default" = 100))]
    pub(super) streams: Entry<u64>,
    /// The most requests that the client has reset before they were looked at.
    #[schemars(range(min = 1, max = MOST_RESETS), extend("default" = 20))]
    pub(super) resets: Entry<u64>,
    /// The most requests that were reset for what the client did wrong.
    #[schemars(range(min = 1, max = MOST_RESETS), extend("default" = 1024))]
    pub(super) errors: Entry<u64>,
}

/// Who may see and change the registry on the admin address.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend(
    "required" = ["issuer"],
    "dependentRequired" = needs(&[("client_secret_file", "client_id"), ("resource", "client_id")])
))]
pub(super) struct Access {
    /// The issuer, one of `issuers`, whose tokens count.
    pub(super) issuer: Entry<String>,
    /// The scope of those who may look.
    #[schemars(extend("default" = "scopegate:view"))]
    pub(super) view: Entry<String>,
    /// The scope of those who may look and change.
    #[schemars(extend("default" = "scopegate:manage"))]
    pub(super) manage: Entry<String>,
    /// Where browsers reach the console, if that is not the admin address itself: scheme, host and port.
    #[schemars(with = "Entry<texts::Url>")]
    pub(super) url: Entry<String>,
    /// The console's id as a client of the issuer, where visitors then sign in; without it they paste a token.
    #[schemars(with = "Entry<texts::Plain>")]
    pub(super) client_id: Entry<String>,
    /// File with the client's secret, if it has one.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) client_secret_file: Entry<String>,
    /// What the console asks for tokens for (RFC 8707), if the issuer wants to know.
    #[schemars(with = "Entry<texts::Url>")]
    pub(super) resource: Entry<String>,
}

/// Servers that answer alike.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["servers"]))]
pub(super) struct Upstream {
    /// Its servers, `host:port`, or mappings where shares differ.
    #[schemars(with = "List<WordOr<texts::Server, WeightedServer>>", length(min = 1))]
    pub(super) servers: List<WordOr<ServerText, WeightedServer>>,
    /// Which of them gets a request.
    #[schemars(extend("default" = "round_robin"))]
    pub(super) balance: Entry<Balance>,
    /// How they are checked without requests of clients; not at all if left out.
    pub(super) health: Entry<Health>,
    /// When one gets no requests for a while because it has failed those of clients; never if left out.
    pub(super) ejection: Entry<Ejection>,
    /// Whether requests that were not answered are sent again; they are not if left out.
    pub(super) retries: Entry<Retries>,
    /// How long a connection may take to be made.
    #[schemars(extend("default" = "2s"))]
    pub(super) connect_timeout: Entry<DurationText>,
    /// How long a server may take to begin its answer; as long as `read_timeout` if left out.
    pub(super) first_byte_timeout: Entry<DurationText>,
    /// How long a server may keep silent.
    #[schemars(extend("default" = "30s"))]
    pub(super) read_timeout: Entry<DurationText>,
    /// How long a server may take nothing of a request.
    #[schemars(extend("default" = "30s"))]
    pub(super) write_timeout: Entry<DurationText>,
    /// How long all of an exchange may take, further tries included; as long as it takes if left out.
    pub(super) total_timeout: Entry<DurationText>,
    /// How long a connection is kept that nobody uses.
    #[schemars(extend("default" = "60s"))]
    pub(super) idle_timeout: Entry<DurationText>,
    /// The most connections to one server that are kept while nobody uses them.
    #[schemars(range(max = MOST_AT_ONCE), extend("default" = 512))]
    pub(super) idle_connections: Entry<u64>,
    /// Speak HTTP/2 with the servers: by ALPN with `tls`, without it with prior knowledge.
    #[schemars(extend("default" = false))]
    pub(super) http2: Entry<bool>,
    /// TLS towards the servers; `{}` trusts whom the machine trusts.
    pub(super) tls: Entry<UpstreamTls>,
    /// The most requests under way at once, to all of its servers; others are answered 503.
    #[schemars(range(min = 1, max = MOST_AT_ONCE), extend("default" = 1024))]
    pub(super) max_requests: Entry<u64>,
}

/// An issuer of tokens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the keys are the file's")]
#[schemars(extend("required" = ["issuer", "audiences"], "anyOf" = keys(&["keys", "introspection"])))]
pub(super) struct Issuer {
    /// Exactly the `iss` of its tokens.
    #[schemars(with = "Entry<texts::Plain>")]
    pub(super) issuer: Entry<String>,
    /// What the `aud` of its tokens must have, one of them.
    #[schemars(with = "List<texts::Plain>", length(min = 1))]
    pub(super) audiences: List<String>,
    /// The signature algorithms that are taken; every asymmetric one if left out.
    #[schemars(with = "List<texts::Algorithm>", length(min = 1))]
    pub(super) algorithms: List<String>,
    /// Where its keys are.
    pub(super) keys: Entry<Keys>,
    /// PEM file of the authorities of its certificates, where they are not the system's.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) ca_file: Entry<String>,
    /// The `typ` of its tokens (RFC 9068).
    #[schemars(extend("default" = "prefer"))]
    pub(super) token_type: Entry<TokenType>,
    /// How much clocks may differ, 5 minutes at most.
    #[schemars(extend("default" = "30s"))]
    pub(super) leeway: Entry<DurationText>,
    /// Which claims say what.
    pub(super) claims: Entry<Claims>,
    /// How its tokens write scopes.
    #[schemars(extend("default" = "words"))]
    pub(super) scope_syntax: Entry<ScopeSyntax>,
    /// Where opaque tokens are asked about (RFC 7662). One issuer of the file may have it.
    pub(super) introspection: Entry<Introspection>,
    /// How long keys stay in use while they cannot be fetched again.
    #[schemars(extend("default" = "24h"))]
    pub(super) stale_keys_for: Entry<DurationText>,
    /// How far apart fetches of keys are that unknown key ids set off: `1s` to `10m`.
    #[schemars(extend("default" = "10s"))]
    pub(super) refetch_interval: Entry<DurationText>,
    /// How proofs of possession (RFC 9449) are taken. A bound token needs one with or without this.
    pub(super) dpop: Entry<Dpop>,
}

/// Where an issuer's keys are: one of these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = keys(&["url", "file", "discover"])))]
pub(super) struct Keys {
    /// Of its JWKS document.
    #[schemars(with = "Entry<texts::Url>")]
    pub(super) url: Entry<String>,
    /// JWKS or PEM, read again when it changes.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) file: Entry<String>,
    /// Found by the issuer's name (OpenID Connect Discovery, RFC 8414).
    #[schemars(extend("const" = true))]
    pub(super) discover: Entry<bool>,
}

/// What a token's `typ` must be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TokenType {
    /// `at+jwt`, and nothing else.
    Require,
    /// `at+jwt`, `JWT`, or none.
    Prefer,
    /// Anything.
    Off,
}

/// Names of claims, or lists of names tried in order. Dots reach inside: `realm_access.roles`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Claims {
    /// The scopes.
    #[schemars(with = "Entry<OneOrMany<texts::Claim>>", extend("default" = "scope"))]
    pub(super) scope: Entry<OneOrMany<String>>,
    /// The account, or a list of them.
    #[schemars(with = "Entry<OneOrMany<texts::Claim>>", extend("default" = "account_id"))]
    pub(super) account: Entry<OneOrMany<String>>,
    /// The client id.
    #[schemars(with = "Entry<OneOrMany<texts::Claim>>", extend("default" = "client_id"))]
    pub(super) client: Entry<OneOrMany<String>>,
}

/// How tokens write scopes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScopeSyntax {
    /// `a b`, or a list of texts.
    Words,
    /// `certificate:approve,delete;ssh`.
    Privileges,
}

/// Whom to ask about tokens, and how the gateway proves who it is there: with a secret, a private key or a certificate.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend(
    "required" = ["client_id"],
    "oneOf" = keys(&["client_secret_file", "private_key_file", "certificate_file"]),
    "dependentRequired" = needs(&[
        ("certificate_file", "certificate_key_file"),
        ("private_key_algorithm", "private_key_file"),
        ("private_key_id", "private_key_file"),
    ])
))]
pub(super) struct Introspection {
    /// The endpoint; may be left out with `keys: { discover: true }`.
    #[schemars(with = "Entry<texts::Url>")]
    pub(super) url: Entry<String>,
    /// As whom the gateway asks.
    #[schemars(with = "Entry<texts::Plain>")]
    pub(super) client_id: Entry<String>,
    /// File with the client's secret.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) client_secret_file: Entry<String>,
    /// PEM file of the key that signs assertions (RFC 7523).
    #[schemars(with = "Entry<texts::File>")]
    pub(super) private_key_file: Entry<String>,
    /// What to sign them with; by the kind of key if left out.
    pub(super) private_key_algorithm: Entry<PrivateKeyAlgorithm>,
    /// Their `kid`.
    #[schemars(with = "Entry<texts::Plain>")]
    pub(super) private_key_id: Entry<String>,
    /// PEM file of the TLS client certificate (RFC 8705).
    #[schemars(with = "Entry<texts::File>")]
    pub(super) certificate_file: Entry<String>,
    /// PEM file of its private key.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) certificate_key_file: Entry<String>,
    /// How long an answer is good; no longer than the token.
    #[schemars(extend("default" = "30s"))]
    pub(super) cache_for: Entry<DurationText>,
    /// Whether JWTs are asked about too, once they were verified; without `keys` they are anyway.
    #[schemars(extend("default" = false))]
    pub(super) jwts: Entry<bool>,
}

/// A signature algorithm for assertions.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) enum PrivateKeyAlgorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// How proofs of possession are taken.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Dpop {
    /// How old a proof may be.
    #[schemars(extend("default" = "60s"))]
    pub(super) max_age: Entry<DurationText>,
    /// Whether proofs must have a nonce of the gateway's.
    #[schemars(extend("default" = false))]
    pub(super) nonce: Entry<bool>,
    /// Whether tokens that are not bound are refused.
    #[schemars(extend("default" = false))]
    pub(super) required: Entry<bool>,
}

/// An application, known by its client id.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the keys are the file's")]
#[schemars(extend("required" = ["id"]))]
pub(super) struct Client {
    /// Its id, as tokens carry it.
    #[schemars(with = "Entry<texts::Client>")]
    pub(super) id: Entry<String>,
    /// The account of its tokens that carry none.
    #[schemars(with = "Entry<texts::Account>")]
    pub(super) account: Entry<String>,
    /// A ceiling: it holds what both its token and this list say, and the apis' required scopes. All of
    /// its token's scopes if left out.
    #[schemars(with = "List<texts::Scope>")]
    pub(super) scopes: List<String>,
    /// Whether it can keep a secret.
    #[serde(rename = "type")]
    #[schemars(extend("default" = "confidential"))]
    pub(super) client_type: Entry<ClientType>,
    /// What its TLS client certificate must be.
    pub(super) certificate: Entry<Certificate>,
}

/// Whether an application can keep a secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientType {
    /// It runs on servers of its own.
    Confidential,
    /// It runs in browsers or on devices of users.
    Public,
}

/// What a certificate is known by: one of these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = keys(&["sha256", "subject", "san_dns"])))]
pub(super) struct Certificate {
    /// Its SHA-256 fingerprint in hexadecimal, with or without colons.
    #[schemars(with = "Entry<texts::Sha256>")]
    pub(super) sha256: Entry<String>,
    /// Its subject, as RFC 4514 writes it.
    #[schemars(with = "Entry<texts::Plain>")]
    pub(super) subject: Entry<String>,
    /// A DNS name among its subject alternative names.
    #[schemars(with = "Entry<texts::Host>")]
    pub(super) san_dns: Entry<String>,
}

/// What comes of clients that are not listed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnregisteredClients {
    /// They are refused.
    Refuse,
    /// They hold what their tokens say.
    Allow,
}

/// Scopes in front of one upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "upstream"], "anyOf" = keys(&["scopes", "public", "token_endpoint"])))]
pub(super) struct Api {
    /// What messages and metrics call it.
    #[schemars(with = "Entry<texts::Name>")]
    pub(super) name: Entry<String>,
    /// Its name for people.
    pub(super) display_name: Entry<String>,
    /// The literal path under which all its services lie.
    #[schemars(with = "Entry<texts::Base>", extend("default" = "/"))]
    pub(super) base_path: Entry<String>,
    /// The `Host` values that it is for; every one if left out.
    #[schemars(with = "List<texts::Host>")]
    pub(super) hosts: List<String>,
    /// The name of one of `upstreams`.
    #[schemars(with = "Entry<texts::Name>")]
    pub(super) upstream: Entry<String>,
    /// What becomes of requests that the api refuses.
    #[schemars(extend("default" = "enforce"))]
    pub(super) mode: Entry<Mode>,
    /// Where requests name the account that they touch; all that are present must agree.
    pub(super) account: Entry<OneOrMany<AccountSource>>,
    /// What comes of requests that name no account.
    #[schemars(extend("default" = "deny"))]
    pub(super) account_when_absent: Entry<AccountWhenAbsent>,
    /// The status of a missing scope.
    #[schemars(extend("enum" = [403, 401], "default" = 403))]
    pub(super) insufficient_scope_status: Entry<u64>,
    /// Whether `Authorization` goes on to the upstream.
    pub(super) forward_authorization: Entry<bool>,
    /// The largest body of a request, in bytes; beyond it the answer is 413.
    pub(super) body_bytes: Entry<u64>,
    /// Which pages of browsers may call it from other origins; none if left out.
    pub(super) cors: Entry<Cors>,
    /// How many requests pass in a time; beyond it the answer is 429.
    pub(super) rate_limits: List<RateLimit>,
    /// Services for which no token is asked.
    #[schemars(with = "List<texts::Service>")]
    pub(super) public: List<String>,
    /// The provider's token endpoint, guarded: clients get no token that goes beyond their ceiling.
    pub(super) token_endpoint: Entry<TokenEndpoint>,
    /// Its scopes.
    pub(super) scopes: List<Scope>,
}

/// What becomes of requests that an api refuses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    /// They are refused.
    Enforce,
    /// They are let through and recorded, but those that could mean several things. For trying out only.
    ReportOnly,
}

/// A guarded token endpoint.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["service", "upstream"]))]
pub(super) struct TokenEndpoint {
    /// `POST` and one literal path, wherever it lies.
    #[schemars(with = "Entry<texts::Service>")]
    pub(super) service: Entry<String>,
    /// The name of the provider's upstream.
    #[schemars(with = "Entry<texts::Name>")]
    pub(super) upstream: Entry<String>,
    /// The issuer whose tokens it gives; may be left out where there is one.
    #[schemars(with = "Entry<texts::Plain>")]
    pub(super) issuer: Entry<String>,
    /// The longest form that is taken.
    #[schemars(range(min = 1, max = LARGEST_FORM), extend("default" = USUAL_FORM))]
    pub(super) max_form_bytes: Entry<u64>,
}

/// Where requests name their account: one of these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = keys(&["path", "query", "header"])))]
pub(super) struct AccountSource {
    /// The segment that services write as `{name}`: its name.
    #[schemars(with = "Entry<texts::Capture>")]
    pub(super) path: Entry<String>,
    /// A query parameter.
    #[schemars(with = "Entry<texts::Parameter>")]
    pub(super) query: Entry<String>,
    /// A header.
    #[schemars(with = "Entry<texts::Header>")]
    pub(super) header: Entry<String>,
}

/// What comes of requests that name no account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AccountWhenAbsent {
    /// They are refused.
    Deny,
    /// The caller's own single account is written into the query or header.
    Inject,
}

/// A scope: a name in tokens, and the services that it grants.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub(super) struct Scope {
    /// As tokens carry it.
    #[schemars(with = "Entry<texts::Scope>")]
    pub(super) name: Entry<String>,
    /// Its name for people.
    pub(super) display_name: Entry<String>,
    /// What it is for, for people.
    pub(super) description: Entry<String>,
    /// Whose data it reaches; `own` if left out where the api names an account.
    pub(super) accounts: Entry<Accounts>,
    /// Whether every token of the api must have it.
    #[schemars(extend("default" = false))]
    pub(super) required: Entry<bool>,
    /// Whether consent screens should stress it.
    #[schemars(extend("default" = false))]
    pub(super) emphasize: Entry<bool>,
    /// Whether the metadata lists it.
    #[schemars(extend("default" = true))]
    pub(super) show_in_discovery: Entry<bool>,
    /// Whether it is on its way out.
    #[schemars(extend("default" = false))]
    pub(super) deprecated: Entry<bool>,
    /// Whether browsers and public clients are refused it.
    #[schemars(extend("default" = false))]
    pub(super) confidential_only: Entry<bool>,
    /// What it grants. A scope without services grants nothing by itself.
    #[schemars(with = "List<texts::Service>")]
    pub(super) services: List<String>,
    /// What it does not grant of what `services` take in.
    #[schemars(with = "List<texts::Service>")]
    pub(super) except: List<String>,
    /// What may be held on top of it, by name: holding `scope:privilege` includes the scope.
    #[schemars(extend("propertyNames" = privilege_names()))]
    pub(super) privileges: Entry<Named<Privilege>>,
}

/// A named addition to a scope.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Privilege {
    /// What it grants.
    #[schemars(with = "List<texts::Service>")]
    pub(super) services: List<String>,
    /// Whose data it reaches; as its scope if left out.
    pub(super) accounts: Entry<Accounts>,
}

/// Whose data a scope reaches.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Accounts {
    /// The caller's own accounts only.
    Own,
    /// Every account.
    Any,
}

/// Headers that are written to every upstream request of a known caller.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct IdentityHeaders {
    /// The token's subject.
    #[schemars(with = "Entry<texts::Header>")]
    pub(super) subject: Entry<String>,
    /// The client id.
    #[schemars(with = "Entry<texts::Header>")]
    pub(super) client: Entry<String>,
    /// The account that is touched.
    #[schemars(with = "Entry<texts::Header>")]
    pub(super) account: Entry<String>,
    /// The scopes that are held.
    #[schemars(with = "Entry<texts::Header>")]
    pub(super) scopes: Entry<String>,
}

/// What comes of tokens with undefined scopes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum UndefinedScopes {
    /// Such scopes grant nothing.
    Ignore,
    /// The request is refused.
    Reject,
}

/// How scopes are compared.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScopeNames {
    /// Letter case counts.
    CaseSensitive,
    /// Letter case does not count.
    CaseInsensitive,
}

/// What is told of the protected resource.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["resource"]))]
pub(super) struct ResourceMetadata {
    /// The api's own URL.
    #[schemars(with = "Entry<texts::Url>")]
    pub(super) resource: Entry<String>,
}

/// Where revoked tokens are listed, and who may add to the list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["file"]))]
pub(super) struct Revocations {
    /// The list, a JSON line for each, read again when it changes.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) file: Entry<String>,
    /// The path at which holders revoke their own tokens (RFC 7009).
    #[schemars(with = "Entry<texts::Path>")]
    pub(super) endpoint: Entry<String>,
}

/// Where the audit lines go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Audit {
    /// The file; standard output if left out.
    #[schemars(with = "Entry<texts::File>")]
    pub(super) file: Entry<String>,
    /// How they are written.
    #[schemars(extend("default" = "json"))]
    pub(super) format: Entry<AuditFormat>,
}

/// How audit lines are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AuditFormat {
    /// JSON, one object a line.
    Json,
}
