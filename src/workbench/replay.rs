//! Recorded requests judged again by another policy.
//!
//! What a line of the audit log does not hold is not guessed: a request whose decision could depend on
//! it is counted as not judged again, with the reason. Files are read by `cli`.

use std::borrow::Cow;

use hashbrown::HashMap;

use super::recorded::Recorded;
use crate::policy::{Basis, Denial, Identity, MethodSet, Policy, Reason, Request, Route, Target, TokenFault};
use crate::record::AuditLine;

pub use super::recorded::Unjudged;

/// More groups than this are counted together.
const MOST_GROUPS: usize = 2_000;

/// What becomes of many recorded requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many there were.
    pub lines: u64,
    /// How many are answered as they were.
    pub same: u64,
    /// What changes, by client, scope and service.
    pub groups: HashMap<Group, Count>,
    /// How many change beyond the groups that are kept apart.
    pub beyond: u64,
    /// Those that could not be judged again, by the reason.
    pub unjudged: HashMap<Unjudged, Count>,
}

/// Requests whose answer changes in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// What becomes of them.
    pub change: Change,
    /// The client, if the token named one.
    pub client: Option<String>,
    /// The scope by which they are or were let through.
    pub scope: Option<String>,
    /// The service by which they are or were let through.
    pub service: Option<String>,
}

/// How an answer changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// It was refused and would be let through.
    Allowed,
    /// It was let through and would be refused, for this reason.
    Denied(Reason),
    /// It was refused and would be for another reason, this one.
    Otherwise(Reason),
}

/// How many, and one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub count: u64,
    /// The first one met.
    pub example: Sighting,
}

/// A recorded request, to be looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// The line's number in the file, counted from 1.
    pub line: u64,
    /// When it was decided.
    pub time: Option<String>,
    /// Its id.
    pub request_id: String,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Why it was let through or refused.
    pub reason: String,
}

/// A recorded request as another policy answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judged {
    Allowed { scope: Option<String>, service: Option<String> },
    Denied(Reason),
}

impl Tally {
    /// Judges a line again and counts what becomes of it.
    pub fn add(&mut self, policy: &Policy, line: &AuditLine<'_>, number: u64) {
        self.lines += 1;
        match judge(policy, line) {
            Err(unjudged) => {
                let count = self.unjudged.entry(unjudged);
                count.and_modify(|count| count.count += 1).or_insert_with(|| Count::first(line, number));
            }
            Ok(judged) => match change(line, &judged) {
                None => self.same += 1,
                Some(change) => self.count(group(change, line, judged), line, number),
            },
        }
    }

    fn count(&mut self, group: Group, line: &AuditLine<'_>, number: u64) {
        if let Some(count) = self.groups.get_mut(&group) {
            count.count += 1;
        } else if self.groups.len() < MOST_GROUPS {
            self.groups.insert(group, Count::first(line, number));
        } else {
            self.beyond += 1;
        }
    }

    /// With what another tally has counted.
    pub fn merge(&mut self, other: Self) {
        self.lines += other.lines;
        self.same += other.same;
        self.beyond += other.beyond;
        for (unjudged, count) in other.unjudged {
            merge(self.unjudged.entry(unjudged), count);
        }
        for (group, count) in other.groups {
            if self.groups.len() < MOST_GROUPS || self.groups.contains_key(&group) {
                merge(self.groups.entry(group), count);
            } else {
                self.beyond += count.count;
            }
        }
    }

    /// How many requests would be answered in this way and were not.
    #[must_use]
    pub fn changed(&self, is: impl Fn(Change) -> bool) -> u64 {
        self.groups.iter().filter(|(group, _)| is(group.change)).map(|(_, count)| count.count).sum()
    }
}

fn merge<K: std::hash::Hash + Eq>(
    entry: hashbrown::hash_map::Entry<'_, K, Count, hashbrown::DefaultHashBuilder>,
    more: Count,
) {
    entry
        .and_modify(|count| {
            count.count += more.count;
            if more.example < count.example {
                count.example = more.example.clone();
            }
        })
        .or_insert(more);
}

