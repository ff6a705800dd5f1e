//! The scope map: which scopes and privileges grant each endpoint.
//!
//! An endpoint is what some service of the file says. It is granted by every service that takes in
//! all of its paths, whoever's that is, as it is when requests are decided.

use hashbrown::HashMap;

use crate::policy::{Api, ApiId, Listing, MethodSet, Pattern, Policy, Role, ScopeId, Segment, Service};

/// What each api's endpoints ask for.
#[derive(Debug)]
pub struct ScopeMap<'p> {
    /// In the order of the file.
    pub apis: Vec<ApiMap<'p>>,
}

/// An api's part of the map.
#[derive(Debug)]
pub struct ApiMap<'p> {
    /// Its number.
    pub id: ApiId,
    /// Itself.
    pub api: &'p Api,
    /// By path, then by method.
    pub endpoints: Vec<Endpoint<'p>>,
    /// Its scopes and privileges that have no services.
    pub idle: Vec<ScopeId>,
}

/// Some methods of some paths.
#[derive(Debug)]
pub struct Endpoint<'p> {
    /// As a service lists them.
    pub methods: MethodSet,
    /// As the first service that has it writes it.
    pub pattern: &'p Pattern,
    /// What would do: the public service first, then scopes in the order of the file. Never empty,
    /// but where exceptions take away all that services give.
    pub access: Vec<Access<'p>>,
}

/// What gives access to an endpoint.
#[derive(Debug)]
pub struct Access<'p> {
    /// The service by which it does: the endpoint's own, or one that takes in more.
    pub through: Listing<'p>,
    /// The endpoint's methods for which it does.
    pub methods: MethodSet,
    /// Exceptions of its scope that leave out some of the endpoint's paths.
    pub except: Vec<&'p Service>,
}

impl<'p> ScopeMap<'p> {
    /// The map of a policy.
    #[must_use]
    pub fn new(policy: &'p Policy) -> Self {
        let listings = policy.listings();
        let index = CoverIndex::new(&listings);
        let excepts = excepts(policy);
        let mut apis: Vec<_> = (0..)
            .map(ApiId)
            .zip(policy.apis())
            .map(|(id, api)| ApiMap { id, api, endpoints: Vec::new(), idle: Vec::new() })
            .collect();
        for (listing, pattern) in distinct(&listings) {
            let methods = listing.service.methods();
            let access = match listing.role {
                // It owns its path, whatever else has it.
                Role::TokenEndpoint(_) => vec![Access { through: listing, methods, except: Vec::new() }],
                Role::Public | Role::Grant { .. } => access(&index, &excepts, methods, pattern),
            };
            if let Some(map) = apis.get_mut(listing.api.0 as usize) {
                map.endpoints.push(Endpoint { methods, pattern, access });
            }
        }
        for map in &mut apis {
            map.endpoints.sort_by_cached_key(|endpoint| (order(endpoint.pattern), endpoint.methods));
        }
        for id in idle(policy, &listings) {
            if let Some(map) = policy.scope(id).and_then(|scope| apis.get_mut(scope.api.0 as usize)) {
                map.idle.push(id);
            }
        }
        Self { apis }
    }
}

/// A pattern without the names of its captures.
type Shape<'p> = (Vec<Option<&'p str>>, bool);

fn shape(pattern: &Pattern) -> Shape<'_> {
    (pattern.segments().iter().map(literal).collect(), pattern.any_rest())
}

fn literal(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(text) => Some(text),
        Segment::Any | Segment::Capture(_) => None,
    }
}

/// By which patterns are sorted: what is under a path follows it, literal segments before others.
fn order(pattern: &Pattern) -> (Vec<(bool, &str)>, bool) {
    let segments = pattern.segments().iter().map(literal);
    (segments.map(|text| (text.is_none(), text.unwrap_or_default())).collect(), pattern.any_rest())
}

/// The services that stand for an endpoint of their own, each endpoint of an api once.
fn distinct<'p>(listings: &[Listing<'p>]) -> Vec<(Listing<'p>, &'p Pattern)> {
    let mut seen = hashbrown::HashSet::new();
    let new = listings.iter().filter(|listing| {
        let service = listing.service;
        seen.insert((listing.api, service.methods(), shape(service.pattern())))
    });
    new.map(|listing| (*listing, listing.service.pattern())).collect()
}

