//! The product: what a `gateway.yaml` means, and whether one request may pass.
//!
//! Everything here is pure: no I/O, no clock, no log. [`Policy::find`] judges a request's target and
//! finds the services that match it; [`Policy::decide`] then answers for a caller, and
//! [`Policy::decide_token_request`] for who asks for a token. All are total, and a [`Permit`], which
//! forwarding needs, is made by nothing else.
//!
//! It does not read files (`config`), verify tokens (`token`) or speak HTTP (`gateway`).

mod account;
mod bases;
mod caller;
mod client;
mod compile;
mod decision;
mod denial;
mod fault;
mod index;
mod listing;
mod method;
mod name;
mod overlap;
mod pattern;
mod percent;
mod permit;
mod question;
mod rate_limit;
mod reason;
mod report;
mod request;
mod route;
mod scope_set;
mod spec;
mod standing;
mod target;
mod token_decision;
mod token_endpoint;
mod token_request;
mod trace;
mod trie;

pub use account::{Account, AccountSource, AccountWhenAbsent, NamedAccount};
pub use caller::{Binding, Caller, UnixTime};
pub use client::{Certificate, CertificateRule, ClientType};
pub use compile::{Api, Policy, Scope, Unindexable, is_host};
pub use denial::{Denial, ScopeIds};
pub use fault::{HeadFault, HeaderFault, PathFault, TokenFault};
pub use listing::{ListedClient, ListedException, Listing, Role};
pub use method::MethodSet;
pub use name::{ApiName, ClientId, InvalidName, ScopeName};
pub use pattern::{BasePath, InvalidPattern, Pattern, Segment, Service};
pub use permit::{Basis, Injection, Permit, Reported};
pub use question::QuestionFault;
pub use rate_limit::{CountedBy, Pace, RateLimit, RateLimitId, RateLimitSpec};
pub use reason::Reason;
pub use request::{Identity, Request, has_browser_headers};
pub use route::Route;
pub use scope_set::ScopeSet;
pub use spec::{
    ApiId, ApiSpec, ClientSpec, ExceptionId, InsufficientScopeStatus, Marks, Mode, PolicySpec, PrivilegeSpec, Reach,
    ScopeId, ScopeNames, ScopeSpec, ServiceId, TokenEndpointId, TokenEndpointSpec, UndefinedScopes,
    UnregisteredClients, UpstreamId,
};
pub use standing::Standing;
pub use target::Target;
pub use token_endpoint::TokenEndpoint;
pub use token_request::{AdmittedTokenRequest, FormFault, TokenRequest, TokenRequestFault};
pub use trace::{Considered, Fate};
