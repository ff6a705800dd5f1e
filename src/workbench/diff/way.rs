//! The ways into an api: each service that lets somebody through, with all that it asks for.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::shape::{Sample, Shape};
use crate::policy::{
    AccountSource, AccountWhenAbsent, Api, MethodSet, Policy, Reach, Role, ScopeId, ScopeName, ServiceId,
};

/// A service that lets somebody through.
#[derive(Debug)]
pub(super) struct Way<'p> {
    pub(super) api: &'p Api,
    pub(super) service: ServiceId,
    pub(super) shape: Shape,
    pub(super) methods: MethodSet,
    /// What its scope does not grant all the same.
    pub(super) excepts: Vec<(Shape, MethodSet)>,
    /// What a token must have; `None` where none is asked for.
    pub(super) asks: Option<Asks<'p>>,
}

/// What a way asks of a token and of the request's account.
#[derive(Debug)]
pub(super) struct Asks<'p> {
    pub(super) scope: ScopeId,
    /// The scope and the api's required ones.
    pub(super) needs: BTreeSet<ScopeId>,
    /// The same, as the file writes them.
    pub(super) names: Vec<&'p ScopeName>,
    pub(super) confidential_only: bool,
    pub(super) reach: Reach,
    /// The segments of the path that name the account.
    pub(super) places: Vec<usize>,
    /// Where else the account is named.
    pub(super) outside: Vec<&'p AccountSource>,
    /// Whether the caller's own account is written in where none is named.
    pub(super) injects: bool,
}

/// The ways of a policy, found by what leads to them.
#[derive(Debug)]
pub(super) struct Ways<'p> {
    pub(super) policy: &'p Policy,
    pub(super) all: Vec<Way<'p>>,
    of_scope: HashMap<ScopeId, Vec<usize>>,
    public: Vec<usize>,
}

impl<'p> Ways<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        let mut excepts: HashMap<ScopeId, Vec<(Shape, MethodSet)>> = HashMap::new();
        for exception in policy.exceptions() {
            let service = exception.service;
            let shape = Shape::of_exception(service.pattern());
            excepts.entry(exception.scope).or_default().push((shape, service.methods()));
        }
        let (mut all, mut of_scope, mut public) = (Vec::new(), HashMap::<_, Vec<usize>>::new(), Vec::new());
        for listing in policy.listings() {
            let Some(api) = policy.api(listing.api) else { continue };
            let pattern = listing.service.pattern();
            let (asks, excepts) = match listing.role {
                Role::TokenEndpoint(_) => continue,
                Role::Public => {
                    public.push(all.len());
                    (None, Vec::new())
                }
                Role::Grant { scope, reach, confidential_only } => {
                    of_scope.entry(scope).or_default().push(all.len());
                    let needs: BTreeSet<ScopeId> = api.required.iter().copied().chain([scope]).collect();
                    let names = needs.iter().filter_map(|id| policy.scope(*id)).map(|scope| &scope.name).collect();
                    let places = api.account.iter().filter_map(|source| match source {
                        AccountSource::Path(name) => pattern.capture(name),
                        AccountSource::Query(_) | AccountSource::Header(_) => None,
                    });
                    let is_outside = |source: &&AccountSource| !matches!(source, AccountSource::Path(_));
                    let outside: Vec<_> = api.account.iter().filter(is_outside).collect();
                    let injects = api.account_when_absent == AccountWhenAbsent::Inject && !outside.is_empty();
                    let places = places.collect();
                    let asks = Asks { scope, needs, names, confidential_only, reach, places, outside, injects };
                    let mut excepts = excepts.get(&scope).cloned().unwrap_or_default();
                    let shape = Shape::of(pattern);
                    excepts.retain(|(other, _)| other.meets(&shape));
                    (Some(asks), excepts)
                }
            };
            all.push(Way {
                api,
                service: listing.id,
                shape: Shape::of(pattern),
                methods: listing.service.methods(),
                excepts,
                asks,
            });
        }
        Self { policy, all, of_scope, public }
    }

    /// The ways that a token of these scopes opens, as far as scopes go; and those without a token.
    pub(super) fn open_to(&self, names: &[&ScopeName]) -> impl Iterator<Item = &Way<'p>> {
        let held = held(self.policy, names.iter().map(|name| name.as_str()));
        let scopes: Vec<_> = held.iter().filter_map(|scope| self.of_scope.get(scope)).flatten().copied().collect();
        let is_open = move |way: &&Way<'p>| {
            way.asks.as_ref().is_none_or(|asks| asks.needs.iter().all(|need| held.contains(need)))
        };
        self.public.iter().copied().chain(scopes).filter_map(|at| self.all.get(at)).filter(is_open)
    }
}

