//! Clients in Python: gRPC's own, and one of `WebSocket`s. Each is one process that does many things at once, and says in
//! lines of JSON what became of them.

use std::path::Path;

use serde_json::Value;

use super::servers::python;
use super::stage::{Stage, Told};
use harness::{Process, wait_for};

/// A client that is at work until it is ended.
pub(crate) struct Client {
    process: Process,
}

impl Client {
    pub(crate) fn of_calls(stage: &Stage) -> Self {
        let tokens = &stage.tokens;
        Self::start("calls.py", &[stage.gateway.address.to_string(), tokens.good.clone(), tokens.poor.clone()])
    }

    pub(crate) fn of_sockets(stage: &Stage) -> Self {
        let tokens = &stage.tokens;
        let tokens = [&tokens.good, &tokens.poor, &tokens.flip].map(Clone::clone);
        Self::start("sockets.py", &[&[stage.gateway.address.to_string()][..], &tokens].concat())
    }

    fn start(script: &str, arguments: &[String]) -> Self {
        Self { process: python(&Path::new("tests/traffic").join(script).display().to_string(), arguments) }
    }

    /// All that it has said so far.
    pub(crate) fn said(&self) -> Vec<Value> {
        let log = self.process.log.lock().unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON:\n{log}"))).collect()
    }

    /// What it says of how that ended, once it has.
    pub(crate) fn end_of(&self, id: &str) -> Value {
        wait_for(id, || self.said().into_iter().find(|line| line["id"] == id && !is_beginning(line)))
    }

    /// What has begun, and not ended, in the order of its beginning.
    pub(crate) fn under_way(&self) -> Vec<Value> {
        let mut open: Vec<Value> = Vec::new();
        for line in self.said() {
            if is_beginning(&line) {
                open.push(line);
            } else {
                open.retain(|other| other["id"] != line["id"]);
            }
        }
        open
    }

    /// Lets it come to its end; all that it has said.
    pub(crate) fn end(mut self) -> Vec<Value> {
        self.process.signal("TERM");
        let code = self.process.ended();
        let said = self.process.log.lock().unwrap().clone();
        assert_eq!(code, Some(0), "{said}");
        self.said()
    }
}

/// Whether it says that something is open from now on.
fn is_beginning(line: &Value) -> bool {
    line.get("opened").or(line.get("begun")).is_some()
}

/// What became of each `WebSocket`.
pub(crate) fn sockets(said: &[Value]) -> Vec<Told> {
    let ended = said.iter().filter(|line| !is_beginning(line));
    ended
        .map(|line| Told {
            id: line["id"].as_str().unwrap().to_owned(),
            status: line["status"].as_u64().and_then(|status| u16::try_from(status).ok()),
            reason: line["reason"].as_str().filter(|reason| !reason.is_empty()).map(str::to_owned),
            whole: line["code"].is_null(),
        })
        .collect()
}
