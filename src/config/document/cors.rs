//! `apis[].cors` as serde sees it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;
use crate::config::entry::{Entry, List};
use crate::config::schema::texts;

/// Which pages of browsers may call an api, and what they are told (CORS, the Fetch standard).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["origins"]))]
pub(in crate::config) struct Cors {
    /// The pages' origins, each as browsers send it; `*` alone is every page's, without credentials.
    #[schemars(with = "List<texts::Origin>", length(min = 1))]
    pub(in crate::config) origins: List<String>,
    /// The methods that pages may use; those that the api's services take if left out.
    #[schemars(with = "List<texts::Method>")]
    pub(in crate::config) methods: List<String>,
    /// Request headers that pages may send, beside those that the gateway itself reads.
    #[schemars(with = "List<texts::Header>")]
    pub(in crate::config) headers: List<String>,
    /// Headers of answers that pages may read, beside those that the gateway itself writes.
    #[schemars(with = "List<texts::Header>")]
    pub(in crate::config) expose: List<String>,
    /// Whether browsers may send cookies and client certificates along.
    #[schemars(extend("default" = false))]
    pub(in crate::config) credentials: Entry<bool>,
    /// How long browsers may keep the answer to a preflight; most keep none for more than two hours.
    #[schemars(extend("default" = "10m"))]
    pub(in crate::config) max_age: Entry<DurationText>,
}
