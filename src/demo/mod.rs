//! What the demo needs beside the gateway: the issuers and the upstreams that a file names on this
//! machine's loopback addresses, and a tour of requests that shows what the gateway makes of them.
//!
//! For trying things out and for development. It knows the repository's `gateway.yaml`; of another
//! file it plays the issuers and upstreams all the same.

mod acts;
mod authorization;
mod clients;
mod echo;
mod issuer;
mod key;
#[cfg(test)]
mod samples;
mod scope;
mod show;
mod stage;
mod token_endpoint;
mod tour;

pub use issuer::RequiredScopes;
pub use key::KeyFault;
pub use scope::required_scopes;
pub use stage::{CannotStart, Stage};
pub use tour::{Tour, TourFailed};
