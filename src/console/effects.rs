//! What a form would do: which known endpoints its patterns take in, by the policy's own pattern code,
//! and what a change by it would come to.
//!
//! Known are the endpoints that the api's services name, and those where a request was refused lately.

use std::collections::BTreeSet;

use super::scope_form::{Patterns, ScopeForm};
use super::service::ShownService;
use crate::gateway::Generation;
use crate::policy::{ApiId, MethodSet, Service};
use crate::record::Metrics;
use crate::registry::{Changed, FieldError, Refused};

/// How many endpoints are shown.
const SHOWN: usize = 60;

/// What a form would do.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// The endpoints that something of the form takes in or leaves out.
    pub(super) taken: Vec<Taken>,
    /// How many more of them there are.
    pub(super) untold: usize,
    counts: [usize; 3],
    /// How many endpoints are known.
    pub(super) known: usize,
    pub(super) has_patterns: bool,
    /// Why it cannot be saved as it stands.
    pub(super) missing: Vec<String>,
    pub(super) advice: Vec<String>,
    /// Clients that would be shut out.
    pub(super) lacked_by: Vec<super::shown::Client>,
    /// What becomes of the file.
    pub(super) lines: Vec<Line>,
}

/// An endpoint, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) service: ShownService,
    pub(super) how: How,
}

/// How much of an endpoint is taken in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    Whole,
    Part,
    Excepted,
    /// By a privilege of this name alone.
    Privilege(String),
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
}

impl How {
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Part => "part",
            Self::Excepted => "excepted",
            Self::Privilege(_) => "privilege",
        }
    }

    pub(super) fn words(&self) -> &str {
        match self {
            Self::Whole => "takes in",
            Self::Part => "in part",
            Self::Excepted => "excepted",
            Self::Privilege(name) => name,
        }
    }
}

impl Line {
    pub(super) fn kind(&self) -> &'static str {
        match self.text.bytes().next() {
            Some(b'+') => "more",
            Some(b'-') => "less",
            Some(b'@') => "place",
            Some(_) | None => "same",
        }
    }
}

impl Effects {
    /// What the patterns of a form for a scope of this api take in.
    pub(super) fn of(form: &ScopeForm, generation: &Generation, api: ApiId, metrics: &Metrics) -> Self {
        let patterns = form.patterns();
        let known = known(generation, api, metrics);
        let mut effects = Self { known: known.len(), ..Self::default() };
        effects.has_patterns =
            !patterns.services.is_empty() || patterns.privileges.iter().any(|(_, own)| !own.is_empty());
        for endpoint in &known {
            let Some(how) = patterns.taking(endpoint) else { continue };
            match how {
                How::Whole | How::Privilege(_) => effects.counts[0] += 1,
                How::Part => effects.counts[1] += 1,
                How::Excepted => effects.counts[2] += 1,
            }
            if effects.taken.len() < SHOWN {
                effects.taken.push(Taken { service: endpoint.as_str().to_owned().into(), how });
            } else {
                effects.untold += 1;
            }
        }
        effects
    }

    /// With what a rehearsal of the change said.
    pub(super) fn with(
        mut self,
        rehearsed: &Result<Changed, Refused>,
        faults: &[FieldError],
        form: &ScopeForm,
    ) -> Self {
        let told = |error: &FieldError| {
            let wrong = form.place(error);
            if wrong.label.is_empty() { wrong.message } else { format!("{}: {}", wrong.label, wrong.message) }
        };
        self.missing = faults.iter().map(told).collect();
        match rehearsed {
            Ok(changed) => {
                self.advice.clone_from(&changed.advice);
                let is_told_apart = !changed.lacked_by.is_empty();
                if is_told_apart {
                    // The last advice is who lacks it, which is shown by itself.
                    self.advice.pop();
                }
                self.lacked_by = changed.lacked_by.iter().map(|id| super::shown::Client(id.clone())).collect();
                self.lines = lines(&changed.diff);
            }
            Err(Refused::Fields(_)) => {}
            Err(refused) => self.missing.push(refused.to_string()),
        }
        self
    }

    /// In one sentence.
    pub(super) fn summary(&self) -> String {
        let [whole, part, excepted] = self.counts;
        let text = format!("Takes in {} of {} known endpoints", whole + part, self.known);
        let in_part = if part > 0 { format!(", {part} of them in part") } else { String::new() };
        let excepted = if excepted > 0 { format!("; {excepted} excepted") } else { String::new() };
        text + &in_part + &excepted + "."
    }
}

