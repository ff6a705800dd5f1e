//! Everything at once: curl, nghttp2, gRPC's client, a client of `WebSocket`s and a browser, over HTTP/1.1 and HTTP/2, while
//! servers die and return and the file is reloaded. What each client was told is held against what each server has
//! written down, against the audit and against the metrics, request by request.
//!
//! `make test-traffic` runs it.

mod course;
mod curl;
mod h2load;
mod page;
mod policy;
mod python;
mod rules;
mod scripted;
mod servers;
mod stage;
mod streams;
mod verdict;

use std::thread;
use std::time::Instant;

use curl::Speaks;
use h2load::Asks;
use harness::wait_for;
use page::Page;
use python::Client;
use serde_json::Value;
use stage::Stage;
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
    let calls = thread::scope(|scope| {
        let ends = Ends(&stage);
        for (client, speaks) in [("curl", Speaks::Http1), ("curl-tls", Speaks::Http1Tls), ("curl-2", Speaks::Http2Tls)]
        {
            let stage = &stage;
            scope.spawn(move || curl::items(stage, client, speaks));
        }
        for (client, speaks) in [("faults", Speaks::Http1), ("faults-2", Speaks::Http2Tls)] {
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
        course::run(&stage, &live, began);
        drop(ends);
        live.end(&stage)
    });
    println!("{:>6.1?} all clients have ended", began.elapsed());
    verdict::judge(&stage, &calls);
    wait_for("descriptors to be given back", || (stage.files() <= files).then_some(()));
    println!("{:>6.1?} all is as it was", began.elapsed());
}

/// What stays open for as long as it may.
struct Live {
    calls: Client,
    sockets: Client,
    page: Page,
    streams: Vec<Stream>,
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

    /// Has all of it come to its own end, of which it tells; what has become of the calls.
    fn end(self, stage: &Stage) -> Vec<Value> {
        let calls = self.calls.end();
        let sockets = self.sockets.end();
        for server in [&stage.steady, &stage.items[1]] {
            server.signal("USR1");
        }
        let mut told = self.page.end();
        told.extend(self.streams.into_iter().map(Stream::end));
        told.extend(python::sockets(&sockets));
        stage.told.lock().unwrap().extend(told);
        calls.into_iter().filter(|line| line.get("code").is_some()).collect()
    }
}
