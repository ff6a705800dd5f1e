//! Servers that are processes, which are killed and come back, and the ledgers in which all servers write down what they
//! got: what is in there was there before anything was answered, and outlives who wrote it.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use harness::{Process, free_address, wait_for};

/// What is written of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// How often it has come.
    pub(crate) received: usize,
    /// How often it was acted upon.
    pub(crate) acted: usize,
}

/// A server in Python, which can be killed.
pub(crate) struct Mortal {
    pub(crate) address: SocketAddr,
    pub(crate) name: &'static str,
    script: &'static str,
    folder: PathBuf,
    /// `None` while it is dead.
    process: Mutex<Option<Process>>,
}

impl Mortal {
    /// Of `server.py`.
    pub(crate) fn http(name: &'static str, folder: &Path) -> Self {
        Self::new(name, "tests/traffic/server.py", folder)
    }

    /// Of gRPC's.
    pub(crate) fn grpc(name: &'static str, folder: &Path) -> Self {
        Self::new(name, "tests/grpc/server.py", folder)
    }

    fn new(name: &'static str, script: &'static str, folder: &Path) -> Self {
        let mortal =
            Self { address: free_address(), name, script, folder: folder.to_owned(), process: Mutex::default() };
        mortal.rise();
        mortal
    }

    /// Starts it, where it was before.
    pub(crate) fn rise(&self) {
        let ledger = ledger(&self.folder, self.name);
        let mut arguments = vec![self.address.to_string()];
        if self.script.ends_with("traffic/server.py") {
            arguments.push(self.name.to_owned());
        }
        arguments.push(ledger.display().to_string());
        *self.process.lock().unwrap() = Some(python(self.script, &arguments));
    }

    /// Awaits that it serves.
    pub(crate) fn serves(&self) {
        wait_for(self.name, || TcpStream::connect(self.address).ok());
    }

    /// SIGKILL; it is gone when this returns.
    pub(crate) fn kill(&self) {
        drop(self.process.lock().unwrap().take().expect("it is alive"));
    }

    /// Has it act upon nothing more: what it has not acted upon now it never will.
    pub(crate) fn hold(&self) {
        self.signal("USR2");
        let holds = || {
            self.process.lock().unwrap().as_ref().is_some_and(|process| process.log.lock().unwrap().contains("holds"))
        };
        wait_for(self.name, || holds().then_some(()));
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.lock().unwrap().as_ref().expect("it is alive").signal(name);
    }

    /// What it has written so far, over all its lives.
    pub(crate) fn ledger(&self) -> HashMap<String, Entry> {
        read(&ledger(&self.folder, self.name))
    }
}

/// A program in the Python that has what `requirements.txt` names.
pub(crate) fn python(script: &str, arguments: &[String]) -> Process {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("target/traffic/bin/python"));
    command.arg(root.join(script)).args(arguments);
    Process::spawn(command, root)
}

/// Where a server writes.
pub(crate) fn ledger(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.ledger"))
}

/// What one server has written, by the ids of requests.
pub(crate) fn read(ledger: &Path) -> HashMap<String, Entry> {
    let mut entries: HashMap<String, Entry> = HashMap::new();
    for line in std::fs::read_to_string(ledger).unwrap_or_default().lines() {
        let (what, id) = line.split_once(' ').expect("a line of a ledger");
        let entry = entries.entry(id.to_owned()).or_default();
        match what {
            "received" => entry.received += 1,
            "acted" => entry.acted += 1,
            other => panic!("a ledger says `{other}`"),
        }
    }
    entries
}

/// What all servers have written.
pub(crate) fn read_all(folder: &Path) -> HashMap<String, Entry> {
    let mut all: HashMap<String, Entry> = HashMap::new();
    for file in std::fs::read_dir(folder).unwrap().flatten() {
        if file.path().extension().is_some_and(|extension| extension == "ledger") {
            for (id, entry) in read(&file.path()) {
                let sum = all.entry(id).or_default();
                sum.received += entry.received;
                sum.acted += entry.acted;
            }
        }
    }
    all
}
