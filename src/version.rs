//! Which build runs.

/// The version, by semantic versioning.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from, in full, with `-modified` where the sources were not that commit's;
/// `unknown` in a build for development, or from sources without git that nobody told it.
pub const COMMIT: &str = env!("SCOPEGATE_BUILD_COMMIT");

/// All of it in a line: the version, the commit, and what it was built as and for.
pub const WHOLE: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("SCOPEGATE_BUILD_COMMIT"),
    ", ",
    env!("SCOPEGATE_BUILD_KIND"),
    " build for ",
    env!("SCOPEGATE_BUILD_TARGET"),
    ")"
);