impl Patterns<'_> {
    fn taking(&self, endpoint: &Service) -> Option<How> {
        let by_scope = how(&self.services, endpoint);
        let left = how(&self.except, endpoint);
        match (by_scope, left) {
            (Some(_), Some(How::Whole)) => Some(How::Excepted),
            (Some(_), Some(_)) => Some(How::Part),
            (Some(how), None) => Some(how),
            (None, _) => {
                let mut privileges = self.privileges.iter().filter(|(_, own)| how(own, endpoint).is_some());
                privileges.next().map(|(name, _)| How::Privilege((*name).to_owned()))
            }
        }
    }
}

/// How much of an endpoint some services take in, all together.
fn how(services: &[Service], endpoint: &Service) -> Option<How> {
    let meeting = services
        .iter()
        .filter(|own| !own.methods().and(endpoint.methods()).is_empty() && own.pattern().meets(endpoint.pattern()));
    let (mut taken, mut meets) = (MethodSet::NONE, false);
    for own in meeting {
        meets = true;
        if own.pattern().covers(endpoint.pattern()) {
            taken = taken.or(own.methods());
        }
    }
    let is_whole = endpoint.methods().without(taken).is_empty();
    meets.then_some(if is_whole { How::Whole } else { How::Part })
}

/// The endpoints of an api: those of its services, in the order of the file, then those of refusals.
fn known(generation: &Generation, api: ApiId, metrics: &Metrics) -> Vec<Service> {
    let policy = &generation.policy;
    let Some(own) = policy.api(api) else { return Vec::new() };
    let listed = policy.listings().into_iter().filter(|listing| listing.api == api);
    let mut known: Vec<_> = listed.map(|listing| listing.service.clone()).collect();
    for denied in metrics.denials() {
        // A path that reads as a pattern would be taken for one.
        let is_plain = !denied.path.contains(['*', '{', '}']) && MethodSet::known(&denied.method).is_some();
        let service = is_plain.then(|| Service::parse(&format!("{} {}", denied.method, denied.path)).ok()).flatten();
        known.extend(service.filter(|service| service.pattern().is_under(&own.base_path)));
    }
    let mut seen = BTreeSet::new();
    known.retain(|service| seen.insert((service.methods(), service.pattern().clone())));
    known
}

/// The lines of a difference, without the names of its files.
pub(super) fn lines(diff: &str) -> Vec<Line> {
    let lines = diff.lines().skip_while(|line| !line.starts_with("@@"));
    lines.map(|line| Line { text: line.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(texts: &[&str]) -> Vec<Service> {
        texts.iter().map(|text| Service::parse(text).unwrap()).collect()
    }

    #[track_caller]
    fn check(takes: &[&str], except: &[&str], endpoint: &str, expected: Option<&How>) {
        let privileges = vec![("purge", services(&["DELETE /a/*"]))];
        let patterns = Patterns { services: services(takes), except: services(except), privileges };
        assert_eq!(patterns.taking(&Service::parse(endpoint).unwrap()).as_ref(), expected, "{takes:?} {endpoint}");
    }

    #[test]
    fn an_endpoint_is_taken_in_whole_in_part_or_not() {
        check(&["GET /a/**"], &[], "GET /a/{b}/c", Some(&How::Whole));
        check(&["GET /a/**"], &[], "GET,POST /a/b", Some(&How::Part));
        check(&["GET /a/**", "POST /a/b"], &[], "GET,POST /a/b", Some(&How::Whole));
        check(&["GET /a/b"], &[], "GET /a/*", Some(&How::Part));
        check(&["GET /a/**"], &[], "POST /a", None);
        check(&["GET /a/**"], &[], "GET /b", None);
        check(&["/a/**"], &["/a/admin/**"], "GET /a/admin/x", Some(&How::Excepted));
        check(&["/a/**"], &["/a/admin/**"], "GET /a/*/x", Some(&How::Part));
        check(&["GET /a/**"], &[], "DELETE /a/b", Some(&How::Privilege("purge".to_owned())));
        check(&[], &[], "GET /a/b", None);
    }

    #[test]
    fn a_difference_is_shown_from_its_first_place_on() {
        let shown = lines("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n c\n");
        let kinds: Vec<_> = shown.iter().map(Line::kind).collect();
        assert_eq!(kinds, ["place", "less", "more", "same"]);
        assert_eq!(lines(""), []);
    }
}
