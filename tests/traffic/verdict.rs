//! What must hold of every request, when all is over: what its client was told, what the servers have written down, and
//! what the audit and the metrics say of it are one story.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use serde_json::Value;

use crate::Said;
use crate::harness::{PATIENCE, wait_for};
use crate::servers::{Entry, read_all};
use crate::stage::{ATTEMPTS, Stage, Told, UPSTREAMS, flips};

/// All that is known of the requests.
struct Case<'s> {
    stage: &'s Stage,
    ledger: HashMap<String, Entry>,
    /// By the ids of requests.
    audit: HashMap<String, Value>,
    /// Of preflights, which have no ids of their own.
    preflights: Vec<Value>,
}

pub(crate) fn judge(stage: &Stage, said: &Said) {
    let mut told = stage.told.lock().unwrap().clone();
    let case = Case::collect(stage, &told, said);
    told.extend(case.of_counted());
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for told in &told {
        case.check(told);
        let (class, status) = (told.id.split('-').next().unwrap(), told.status.unwrap_or(0));
        *kinds.entry(format!("{class} {status}{}", if told.whole { "" } else { " cut off" })).or_default() += 1;
    }
    for call in ended(said) {
        case.check_call(call);
        *kinds.entry(format!("call {}", call["code"].as_str().unwrap())).or_default() += 1;
    }
    case.check_struck(&told);
    case.check_nothing_else(&told, said);
    case.check_metrics();
    println!("{kinds:#?}");
}

/// The calls that have ended.
fn ended(said: &Said) -> impl Iterator<Item = &Value> {
    said.calls.iter().filter(|line| line.get("code").is_some())
}

/// A call that its client has given up may never have been sent.
fn may_be_unsent(call: &Value) -> bool {
    call["code"] == "CANCELLED"
}

fn id(line: &Value) -> &str {
    let path = line["path"].as_str().unwrap();
    if path.starts_with("/test.v1.Test/") { text(line, "request_id") } else { path.rsplit('/').next().unwrap() }
}

fn text<'l>(line: &'l Value, member: &str) -> &'l str {
    line[member].as_str().unwrap_or_default()
}

