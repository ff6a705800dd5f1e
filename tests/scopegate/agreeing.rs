//! `explain` agrees with the live gateway: each request that a test sends over plain HTTP/1.1 is explained
//! too, by what the command itself does, and the two answers must be one.
//!
//! Not held to it is what only a running gateway knows: what its issuers say, which proofs it has seen,
//! how many requests are under way, and files that have just changed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use ::harness::watch::{Exchange, Watch};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use scopegate::cli::explained;
use scopegate::config::Configuration;
use scopegate::gateway::Head;
use scopegate::policy::{Reason, UnixTime};
use scopegate::reload::load;
use scopegate::workbench::{CheckStory, Explanation};
use serde_json::Value;

use crate::harness::{Response, now};

/// A file that has changed so lately may not be in use yet.
const SETTLED: Duration = Duration::from_secs(3);

/// The gateways at work, by their addresses: the folders of their files, and since when they are ready.
static GATEWAYS: LazyLock<Mutex<HashMap<SocketAddr, (PathBuf, SystemTime)>>> = LazyLock::new(Mutex::default);
/// How many answers were compared.
pub(crate) static COMPARED: AtomicUsize = AtomicUsize::new(0);

/// Who looks on while this binary's tests talk to gateways.
struct Agreeing;

/// From now on what the gateways answer is compared.
pub(crate) fn watch() {
    ::harness::watch::by(&Agreeing);
}

impl Watch for Agreeing {
    fn ready(&self, address: SocketAddr, folder: &Path) {
        GATEWAYS.lock().unwrap().insert(address, (folder.to_owned(), SystemTime::now()));
    }

    fn gone(&self, address: SocketAddr) {
        GATEWAYS.lock().unwrap().remove(&address);
    }

    /// Of a connection to `address`, if that is a gateway's.
    fn connected(&self, address: SocketAddr) -> Option<Box<dyn Exchange>> {
        let is_known = GATEWAYS.lock().unwrap().contains_key(&address);
        is_known.then(|| Box::new(Sent { address, bytes: Vec::new() }) as Box<dyn Exchange>)
    }
}

/// What is sent on a connection and has had no answer yet.
struct Sent {
    address: SocketAddr,
    bytes: Vec<u8>,
}

impl Exchange for Sent {
    fn sent(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Holds an answer against the explanation of the request that it is for.
    fn answered(&mut self, response: &Response) -> Result<bool, String> {
        let Some(request) = Request::take(&mut self.bytes) else { return Ok(false) };
        let Some((folder, since)) = GATEWAYS.lock().unwrap().get(&self.address).cloned() else { return Ok(false) };
        if let Some(why) = disagreement(&folder, &request, response).filter(|_| !has_changed(&folder, since)) {
            return Err(format!("{} {} of {}: {why}", request.method, request.target, folder.display()));
        }
        Ok(request.is_whole)
    }
}

/// A request as it was sent.
pub(crate) struct Request {
    method: Method,
    pub(crate) target: String,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether its end is known.
    pub(crate) is_whole: bool,
}

impl Request {
    /// The first of those bytes; `None` where they are none that can be explained.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let rest = bytes.split_off(end);
        let head = std::str::from_utf8(bytes).ok()?.to_owned();
        *bytes = rest;
        let mut lines = head.trim_end().split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target) = (Method::from_bytes(first.next()?.as_bytes()).ok()?, first.next()?.to_owned());
        if first.next() != Some("HTTP/1.1") || first.next().is_some() || !target.starts_with('/') {
            return None;
        }
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':')?;
            headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value.trim()).ok()?);
        }
        let length = headers.get("content-length").map_or(Some(0), |length| length.to_str().ok()?.parse().ok())?;
        let is_whole = !headers.contains_key("transfer-encoding") && bytes.len() >= length;
        let body = if is_whole { bytes.drain(..length).collect() } else { Vec::new() };
        Some(Self { method, target, headers, body, is_whole })
    }
}

