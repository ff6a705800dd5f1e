//! The integration tests: one binary, a module a subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    clippy::similar_names,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::type_complexity,
    clippy::cast_precision_loss,
    reason = "a test that meets what it does not expect fails, and that is what it is for"
)]

use ::harness::visitor;

mod agreeing;
mod allocations;
mod attacks_http;
mod attacks_tokens;
mod authorizer;
mod authorizer_grpc;
mod bad_input;
mod balancer;
mod blame;
mod bound;
mod bounds;
mod changing;
mod checking;
mod claims;
mod confirming;
mod console;
mod console_pages;
mod console_scopes;
mod console_sign_in;
mod cors;
mod dashboards;
mod decisions;
mod demo;
mod deploying;
mod documents;
mod doors;
mod ending;
mod explaining;
mod explaining_live;
mod faults;
#[path = "../../benches/fixture/mod.rs"]
mod fixture;
mod flood;
mod floods;
mod grpc;
mod handing_over;
mod harness;
mod http2;
mod http2_client;
mod importing;
mod lasting;
mod limiting;
mod onward;
mod onward_bad;
mod onward_live;
mod promql;
mod proxying;
mod random_policies;
mod reasons;
mod reference;
mod registry;
mod registry_bad;
mod registry_kills;
mod reload;
mod removal;
mod reporting;
mod revoking;
mod schema;
mod scopes;
mod secured_servers;
mod servers;
mod shadowing;
mod sources;
mod streaming;
mod testing;
mod tiny_frames;
mod tls;
mod token_endpoint;
mod tracing;
mod trailers;
mod trickling;
mod unsaid;
mod version;