impl<'s> Case<'s> {
    /// Awaits the audit line of each request. There is one of each.
    fn collect(stage: &'s Stage, told: &[Told], said: &Said) -> Self {
        let counted = stage.counted.lock().unwrap();
        let calls = ended(said).filter(|call| !may_be_unsent(call)).map(|call| text(call, "id"));
        let counted = counted.iter().flat_map(|counted| &counted.ids).map(|id| &**id);
        let asked: BTreeSet<_> = told.iter().map(|told| &*told.id).chain(counted).chain(calls).collect();
        let mut missing = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let lines = stage.gateway.audit(0);
            let seen: BTreeSet<_> = lines.iter().map(id).collect();
            missing = asked.difference(&seen).map(|id| (*id).to_owned()).collect();
            if missing.is_empty() { break; }
        }
        assert!(missing.is_empty(), "without an audit line: {missing:?}");
        let gauge = |name: &str| {
            let series = format!("scopegate_upstream_requests{{upstream=\"{name}\"}}");
            stage.gateway.metric(&series)
        };
        wait_for("all requests to end", || {
            UPSTREAMS.iter().all(|name| gauge(name) == Some(0.0)).then_some(())
        });
        let (mut audit, mut preflights) = (HashMap::new(), Vec::new());
        for line in stage.gateway.audit(0) {
            if line["reason"] == "preflight" {
                preflights.push(line);
            } else if let Some(other) = audit.insert(id(&line).to_owned(), line) {
                panic!("two audit lines: {other} {}", audit[id(&other)]);
            }
        }
        Self { stage, ledger: read_all(&stage.ledgers), audit, preflights }
    }

    /// What was told of many requests at once, each as the audit has it.
    fn of_counted(&self) -> Vec<Told> {
        let mut all = Vec::new();
        for counted in &*self.stage.counted.lock().unwrap() {
            let status = |id: &String| u16::try_from(self.audit[id]["status"].as_u64().unwrap()).unwrap();
            let mut audited: Vec<_> = counted.ids.iter().map(status).collect();
            let mut statuses = counted.statuses.clone();
            audited.sort_unstable();
            statuses.sort_unstable();
            assert_eq!(audited, statuses, "{:?}", counted.ids.first());
            all.extend(counted.ids.iter().map(|id| {
                let line = &self.audit[id];
                let reason = if line["decision"] == "deny" { line["reason"].as_str() } else { line["upstream_error"].as_str() };
                Told { id: id.clone(), status: Some(status(id)), reason: reason.map(str::to_owned), whole: true }
            }));
        }
        all
    }

    fn entry(&self, id: &str) -> Entry {
        self.ledger.get(id).copied().unwrap_or_default()
    }

    fn check(&self, told: &Told) {
        let (entry, line) = (self.entry(&told.id), &self.audit[&told.id]);
        let all = || format!("{told:?} {entry:?} {line}");
        let is_allowed = line["decision"] == "allow";
        assert!(told.status.is_none_or(|status| line["status"] == status), "{}", all());
        assert!(is_allowed || entry == Entry::default(), "forwarded without a permit: {}", all());
        let words: Vec<_> = told.id.split('-').collect();
        let good = match words[..] {
            ["saved", ..] => is_allowed && told.status == Some(200) && told.whole && entry.acted >= 1,
            ["once", ..] => is_allowed && is_once(told, entry, line),
            ["refused", reason, ..] => !is_allowed && is_refused(told, line, reason),
            ["flip", "socket", ..] if told.status == Some(101) => {
                let is_taken_away = told.reason.as_deref() == Some("scope_insufficient") && line["ended"] == "scope_insufficient";
                is_allowed && (told.whole || is_taken_away)
            }
            ["flip", ..] if flips(line["generation"].as_u64().unwrap()) => {
                is_allowed && told.status == Some(200) && told.whole
            }
            ["flip", ..] => is_refused(told, line, "scope_insufficient"),
            ["scripted", fault, method, ..] => is_allowed && is_as_scripted(told, entry, fault, method),
            ["socket" | "stream", ..] => is_allowed && self.is_live(told, entry),
            _ => false,
        };
        assert!(good, "{}", all());
    }

    /// It came to one server, once, and stayed for as long as that one lived.
    fn is_live(&self, told: &Told, entry: Entry) -> bool {
        let is_at = |server: &crate::servers::Mortal| server.ledger().contains_key(&told.id);
        let has_died = !is_at(&self.stage.steady) && is_at(&self.stage.items[1]);
        entry.received == 1 && told.status.is_some() && (told.whole || has_died)
    }

    fn check_call(&self, call: &Value) {
        let id = text(call, "id");
        let entry = self.entry(id);
        let line = self.audit.get(id);
        assert!(line.is_some() || may_be_unsent(call), "{call}");
        let refusal = |code: &str, reason: &str| {
            call["code"] == code && text(call, "details").starts_with(&format!("{reason}: ")) && entry == Entry::default()
        };
        let words: Vec<_> = id.split('-').collect();
        let good = match words[..] {
            ["refused", "scope_insufficient", ..] => refusal("PERMISSION_DENIED", "scope_insufficient"),
            ["refused", "token_missing", ..] => refusal("UNAUTHENTICATED", "token_missing"),
            _ if call["code"] == "OK" => entry.received == 1 && call["whole"] == true,
            // Its server has died, or it was given up.
            _ => entry.received <= 1 && call["whole"] == false,
        };
        assert!(good, "{call} {entry:?} {line:?}");
    }

    /// Servers were struck with requests of either kind, of which the ones were saved and the others not.
    fn check_struck(&self, told: &[Told]) {
        let told: HashMap<_, _> = told.iter().map(|told| (told.id.as_str(), told)).collect();
        for ledger in [self.stage.items[0].ledger(), self.stage.door.ledger()] {
            let lost = |class: &str| {
                let lost = ledger.iter().filter(|(id, entry)| id.starts_with(class) && entry.acted < entry.received);
                lost.map(|(id, _)| id.as_str()).collect::<Vec<_>>()
            };
            let (saved, once) = (lost("saved-"), lost("once-"));
            assert!(!saved.is_empty() && !once.is_empty(), "{saved:?} {once:?}");
            for id in once {
                let told = told[id];
                assert!(told.status == Some(502) && self.entry(id) == Entry { received: 1, acted: 0 }, "{told:?}");
            }
            assert!(saved.iter().all(|id| self.entry(id).received > 1), "{saved:?}");
        }
    }

    /// Nobody but the clients has asked for anything.
    fn check_nothing_else(&self, told: &[Told], said: &Said) {
        let known: BTreeSet<_> = told.iter().map(|told| &*told.id).chain(ended(said).map(|call| text(call, "id"))).collect();
        let strangers: Vec<_> = self.audit.keys().chain(self.ledger.keys()).filter(|id| !known.contains(&***id)).collect();
        assert!(strangers.is_empty(), "{strangers:?}");
        assert!(self.preflights.iter().all(|line| id(line).contains("-page-") && line["status"] == 204));
        let unsent = ended(said).filter(|call| may_be_unsent(call)).count();
        assert!(self.audit.len() <= known.len() && self.audit.len() + unsent >= known.len());
    }

    /// What the metrics count is what the audit and the servers have.
    fn check_metrics(&self) {
        let metric = |series: &str| self.stage.gateway.metric(series);
        let mut decisions: BTreeMap<String, f64> = BTreeMap::new();
        for line in self.audit.values().chain(&self.preflights) {
            let [api, decision, reason] = ["api", "decision", "reason"].map(|member| text(line, member));
            let series = format!("scopegate_decisions_total{{api=\"{api}\",decision=\"{decision}\",reason=\"{reason}\"}}");
            *decisions.entry(series).or_default() += 1.0;
        }
        for (series, count) in &decisions {
            assert_eq!(metric(series), Some(*count), "{series}");
        }
        let text = String::from_utf8(self.stage.gateway.admin("/metrics").body).unwrap();
        let counted = text.lines().filter(|line| line.starts_with("scopegate_decisions_total{"));
        let sum: f64 = counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        assert_eq!(sum, decisions.values().sum::<f64>());
        let retries = |upstream: &str, result: &str| {
            metric(&format!("scopegate_upstream_retries_total{{result=\"{result}\",upstream=\"{upstream}\"}}"))
        };
        // No connection to these is used twice, so that whatever came again was sent again.
        let again = self.ledger.iter().filter(|(id, _)| id.starts_with("scripted-")).map(|(_, entry)| entry.received - 1);
        assert_eq!(retries("scripted", "retried"), Some(again.sum::<usize>() as f64));
        for upstream in UPSTREAMS {
            assert_eq!(retries(upstream, "over_budget"), Some(0.0), "{upstream}");
        }
        for upstream in ["late", "grpc"] {
            assert_eq!(retries(upstream, "retried"), Some(0.0), "{upstream}");
        }
        for series in ["scopegate_audit_dropped_total", "scopegate_panics_total"] {
            assert_eq!(metric(series), Some(0.0), "{series}");
        }
    }
}

