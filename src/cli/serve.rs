//! `scopegate serve`: a gateway on a file, until a signal ends it.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use super::running::{CannotRun, Running};
use super::{Exit, descriptors, handover, supervisor};
use crate::config::Configuration;
use crate::gateway::Sockets;
use crate::reload::{NotLoaded, load};

/// How long a process that takes over may wait for its issuers' keys.
const READY: Duration = Duration::from_secs(30);
/// How long tasks that serve no requests may take to end.
pub(super) const END: Duration = Duration::from_secs(1);

/// What `serve` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
SIGHUP reads the file again and reopens the audit file; SIGTERM lets requests
under way end, SIGINT does not. `RUST_LOG` says how much is logged.

Exit codes: 0 it was told to end, 1 it could not start, 2 the file cannot be
read.")]
pub struct Arguments {
    /// The policy file; it is read again whenever it changes.
    #[arg(long, value_name = "FILE", default_value = "gateway.yaml")]
    config: PathBuf,

    /// A Unix socket by which the next process takes over: start it with the same path, and no request is
    /// lost.
    #[arg(long, value_name = "PATH")]
    handover: Option<PathBuf>,
}

/// Serves until SIGTERM, which lets requests under way end, or SIGINT, which does not; SIGHUP
/// has the file read and the audit file opened again.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let configuration = match loaded(&arguments.config) {
        Ok(configuration) => configuration,
        Err(exit) => return exit,
    };
    log_to_stderr();
    let started = control_runtime().and_then(|runtime| {
        let _context = runtime.enter();
        let signals = Signals::new()?;
        Ok((signals, runtime))
    });
    let (signals, runtime) = match started {
        Ok(started) => started,
        Err(error) => return fail(Exit::Bad, &format!("error: cannot start: {error}\n")),
    };
    descriptors::raise(&configuration.settings.limits);
    let (running, relieved) = match start(arguments, configuration, &runtime) {
        Ok(started) => started,
        Err(error) => return fail(Exit::Bad, &format!("error: {error}\n")),
    };
    tracing::info!(
        listeners = ?running.addresses(),
        admin = ?running.admin(),
        file = %arguments.config.display(),
        "serving"
    );
    supervisor::tell_ready();
    until_end(&runtime, signals, running, relieved);
    runtime.shutdown_timeout(END);
    Exit::Good
}

/// A gateway at work, on the sockets of whoever had them before, and the word that it is relieved.
fn start(
    arguments: &Arguments,
    configuration: Configuration,
    runtime: &Runtime,
) -> Result<(Running, Option<Relieved>), CannotStart> {
    let predecessor = match &arguments.handover {
        Some(path) => handover::predecessor(path).map_err(CannotStart::Handover)?,
        None => None,
    };
    let mut sockets = supervisor::sockets().map_err(CannotStart::Sockets)?;
    let mut ready_within = None;
    let mut predecessor = predecessor;
    if let Some(predecessor) = &mut predecessor {
        sockets.append(&mut predecessor.sockets);
        ready_within = Some(READY);
    }
    let handle = runtime.handle();
    let sockets = Sockets::inherited(sockets);
    let running = Running::start(&arguments.config, configuration, handle, sockets, ready_within)?;
    for address in running.sockets().unused() {
        tracing::warn!(%address, "a socket was passed on that no listener of the file has");
    }
    let relieved = match &arguments.handover {
        Some(path) => {
            let sockets = running.sockets().copies().map_err(CannotStart::Handover)?;
            Some(handover::wait(path, sockets).map_err(CannotStart::Handover)?)
        }
        None => None,
    };
    if let Some(predecessor) = predecessor
        && let Err(error) = predecessor.relieve()
    {
        tracing::warn!(%error, "the process before has ended by itself");
    }
    Ok((running, relieved))
}

/// Why a process cannot serve.
#[derive(Debug, Error)]
enum CannotStart {
    #[error(transparent)]
    Run(#[from] CannotRun),
    #[error("cannot take over or be taken over from: {0}")]
    Handover(io::Error),
    #[error("a socket that was passed on cannot be used: {0}")]
    Sockets(io::Error),
}

/// Told once another process serves.
type Relieved = oneshot::Receiver<()>;

/// The signals that a gateway listens to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// How a process is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Graceful,
    Fast,
}

impl Signals {
    /// Within a runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next that ends the process, or the word that it is relieved.
    async fn end(&mut self, refresh: impl Fn(), relieved: Option<Relieved>) -> End {
        let mut relieved = pin!(async {
            let told = match relieved {
                Some(relieved) => relieved.await.is_ok(),
                None => false,
            };
            // Where nobody can say so any more, nobody will.
            if !told {
                std::future::pending::<()>().await;
            }
        });
        loop {
            tokio::select! {
                () = &mut relieved => return End::Graceful,
                _ = self.terminate.recv() => return End::Graceful,
                _ = self.interrupt.recv() => return End::Fast,
                _ = self.hang_up.recv() => refresh(),
            }
        }
    }
}

/// A second signal cuts the grace short.
pub(super) fn until_end(runtime: &Runtime, mut signals: Signals, running: Running, relieved: Option<Relieved>) {
    let end = runtime.block_on(signals.end(|| running.refresh(), relieved));
    supervisor::tell_ending();
    tracing::info!(?end, "ending");
    let hurry = Arc::new(AtomicBool::new(end == End::Fast));
    let told = Arc::clone(&hurry);
    runtime.spawn(async move {
        signals.end(|| {}, None).await;
        told.store(true, Ordering::Relaxed);
    });
    let deadline = Instant::now() + running.drain_timeout();
    running.stop(|| hurry.load(Ordering::Relaxed) || Instant::now() >= deadline);
}

/// For all that serves no requests: issuers, admin, signals.
pub(super) fn control_runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build()
}

/// `RUST_LOG`, or `info`.
pub(super) fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(is_styled());
    // A process that has a log already keeps it.
    let _ = log.try_init();
}

/// The file that is to be served, or what is wrong with it on standard error.
pub(super) fn loaded(path: &Path) -> Result<Configuration, Exit> {
    load(path).map_err(|not_loaded| match not_loaded {
        NotLoaded::Unreadable(error) => fail(Exit::Unusable, &format!("error: {error}\n")),
        NotLoaded::Bad(problems) => fail(Exit::Bad, &problems.render(is_styled())),
    })
}

/// Whether standard error may have colours.
fn is_styled() -> bool {
    super::is_styled(io::stderr().is_terminal())
}

pub(super) fn fail(exit: Exit, text: &str) -> Exit {
    // Without standard error there is nobody to tell.
    let _ = io::stderr().write_all(text.as_bytes());
    exit
}