fn grants(listing: &Listing<'_>) -> bool {
    match listing.role {
        Role::Public | Role::Grant { .. } => true,
        Role::TokenEndpoint(_) => false,
    }
}

/// Of each scope: what it leaves out, and how the least exact of servers reads that.
type Excepts<'p> = HashMap<ScopeId, Vec<(&'p Service, Pattern)>>;

fn excepts(policy: &Policy) -> Excepts<'_> {
    let mut excepts: Excepts<'_> = HashMap::new();
    for except in policy.exceptions() {
        excepts.entry(except.scope).or_default().push((except.service, except.service.pattern().readings()));
    }
    excepts
}

fn idle(policy: &Policy, listings: &[Listing<'_>]) -> Vec<ScopeId> {
    let busy: hashbrown::HashSet<_> = listings.iter().filter_map(|listing| granted_by(listing)).collect();
    (0..).map(ScopeId).zip(policy.scopes()).map(|(id, _)| id).filter(|id| !busy.contains(id)).collect()
}

fn granted_by(listing: &Listing<'_>) -> Option<ScopeId> {
    match listing.role {
        Role::Grant { scope, .. } => Some(scope),
        Role::Public | Role::TokenEndpoint(_) => None,
    }
}

/// What gives access to all of the pattern's paths: a public service alone where it takes every
/// method, else each scope once.
fn access<'p>(
    index: &CoverIndex<'p>,
    excepts: &Excepts<'p>,
    methods: MethodSet,
    pattern: &'p Pattern,
) -> Vec<Access<'p>> {
    let mut found: Vec<Access<'p>> = Vec::new();
    let mut asked = methods;
    let reading = pattern.readings();
    for listing in index.covering(pattern) {
        let own = match listing.role {
            Role::Public => &[][..],
            Role::Grant { scope, .. } => excepts.get(&scope).map_or(&[][..], |own| &**own),
            Role::TokenEndpoint(_) => continue,
        };
        let wholly = own.iter().filter(|(_, except)| except.covers(&reading));
        let given = wholly.fold(listing.service.methods(), |left, (except, _)| left.without(except.methods()));
        let given = given.and(asked);
        if given.is_empty() {
            continue;
        }
        if listing.role == Role::Public {
            asked = asked.without(given);
        }
        if let Some(known) = found.iter_mut().find(|known| known.through.role == listing.role) {
            known.methods = known.methods.or(given);
            if shape(listing.service.pattern()) == shape(pattern) {
                known.through = listing;
            }
            continue;
        }
        let partly = own.iter().filter(|(service, except)| {
            !service.methods().and(given).is_empty() && except.meets(&reading) && !except.covers(&reading)
        });
        found.push(Access { through: listing, methods: given, except: partly.map(|(service, _)| *service).collect() });
    }
    found
}

/// The services that grant something, by their patterns.
pub(super) struct CoverIndex<'p> {
    nodes: Vec<Node<'p>>,
}

#[derive(Default)]
struct Node<'p> {
    literals: HashMap<&'p str, usize>,
    any: Option<usize>,
    exact: Vec<Listing<'p>>,
    rest: Vec<Listing<'p>>,
}

impl<'p> CoverIndex<'p> {
    pub(super) fn new(listings: &[Listing<'p>]) -> Self {
        let mut index = Self { nodes: vec![Node::default()] };
        for listing in listings.iter().filter(|listing| grants(listing)) {
            index.insert(*listing);
        }
        index
    }

    fn insert(&mut self, listing: Listing<'p>) {
        let pattern = listing.service.pattern();
        let mut at = 0;
        for segment in pattern.segments() {
            let next = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return };
            at = match literal(segment) {
                Some(text) => *node.literals.entry(text).or_insert(next),
                None => *node.any.get_or_insert(next),
            };
            if at == next {
                self.nodes.push(Node::default());
            }
        }
        if let Some(node) = self.nodes.get_mut(at) {
            if pattern.any_rest() { &mut node.rest } else { &mut node.exact }.push(listing);
        }
    }