/// It was done once, or broken off; then it may have come once.
fn is_once(told: &Told, entry: Entry, line: &Value) -> bool {
    match told.status {
        Some(200) => told.whole && entry == Entry { received: 1, acted: 1 },
        Some(502) => {
            told.reason.as_deref() == Some("upstream_failed") && line["upstream_error"] == "upstream_failed" && entry.received <= 1
        }
        _ => false,
    }
}

fn is_refused(told: &Told, line: &Value, reason: &str) -> bool {
    let status = match reason {
        "path_ambiguous" => 400,
        "token_missing" | "token_expired" | "signature_invalid" => 401,
        "scope_insufficient" | "account_forbidden" => 403,
        "route_unknown" => 404,
        "method_not_allowed" => 405,
        _ => return false,
    };
    told.status == Some(status) && told.reason.as_deref() == Some(reason) && line["decision"] == "deny" && line["reason"] == reason
}

/// Whether a server's fault has come to what it must, and the request to the servers as often as it may.
fn is_as_scripted(told: &Told, entry: Entry, fault: &str, method: &str) -> bool {
    let may_be_twice = matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE");
    let (status, whole, reason, received) = match (fault, may_be_twice) {
        ("plain", _) => (200, true, None, 1),
        ("once", true) => (200, true, None, 2),
        ("never" | "head", true) => (502, true, Some("upstream_failed"), 1 + ATTEMPTS),
        ("once" | "never" | "head", false) => (502, true, Some("upstream_failed"), 1),
        ("half", _) => (200, false, None, 1),
        ("late", _) => (504, true, Some("upstream_timeout"), 1),
        ("busy", _) => (503, true, None, 1),
        _ => return false,
    };
    // The answer to a `HEAD` has no body that could say why.
    let reason = reason.filter(|_| method != "HEAD");
    // Over HTTP/2 the reset of a stream may overtake the head.
    let status = if fault == "half" && told.status.is_none() { None } else { Some(status) };
    let answer = (told.status, told.whole, told.reason.as_deref(), entry.received);
    answer == (status, whole, reason, received) && entry.acted == usize::from(status == Some(200) && whole)
}
