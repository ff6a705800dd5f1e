//! What must hold of every request, when all is over: what its client was told, what the servers have written down, and
//! what the audit and the metrics say of it are one story.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use serde_json::Value;

use super::policy::UPSTREAMS;
use super::servers::{Entry, read_all};
use super::stage::{Stage, Told};
use harness::PATIENCE;

/// All that is known of the requests.
pub(crate) struct Case<'s> {
    pub(crate) stage: &'s Stage,
    pub(crate) ledger: HashMap<String, Entry>,
    /// By the ids of requests.
    pub(crate) audit: HashMap<String, Value>,
    /// Of preflights, which have no ids of their own.
    preflights: Vec<Value>,
}

pub(crate) fn judge(stage: &Stage, calls: &[Value]) {
    let mut told = stage.told.lock().unwrap().clone();
    let case = Case::collect(stage, &told, calls);
    told.extend(case.of_counted());
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for told in &told {
        case.check(told);
        let (class, status) = (told.id.split('-').next().unwrap(), told.status.unwrap_or(0));
        *kinds.entry(format!("{class} {status}{}", if told.whole { "" } else { " cut off" })).or_default() += 1;
    }
    for call in calls {
        case.check_call(call);
        *kinds.entry(format!("call {}", call["code"].as_str().unwrap())).or_default() += 1;
    }
    case.check_struck(&told);
    case.check_nothing_else(&told, calls);
    case.check_metrics();
    println!("{kinds:#?}");
}

/// The audit, once it has a line of each of these.
fn lines_of(stage: &Stage, asked: &BTreeSet<&str>) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lines = stage.gateway.audit(0);
        let seen: BTreeSet<_> = lines.iter().map(id).collect();
        let missing: Vec<_> = asked.difference(&seen).collect();
        if missing.is_empty() {
            return lines;
        }
        assert!(Instant::now() < deadline, "without an audit line: {missing:?}");
    }
}

/// A call that its client has given up may never have been sent.
pub(crate) fn may_be_unsent(call: &Value) -> bool {
    call["code"] == "CANCELLED"
}

fn id(line: &Value) -> &str {
    let path = line["path"].as_str().unwrap();
    if path.starts_with("/test.v1.Test/") { text(line, "request_id") } else { path.rsplit('/').next().unwrap() }
}

pub(crate) fn text<'l>(line: &'l Value, member: &str) -> &'l str {
    line[member].as_str().unwrap_or_default()
}

impl<'s> Case<'s> {
    /// Awaits the audit line of each request. There is one of each.
    fn collect(stage: &'s Stage, told: &[Told], calls: &[Value]) -> Self {
        let counted = stage.counted.lock().unwrap();
        let counted = counted.iter().flat_map(|counted| &counted.ids).map(|id| &**id);
        let sent = calls.iter().filter(|call| !may_be_unsent(call)).map(|call| text(call, "id"));
        let asked: BTreeSet<_> = told.iter().map(|told| &*told.id).chain(counted).chain(sent).collect();
        stage.rests();
        let (mut audit, mut preflights) = (HashMap::new(), Vec::new());
        for line in lines_of(stage, &asked) {
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
                let reason =
                    if line["decision"] == "deny" { line["reason"].as_str() } else { line["upstream_error"].as_str() };
                Told { id: id.clone(), status: Some(status(id)), reason: reason.map(str::to_owned), whole: true }
            }));
        }
        all
    }

    pub(crate) fn entry(&self, id: &str) -> Entry {
        self.ledger.get(id).copied().unwrap_or_default()
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
    fn check_nothing_else(&self, told: &[Told], calls: &[Value]) {
        let known: BTreeSet<_> =
            told.iter().map(|told| &*told.id).chain(calls.iter().map(|call| text(call, "id"))).collect();
        let strangers: Vec<_> =
            self.audit.keys().chain(self.ledger.keys()).filter(|id| !known.contains(&***id)).collect();
        assert!(strangers.is_empty(), "{strangers:?}");
        assert!(self.preflights.iter().all(|line| id(line).contains("-page-") && line["status"] == 204));
        let unsent = calls.iter().filter(|call| may_be_unsent(call)).count();
        assert!(self.audit.len() <= known.len() && self.audit.len() + unsent >= known.len());
    }

    /// What the metrics count is what the audit and the servers have.
    fn check_metrics(&self) {
        let metric = |series: &str| self.stage.gateway.metric(series);
        let mut decisions: BTreeMap<String, usize> = BTreeMap::new();
        for line in self.audit.values().chain(&self.preflights) {
            let [api, decision, reason] = ["api", "decision", "reason"].map(|member| text(line, member));
            let labels = format!("api=\"{api}\",decision=\"{decision}\",reason=\"{reason}\"");
            *decisions.entry(labels).or_default() += 1;
        }
        let metrics = String::from_utf8(self.stage.gateway.admin("/metrics").body).unwrap();
        let counted = metrics.lines().filter_map(|line| {
            let (labels, count) = line.strip_prefix("scopegate_decisions_total{")?.split_once("} ")?;
            Some((labels.to_owned(), count.parse().ok().filter(|count| *count > 0)?))
        });
        assert_eq!(counted.collect::<BTreeMap<_, _>>(), decisions);
        let retries = |upstream: &str, result: &str| {
            metric(&format!("scopegate_upstream_retries_total{{result=\"{result}\",upstream=\"{upstream}\"}}"))
        };
        // No connection to these is used twice, so that whatever came again was sent again.
        let again =
            self.ledger.iter().filter(|(id, _)| id.starts_with("scripted-")).map(|(_, entry)| entry.received - 1);
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
