//! `gateway.tests.yaml` as serde sees it: its keys and the shapes of their values, and nothing else.

use serde::Deserialize;

use super::document::Certificate;
use super::entry::{Entry, List, Named, OneOrMany, WordOr};

pub(super) type Tests = Vec<Entry<Test>>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Test {
    pub(super) name: Entry<String>,
    pub(super) request: Entry<String>,
    pub(super) headers: Entry<Named<String>>,
    pub(super) form: Entry<String>,
    #[serde(rename = "as")]
    pub(super) caller: Entry<WordOr<Anonymous, Caller>>,
    pub(super) expect: Entry<Expect>,
    pub(super) reason: Entry<String>,
    pub(super) api: Entry<String>,
    pub(super) scope: Entry<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Anonymous {
    Anonymous,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Caller {
    pub(super) issuer: Entry<String>,
    pub(super) client: Entry<String>,
    pub(super) subject: Entry<String>,
    pub(super) accounts: Entry<OneOrMany<String>>,
    pub(super) scopes: List<String>,
    pub(super) certificate: Entry<Certificate>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expect {
    Allow,
    Deny,
}
