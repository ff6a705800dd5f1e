//! The file descriptors that a process may have: as many as the system lets it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Limits;

/// Beside those of connections: listeners, files, threads' own, and requests to issuers.
const OTHERS: u64 = 200;

/// Raises the process's own limit to what the system allows, and warns if that is too low for as many
/// connections as the file has.
pub(super) fn raise(limits: &Limits) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    // Each may have a request under way, on a connection to its upstream.
    let needed = 2 * limits.connections as u64 + OTHERS;
    if let Some(current) = getrlimit(Resource::Nofile).current.filter(|current| *current < needed) {
        tracing::warn!(
            current,
            needed,
            "fewer files may be open than `limits.connections` needs; raise the limit (LimitNOFILE, ulimit -n) or lower `connections`"
        );
    }
}