impl Count {
    fn first(line: &AuditLine<'_>, number: u64) -> Self {
        let example = Sighting {
            line: number,
            time: line.time.as_deref().map(str::to_owned),
            request_id: line.request_id.to_string(),
            method: line.method.to_string(),
            path: line.path.to_string(),
            reason: line.reason.to_string(),
        };
        Self { count: 1, example }
    }
}

fn change(line: &AuditLine<'_>, judged: &Judged) -> Option<Change> {
    match (line.is_allowed(), judged) {
        (true, Judged::Allowed { .. }) => None,
        (false, Judged::Allowed { .. }) => Some(Change::Allowed),
        (true, Judged::Denied(reason)) => Some(Change::Denied(*reason)),
        (false, Judged::Denied(reason)) if reason.as_str() == line.reason => None,
        (false, Judged::Denied(reason)) => Some(Change::Otherwise(*reason)),
    }
}

fn group(change: Change, line: &AuditLine<'_>, judged: Judged) -> Group {
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
    let (scope, service) = match judged {
        Judged::Allowed { scope, service } => (scope, service),
        Judged::Denied(_) => (text(&line.granted_by), text(&line.service)),
    };
    Group { change, client: text(&line.client), scope, service }
}

/// What the policy answers, with what the line holds.
fn judge(policy: &Policy, line: &AuditLine<'_>) -> Result<Judged, Unjudged> {
    if matches!(&*line.reason, "path_ambiguous" | "header_ambiguous") {
        return Err(Unjudged::Ambiguous);
    }
    if matches!(&*line.reason, "form_rejected" | "origin_rejected" | "question_rejected")
        || line.is_allowed() && line.service.is_none() && line.reported.is_none()
    {
        return Err(Unjudged::NotForApi);
    }
    let recorded = Recorded::of(policy, line)?;
    let target = Target::parse(recorded.target.as_bytes()).map_err(|_| Unjudged::Unreadable)?;
    let method = MethodSet::of_request(&line.method);
    let request = Request { method, target: &target, host: recorded.host, headers: &recorded.headers };
    let route = policy.find(request).map_err(|_| Unjudged::Unreadable)?;
    if let Some(caller) = recorded.caller {
        let standing = policy.standing(&caller);
        let identity = Identity::Known { standing: &standing, certificate: recorded.certificate.as_ref() };
        return Ok(answer(policy, &route, identity));
    }
    let verdict = line.verdict();
    if verdict == "token_missing" || verdict == "public" {
        // Whether there was a token behind a public service, nobody has looked.
        return match (answer(policy, &route, Identity::Absent), verdict) {
            (Judged::Denied(Reason::TokenMissing), "public") => Ok(Judged::Denied(Reason::TokenMissing)),
            (judged, _) => Ok(judged),
        };
    }
    // What is wrong with a token, the policy does not change; but for this, each fault is as good.
    let fault = if verdict == "token_revoked" { TokenFault::Revoked } else { TokenFault::SignatureInvalid };
    match (answer(policy, &route, Identity::Refused(Denial::Token(fault))), &line.reported) {
        (allowed @ Judged::Allowed { .. }, _) => Ok(allowed),
        (Judged::Denied(_), None) => Err(Unjudged::Token),
        (Judged::Denied(_), Some(reported)) => {
            let reason = Reason::ALL.iter().find(|reason| reason.as_str() == *reported);
            reason.copied().map(Judged::Denied).ok_or(Unjudged::Unreadable)
        }
    }
}

fn answer(policy: &Policy, route: &Route<'_, '_>, identity: Identity<'_>) -> Judged {
    match policy.decide(route, identity) {
        Err(denial) => Judged::Denied(denial.reason()),
        Ok(permit) => {
            let scope = match permit.basis() {
                Basis::Scope(id) => policy.scope(id).map(|scope| scope.name.to_string()),
                Basis::Public | Basis::TokenEndpoint(_) | Basis::Reported => None,
            };
            let service = permit.service().and_then(|id| policy.service(id)).map(ToString::to_string);
            Judged::Allowed { scope, service }
        }
    }
}
