//! What happens meanwhile: servers die and return, each in another way, and the file is reloaded before, between and after.
//! Nothing is awaited but what must come of it.

use std::collections::HashMap;
use std::time::Instant;

use harness::wait_for;
use serde_json::Value;

use super::Live;
use super::policy::flips;
use super::servers::{Entry, Mortal};
use super::stage::Stage;

/// All of it.
pub(crate) fn run(stage: &Stage, live: &Live, began: Instant) {
    let tell = |what: &str| println!("{:>6.1?} {what}", began.elapsed());
    let pass = || {
        stage.pass();
        live.page.pass();
    };
    let survivors = live.sockets_at("steady");
    pass();
    tell("a server is killed with requests under way, which it has and does not answer; a reload before and after");
    stage.items[0].hold();
    holds(|| stage.items[0].ledger());
    stage.reload();
    stage.items[0].kill();
    pass();
    stage.reload();
    returns(&stage.items[0]);
    stage.reload_in_vain();
    tell("a listener is closed, and every connection with it reset");
    stage.door.hold();
    holds(|| stage.door.ledger());
    stage.door.close();
    pass();
    stage.reload();
    let before = stage.door.ledger().len();
    stage.door.open();
    wait_for("requests", || (stage.door.ledger().len() > before).then_some(()));
    tell("a server is killed under load, with its WebSockets and streams");
    let dying = live.sockets_at("items-1");
    assert!(!dying.is_empty());
    stage.items[1].kill();
    wait_for("its sockets to end", || live.sockets_at("items-1").is_empty().then_some(()));
    stage.reload();
    pass();
    returns(&stage.items[1]);
    tell("servers of gRPC are killed, with calls that have begun and calls that have not");
    for kind in ["call-held", "call-endless", "call-held"] {
        let (server, call) = wait_for("a call under way", || {
            let held = |id: &String| id.starts_with(kind) && !live.has_ended(id);
            stage.grpc.iter().find_map(|server| Some((server, server.ledger().into_keys().find(held)?)))
        });
        server.kill();
        assert_eq!(live.calls.end_of(&call)["code"], "UNAVAILABLE");
        stage.reload();
        server.rise();
        server.serves();
    }
    tell("what a socket rests on is taken away");
    if !flips(stage.generation()) {
        stage.reload();
    }
    let socket = wait_for("a socket that may be taken away", || {
        let mut ids = live.sockets.under_way().into_iter().map(|line| line["id"].as_str().unwrap().to_owned());
        ids.rfind(|id| id.starts_with("flip"))
    });
    stage.reload();
    assert_eq!(live.sockets.end_of(&socket)["code"], 1008);
    pass();
    let left = live.sockets_at("steady");
    assert!(!survivors.is_empty() && survivors.iter().all(|id| left.contains(id)), "{survivors:?} {left:?}");
    let pages = live.page.live("sockets").into_iter().chain(live.page.live("streams"));
    let steady: Vec<_> = pages.filter(|(_, seen)| seen["server"] == "steady").collect();
    assert!(!steady.is_empty() && steady.iter().all(|(_, seen)| is_well(seen)), "{steady:?}");
}

/// Whether what a page has open has lost nothing.
fn is_well(seen: &Value) -> bool {
    seen["wrong"] == 0 && seen["closed"] != true && seen["ended"] != true
}

impl Live {
    fn has_ended(&self, call: &str) -> bool {
        self.calls.said().iter().any(|line| line["id"] == call && line.get("code").is_some())
    }
}

/// Awaits that a server that answers nothing any more has requests of either kind.
fn holds(ledger: impl Fn() -> HashMap<String, Entry>) {
    for class in ["saved-", "once-"] {
        wait_for("requests that are held", || {
            let is_held = |(id, entry): (&String, &Entry)| id.starts_with(class) && entry.acted < entry.received;
            ledger().iter().any(is_held).then_some(())
        });
    }
}

/// Brings a server back, and awaits that it gets requests.
fn returns(server: &Mortal) {
    let before = server.ledger().len();
    server.rise();
    wait_for("requests", || (server.ledger().len() > before).then_some(()));
}
