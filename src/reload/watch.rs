//! The thread that watches the file: when it reads it, and what it makes of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use thiserror::Error;

use super::candidate::Candidate;
use super::look::{Look, watch_directory};
use super::{NotLoaded, Status};
use crate::config::{SourceFile, compile};
use crate::gateway::{Gateway, NotReplaced, Replaced};
use crate::policy::UnixTime;
use crate::record::{ReloadResult, steady_now};

/// How often the file is looked at, whatever the directory's watch says.
const LOOK: Duration = Duration::from_millis(500);

/// Why the thread wakes before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// Something has changed in the directory.
    Changed,
    /// Somebody asks for the file to be read.
    Asked,
    End,
}

/// The thread's own.
pub(super) struct Watch {
    gateway: Arc<Gateway>,
    status: Arc<Status>,
    /// The file as it was when it was last read.
    seen: Option<Look>,
    /// What it was then.
    considered: Considered,
    /// When what was refused may be good: tokens that keep scopes in the file expire.
    again_at: Option<UnixTime>,
    candidate: Candidate,
}

/// What was last made of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Considered {
    /// It is in force.
    InForce,
    /// Its text, or that it cannot be read, was refused.
    Refused(Option<[u8; 32]>),
}

/// Why the file's policy is not taken into use.
#[derive(Debug, Error)]
enum Refused {
    #[error(transparent)]
    NotLoaded(#[from] NotLoaded),
    #[error(transparent)]
    NotReplaced(#[from] NotReplaced),
}

impl Watch {
    pub(super) fn new(gateway: Arc<Gateway>, status: Arc<Status>) -> Self {
        // The file may have changed since it was read at start: the first look reads it.
        let candidate = Candidate::new(Arc::clone(&gateway), Arc::clone(&status));
        Self { gateway, status, seen: None, considered: Considered::InForce, again_at: None, candidate }
    }

    pub(super) fn run(mut self, woken: &Receiver<Wake>, wake: Sender<Wake>) {
        // Watches until it is dropped.
        // If nobody listens, the process is ending.
        let changed = move || {
            let _ = wake.send(Wake::Changed);
        };
        let _watcher = watch_directory(&self.status.source, changed).inspect_err(
            |error| tracing::warn!(%error, "the directory cannot be watched; the file is looked at anyway"),
        );
        loop {
            // So that a clock that is set forth and stays so is believed in the end.
            let _ = steady_now();
            // After the file, which names it; and at once, so that a candidate is soon asked.
            guarded(|| self.candidate.look());
            match woken.recv_timeout(LOOK) {
                Ok(Wake::Changed) | Err(RecvTimeoutError::Timeout) => guarded(|| self.look()),
                Ok(Wake::Asked) => {
                    guarded(|| self.read(true));
                    guarded(|| self.candidate.ask());
                }
                Ok(Wake::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads the file if it has changed, or may have.
    fn look(&mut self) {
        let path = &self.status.source;
        let look = Look::at(path);
        let is_same = look.is_some() && look == self.seen && look.as_ref().is_some_and(Look::is_settled);
        if is_same && !self.is_due() {
            return;
        }
        self.seen = Look::settled(path, self.seen.as_ref());
        self.read(false);
    }

    fn read(&mut self, asked: bool) {
        // The registry writes the file and puts it in force itself: what was in force before or after
        // the file was read is nothing to take into use again.
        let before = self.gateway.current().sha256;
        let file = SourceFile::read(&self.status.source);
        let sha256 = file.as_ref().ok().map(SourceFile::sha256);
        let in_force = sha256.is_some_and(|sha256| sha256 == before || sha256 == self.gateway.current().sha256);
        let considered = if in_force { Considered::InForce } else { Considered::Refused(sha256) };
        if considered == self.considered && (in_force || !self.is_due()) {
            if asked {
                self.say_same(&considered);
            }
            return;
        }
        let replaced = match file {
            Ok(file) => compile(&file.source())
                .map_err(NotLoaded::from)
                .map_err(Refused::from)
                .and_then(|configuration| Ok(self.gateway.replace(configuration)?)),
            Err(error) => Err(NotLoaded::from(error).into()),
        };
        self.considered = if replaced.is_ok() { Considered::InForce } else { considered };
        self.again_at = replaced.as_ref().err().and_then(Refused::until);
        self.conclude(replaced);
    }

    fn is_due(&self) -> bool {
        self.again_at.is_some_and(|at| at <= steady_now())
    }

    fn conclude(&self, replaced: Result<Replaced, Refused>) {
        let metrics = self.gateway.metrics();
        match replaced {
            Ok(replaced) => {
                self.status.set(None);
                metrics.policy_reload(match replaced {
                    Replaced::By(generation) => {
                        tracing::info!(generation, "the policy is in force");
                        ReloadResult::Accepted
                    }
                    Replaced::Unchanged => {
                        tracing::info!("the file is again the one in force");
                        ReloadResult::Unchanged
                    }
                });
            }
            Err(refused) => {
                refused.log();
                let sha256 = match self.considered {
                    Considered::Refused(sha256) => sha256,
                    Considered::InForce => None,
                };
                self.status.refuse(sha256, refused.to_string());
                metrics.policy_reload(ReloadResult::Refused);
                tracing::warn!(generation = self.gateway.current().number, "the policy in force stays");
            }
        }
    }

    /// What was asked for has been answered before.
    fn say_same(&self, considered: &Considered) {
        let metrics = self.gateway.metrics();
        match considered {
            Considered::InForce => {
                tracing::info!("the file is the one in force");
                metrics.policy_reload(ReloadResult::Unchanged);
            }
            Considered::Refused(_) => {
                tracing::warn!("the file is still refused, for what was said before");
                metrics.policy_reload(ReloadResult::Refused);
            }
        }
    }
}

/// A fault of the program with one text must not keep the next from being read.
fn guarded(what: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(what)).is_err() {
        tracing::error!("the file could not be considered; the policy in force stays");
    }
}

impl Refused {
    /// When it may be refused no more, without anybody doing anything.
    fn until(&self) -> Option<UnixTime> {
        match self {
            Self::NotReplaced(NotReplaced::StillCarried(carried)) => carried.until(),
            Self::NotLoaded(_) | Self::NotReplaced(NotReplaced::NeedsRestart(_)) => None,
        }
    }

    /// One line for each problem.
    fn log(&self) {
        match self {
            Self::NotLoaded(error) => error.log(),
            Self::NotReplaced(NotReplaced::NeedsRestart(error)) => tracing::error!("{error}"),
            Self::NotReplaced(NotReplaced::StillCarried(error)) => {
                for scope in error.scopes() {
                    tracing::error!("{scope}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::super::{MOST_REFUSALS, Reload, load};
    use super::*;
    use crate::issuer::Issuers;
    use crate::record::{AuditGuard, AuditSink, Metrics};

    struct Stage {
        watch: Watch,
        directory: tempfile::TempDir,
        _guard: AuditGuard,
        _runtime: tokio::runtime::Runtime,
    }

    fn policy(path: &str) -> String {
        format!(
            "version: 1\nlisteners: [{{ address: 127.0.0.1:0 }}]\nupstreams: {{ b: {{ servers: [\"127.0.0.1:1\"] }} }}\n\
             apis:\n  - name: a\n    base_path: /\n    upstream: b\n    public: [\"GET {path}\"]\n"
        )
    }

    impl Stage {
        fn start() -> Self {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("gateway.yaml");
            std::fs::write(&path, policy("/first")).unwrap();
            let metrics = Metrics::new().unwrap();
            let (audit, guard) = AuditSink::open(Some(&directory.path().join("audit")), &metrics).unwrap();
            let issuers = Issuers::new(Arc::clone(&metrics), runtime.handle().clone());
            let gateway = Arc::new(Gateway::new(load(&path).unwrap(), issuers, metrics, audit));
            let status = Arc::new(Status {
                source: path,
                last_error: Mutex::default(),
                refusals: Mutex::default(),
                candidate_error: Mutex::default(),
            });
            Self { watch: Watch::new(gateway, status), directory, _guard: guard, _runtime: runtime }
        }

        fn write(&self, text: &str) {
            std::fs::write(&self.watch.status.source, text).unwrap();
        }

        /// `counts`: accepted, refused and unchanged so far.
        #[track_caller]
        fn check(&self, generation: u64, error: Option<&str>, counts: [u32; 3]) {
            assert_eq!(self.watch.gateway.current().number, generation);
            let said = self.watch.status.last_error();
            assert!(said.as_deref().is_none_or(|said| error.is_some_and(|error| said.contains(error))), "{said:?}");
            assert_eq!(said.is_some(), error.is_some());
            let text = self.watch.gateway.metrics().render().unwrap();
            for (result, count) in ["accepted", "refused", "unchanged"].into_iter().zip(counts) {
                let sample = format!("scopegate_policy_reloads_total{{result=\"{result}\"}} {count}\n");
                assert!(text.contains(&sample), "{sample}{text}");
            }
        }
    }

    #[test]
    fn a_good_text_takes_the_place_of_the_one_in_force_once() {
        let mut stage = Stage::start();
        stage.watch.look();
        stage.check(1, None, [0, 0, 0]);
        stage.write(&policy("/second"));
        stage.watch.look();
        stage.check(2, None, [1, 0, 0]);
        stage.watch.look();
        stage.watch.read(false);
        stage.check(2, None, [1, 0, 0]);
    }

    #[test]
    fn a_bad_text_is_refused_once_and_shown_until_it_is_mended() {
        let mut stage = Stage::start();
        for bad in ["", "version: 1\nlisteners: [{ addr", &policy("/first").replace("upstream: b", "upstream: c")] {
            stage.write(bad);
            stage.watch.look();
            stage.watch.look();
        }
        stage.check(1, Some("`c`"), [0, 3, 0]);
        // Asked, it says so again.
        stage.watch.read(true);
        stage.check(1, Some("`c`"), [0, 4, 0]);
        stage.write(&policy("/first"));
        stage.watch.look();
        stage.check(1, None, [0, 4, 1]);
        stage.watch.read(true);
        stage.check(1, None, [0, 4, 2]);
    }

    #[test]
    fn what_became_of_the_last_texts_is_remembered() {
        let mut stage = Stage::start();
        for nth in 0..MOST_REFUSALS + 2 {
            stage.write(&policy("/first").replace("upstream: b", &format!("upstream: c{nth}")));
            stage.watch.look();
            // Asked again, it is the same refusal.
            stage.watch.read(true);
        }
        let refusals = stage.watch.status.refusals();
        assert_eq!(refusals.len(), MOST_REFUSALS);
        assert!(refusals[0].why.contains("`c2`"), "{refusals:?}");
        let sums: std::collections::BTreeSet<_> = refusals.iter().map(|refused| refused.sha256).collect();
        assert_eq!(sums.len(), MOST_REFUSALS);
        stage.write(&policy("/second"));
        stage.watch.look();
        let past = stage.watch.gateway.past();
        assert_eq!(past.iter().map(|own| own.generation).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(past[1].sha256, stage.watch.gateway.current().sha256);
        assert!(past[1].at >= past[0].at);
        stage.write("version");
        std::fs::remove_file(&stage.watch.status.source).unwrap();
        stage.watch.look();
        assert_eq!(stage.watch.status.refusals().last().unwrap().sha256, None);
    }

    #[test]
    fn a_file_that_is_gone_is_refused_once_and_the_policy_stays() {
        let mut stage = Stage::start();
        let away = stage.directory.path().join("away");
        std::fs::rename(&stage.watch.status.source, &away).unwrap();
        stage.watch.look();
        stage.watch.look();
        stage.check(1, Some("cannot read"), [0, 1, 0]);
        std::fs::rename(&away, &stage.watch.status.source).unwrap();
        stage.watch.look();
        stage.check(1, None, [0, 1, 1]);
    }

    #[test]
    fn what_needs_a_restart_is_refused_and_says_so() {
        let mut stage = Stage::start();
        stage.write(&format!("threads: 63\n{}", policy("/first")));
        stage.watch.look();
        stage.check(1, Some("restart"), [0, 1, 0]);
    }

    #[test]
    fn the_thread_sees_changes_and_ends_with_its_owner() {
        let stage = Stage::start();
        let gateway = Arc::clone(&stage.watch.gateway);
        let reload = Reload::start(&stage.watch.status.source, Arc::clone(&gateway)).unwrap();
        stage.write(&policy("/second"));
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while gateway.current().number == 1 {
            assert!(std::time::Instant::now() < deadline);
            thread::yield_now();
        }
        let weak = Arc::downgrade(reload.status());
        drop(reload);
        while weak.strong_count() > 0 {
            assert!(std::time::Instant::now() < deadline);
            thread::yield_now();
        }
    }
}
