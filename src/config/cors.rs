//! Which pages of browsers may call an api, as the file says it (CORS, the Fetch standard).
//!
//! Parsed and typed; what a browser is told of it is `gateway`'s.

use std::time::Duration;

use http::header::HeaderName;

use crate::policy::MethodSet;

/// What an api says to pages of other origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages may call it.
    pub origins: Origins,
    /// What they may ask by; `None`: what the api's services take.
    pub methods: Option<MethodSet>,
    /// What they may send beside what the gateway itself reads.
    pub headers: Vec<HeaderName>,
    /// What they may read beside what the gateway itself writes.
    pub expose: Vec<HeaderName>,
    /// How long a preflight's answer holds, in whole seconds.
    pub max_age: Duration,
}

/// Origins whose pages may call an api.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every one's, and never with credentials.
    Any,
    /// These, as browsers write them.
    Listed {
        /// In order, each once; at least one.
        origins: Box<[Box<str>]>,
        /// Whether browsers may send cookies and client certificates along.
        credentials: bool,
    },
}

impl Origins {
    /// Whether pages of this origin may call, by its bytes as the browser wrote them.
    #[must_use]
    pub fn admit(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Listed { origins, .. } => origins.binary_search_by(|own| own.as_bytes().cmp(origin)).is_ok(),
        }
    }
}