    /// Those whose patterns cover this one: public ones first, then in the order of the file.
    pub(super) fn covering(&self, pattern: &Pattern) -> Vec<Listing<'p>> {
        let mut found = Vec::new();
        self.walk(0, pattern, 0, &mut found);
        found.sort_unstable_by_key(|listing| (listing.role != Role::Public, listing.id));
        found
    }

    fn walk(&self, at: usize, pattern: &Pattern, depth: usize, found: &mut Vec<Listing<'p>>) {
        let Some(node) = self.nodes.get(at) else { return };
        found.extend(&node.rest);
        let Some(segment) = pattern.segments().get(depth) else {
            if !pattern.any_rest() {
                found.extend(&node.exact);
            }
            return;
        };
        let children = [literal(segment).and_then(|text| node.literals.get(text)).copied(), node.any];
        children.into_iter().flatten().for_each(|child| self.walk(child, pattern, depth + 1, found));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Source, compile};

    fn policy(apis: &str) -> Policy {
        let text = format!(
            "version: 1\nlisteners: [{{ address: 127.0.0.1:0 }}]\nupstreams: {{ u: {{ servers: ['h:1'] }} }}\n\
             issuers: [{{ issuer: i, audiences: [a], keys: {{ file: k }} }}]\napis:\n{apis}"
        );
        compile(&Source { shown: "f", directory: Path::new("."), text: &text }).unwrap().policy
    }

    /// `endpoint: scope, scope …` for each endpoint, with the methods where they are not all.
    fn shown(policy: &Policy) -> Vec<String> {
        let map = ScopeMap::new(policy);
        let endpoints = map.apis.iter().flat_map(|api| &api.endpoints);
        let line = |endpoint: &Endpoint<'_>| {
            let access = endpoint.access.iter().map(|access| {
                let name = granted_by(&access.through).map_or("public", |id| policy.scope(id).unwrap().name.as_str());
                let methods = if access.methods == endpoint.methods {
                    String::new()
                } else {
                    format!("[{}]", access.methods.listed())
                };
                let except: Vec<_> = access.except.iter().map(|except| format!(" but {except}")).collect();
                let except = except.concat();
                format!("{name}{methods}{except}")
            });
            format!("{} {}: {}", endpoint.methods.listed(), endpoint.pattern, access.collect::<Vec<_>>().join(", "))
        };
        endpoints.map(line).collect()
    }

    #[test]
    fn every_scope_that_takes_in_an_endpoint_grants_it_whichever_api_it_is_of() {
        let policy = policy(
            "  - { name: one, base_path: /a, upstream: u, public: [GET /a/health], scopes: [
                 { name: r, services: [\"GET /a/{x}\", \"GET,POST /a/*/b\"] },
                 { name: rest, services: [\"GET /a/**\"] }] }
  - { name: two, base_path: /, upstream: u, scopes: [{ name: post, services: [\"POST /**\"] }] }",
        );
        assert_eq!(
            shown(&policy),
            [
                "GET /a/**: rest",
                "GET /a/health: public",
                "GET /a/{x}: r, rest",
                "GET,POST /a/*/b: r, rest[GET], post[POST]",
                "POST /**: post",
            ]
        );
    }

    #[test]
    fn exceptions_take_endpoints_away_or_narrow_them() {
        let policy = policy(
            "  - { name: one, upstream: u, scopes: [
                 { name: r, services: [\"/a/**\"], except: [\"POST /a/*/b/**\", \"* /a/c\"], privileges: { p: { services: [\"GET,POST /a/x/b\"] } } },
                 { name: s, services: [/a/c, /a/*/b], except: [/a/*/b] }] }",
        );
        assert_eq!(
            shown(&policy),
            [
                "* /a/**: r but POST /a/*/b/** but * /a/c",
                "* /a/c: s",
                "GET,POST /a/x/b: r[GET], r:p",
                "* /a/*/b: r[* but POST]",
            ]
        );
    }

    #[test]
    fn one_endpoint_is_listed_once_and_a_scope_without_services_too() {
        let policy = policy(
            "  - { name: one, upstream: u, scopes: [
                 { name: r, services: [\"GET /a/{x}\"] }, { name: s, services: [\"GET /a/*\"] },
                 { name: t, required: true, privileges: { q: {} } }] }",
        );
        assert_eq!(shown(&policy), ["GET /a/{x}: r, s"]);
        let idle: Vec<_> =
            ScopeMap::new(&policy).apis[0].idle.iter().map(|id| policy.scope(*id).unwrap().name.to_string()).collect();
        assert_eq!(idle, ["t", "t:q"]);
    }
}
