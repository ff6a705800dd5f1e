//! Everything at once: curl, nghttp2, gRPC's client, a client of WebSockets and a browser, over HTTP/1.1 and HTTP/2, while
//! servers die and return and the file is reloaded. What each client was told is held against what each server has
//! written down, against the audit and against the metrics, request by request.
//!
//! `make test-traffic` runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::similar_names,
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "a test that meets what it does not expect fails, and what it counts it prints"
)]

#[path = "../scopegate/agreeing.rs"]
#[allow(dead_code, reason = "the other test binary uses all of it")]
mod agreeing;
#[path = "../scopegate/authority.rs"]
#[allow(dead_code, reason = "the other test binary uses all of it")]
mod authority;
mod curl;
#[path = "../browser/driver.rs"]
#[allow(dead_code, reason = "the other test binary uses all of it")]
mod driver;
mod h2load;
#[path = "../scopegate/harness.rs"]
#[allow(dead_code, unused_imports, clippy::format_push_string, reason = "the other test binary uses all of it")]
mod harness;
mod page;
mod python;
mod scripted;
mod servers;
#[path = "../scopegate/signer.rs"]
#[allow(dead_code, clippy::needless_pass_by_value, reason = "the other test binary uses all of it")]
mod signer;
mod stage;
mod streams;
mod verdict;

use std::collections::HashMap;
use std::thread;
use std::time::Instant;

use curl::Speaks;
use h2load::Asks;
use harness::wait_for;
use page::Page;
use python::Client;
use servers::{Entry, Mortal};
use stage::{Stage, flips};
use streams::Stream;

/// Ends the clients, however the test ends.
struct Ends<'s>(&'s Stage);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[test]
fn no_request_is_lost_that_a_retry_may_save_and_none_is_sent_twice_that_must_not_be() {
    let began = Instant::now();
    let pages = Page::server();
    let stage = Stage::start(&format!("http://localhost:{}", pages.address.port()));
    let files = stage.files();
    println!("{:>6.1?} the gateway and its servers are up, {files} descriptors", began.elapsed());
    let said = thread::scope(|scope| {
        let ends = Ends(&stage);
        for (client, speaks) in
            [("curl", Speaks::Http1), ("curl-tls", Speaks::Http1Tls), ("curl-2", Speaks::Http2Tls)]
        {
            let stage = &stage;
            scope.spawn(move || curl::items(stage, client, speaks));
        }
        for (client, speaks) in
            [("faults", Speaks::Http1), ("faults-2", Speaks::Http2Tls)]
        {
            let stage = &stage;
            scope.spawn(move || curl::scripted(stage, client, speaks));
        }
        for (client, asks) in [("load", Asks::Saved), ("load-once", Asks::Once), ("load-refused", Asks::Refused)] {
            let stage = &stage;
            scope.spawn(move || h2load::load(stage, client, asks));
        }
        wait_for("all clients", || (stage.clients() == 8).then_some(()));
        let live = Live::open(&stage);
        println!("{:>6.1?} all clients are at work", began.elapsed());
        course(&stage, &live, began);
        drop(ends);
        live.end(&stage)
    });
    println!("{:>6.1?} all clients have ended", began.elapsed());
    println!("{:?} {}", stage.rounds(), std::fs::read_to_string("/proc/loadavg").unwrap());
    verdict::judge(&stage, &said);
    stage.rests(files);
    println!("{:>6.1?} all is as it was", began.elapsed());
}

/// What stays open for as long as it may.
struct Live {
    calls: Client,
    sockets: Client,
    page: Page,
    streams: Vec<Stream>,
}

/// What those that tell of themselves have said.
pub(crate) struct Said {
    pub(crate) calls: Vec<serde_json::Value>,
    pub(crate) sockets: Vec<serde_json::Value>,
}

impl Live {
    /// Some of it at each server.
    fn open(stage: &Stage) -> Self {
        let (calls, sockets) = (Client::of_calls(stage), Client::of_sockets(stage));
        let page = Page::open(stage);
        let mut streams: Vec<Stream> = Vec::new();
        let is_at = |streams: &[Stream], server: &str| streams.iter().filter(|stream| stream.server == server).count();
        while is_at(&streams, "steady") < 2 || is_at(&streams, "items-1") < 2 {
            streams.push(Stream::open(stage, streams.len()));
        }
        for server in ["steady", "items-1"] {
            wait_for("sockets at each server", || {
                sockets.under_way().iter().any(|line| line["opened"] == server).then_some(())
            });
        }
        wait_for("calls", || (calls.under_way().len() == 2).then_some(()));
        Self { calls, sockets, page, streams }
    }

    /// The ids of the long sockets at a server.
    fn sockets_at(&self, server: &str) -> Vec<String> {
        let open = self.sockets.under_way().into_iter().filter(|line| line["opened"] == server);
        open.map(|line| line["id"].as_str().unwrap().to_owned()).filter(|id| id.starts_with("socket-long")).collect()
    }

    /// Has all of it come to its own end; what became of it is told.
    fn end(self, stage: &Stage) -> Said {
        let calls = self.calls.end();
        let sockets = self.sockets.end();
        [&stage.steady, &stage.items[1]].map(|server| server.signal("USR1"));
        let mut told = self.page.end();
        told.extend(self.streams.into_iter().map(Stream::end));
        told.extend(python::sockets(&sockets));
        stage.told.lock().unwrap().extend(told);
        Said { calls, sockets }
    }
}

/// What happens meanwhile.
fn course(stage: &Stage, live: &Live, began: Instant) {
    let tell = |what: &str| println!("{:>6.1?} {what}", began.elapsed());
    let pass = || {
        stage.pass();
        live.page.pass();
    };
    let survivors = live.sockets_at("steady");
    pass();
    tell("a server is killed with requests under way, which it has and does not answer; a reload before and after");
    stage.items[0].signal("USR2");
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
        live.calls.end_of(&call);
        stage.reload();
        server.rise();
        server.serves();
    }
    tell("what a socket rests on is taken away");
    if !flips(stage.generation()) {
        stage.reload();
    }
    let socket = wait_for("a socket that may be taken away", || {
        let ids = live.sockets.under_way().into_iter().map(|line| line["id"].as_str().unwrap().to_owned());
        ids.filter(|id| id.starts_with("flip")).last()
    });
    stage.reload();
    assert_eq!(live.sockets.end_of(&socket)["code"], 1008);
    pass();
    let left = live.sockets_at("steady");
    assert!(survivors.iter().all(|id| left.contains(id)), "{survivors:?} {left:?}");
    assert!(!survivors.is_empty());
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
