//! `gateway.tests.yaml` as serde sees it: its keys and the shapes of their values, and nothing else.

use schemars::JsonSchema;
use serde::Deserialize;

use super::entry::{Entry, List, Named, OneOrMany, WordOr};
use super::schema::texts;

/// What is expected of `gateway.yaml`: requests, who sends each, and what is to come of it.
pub(super) type Tests = Vec<Entry<Test>>;

/// A request, who sends it, and what is to come of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["request", "as", "expect"]))]
pub(super) struct Test {
    /// What the test is called; the request and its client if left out.
    pub(super) name: Entry<String>,
    /// A method and a target, such as `GET /orders/acme?limit=5`.
    #[schemars(with = "Entry<texts::RequestLine>")]
    pub(super) request: Entry<String>,
    /// Its headers; `Host` is `localhost` if left out.
    #[schemars(extend("propertyNames" = texts::headers()))]
    pub(super) headers: Entry<Named<String>>,
    /// The form that is posted, for a token endpoint.
    pub(super) form: Entry<String>,
    /// Who sends it: `anonymous`, or what a good token says.
    #[serde(rename = "as")]
    pub(super) caller: Entry<WordOr<Anonymous, Caller>>,
    /// Whether it is let through.
    pub(super) expect: Entry<Expect>,
    /// The reason's code.
    #[schemars(with = "Entry<texts::ReasonCode>")]
    pub(super) reason: Entry<String>,
    /// The api that decides.
    #[schemars(with = "Entry<texts::Name>")]
    pub(super) api: Entry<String>,
    /// The scope or privilege by which it is let through.
    #[schemars(with = "Entry<texts::Scope>")]
    pub(super) scope: Entry<String>,
}

/// Nobody: the request has no token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Anonymous {
    /// Without a token.
    Anonymous,
}

/// What a good token says.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Caller {
    /// Its issuer; the policy's first if left out.
    #[schemars(with = "Entry<texts::Plain>")]
    pub(super) issuer: Entry<String>,
    /// The client id.
    #[schemars(with = "Entry<texts::Client>")]
    pub(super) client: Entry<String>,
    /// The subject.
    #[schemars(with = "Entry<texts::Plain>")]
    pub(super) subject: Entry<String>,
    /// Its account, or a list of them.
    #[schemars(with = "Entry<OneOrMany<texts::Account>>")]
    pub(super) accounts: Entry<OneOrMany<String>>,
    /// Its scopes and privileges.
    #[schemars(with = "List<texts::Scope>")]
    pub(super) scopes: List<String>,
    /// The TLS client certificate that is shown.
    pub(super) certificate: Entry<TestCertificate>,
}

/// A certificate, as far as a policy looks at it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TestCertificate {
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

/// Whether a request is let through.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expect {
    /// It is forwarded, or answered as asked.
    Allow,
    /// It is refused.
    Deny,
    /// It would be refused, and is let through by an api that only reports.
    Report,
}
