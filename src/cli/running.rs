//! A whole gateway of this process: issuers, proxy, admin endpoints and the watch over its file.
//!
//! It can stand beside other tasks; what signals do to it is `serve`'s.

use std::io;
use std::net::SocketAddr;
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::admin::{self, Live};
use crate::config::Configuration;
use crate::console::Console;
use crate::gateway::{CannotServe, Gateway, Server, Sockets};
use crate::issuer::Issuers;
use crate::record::{AuditGuard, AuditSink, Metrics, MetricsUnmade, count_panics};
use crate::registry::Registry;
use crate::reload::Reload;

/// How long the last spans may take to be sent.
const SPANS: Duration = Duration::from_secs(2);
/// How often keys that are awaited are looked for.
const LOOK: Duration = Duration::from_millis(10);

/// A gateway at work. It ends when it is stopped or dropped.
#[derive(Debug)]
pub(super) struct Running {
    gateway: Arc<Gateway>,
    server: Server,
    reload: Reload,
    admin: Option<Admin>,
    sockets: Sockets,
    /// The last to go: what the others have said is written when it is dropped.
    _audit: AuditGuard,
}

/// Why a gateway cannot start.
#[derive(Debug, Error)]
pub(super) enum CannotRun {
    /// Its listeners or threads cannot be had.
    #[error(transparent)]
    Serve(#[from] CannotServe),
    /// The admin address cannot be had.
    #[error("cannot listen on the admin address {address}: {error}")]
    Admin {
        /// As the file has it.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The audit file cannot be opened.
    #[error("cannot open the audit file: {0}")]
    Audit(io::Error),
    /// The metrics cannot be made.
    #[error(transparent)]
    Metrics(#[from] MetricsUnmade),
    /// The keys of an issuer did not come.
    #[error("the keys of every issuer were not there within {} seconds", .0.as_secs())]
    NotReady(Duration),
    /// The file cannot be watched.
    #[error("cannot start the thread that watches the file: {0}")]
    Reload(io::Error),
}

#[derive(Debug)]
struct Admin {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts a gateway on what `path` was found to say. Tasks that serve no requests run on
    /// `runtime`. It blocks until it listens; `ready_within` has it wait for every issuer's keys first.
    ///
    /// # Errors
    /// If something that it needs cannot be had.
    pub(super) fn start(
        path: &Path,
        configuration: Configuration,
        runtime: &Handle,
        mut sockets: Sockets,
        ready_within: Option<Duration>,
    ) -> Result<Self, CannotRun> {
        let metrics = Metrics::new()?;
        count_panics(&metrics, tell_panic);
        let settings = &configuration.settings;
        let (audit, guard) = AuditSink::open(settings.audit.file.as_deref(), &metrics).map_err(CannotRun::Audit)?;
        let admin =
            settings.admin.as_ref().map(|admin| Admin::bind(admin.address, runtime, &mut sockets)).transpose()?;
        let issuers = Issuers::new(Arc::clone(&metrics), runtime.clone());
        let gateway = Arc::new(Gateway::new(configuration, issuers, metrics, audit));
        if let Some(time) = ready_within {
            runtime.block_on(ready(&gateway, time))?;
        }
        let server = Server::start(Arc::clone(&gateway), &mut sockets)?;
        let reload = Reload::start(path, Arc::clone(&gateway)).map_err(CannotRun::Reload)?;
        let live = Live { gateway: Arc::clone(&gateway), file: Arc::clone(reload.status()) };
        let registry = Arc::new(Registry::new(Arc::clone(&gateway), path.to_owned()));
        let console = Console::new(Arc::clone(&registry), Arc::clone(reload.status()));
        let admin =
            admin.map(|(address, listener)| Admin::start(address, listener, (live, registry, console), runtime));
        Ok(Self { gateway, server, reload, admin, sockets, _audit: guard })
    }

    /// The gateway itself.
    pub(super) fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Where it listens, in the order of the file.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Where its admin endpoints are, if anywhere.
    pub(super) fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// The sockets that it listens on.
    pub(super) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Has the policy file read again, and the audit file opened again.
    pub(super) fn refresh(&self) {
        self.reload.ask();
        if let Err(error) = self.gateway.audit().reopen() {
            tracing::error!(%error, "the audit file cannot be opened again; lines go on to where they went");
        }
    }

    /// How long requests that are under way may take to end, by the policy in force.
    pub(super) fn drain_timeout(&self) -> Duration {
        self.gateway.current().settings.limits.drain_timeout
    }

    /// Takes no more requests, waits for those under way until `give_up` says otherwise, and ends.
    /// It blocks.
    pub(super) fn stop(self, give_up: impl Fn() -> bool) {
        drop(self.sockets);
        self.server.stop(give_up);
        self.gateway.end_spans(SPANS);
        if let Some(admin) = self.admin {
            admin.task.abort();
        }
    }
}

/// Until every issuer's keys are there.
async fn ready(gateway: &Gateway, within: Duration) -> Result<(), CannotRun> {
    let deadline = Instant::now() + within;
    while !gateway.current().issuers.are_ready() {
        if Instant::now() >= deadline {
            return Err(CannotRun::NotReady(within));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Where it was, and nothing that it may have had in hand.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(at, "a fault of the program has ended what it was doing; please report it");
}

impl Admin {
    fn bind(
        address: SocketAddr,
        runtime: &Handle,
        sockets: &mut Sockets,
    ) -> Result<(SocketAddr, TcpListener), CannotRun> {
        let mut bound = || {
            let _context = runtime.enter();
            let listener = sockets.listen(address)?;
            Ok((listener.local_addr()?, listener))
        };
        bound().map_err(|error| CannotRun::Admin { address, error })
    }

    fn start(
        address: SocketAddr,
        listener: TcpListener,
        (live, registry, console): (Live, Arc<Registry>, Arc<Console>),
        runtime: &Handle,
    ) -> Self {
        let task = runtime.spawn(async move {
            if let Err(error) = admin::serve(listener, Arc::new(live), Some((registry, console))).await {
                tracing::error!(%error, "the admin endpoints have ended");
            }
        });
        Self { address, task }
    }
}
