//! The gateway in this process: its listeners, its worker threads, and an end that waits for the
//! requests that are under way.
//!
//! Pingora's own `Server` is not used: it takes the process over (signals, exit, a fixed grace), and
//! this gateway may stand beside other tasks. Signals are `cli`'s.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::server::ShutdownWatch;
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::admission::Connections;
use super::ending::Ending;
use super::generation::Gateway;
use super::listen::{App, Listener};
use super::sockets::Sockets;
use super::tls::Tls;
use super::tls_files::TlsFault;
use crate::config;

/// How often [`Gateway::tend`] is called.
const TENDING: Duration = Duration::from_secs(10);
/// How often servers are looked after.
const WATCHING: Duration = Duration::from_millis(100);
/// How often TLS files are looked at; what has changed is in use after two looks.
const FILES: Duration = Duration::from_millis(250);
/// How often idle connections to servers are looked through.
const CONNECTIONS: Duration = Duration::from_secs(1);
/// How often an ending server looks whether its requests are done.
const LOOK: Duration = Duration::from_millis(10);
/// How long connections may go on being idle then.
const IDLE: Duration = Duration::from_secs(1);
/// How long worker threads may take to end once nothing is to be waited for.
const END: Duration = Duration::from_secs(1);

/// A gateway that listens, on threads of its own.
#[derive(Debug)]
pub struct Server {
    gateway: Arc<Gateway>,
    addresses: Vec<SocketAddr>,
    shutdown: watch::Sender<bool>,
    ending: Arc<Ending>,
    listening: JoinHandle<()>,
    connections: Connections,
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
    /// A listener's certificate, key or client authorities are no good.
    #[error("cannot listen on {address} with TLS: {fault}")]
    Tls {
        /// As the file has it.
        address: SocketAddr,
        /// Why not.
        fault: TlsFault,
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
    pub fn start(gateway: Arc<Gateway>, sockets: &mut Sockets) -> Result<Self, CannotServe> {
        let generation = gateway.current();
        let settings = &generation.settings;
        let tls = load(&settings.listeners)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.threads)
            .thread_name("gateway")
            .enable_all()
            .build()
            .map_err(CannotServe::Threads)?;
        let bound = {
            let _context = runtime.enter();
            open(&settings.listeners, &tls, sockets)
        };
        let (listeners, addresses) = match bound {
            Ok(bound) => bound,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let (shutdown, ends) = watch::channel(false);
        let app = App::new(Arc::clone(&gateway));
        let (connections, ending) = (app.connections.clone(), Arc::clone(&app.ending));
        let listening = runtime.spawn(listen(listeners, app, ends));
        runtime.spawn(tend(Arc::clone(&gateway)));
        runtime.spawn(watch(Arc::clone(&gateway)));
        let tls: Vec<_> = tls.into_iter().flatten().collect();
        runtime.spawn(follow(tls.into(), Arc::clone(&gateway)));
        runtime.spawn(tend_connections(Arc::clone(&gateway)));
        Ok(Self { gateway, addresses, shutdown, ending, listening, connections, runtime: Some(runtime) })
    }

    /// Where it listens, in the order of the file.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no more requests, waits for those under way until `give_up` says otherwise, and ends. It
    /// blocks.
    pub fn stop(mut self, give_up: impl Fn() -> bool) {
        self.ending.begin();
        // Nobody listens only if the service has ended already.
        let _ = self.shutdown.send(true);
        while (!self.listening.is_finished() || self.gateway.in_flight() > 0) && !give_up() {
            std::thread::sleep(LOOK);
        }
        // What is left are connections without requests, whose last bytes may be on their way.
        let last = Instant::now() + END;
        while self.connections.count() > 0 && Instant::now() < last && !give_up() {
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

/// The TLS of each listener that has one.
fn load(listeners: &[config::Listener]) -> Result<Vec<Option<Arc<Tls>>>, CannotServe> {
    let load = |listener: &config::Listener| {
        let address = listener.address;
        let tls = listener.tls.as_ref().map(|files| Tls::load(address, files, listener.http2));
        tls.transpose().map_err(|fault| CannotServe::Tls { address, fault })
    };
    listeners.iter().map(|listener| Ok(load(listener)?.map(Arc::new))).collect()
}

/// The sockets, and where they listen. Within a runtime.
fn open(
    listeners: &[config::Listener],
    tls: &[Option<Arc<Tls>>],
    sockets: &mut Sockets,
) -> Result<(Vec<Listener>, Vec<SocketAddr>), CannotServe> {
    let open = |(listener, tls): (&config::Listener, &Option<Arc<Tls>>)| {
        let bound = Listener::open(listener, tls.clone(), sockets).and_then(|bound| {
            let address = bound.address()?;
            Ok((bound, address))
        });
        bound.map_err(|error| CannotServe::Address { address: listener.address, error })
    };
    listeners.iter().zip(tls).map(open).collect()
}

/// Serves every listener until `ends` says so, and then lets idle connections go: at once, a client that is
/// about to use one would find it gone, so each may bring one request more, whose answer says that it is the
/// last.
async fn listen(listeners: Vec<Listener>, app: App, ends: ShutdownWatch) {
    let serve = |listener: Listener| tokio::spawn(listener.serve(app.clone(), ends.clone()));
    let serving: Vec<_> = listeners.into_iter().map(serve).collect();
    for listener in serving {
        if let Err(error) = listener.await {
            tracing::error!(%error, "a listener has failed");
        }
    }
    let last = Instant::now() + IDLE;
    while app.connections.count() > 0 && Instant::now() < last {
        tokio::time::sleep(LOOK).await;
    }
    app.ending.let_go();
}

/// Looks at the files of TLS again and again.
async fn follow(tls: Arc<[Arc<Tls>]>, gateway: Arc<Gateway>) {
    loop {
        tokio::time::sleep(FILES).await;
        if tls.is_empty() && gateway.server_tls().is_empty() {
            continue;
        }
        let (tls, gateway) = (Arc::clone(&tls), Arc::clone(&gateway));
        let look = move || {
            tls.iter().for_each(|tls| tls.look());
            gateway.server_tls().look();
        };
        if let Err(error) = tokio::task::spawn_blocking(look).await {
            tracing::error!(%error, "looking at the TLS files failed");
        }
    }
}

async fn tend_connections(gateway: Arc<Gateway>) {
    loop {
        tokio::time::sleep(CONNECTIONS).await;
        gateway.tend_connections();
    }
}

/// Looks after the servers of upstreams again and again.
async fn watch(gateway: Arc<Gateway>) {
    loop {
        gateway.watch_upstreams(Instant::now());
        tokio::time::sleep(WATCHING).await;
    }
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
