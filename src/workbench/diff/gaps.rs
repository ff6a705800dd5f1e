//! Which of a way's requests no way of another policy lets through.
//!
//! The paths are taken apart by every shape that counts, hosts and cases likewise; in each class one
//! request stands for all, and methods are sets. Clients are not looked at here.

use std::collections::{BTreeMap, BTreeSet};

use super::TooLarge;
use super::cases::{Case, cases};
use super::classes::Classes;
use super::shape::{Region, Sample, Shape};
use super::way::{Way, Ways};
use crate::policy::{AccountSource, MethodSet, ScopeName};

/// Requests of a way that the other policy lets through by none of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) methods: MethodSet,
    pub(super) regions: Vec<Region>,
    /// A path for each class of the regions.
    pub(super) samples: Vec<Sample>,
    /// Of these hosts only; `None`: of all that the way is for.
    pub(super) hosts: Option<Vec<String>>,
    /// Named in these cases only; `None`: in all.
    pub(super) cases: Option<Vec<Case>>,
}

/// All of a way's gaps.
#[derive(Debug)]
pub(super) struct Gaps<'p> {
    pub(super) list: Vec<Gap>,
    /// What the cases count.
    pub(super) sources: Vec<&'p AccountSource>,
    /// One for each class of hosts that the way is for.
    pub(super) hosts: Vec<String>,
    /// Whether nothing of the way is let through.
    pub(super) is_whole: bool,
}

/// A policy has no more places to name an account than this.
const MOST_SOURCES: usize = 8;

/// What of `way` no way of the others lets a token of these scopes through.
pub(super) fn gaps<'p>(way: &Way<'p>, names: &[&ScopeName], others: &Ways<'p>) -> Result<Gaps<'p>, TooLarge> {
    let relevant = relevant(way, names, others);
    let sources = sources(way, &relevant)?;
    let classes = Classes::new(&way.shape, shapes(way, &relevant), places(way))?;
    let hosts = hosts(way, &relevant);
    let mut found: BTreeMap<Key, BTreeSet<usize>> = BTreeMap::new();
    let mut is_whole = true;
    for (filter, group) in &grouped(&hosts, &relevant) {
        let active = relevant.iter().zip(filter).filter(|(_, is)| **is).map(|(way, _)| *way).collect();
        let view = View { way, others: active, sources: &sources };
        let pieces: Vec<_> = classes.samples.iter().map(|sample| view.open(sample)).collect();
        is_whole &= pieces.iter().all(|open| open.is_whole);
        for (key, at) in merged(&pieces) {
            for host in group {
                let key = Key { hosts: host.clone(), ..key.clone() };
                found.entry(key).or_default().extend(&at);
            }
        }
    }
    let gaps = by_host(found, &hosts);
    let gaps = gaps.into_iter().map(|(key, hosts, at)| Gap {
        methods: key.methods,
        regions: classes.describe(&at),
        samples: at.iter().filter_map(|at| classes.samples.get(*at)).cloned().collect(),
        hosts,
        cases: key.cases,
    });
    Ok(Gaps { list: gaps.collect(), sources: sources.clone(), hosts, is_whole })
}

/// What a gap is told by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    methods: MethodSet,
    cases: Option<Vec<Case>>,
    hosts: String,
}

/// The ways of the others that a token of these scopes, as far as they go, opens to some of the way's requests.
pub(super) fn reaching<'w, 'p>(way: &Way<'p>, names: &[&ScopeName], others: &'w Ways<'p>) -> Vec<&'w Way<'p>> {
    others.open_to(names).filter(|other| reaches(way, other)).collect()
}

/// The same where nothing else closes them: then one of them may do for all requests of the way.
fn relevant<'w, 'p>(way: &Way<'p>, names: &[&ScopeName], others: &'w Ways<'p>) -> Vec<&'w Way<'p>> {
    let mut relevant = reaching(way, names, others);
    if let Some(covering) = relevant.iter().find(|other| other.covers(way)) {
        relevant = vec![covering];
    }
    relevant
}

