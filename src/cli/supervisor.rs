//! What systemd passes to a service and wants to hear from it (`sd_listen_fds(3)`, `sd_notify(3)`).
//!
//! Without systemd there is nothing of this, and nothing comes of it.

use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use listenfd::ListenFd;

/// The sockets that the supervisor listens on for this process (`LISTEN_FDS`).
///
/// # Errors
/// If one is none of TCP.
pub(super) fn sockets() -> io::Result<Vec<TcpListener>> {
    let mut passed = ListenFd::from_env();
    (0..passed.len()).filter_map(|place| passed.take_tcp_listener(place).transpose()).collect()
}

/// Tells it that this process serves, and is the service's main one.
pub(super) fn tell_ready() {
    tell(&format!("READY=1\nMAINPID={}\n", std::process::id()));
}

/// Tells it that this process is ending.
pub(super) fn tell_ending() {
    tell("STOPPING=1\n");
}

fn tell(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let told = || {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
        };
        UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)
    };
    if let Err(error) = told() {
        tracing::warn!(%error, "the supervisor cannot be told what this process does");
    }
}
