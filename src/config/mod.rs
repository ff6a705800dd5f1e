//! `gateway.yaml`: text to [`Policy`](crate::policy::Policy) and [`Settings`], or what is wrong with it.
//!
//! It reads no file but through the text it is given, and opens nothing that the text names.

mod settings;

pub use settings::{
    Audit, IdentityHeaders, Introspection, Issuer, KeySource, Listener, ResourceMetadata, ServerAddress, Settings,
    Upstream,
};