/// Whether some requests of the way are the other's too, as far as paths, methods and kinds go.
fn reaches(way: &Way<'_>, other: &Way<'_>) -> bool {
    let admits = match (&way.asks, &other.asks) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(asks), Some(other)) => other.admits_kind_of(asks),
    };
    admits && !way.methods.and(other.methods).is_empty() && way.shape.meets(&other.shape)
}

pub(super) fn shapes<'w>(way: &'w Way<'_>, relevant: &[&'w Way<'_>]) -> Vec<&'w Shape> {
    let excepts = way.excepts.iter().map(|(shape, _)| shape);
    let others =
        relevant.iter().flat_map(|way| std::iter::once(&way.shape).chain(way.excepts.iter().map(|(shape, _)| shape)));
    let mut shapes: Vec<&Shape> = excepts.chain(others).filter(|shape| shape.meets(&way.shape)).collect();
    shapes.sort();
    shapes.dedup();
    shapes
}

/// The segments of the way's paths that name the account.
pub(super) fn places<'w>(way: &'w Way<'_>) -> &'w [usize] {
    way.asks.as_ref().map_or(&[], |asks| &asks.places)
}

/// Where requests of these ways name accounts outside their paths.
pub(super) fn sources<'p>(way: &Way<'p>, relevant: &[&Way<'p>]) -> Result<Vec<&'p AccountSource>, TooLarge> {
    let mut sources: Vec<&AccountSource> = Vec::new();
    for asks in std::iter::once(&way).chain(relevant).filter_map(|way| way.asks.as_ref()) {
        for source in &asks.outside {
            if !sources.contains(source) {
                sources.push(source);
            }
        }
    }
    if sources.len() > MOST_SOURCES { Err(TooLarge) } else { Ok(sources) }
}

/// A host for each that some of the ways tells from the others, of those that the way is for.
pub(super) fn hosts(way: &Way<'_>, relevant: &[&Way<'_>]) -> Vec<String> {
    let named: BTreeSet<&str> =
        std::iter::once(&way).chain(relevant).flat_map(|way| &way.api.hosts).map(|host| &**host).collect();
    let mut hosts: Vec<String> = Vec::new();
    for host in &named {
        hosts.push((*host).to_owned());
        if !has_port(host) {
            let mut port = 1;
            while named.contains(format!("{host}:{port}").as_str()) {
                port += 1;
            }
            hosts.push(format!("{host}:{port}"));
        }
    }
    hosts.push(other_host(&named));
    hosts.retain(|host| way.api.admits_host(host));
    hosts
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn other_host(named: &BTreeSet<&str>) -> String {
    let mut host = "any.example".to_owned();
    while named.contains(host.as_str()) {
        host.insert_str(0, "x.");
    }
    host
}

/// The hosts, together where the same ways are for them.
fn grouped(hosts: &[String], relevant: &[&Way<'_>]) -> Vec<(Vec<bool>, Vec<String>)> {
    let mut groups: Vec<(Vec<bool>, Vec<String>)> = Vec::new();
    for host in hosts {
        let filter: Vec<bool> = relevant.iter().map(|way| way.api.admits_host(host)).collect();
        match groups.iter_mut().find(|(known, _)| *known == filter) {
            Some((_, group)) => group.push(host.clone()),
            None => groups.push((filter, vec![host.clone()])),
        }
    }
    groups
}

/// A way, and the others that could let its requests through at one host.
struct View<'w, 'p> {
    way: &'w Way<'p>,
    others: Vec<&'w Way<'p>>,
    sources: &'w [&'p AccountSource],
}

/// What is not let through of one class.
struct Open {
    parts: Vec<(Option<Vec<Case>>, MethodSet)>,
    is_whole: bool,
}

impl View<'_, '_> {
    fn open(&self, sample: &Sample) -> Open {
        let methods = self.way.methods_on(sample);
        let others: Vec<_> = self.others.iter().map(|way| (*way, way.methods_on(sample).and(methods))).collect();
        let stands: Vec<_> = cases(self.sources.len())
            .filter_map(|case| Some((case, case.stand(self.way, sample, self.sources, None)?)))
            .collect();
        let left: Vec<(Case, MethodSet)> = stands
            .iter()
            .map(|(case, stand)| {
                let admitting = others.iter().filter(|(way, _)| way.admits(stand));
                (*case, admitting.fold(methods, |left, (_, taken)| left.without(*taken)))
            })
            .collect();
        let is_whole = left.iter().all(|(_, left)| *left == methods);
        let mut parts: Vec<(Option<Vec<Case>>, MethodSet)> = Vec::new();
        for atom in atoms(methods, left.iter().map(|(_, left)| *left)) {
            let open: Vec<Case> =
                left.iter().filter(|(_, left)| !left.and(atom).is_empty()).map(|(case, _)| *case).collect();
            if open.is_empty() {
                continue;
            }
            let cases = (open.len() < left.len()).then_some(open);
            match parts.iter_mut().find(|(known, _)| *known == cases) {
                Some((_, methods)) => *methods = methods.or(atom),
                None => parts.push((cases, atom)),
            }
        }
        Open { parts, is_whole }
    }
}

/// The set taken apart by others, so that each part is in each of them or not.
pub(super) fn atoms(set: MethodSet, others: impl Iterator<Item = MethodSet>) -> Vec<MethodSet> {
    others.fold(vec![set], |atoms, other| {
        let split = atoms.into_iter().flat_map(|atom| [atom.and(other), atom.without(other)]);
        split.filter(|atom| !atom.is_empty()).collect()
    })
}

/// For each set of methods that has them the same, the classes by their numbers.
fn merged(pieces: &[Open]) -> Vec<(Key, BTreeSet<usize>)> {
    let mut by_cases: BTreeMap<Option<Vec<Case>>, Vec<(usize, MethodSet)>> = BTreeMap::new();
    for (at, open) in pieces.iter().enumerate() {
        for (cases, methods) in &open.parts {
            by_cases.entry(cases.clone()).or_default().push((at, *methods));
        }
    }
    let mut merged = Vec::new();
    for (cases, parts) in by_cases {
        let every = parts.iter().fold(MethodSet::NONE, |every, (_, methods)| every.or(*methods));
        let mut by_classes: BTreeMap<BTreeSet<usize>, MethodSet> = BTreeMap::new();
        for atom in atoms(every, parts.iter().map(|(_, methods)| *methods)) {
            let having = parts.iter().filter(|(_, methods)| !methods.and(atom).is_empty());
            let methods = by_classes.entry(having.map(|(at, _)| *at).collect()).or_default();
            *methods = methods.or(atom);
        }
        for (at, methods) in by_classes {
            merged.push((Key { methods, cases: cases.clone(), hosts: String::new() }, at));
        }
    }
    merged
}

/// Puts together what is the same at several hosts.
fn by_host(
    found: BTreeMap<Key, BTreeSet<usize>>,
    hosts: &[String],
) -> Vec<(Key, Option<Vec<String>>, BTreeSet<usize>)> {
    let mut together: Vec<(Key, Vec<String>, BTreeSet<usize>)> = Vec::new();
    for (key, at) in found {
        let is_same = |other: &(Key, Vec<String>, BTreeSet<usize>)| {
            other.0.methods == key.methods && other.0.cases == key.cases && other.2 == at
        };
        match together.iter_mut().find(|other| is_same(other)) {
            Some((_, hosts, _)) => hosts.push(key.hosts),
            None => together.push((key.clone(), vec![key.hosts], at)),
        }
    }
    let all = |known: &Vec<String>| known.len() == hosts.len();
    together.into_iter().map(|(key, known, at)| (key, (!all(&known)).then_some(known), at)).collect()
}
