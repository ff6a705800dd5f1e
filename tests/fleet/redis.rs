//! A Redis (or Valkey) of the machine's, as a process of the test's own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server that keeps nothing on disk.
pub(crate) struct Redis {
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// What it is called: `SCOPEGATE_REDIS` names another.
fn program() -> String {
    std::env::var("SCOPEGATE_REDIS").unwrap_or_else(|_| "redis-server".to_owned())
}

/// Whether it is one that somebody chose.
pub(crate) fn is_named() -> bool {
    std::env::var_os("SCOPEGATE_REDIS").is_some()
}

impl Redis {
    /// One that is there.
    pub(crate) fn start() -> Self {
        let mut redis = Self::absent();
        redis.begin();
        redis
    }

    /// One that is not there yet.
    pub(crate) fn absent() -> Self {
        Self::with(|port| vec!["--port".to_owned(), port.to_string()])
    }

    /// The same, with these arguments for its port.
    pub(crate) fn with(arguments: impl FnOnce(u16) -> Vec<String>) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { address, folder, arguments: arguments(address.port()), child: None }
    }

    pub(crate) fn begin(&mut self) {
        assert!(self.try_begin(), "{} does not start", program());
    }

    /// Whether it did: one that is built without what its arguments name ends at once.
    pub(crate) fn try_begin(&mut self) -> bool {
        let mut command = Command::new(program());
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir"]);
        command.arg(self.folder.path()).args(&self.arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = self.child.insert(child.expect("a redis-server, which `make test-fleet` installs"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address).is_err() {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "the server did not come up");
            thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// SIGKILL: all that it knew is gone.
    pub(crate) fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Keeps its connections open and answers nothing, or goes on.
    pub(crate) fn hang(&self, hangs: bool) {
        let name = if hangs { "-STOP" } else { "-CONT" };
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.end();
    }
}