/// Scopes by which a token can come by a way: no more than it takes, in the words of the allowing policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Carried<'p> {
    /// The scope that grants, or a privilege that includes it.
    pub(super) scope: Option<&'p ScopeName>,
    pub(super) names: Vec<&'p ScopeName>,
}

impl<'p> Way<'p> {
    /// The ways to carry what it asks for that the other policy tells apart: the scopes themselves
    /// first, then privileges in their place that include them here and not there.
    pub(super) fn carried(&self, to: &'p Policy, from: &Policy) -> Vec<Carried<'p>> {
        let Some(asks) = &self.asks else { return vec![Carried { scope: None, names: Vec::new() }] };
        let granting = to.scope(asks.scope).map(|scope| &scope.name);
        let mut carried = vec![Carried { scope: granting, names: asks.names.clone() }];
        let others = asks.needs.iter().filter(|need| **need != asks.scope);
        let others: Vec<&ScopeName> = others
            .filter_map(|need| privileges(to, from, *need).next().or_else(|| to.scope(*need).map(|scope| &scope.name)))
            .collect();
        let with = |scope| Carried { scope: Some(scope), names: others.iter().copied().chain([scope]).collect() };
        let is_told_apart = |name: &&ScopeName| !asks.names.contains(name);
        if others.iter().any(is_told_apart) {
            carried.extend(granting.map(with));
        }
        carried.extend(privileges(to, from, asks.scope).map(with));
        carried
    }
}

/// The scope's privileges by which a token holds it under the one policy and not under the other.
fn privileges<'p>(to: &'p Policy, from: &Policy, scope: ScopeId) -> impl Iterator<Item = &'p ScopeName> {
    let before = to.scope(scope).and_then(|scope| from.scope_named(scope.name.as_str()));
    let privileges = to.scopes().iter().filter(move |privilege| privilege.includes == Some(scope));
    let is_told_apart = move |name: &&ScopeName| {
        before.is_some_and(|before| !held(from, std::iter::once(name.as_str())).contains(&before))
    };
    privileges.map(|privilege| &privilege.name).filter(is_told_apart).collect::<Vec<_>>().into_iter()
}

/// What a token of these scopes holds.
pub(super) fn held<'n>(policy: &Policy, names: impl Iterator<Item = &'n str>) -> BTreeSet<ScopeId> {
    let ids = names.filter_map(|name| policy.scope_named(name));
    ids.flat_map(|id| [Some(id), policy.scope(id).and_then(|scope| scope.includes)]).flatten().collect()
}

impl Way<'_> {
    /// Its methods on such a path.
    pub(super) fn methods_on(&self, sample: &Sample) -> MethodSet {
        if !self.shape.takes(sample) {
            return MethodSet::NONE;
        }
        let excepted = self.excepts.iter().filter(|(shape, _)| shape.takes(sample));
        excepted.fold(self.methods, |methods, (_, excepted)| methods.without(*excepted))
    }

    /// Whether it lets everybody through that `other` does, as can be told at once.
    pub(super) fn covers(&self, other: &Way<'_>) -> bool {
        let hosts = |way: &Way<'_>| -> BTreeSet<Box<str>> { way.api.hosts.iter().cloned().collect() };
        let (own, others) = (hosts(self), hosts(other));
        let counts = |except: &&(Shape, MethodSet)| except.0.meets(&other.shape);
        let alike = other.methods.without(self.methods).is_empty()
            && self.shape.contains(&other.shape)
            && self.excepts.iter().filter(counts).all(|except| other.excepts.contains(except))
            && (own.is_empty() || !others.is_empty() && others.is_subset(&own));
        alike
            && match (&self.asks, &other.asks) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(other)) => own.admits_as(other),
            }
    }
}

impl Asks<'_> {
    /// Whether accounts and clients of every kind that do for `other` do for it.
    fn admits_as(&self, other: &Asks<'_>) -> bool {
        (!self.confidential_only || other.confidential_only)
            && (self.reach == Reach::Any || other.reach == Reach::Own)
            && self.places == other.places
            && self.outside.len() == other.outside.len()
            && self.outside.iter().all(|source| other.outside.contains(source))
            && (self.injects || !other.injects || self.reach == Reach::Any)
    }

    /// Whether a token and client that do for `other` do for it.
    pub(super) fn admits_kind_of(&self, other: &Asks<'_>) -> bool {
        !self.confidential_only || other.confidential_only
    }
}
