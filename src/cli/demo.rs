//! `scopegate demo`: a gateway with the issuers and upstreams that its file names on this machine, a
//! tour of requests, and lines to paste.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::runtime::Runtime;

use super::Exit;
use super::running::Running;
use super::serve::{END, Signals, control_runtime, fail, loaded, log_to_stderr, until_end};
use crate::config::{Admin, Configuration};
use crate::demo::{RequiredScopes, Stage, Tour, required_scopes};
use crate::gateway::{Gateway, Sockets};

/// How long the gateway may take to get the issuers' keys.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked whether it has them.
const LOOK: Duration = Duration::from_millis(10);

/// What `demo` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The policy file; the issuers and upstreams that it names on loopback addresses are played.
    #[arg(long, value_name = "FILE", default_value = "gateway.yaml")]
    config: PathBuf,
    /// End after the table: with 0 if every answer is as expected, with 1 if not.
    #[arg(long)]
    once: bool,
}

/// What of the file is told and looked for.
struct Places {
    admin: Option<SocketAddr>,
    console: Option<String>,
    upstreams: Vec<String>,
    audit: Option<PathBuf>,
}

/// Serves until it is told to end, or until the table is shown.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let configuration = match loaded(&arguments.config) {
        Ok(configuration) => configuration,
        Err(exit) => return exit,
    };
    log_to_stderr();
    match control_runtime() {
        Ok(runtime) => {
            let code = arguments.play(configuration, &runtime);
            runtime.shutdown_timeout(END);
            code
        }
        Err(error) => fail(Exit::Bad, &format!("error: cannot start: {error}\n")),
    }
}

impl Arguments {
    fn play(&self, configuration: Configuration, runtime: &Runtime) -> Exit {
        let _context = runtime.enter();
        let signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => return fail(Exit::Bad, &format!("error: cannot start: {error}\n")),
        };
        let places = Places::of(&configuration);
        let gateway = Arc::new(OnceLock::new());
        let stage = runtime.block_on(Stage::start(&configuration.settings, &required_by(&gateway)));
        let stage = match stage {
            Ok(stage) => stage,
            Err(error) => return fail(Exit::Unusable, &format!("error: {error}\n")),
        };
        let running = match Running::start(&self.config, configuration, runtime.handle(), Sockets::default(), None) {
            Ok(running) => running,
            Err(error) => return fail(Exit::Unusable, &format!("error: {error}\n")),
        };
        let gateway = gateway.get_or_init(|| Arc::clone(running.gateway()));
        let url = running.addresses().first().map(|address| format!("http://{}", reachable(*address)));
        let url = url.unwrap_or_default();
        runtime.block_on(ready(gateway));
        say(&self.introduction(&url, &places, &stage));
        let tour = match runtime.block_on(Tour::run(&stage, &url, places.audit.as_deref())) {
            Ok(tour) => tour,
            Err(error) => return fail(Exit::Bad, &format!("error: {error}\n")),
        };
        say(&tour.table());
        if self.once {
            running.stop(|| true);
            return if tour.is_as_expected() { Exit::Good } else { Exit::Bad };
        }
        say(&to_paste(&tour, &stage, &self.config));
        until_end(runtime, signals, running, None);
        Exit::Good
    }

    fn introduction(&self, url: &str, places: &Places, stage: &Stage) -> String {
        let mut lines = vec![format!("Scopegate's demo on {}\n", self.config.display())];
        let mut tell = |what: &str, place: &str| lines.push(format!("  {what:<9} {place}"));
        tell("gateway", url);
        stage.issuer_urls().for_each(|issuer| tell("issuer", issuer));
        places.upstreams.iter().for_each(|upstream| tell("upstream", &format!("http://{upstream}")));
        if let Some(admin) = places.admin {
            tell("admin", &format!("http://{admin}, with /healthz /readyz /metrics /policy"));
        }
        if let Some(console) = &places.console {
            tell("console", &format!("{console}, to look and change things in a browser: one click signs you in"));
        }
        if let Some(audit) = &places.audit {
            tell("audit", &audit.display().to_string());
        }
        lines.push("\nWhat it has just been asked, and what it said:\n".to_owned());
        lines.join("\n")
    }
}

impl Places {
    fn of(configuration: &Configuration) -> Self {
        let settings = &configuration.settings;
        let servers = settings.upstreams.iter().flat_map(|upstream| &upstream.servers);
        let has_console = |admin: &&Admin| admin.access.is_some();
        Self {
            console: settings
                .admin
                .as_ref()
                .filter(has_console)
                .map(|admin| format!("http://{}/console", reachable(admin.address))),
            admin: settings.admin.as_ref().map(|admin| admin.address),
            upstreams: servers.map(|server| server.address.to_string()).collect(),
            audit: settings.audit.file.clone(),
        }
    }
}

/// The required scopes by the policy that is in force when a token is asked for.
fn required_by(gateway: &Arc<OnceLock<Arc<Gateway>>>) -> RequiredScopes {
    let gateway = Arc::clone(gateway);
    Arc::new(move |scopes| match gateway.get() {
        Some(gateway) => required_scopes(&gateway.current().policy, scopes),
        None => Vec::new(),
    })
}

/// Until every issuer's keys are there; if some do not come, the table shows what that means.
async fn ready(gateway: &Gateway) {
    let deadline = Instant::now() + PATIENCE;
    while !gateway.current().issuers.are_ready() && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
}

fn to_paste(tour: &Tour, stage: &Stage, config: &Path) -> String {
    let issuer = stage.issuer_urls().next().unwrap_or_default();
    format!(
        "\nTo paste, each after the status that it prints (the tokens are good for an hour):\n\n{}\n\
         A token of your own, and what the token endpoint says if it may not be had:\n\n\
         curl -s -u acme-integration:acme-secret -d grant_type=client_credentials -d scope=wk-dgs-core-read \
         {issuer}/oauth/token\n\
         curl -s -u acme-integration:acme-secret -d grant_type=client_credentials -d scope=wk-ezcfg-def-data-su \
         {issuer}/oauth/token\n\n\
         Change {}, and the next request is judged by it. Ctrl-C ends the demo.\n",
        tour.curl_lines(),
        config.display()
    )
}

/// Where a listener on every address is reached.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], v6.port())),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    }
}

fn say(text: &str) {
    // Without standard output there is nobody to tell.
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}
