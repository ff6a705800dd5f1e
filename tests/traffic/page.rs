//! A page in Chromium: what it fetches from another origin, its event streams and its `WebSocket`s.

use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{Stage, Told};
use crate::browser::driver::Browser;
use harness::{Upstream, wait_for};

/// Begins everything. It goes on until `ends` is set, and is over when there is nothing `open`.
const SCRIPT: &str = r#"
const [address, good, poor] = arguments;
Object.assign(window, { told: [], ends: false, open: 0, rounds: 0, sockets: {}, streams: {} });
const http = `http://${address}`;
async function ask(method, path, id, token) {
  const headers = { Authorization: `Bearer ${token}` };
  try {
    const answer = await fetch(`${http}${path}/${id}`, { method, headers, body: method === "GET" ? undefined : "a body" });
    const text = await answer.text();
    const problem = answer.headers.get("content-type") === "application/problem+json" ? JSON.parse(text) : null;
    told.push({ id, status: answer.status, reason: problem && problem.reason, whole: answer.status !== 200 || text === id });
  } catch (error) {
    told.push({ id, status: null, reason: null, whole: false });
  }
}
async function fetches() {
  open += 1;
  for (; !ends; rounds += 1) {
    await ask("GET", "/items/acme/things", `saved-page-${rounds}-0`, good);
    await ask("POST", "/items/acme/things", `once-page-${rounds}-1`, good);
    await ask("PUT", "/items/acme/things", `saved-page-${rounds}-2`, good);
    await ask("GET", "/items/acme/things", `refused-scope_insufficient-page-${rounds}-3`, poor);
    await ask("GET", "/items/globex/things", `refused-account_forbidden-page-${rounds}-4`, good);
  }
  open -= 1;
}
function socket(id) {
  open += 1;
  const socket = new WebSocket(`ws://${address}/live/open/socket/${id}`);
  const seen = (sockets[id] = { server: null, echoed: 0, wrong: 0, closed: false });
  socket.onmessage = ({ data }) => {
    if (seen.server === null) seen.server = data;
    else if (data === `${seen.echoed}`) seen.echoed += 1;
    else seen.wrong += 1;
    if (ends) socket.close();
    else setTimeout(() => socket.readyState === 1 && socket.send(`${seen.echoed}`), 50);
  };
  socket.onclose = ({ wasClean }) => {
    seen.closed = true;
    told.push({ id, status: seen.server === null ? null : 101, reason: null, whole: wasClean });
    open -= 1;
  };
}
function stream(id) {
  open += 1;
  const source = new EventSource(`${http}/live/open/events/${id}`);
  const seen = (streams[id] = { server: null, events: 0, wrong: 0, ended: false });
  // A browser would come back by itself.
  const over = (whole) => {
    source.close();
    seen.ended = true;
    told.push({ id, status: seen.server === null ? null : 200, reason: null, whole });
    open -= 1;
  };
  source.onmessage = ({ data }) => {
    if (data === "the end") return over(true);
    const [server, number] = data.split(" ");
    seen.server = server;
    if (number === `${seen.events}`) seen.events += 1;
    else seen.wrong += 1;
  };
  source.onerror = () => over(false);
}
fetches();
for (let number = 0; number < 4; number += 1) {
  socket(`socket-page-${number}`);
  stream(`stream-page-${number}`);
}
"#;

/// A page that is at work.
pub(crate) struct Page {
    browser: Browser,
}

impl Page {
    /// Where it comes from.
    pub(crate) fn server() -> Upstream {
        Upstream::answering(|_| {
            let page = "<!doctype html><title>A page</title>";
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}", page.len()).into()
        })
    }

    pub(crate) fn open(stage: &Stage) -> Self {
        let browser = Browser::open();
        browser.go(&stage.origin);
        let address = stage.gateway.address.to_string();
        browser.run(SCRIPT, &[json!(address), json!(stage.tokens.good), json!(stage.tokens.poor)]);
        let page = Self { browser };
        wait_for("the page's sockets and streams", || {
            let seen = |what: &str| page.live(what).iter().all(|(_, seen)| !seen["server"].is_null());
            (seen("sockets") && seen("streams")).then_some(())
        });
        page
    }

    /// What its `sockets` or `streams` have seen.
    pub(crate) fn live(&self, what: &str) -> Vec<(String, Value)> {
        let seen = self.browser.run(&format!("return window.{what}"), &[]);
        seen.as_object().unwrap().clone().into_iter().collect()
    }

    /// Awaits that it has been through all that it fetches, from the beginning to the end.
    pub(crate) fn pass(&self) {
        let rounds = || self.browser.run("return window.rounds", &[]).as_u64().unwrap();
        let before = rounds();
        wait_for("the page", || {
            std::thread::sleep(Duration::from_millis(20));
            (rounds() >= before + 2).then_some(())
        });
    }

    /// Lets it come to its end: its sockets are closed by itself, its streams by their server.
    pub(crate) fn end(&self) -> Vec<Told> {
        self.browser.run("window.ends = true", &[]);
        wait_for("the page to end", || (self.browser.run("return window.open", &[]) == 0).then_some(()));
        let told = self.browser.run("return window.told", &[]);
        let told = told.as_array().unwrap().iter().map(|told| Told {
            id: told["id"].as_str().unwrap().to_owned(),
            status: told["status"].as_u64().and_then(|status| u16::try_from(status).ok()),
            reason: told["reason"].as_str().map(str::to_owned),
            whole: told["whole"] == true,
        });
        told.collect()
    }
}
