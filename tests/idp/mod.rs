//! Scopegate against a certified identity provider, npm's `oidc-provider`, which gives the tokens,
//! answers about them, changes its keys and goes away. `make test-idp` runs it.

mod access;
mod bindings;
mod certificates;
mod discovery;
mod expiry;
mod flood;
mod gateway;
mod holder;
mod outage;
mod provider;
mod rotation;
mod sign_in;
mod tokens;
