//! What `gateway.tests.yaml` expects of a policy, parsed and typed.

use http::{HeaderMap, Method};

use crate::policy::{ApiId, Caller, Certificate, Reason, ScopeId};

/// Whether a request is to be let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is.
    Allow,
    /// It is not.
    Deny,
    /// It is, by an api that only reports, and would be refused.
    Report,
}

impl Expected {
    /// As the file writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Report => "report",
        }
    }
}

/// A request, who sends it, and what is to come of it.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// The line of the file on which it begins, from 1.
    pub line: usize,
    /// What messages call it: the file's name for it, or its request and caller.
    pub name: String,
    /// The request's method.
    pub method: Method,
    /// The request's target.
    pub target: String,
    /// Its headers; `Host` is `localhost` where the file gives none.
    pub headers: HeaderMap,
    /// Its body, where it is a form; else empty.
    pub form: String,
    /// Whose good token it has; `None`: it has no token.
    pub caller: Option<Caller>,
    /// The TLS client certificate that it comes with.
    pub certificate: Option<Certificate>,
    /// Whether it is to be let through.
    pub expected: Expected,
    /// The reason that it is to have, if that is to be one.
    pub reason: Option<Reason>,
    /// The api that it is to be for, if that is to be one.
    pub api: Option<ApiId>,
    /// The scope that it is to be let through by, if that is to be one.
    pub scope: Option<ScopeId>,
}
