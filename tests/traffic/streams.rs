//! Event streams, read by curl over HTTP/1.1 and HTTP/2 as they come.

use std::process::Command;

use super::stage::{Stage, Told};
use harness::{Process, wait_for};

/// A stream that is read.
pub(crate) struct Stream {
    pub(crate) id: String,
    pub(crate) server: String,
    process: Process,
}

impl Stream {
    /// Opens one, and awaits its first event.
    pub(crate) fn open(stage: &Stage, number: usize) -> Self {
        let id = format!("stream-curl-{number}");
        let version = if number.is_multiple_of(2) { "--http1.1" } else { "--http2-prior-knowledge" };
        let mut command = Command::new("curl");
        command
            .args(["--disable", "--silent", "--no-buffer", "--noproxy", "*", version])
            .args(["--header", &format!("Authorization: Bearer {}", stage.tokens.good)])
            .args(["--write-out", "%{exitcode} %{http_code} %{http_version}\n"])
            .arg(format!("http://{}/live/scoped/events/{id}", stage.gateway.address));
        let process = Process::spawn(command, &stage.ledgers);
        let first = || process.log.lock().unwrap().split_whitespace().nth(1).map(str::to_owned);
        let server = wait_for("an event", first);
        Self { id, server, process }
    }

    /// Awaits its end; what it was.
    pub(crate) fn end(mut self) -> Told {
        assert!(self.process.ended().is_some());
        let said = wait_for("its last line", || {
            let said = self.process.log.lock().unwrap().clone();
            said.contains(" 200 ").then_some(said)
        });
        let mut lines: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
        let last = lines.pop().unwrap();
        let has_ended = lines.last() == Some(&"data: the end");
        if has_ended {
            lines.pop();
        }
        // Nothing is missing, and nothing came twice.
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(*line, format!("data: {} {number}", self.server), "{}", self.id);
        }
        Told { id: self.id, status: Some(200), reason: None, whole: has_ended && last.starts_with("0 200 ") }
    }
}