/// How the answer is not the explanation's.
pub(crate) fn disagreement(folder: &Path, request: &Request, response: &Response) -> Option<String> {
    let configuration = configuration(&folder.join("gateway.yaml"))?;
    let head = Head {
        method: &request.method,
        target: &request.target,
        headers: &request.headers,
        peer: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        certificate: None,
        form: &request.body,
    };
    let told = explained(&configuration, &head, None, UnixTime(now())).unwrap();
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let is_half = !request.is_whole && !configuration.settings.token_endpoints.is_empty();
    if is_half || is_for_the_running_one_alone(&told, &body, request) || is_no_decision(response) {
        return None;
    }
    COMPARED.fetch_add(1, Ordering::Relaxed);
    let Some(answer) = &told.answer else {
        let refused = Reason::ALL.iter().find(|reason| {
            is_ours(response)
                && body["reason"] == reason.as_str()
                && body["type"] == format!("urn:scopegate:{}", reason.as_str())
        });
        return refused.map(|reason| format!("refused as {reason}, and explained as {}: {}", told.reason, told.why));
    };
    let answered = comparable(response.headers.clone(), body);
    let explained = comparable(answer.headers.clone(), answer.body.clone());
    let same = answer.status == response.status && (answered == explained || request.method == Method::HEAD);
    (!same).then(|| format!("explained as {} {}: {}\n{explained:?}", answer.status, told.reason, told.why))
}

/// An answer without what is each request's own or the transport's.
pub(crate) fn comparable(
    headers: impl IntoIterator<Item = (String, String)>,
    mut body: Value,
) -> (Vec<(String, String)>, Value) {
    let own = ["x-request-id", "content-length", "date", "connection", "server"];
    let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut headers: Vec<_> = headers.filter(|(name, _)| !own.contains(&&**name)).collect();
    headers.sort();
    if let Some(id) = body.get_mut("request_id") {
        id.take();
    }
    (headers, body)
}

/// What no explanation can know.
fn is_for_the_running_one_alone(told: &Explanation, answered: &Value, request: &Request) -> bool {
    let was = |check: &CheckStory, name: &str, outcome: &str| check.check == name && check.outcome == outcome;
    // Somebody must be asked, or has been: of a list that cannot be read the gateway keeps what it had.
    let asks_others = told.token.checks.iter().any(|check| {
        check.check == "introspection"
            || was(check, "keys at hand", "failed")
            || was(check, "not revoked", "failed") && told.reason == "issuer_unavailable"
    });
    let live = ["overloaded", "rate_limited", "body_too_large"];
    let is_load = answered["reason"].as_str().is_some_and(|reason| live.contains(&reason));
    let revokes = told.allowed && told.answer.is_none() && told.forwarded.is_none();
    // A proof may have been seen before, and a nonce is the gateway's own.
    let is_proof = request.headers.contains_key("dpop")
        && (told.allowed || answered["detail"] == "the proof needs the nonce that the answer carries");
    asks_others || is_load || revokes || is_proof
}

/// What was answered before there was a decision, or when the client took too long.
fn is_no_decision(response: &Response) -> bool {
    response.status == 408 || response.header("server") == Some("Pingora")
}

fn is_ours(response: &Response) -> bool {
    response.header("content-type") == Some("application/problem+json")
}

/// What the file says; `None` while it is no good, when the gateway goes on with what it had.
fn configuration(file: &Path) -> Option<Arc<Configuration>> {
    thread_local! {
        static LAST: RefCell<Option<(String, PathBuf, Arc<Configuration>)>> = const { RefCell::new(None) };
    }
    let text = std::fs::read_to_string(file).ok()?;
    LAST.with_borrow_mut(|last| {
        if let Some((known, of, configuration)) = last
            && *known == text
            && of == file
        {
            return Some(Arc::clone(configuration));
        }
        let configuration = Arc::new(load(file).ok()?);
        *last = Some((text, file.to_owned(), Arc::clone(&configuration)));
        Some(configuration)
    })
}

/// Whether a file of the gateway's was written or put in its place since it is ready, and just now.
fn has_changed(folder: &Path, since: SystemTime) -> bool {
    let settled = SystemTime::now() - SETTLED;
    let Ok(files) = std::fs::read_dir(folder) else { return true };
    let mut changed = files.flatten().filter(|file| file.file_name() != "audit.jsonl").filter_map(|file| {
        let changed = u64::try_from(file.metadata().ok()?.ctime()).ok()?;
        // A second that has begun may be the one that it changed in.
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(changed + 1);
        Some(changed > since && changed > settled)
    });
    changed.any(|changed| changed)
}
