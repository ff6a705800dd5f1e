//! `scopegate serve`: a gateway on a file, until a signal ends it.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::running::Running;
use super::{Exit, descriptors};
use crate::reload::{NotLoaded, load};

/// How long requests that are under way may take to end once the process is told to.
const GRACE: Duration = Duration::from_secs(10);
/// How long tasks that serve no requests may take to end.
pub(super) const END: Duration = Duration::from_secs(1);

/// What `serve` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The policy file; it is read again whenever it changes.
    #[arg(long, value_name = "FILE", default_value = "gateway.yaml")]
    config: PathBuf,
}

/// Serves until SIGTERM, which lets requests under way end, or SIGINT, which does not; SIGHUP
/// has the file read and the audit file opened again.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let configuration = match load(&arguments.config) {
        Ok(configuration) => configuration,
        Err(NotLoaded::Unreadable(error)) => return fail(Exit::Unusable, &format!("{error}\n")),
        Err(NotLoaded::Bad(problems)) => return fail(Exit::Bad, &problems.render(is_styled())),
    };
    log_to_stderr();
    let started = control_runtime().and_then(|runtime| {
        let _context = runtime.enter();
        let signals = Signals::new()?;
        Ok((signals, runtime))
    });
    let (signals, runtime) = match started {
        Ok(started) => started,
        Err(error) => return fail(Exit::Bad, &format!("cannot start: {error}\n")),
    };
    descriptors::raise(&configuration.settings.limits);
    let running = match Running::start(&arguments.config, configuration, runtime.handle()) {
        Ok(running) => running,
        Err(error) => return fail(Exit::Bad, &format!("{error}\n")),
    };
    tracing::info!(
        listeners = ?running.addresses(),
        admin = ?running.admin(),
        file = %arguments.config.display(),
        "serving"
    );
    until_end(&runtime, signals, running);
    runtime.shutdown_timeout(END);
    Exit::Good
}
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

    /// The next that ends the process.
    async fn end(&mut self, refresh: impl Fn()) -> End {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return End::Graceful,
                _ = self.interrupt.recv() => return End::Fast,
                _ = self.hang_up.recv() => refresh(),
            }
        }
    }
}

/// A second signal cuts the grace short.
pub(super) fn until_end(runtime: &Runtime, mut signals: Signals, running: Running) {
    let end = runtime.block_on(signals.end(|| running.refresh()));
    tracing::info!(?end, "ending");
    let hurry = Arc::new(AtomicBool::new(end == End::Fast));
    let told = Arc::clone(&hurry);
    runtime.spawn(async move {
        signals.end(|| {}).await;
        told.store(true, Ordering::Relaxed);
    });
    let deadline = Instant::now() + GRACE;
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

/// Whether standard error may have colours.
pub(super) fn is_styled() -> bool {
    super::is_styled(io::stderr().is_terminal())
}

pub(super) fn fail(exit: Exit, text: &str) -> Exit {
    // Without standard error there is nobody to tell.
    let _ = io::stderr().write_all(text.as_bytes());
    exit
}
