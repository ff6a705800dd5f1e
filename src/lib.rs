//! Scopegate: a reverse proxy that enforces OAuth scopes in front of APIs that stay unchanged.
//!
//! The map of the modules. Imports point one way, from the bottom of this list to its top:
//!
//! - `version` says which build runs; `hex` is how sums are written.
//! - `policy` is the product: patterns, routes, scopes, accounts and the decision. Pure.
//! - `token` turns a credential, keys and a time into a caller, or says why not. Pure.
//! - `config` turns the text of `gateway.yaml` into a `policy::Policy` and settings.
//! - `rates` is what has passed of rate limits.
//! - `record` turns one outcome into metrics and an audit line.
//! - `spans` sends what became of sampled requests to a collector of traces.
//! - `workbench` says what a policy grants and why it decides as it does, for commands. Pure.
//! - `fleet` is what several gateways know together.
//! - `issuer` fetches keys, asks for introspection, remembers revocations and verified tokens.
//! - `gateway` is the proxy, the only folder that knows pingora, and holds the generation in force.
//! - `reload` has the next generation made when the file changes, whole or not at all.
//! - `registry` is the file as people see and change it: apis, scopes, clients, by rules and as a whole.
//! - `console` is the registry as pages, and who is signed in there.
//! - `admin` answers on the admin address.
//! - `demo` is a development issuer and an echo upstream.
//! - `cli` has a file for each command.
//! - `fuzzing` is what must hold of any input, for tests and fuzzers alone.

pub mod admin;
pub mod cli;
pub mod config;
pub mod console;
pub mod demo;
pub mod fleet;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod gateway;
pub mod hex;
pub mod issuer;
pub mod policy;
pub mod rates;
pub mod record;
pub mod registry;
pub mod reload;
pub mod spans;
pub mod token;
pub mod version;
pub mod workbench;
