//! A gateway of a test's own: its file and its process. What it is asked and what it tells is in `asking`.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::policy_file::{check_schema, document};
use crate::{PATIENCE, Process, Signer, Upstream, free_address, watch};

/// A `scopegate serve` of its own, on a file of its own.
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its admin endpoints are.
    pub admin: SocketAddr,
    /// What it forwards to, unless its file says otherwise.
    pub upstream: Upstream,
    /// Where its file is, and what that names.
    pub folder: TempDir,
    /// What the file says of its listener beside the address.
    listener: String,
    pub(crate) process: Process,
}

impl Gateway {
    /// Starts one on `policy`, which is `gateway.yaml` without listeners, admin, upstreams and the
    /// issuer `https://issuer.example`: those are put before it.
    pub fn start(policy: &str) -> Self {
        Self::start_in(policy, |_| {})
    }

    /// The same, once `prepare` has put what the policy needs into the file's folder.
    pub fn start_in(policy: &str, prepare: impl Fn(&Path)) -> Self {
        Self::start_with(policy, Upstream::start(), prepare)
    }

    /// The same, in front of this upstream.
    pub fn start_with(policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        Self::start_listening("", policy, upstream, prepare)
    }

    /// The same, with these keys of the listener beside its address, such as `http2: true`.
    pub fn start_listening(listener: &str, policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        let mut gateway = Self::launch(listener, policy, upstream, prepare);
        gateway.wait_until_ready();
        gateway
    }

    /// The same, logging all that there is to log.
    pub fn start_saying_all(listener: &str, policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        let mut gateway = Self::launch_logging("trace", listener, policy, upstream, prepare);
        gateway.wait_until_ready();
        gateway
    }

    /// The same, which may not be ready yet.
    pub fn launch(listener: &str, policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        Self::launch_logging("info", listener, policy, upstream, prepare)
    }

    fn launch_logging(level: &str, listener: &str, policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        std::fs::write(folder.path().join("jwks.json"), Signer::shared().jwks().to_string()).unwrap();
        let (address, admin) = (free_address(), free_address());
        let text = document(address, listener, admin, &upstream.address.to_string(), policy);
        check_schema(&text);
        std::fs::write(folder.path().join("gateway.yaml"), text).unwrap();
        let process = Process::start_logging(level, folder.path(), &["serve", "--config", "gateway.yaml"]);
        Self { address, admin, upstream, folder, listener: listener.to_owned(), process }
    }

    /// Starts another process on the same file and addresses; the one before, which may still run.
    pub fn start_again(&mut self, command: Command) -> Process {
        std::mem::replace(&mut self.process, Process::spawn(command, self.folder.path()))
    }

    /// Puts another policy in place by renaming a new file over the old one.
    pub fn rewrite(&self, policy: &str) {
        let text = document(self.address, &self.listener, self.admin, &self.upstream.address.to_string(), policy);
        self.replace_file(&text);
    }

    /// Puts another text in place, which need be no policy.
    pub fn replace_file(&self, text: &str) {
        let new = self.folder.path().join("gateway.yaml.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    /// Where its `gateway.yaml` is.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("gateway.yaml")
    }

    /// SIGKILL, from any thread.
    pub fn kill(&self) {
        let status = Command::new("kill").args(["-KILL", &self.process.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Another process in the place of one that was killed.
    pub fn restart(&mut self) {
        let _ = self.process.child.wait();
        self.process = Process::start(self.folder.path(), &["serve", "--config", "gateway.yaml"]);
        self.wait_until_ready();
    }

    /// Sends the process a signal, by name.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.child.try_wait().unwrap().is_none()
    }

    /// Returns once requests are taken.
    pub fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready = TcpStream::connect(self.admin).is_ok() && self.admin("/readyz").status == 200;
            if ready && TcpStream::connect(self.address).is_ok() {
                watch::ready(self.address, self.folder.path());
                return;
            }
            let waiting = Instant::now() < deadline && self.is_running();
            assert!(waiting, "the gateway is not ready; it said:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        watch::gone(self.address);
    }
}
