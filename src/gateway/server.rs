//! Pingora's listening service in this process: sockets, worker threads, and an end that waits for the
//! requests that are under way.
//!
//! Pingora's own `Server` is not used: it takes the process over (signals, exit, a fixed grace), and
//! this gateway may stand beside other tasks. Signals are `cli`'s.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{Fds, ListenFds};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::generation::Gateway;
use super::log;
use super::patience::{Patience, Patient};
use super::proxy::Proxy;

/// How often [`Gateway::tend`] is called.
const TENDING: Duration = Duration::from_secs(10);
/// How many idle connections to upstreams each thread may keep.
const IDLE_CONNECTIONS: usize = 512;
/// How many times pingora may try a request; how many it should, `upstream` says.
const TRIES: usize = 16;
/// How often an ending server looks whether its requests are done.
const LOOK: Duration = Duration::from_millis(10);
/// How long worker threads may take to end once nothing is to be waited for.
const END: Duration = Duration::from_secs(1);

/// A gateway that listens, on threads of its own.
#[derive(Debug)]
pub struct Server {
    gateway: Arc<Gateway>,
    addresses: Vec<SocketAddr>,
    shutdown: watch::Sender<bool>,
    listening: JoinHandle<()>,
    /// Always there, until it is dropped.
    runtime: Option<Runtime>,
}

/// Why a gateway cannot listen.
#[derive(Debug, Error)]
pub enum CannotServe {
    /// A listener's address cannot be had.
    #[error("cannot listen on {address}: {error}")]
    Address {
        /// As the file has it.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The worker threads cannot be had.
    #[error("cannot start worker threads: {0}")]
    Threads(io::Error),
}

impl Server {
    /// Listens as the generation in force says, and serves until the server is stopped or dropped.
    ///
    /// # Errors
    /// If an address or a thread cannot be had.
    pub fn start(gateway: Arc<Gateway>) -> Result<Self, CannotServe> {
        Self::start_with(gateway, Patience::default())
    }

    /// The same, with as much patience for clients as is given.
    pub(super) fn start_with(gateway: Arc<Gateway>, patience: Patience) -> Result<Self, CannotServe> {
        log::bridge();
        let generation = gateway.current();
        let threads = generation.settings.threads;
        let configuration = Arc::new(ServerConf {
            threads,
            upstream_keepalive_pool_size: IDLE_CONNECTIONS,
            max_retries: TRIES,
            ..ServerConf::default()
        });
        let proxy = http_proxy(&configuration, Proxy::new(Arc::clone(&gateway)));
        let mut service = Service::new("gateway".to_owned(), Patient::new(proxy, patience));
        let mut sockets = Fds::new();
        let mut addresses = Vec::new();
        for listener in &generation.settings.listeners {
            let address = listener.address;
            let (socket, bound) = bind(address).map_err(|error| CannotServe::Address { address, error })?;
            service.add_tcp_with_settings(&bound.to_string(), patience.socket_options());
            // Pingora takes the socket over by its address.
            sockets.add(bound.to_string(), socket.into_raw_fd());
            addresses.push(bound);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("gateway")
            .enable_all()
            .build()
            .map_err(CannotServe::Threads)?;
        let (shutdown, ends) = watch::channel(false);
        let sockets: ListenFds = Arc::new(Mutex::new(sockets));
        let listening = runtime.spawn(async move { service.start_service(Some(sockets), ends, 1).await });
        runtime.spawn(tend(Arc::clone(&gateway)));
        Ok(Self { gateway, addresses, shutdown, listening, runtime: Some(runtime) })
    }

    /// Where it listens, in the order of the file.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no more requests, waits for those under way until `give_up` says otherwise, and ends. It
    /// blocks.
    pub fn stop(mut self, give_up: impl Fn() -> bool) {
        // Nobody listens only if the service has ended already.
        let _ = self.shutdown.send(true);
        while (!self.listening.is_finished() || self.gateway.in_flight() > 0) && !give_up() {
            std::thread::sleep(LOOK);
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(END);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A listening socket, and where it really listens: the port may have been left open.
fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    let bound = socket.local_addr()?;
    Ok((socket, bound))
}

async fn tend(gateway: Arc<Gateway>) {
    loop {
        tokio::time::sleep(TENDING).await;
        let gateway = Arc::clone(&gateway);
        if let Err(error) = tokio::task::spawn_blocking(move || gateway.tend()).await {
            tracing::error!(%error, "tending the gateway failed");
        }
    }
}
