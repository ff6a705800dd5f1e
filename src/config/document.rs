//! `gateway.yaml` as serde sees it: its keys and the shapes of their values, and nothing else.
//!
//! What the values mean, and which keys must be there, is `compile`'s. A newtype's serde name is what
//! messages say is expected in its place.

use serde::Deserialize;

use super::entry::{Entry, List, Named, OneOrMany};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Document {
    pub(super) version: Entry<u64>,
    pub(super) threads: Entry<u64>,
    pub(super) listeners: List<Listener>,
    pub(super) admin: Entry<Admin>,
    pub(super) limits: Entry<Limits>,
    pub(super) upstreams: Entry<Named<Upstream>>,
    pub(super) issuers: List<Issuer>,
    pub(super) clients: List<Client>,
    pub(super) unregistered_clients: Entry<UnregisteredClients>,
    pub(super) apis: List<Api>,
    pub(super) forward_authorization: Entry<bool>,
    pub(super) identity_headers: Entry<IdentityHeaders>,
    pub(super) undefined_scopes: Entry<UndefinedScopes>,
    pub(super) scope_names: Entry<ScopeNames>,
    pub(super) resource_metadata: Entry<ResourceMetadata>,
    pub(super) revocations: Entry<Revocations>,
    pub(super) trusted_proxies: List<String>,
    pub(super) audit: Entry<Audit>,
    pub(super) removal_guard: Entry<bool>,
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

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) address: Entry<AddressText>,
    pub(super) http2: Entry<bool>,
    pub(super) tls: Entry<ListenerTls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListenerTls {
    pub(super) certificate: Entry<String>,
    pub(super) key: Entry<String>,
    pub(super) client_ca: Entry<String>,
    pub(super) client_certificate: Entry<ClientCertificate>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientCertificate {
    Optional,
    Required,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) address: Entry<AddressText>,
    pub(super) revocations_token_file: Entry<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) request_line_bytes: Entry<u64>,
    pub(super) header_count: Entry<u64>,
    pub(super) header_bytes: Entry<u64>,
    pub(super) token_bytes: Entry<u64>,
    pub(super) scopes_per_token: Entry<u64>,
    pub(super) claims_depth: Entry<u64>,
    pub(super) head_timeout: Entry<DurationText>,
    pub(super) body_timeout: Entry<DurationText>,
    pub(super) body_bytes_per_second: Entry<u64>,
    pub(super) idle_timeout: Entry<DurationText>,
    pub(super) send_timeout: Entry<DurationText>,
    pub(super) connections: Entry<u64>,
    pub(super) connections_per_address: Entry<u64>,
    pub(super) http2: Entry<Http2Limits>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Http2Limits {
    pub(super) streams: Entry<u64>,
    pub(super) resets: Entry<u64>,
    pub(super) errors: Entry<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Upstream {
    pub(super) servers: List<String>,
    pub(super) connect_timeout: Entry<DurationText>,
    pub(super) read_timeout: Entry<DurationText>,
    pub(super) write_timeout: Entry<DurationText>,
    pub(super) max_requests: Entry<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the keys are the file's")]
pub(super) struct Issuer {
    pub(super) issuer: Entry<String>,
    pub(super) audiences: List<String>,
    pub(super) algorithms: List<String>,
    pub(super) keys: Entry<Keys>,
    pub(super) ca_file: Entry<String>,
    pub(super) token_type: Entry<TokenType>,
    pub(super) leeway: Entry<DurationText>,
    pub(super) claims: Entry<Claims>,
    pub(super) scope_syntax: Entry<ScopeSyntax>,
    pub(super) introspection: Entry<Introspection>,
    pub(super) stale_keys_for: Entry<DurationText>,
    pub(super) refetch_interval: Entry<DurationText>,
    pub(super) dpop: Entry<Dpop>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Keys {
    pub(super) url: Entry<String>,
    pub(super) file: Entry<String>,
    pub(super) discover: Entry<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TokenType {
    Require,
    Prefer,
    Off,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Claims {
    pub(super) scope: Entry<OneOrMany<String>>,
    pub(super) account: Entry<OneOrMany<String>>,
    pub(super) client: Entry<OneOrMany<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScopeSyntax {
    Words,
    Privileges,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Introspection {
    pub(super) url: Entry<String>,
    pub(super) client_id: Entry<String>,
    pub(super) client_secret_file: Entry<String>,
    pub(super) private_key_file: Entry<String>,
    pub(super) private_key_algorithm: Entry<PrivateKeyAlgorithm>,
    pub(super) private_key_id: Entry<String>,
    pub(super) certificate_file: Entry<String>,
    pub(super) certificate_key_file: Entry<String>,
    pub(super) cache_for: Entry<DurationText>,
}

#[derive(Debug, Deserialize)]
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

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Dpop {
    pub(super) max_age: Entry<DurationText>,
    pub(super) nonce: Entry<bool>,
    pub(super) required: Entry<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the keys are the file's")]
pub(super) struct Client {
    pub(super) id: Entry<String>,
    pub(super) account: Entry<String>,
    pub(super) scopes: List<String>,
    #[serde(rename = "type")]
    pub(super) client_type: Entry<ClientType>,
    pub(super) certificate: Entry<Certificate>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientType {
    Confidential,
    Public,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Certificate {
    pub(super) sha256: Entry<String>,
    pub(super) subject: Entry<String>,
    pub(super) san_dns: Entry<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnregisteredClients {
    Refuse,
    Allow,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Api {
    pub(super) name: Entry<String>,
    pub(super) display_name: Entry<String>,
    pub(super) base_path: Entry<String>,
    pub(super) hosts: List<String>,
    pub(super) upstream: Entry<String>,
    pub(super) account: Entry<OneOrMany<AccountSource>>,
    pub(super) account_when_absent: Entry<AccountWhenAbsent>,
    pub(super) insufficient_scope_status: Entry<u64>,
    pub(super) forward_authorization: Entry<bool>,
    pub(super) body_bytes: Entry<u64>,
    pub(super) public: List<String>,
    pub(super) token_endpoint: Entry<TokenEndpoint>,
    pub(super) scopes: List<Scope>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TokenEndpoint {
    pub(super) service: Entry<String>,
    pub(super) upstream: Entry<String>,
    pub(super) issuer: Entry<String>,
    pub(super) max_form_bytes: Entry<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AccountSource {
    pub(super) path: Entry<String>,
    pub(super) query: Entry<String>,
    pub(super) header: Entry<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AccountWhenAbsent {
    Deny,
    Inject,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Scope {
    pub(super) name: Entry<String>,
    pub(super) display_name: Entry<String>,
    pub(super) description: Entry<String>,
    pub(super) accounts: Entry<Accounts>,
    pub(super) required: Entry<bool>,
    pub(super) emphasize: Entry<bool>,
    pub(super) show_in_discovery: Entry<bool>,
    pub(super) deprecated: Entry<bool>,
    pub(super) confidential_only: Entry<bool>,
    pub(super) services: List<String>,
    pub(super) except: List<String>,
    pub(super) privileges: Entry<Named<Privilege>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Privilege {
    pub(super) services: List<String>,
    pub(super) accounts: Entry<Accounts>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Accounts {
    Own,
    Any,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct IdentityHeaders {
    pub(super) subject: Entry<String>,
    pub(super) client: Entry<String>,
    pub(super) account: Entry<String>,
    pub(super) scopes: Entry<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UndefinedScopes {
    Ignore,
    Reject,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScopeNames {
    CaseSensitive,
    CaseInsensitive,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ResourceMetadata {
    pub(super) resource: Entry<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Revocations {
    pub(super) file: Entry<String>,
    pub(super) endpoint: Entry<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Audit {
    pub(super) file: Entry<String>,
    pub(super) format: Entry<AuditFormat>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AuditFormat {
    Json,
}
