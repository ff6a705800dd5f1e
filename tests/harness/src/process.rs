//! Child processes, which end with the test that started them.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::wait_for;

/// A child process whose output is kept; it ends with the test.
pub struct Process {
    /// The process itself.
    pub child: Child,
    /// What it has written so far.
    pub log: Arc<Mutex<String>>,
}

impl Process {
    /// The gateway's binary in `folder`, with these arguments.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_logging("info", folder, arguments)
    }

    pub(crate) fn start_logging(level: &str, folder: &Path, arguments: &[&str]) -> Self {
        let mut command = scopegate(arguments);
        command.env("RUST_LOG", level);
        Self::spawn(command, folder)
    }

    /// Any command in `folder`.
    pub fn spawn(mut command: Command, folder: &Path) -> Self {
        let mut child = command
            .current_dir(folder)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        keep(child.stdout.take().unwrap(), Arc::clone(&log));
        keep(child.stderr.take().unwrap(), Arc::clone(&log));
        Self { child, log }
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Its exit code, once it has ended.
    pub fn ended(&mut self) -> Option<i32> {
        wait_for("the process to end", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary that Cargo has built for the tests, or the one that the environment names.
pub fn scopegate(arguments: &[&str]) -> Command {
    let binary = std::env::var_os("SCOPEGATE_BINARY").map_or_else(built, PathBuf::from);
    let mut command = Command::new(binary);
    command.args(arguments);
    command
}

/// Tests are in the folder `deps` beside it.
fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().with_file_name("scopegate")
}

fn keep(output: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            log.lock().unwrap().push_str(&(line + "\n"));
        }
    });
}
