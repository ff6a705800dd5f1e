//! The integration tests: one binary, a module a subject.

mod allocations;
#[path = "../../benches/fixture/mod.rs"]
mod fixture;
mod random_policies;
mod reference;
mod sources;
