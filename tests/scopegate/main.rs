//! The integration tests: one binary, a module a subject.

mod random_policies;
mod reference;
mod sources;
