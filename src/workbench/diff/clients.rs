//! What becomes of clients whose entries in the list differ.

use std::collections::BTreeMap;

use super::access::at;
use super::cases::cases;
use super::classes::Classes;
use super::example::{Bearer, Example, certificate};
use super::gaps::{atoms, hosts, places, reaching, shapes, sources};
use super::way::{Carried, Way, held};
use super::{Direction, Sides, TooLarge};
use crate::policy::{Certificate, ClientId, ClientType, ListedClient, Policy, ScopeId, ScopeName, UnregisteredClients};

/// A line of the difference: what is newly allowed to some clients, or no longer, by their own entries.
#[derive(Debug, Clone)]
pub struct ClientChange {
    /// Which of both.
    pub direction: Direction,
    /// What differs.
    pub aspect: ClientAspect,
    /// Whose entries, in the order of the file.
    pub clients: Vec<ClientId>,
    /// Whether it is so for clients that neither file lists.
    pub unlisted: bool,
    /// A request that the two policies answer differently.
    pub example: Example,
}

/// What differs about a client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientAspect {
    /// Whether it may call at all.
    Admission,
    /// Whether it must show a certificate, and which.
    Certificate,
    /// The account that is its own.
    Account,
    /// Whether it counts as one that keeps a secret.
    Type,
    /// Whether it may hold this scope or privilege.
    Scope(ScopeName),
}

/// Every client that one of the lists tells from the others.
#[derive(Debug)]
pub(super) struct Population<'p> {
    pub(super) clients: Vec<Client<'p>>,
}

/// A client of either list, or any that neither has.
#[derive(Debug)]
pub(super) struct Client<'p> {
    /// `None`: one that neither file lists.
    pub(super) id: Option<&'p ClientId>,
    called: String,
    to: Entry<'p>,
    from: Entry<'p>,
}

/// What one policy's list says of a client.
#[derive(Debug, Clone, Copy)]
enum Entry<'p> {
    Refused,
    Unlisted,
    Listed(ListedClient<'p>),
}

impl<'p> Population<'p> {
    /// Of two policies, the one that refuses first.
    pub(super) fn new(from: &'p Policy, to: &'p Policy) -> Self {
        let mut clients: Vec<Client<'_>> = Vec::new();
        let mut known = hashbrown::HashSet::new();
        for id in to.clients().chain(from.clients()).map(|client| client.id) {
            if known.insert(id) {
                let called = id.as_str().to_owned();
                clients.push(Client { id: Some(id), to: entry(to, &called), from: entry(from, &called), called });
            }
        }
        let mut called = "any-other-client".to_owned();
        while known.iter().any(|id| id.as_str() == called) {
            called.push('-');
        }
        clients.push(Client { id: None, to: entry(to, &called), from: entry(from, &called), called });
        Self { clients }
    }
}

fn entry<'p>(policy: &'p Policy, client: &str) -> Entry<'p> {
    match policy.client(client) {
        Some(listed) => Entry::Listed(listed),
        None if policy.lists_clients() && policy.unregistered_clients() == UnregisteredClients::Refuse => {
            Entry::Refused
        }
        None => Entry::Unlisted,
    }
}

impl<'p> Entry<'p> {
    fn listed(&self) -> Option<&ListedClient<'p>> {
        match self {
            Self::Listed(listed) => Some(listed),
            Self::Refused | Self::Unlisted => None,
        }
    }

    fn account(&self) -> Option<&'p str> {
        self.listed()?.account.map(crate::policy::Account::as_str)
    }

    fn is_public(&self) -> bool {
        self.listed().is_some_and(|listed| listed.client_type == ClientType::Public)
    }

    fn may_hold(&self, scope: ScopeId) -> bool {
        self.listed().and_then(|listed| listed.ceiling).is_none_or(|ceiling| ceiling.contains(scope))
    }
}

impl<'p> Client<'p> {
    /// Whether the policy that allows lets it hold what the way asks for.
    pub(super) fn could_hold(&self, way: &Way<'_>) -> bool {
        match &way.asks {
            None => true,
            Some(asks) => {
                let is_admitted = !asks.confidential_only || !self.to.is_public();
                !matches!(self.to, Entry::Refused)
                    && is_admitted
                    && asks.needs.iter().all(|need| self.to.may_hold(*need))
            }
        }
    }

    /// The account that a request of its own must name, where its entry has one.
    pub(super) fn account(&self) -> Option<&'p str> {
        self.to.account().or(self.from.account())
    }

    /// What its token may say of accounts, where these are to be its own.
    pub(super) fn token_accounts(&self, own: &[String]) -> Vec<Vec<String>> {
        match self.to.account() {
            Some(account) => vec![Vec::new(), vec![account.to_owned()]],
            None => vec![own.to_vec()],
        }
    }

    /// One that does for both of its entries, if they ask for any.
    pub(super) fn certificate(&self) -> Option<Certificate> {
        let rule = |entry: &Entry<'p>| entry.listed().and_then(|listed| listed.certificate);
        certificate(&[rule(&self.to), rule(&self.from)])
    }

    pub(super) fn called(&self) -> &str {
        &self.called
    }

    /// What differs that could let through more than before.
    fn aspects(&self, from: &Policy, to: &Policy) -> Vec<ClientAspect> {
        let rule = |entry: &Entry<'p>| entry.listed().and_then(|listed| listed.certificate).cloned();
        match (&self.from, &self.to) {
            (_, Entry::Refused) => vec![],
            (Entry::Refused, _) => vec![ClientAspect::Admission],
            (old, new) => {
                let mut aspects = Vec::new();
                if rule(old) != rule(new) {
                    aspects.push(ClientAspect::Certificate);
                }
                if old.account() != new.account() {
                    aspects.push(ClientAspect::Account);
                }
                if old.is_public() && !new.is_public() {
                    aspects.push(ClientAspect::Type);
                }
                aspects.extend(self.gained(from, to).map(ClientAspect::Scope));
                aspects
            }
        }
    }

    /// The scopes of both policies that only the one that allows lets it hold.
    fn gained<'a>(&'a self, from: &'a Policy, to: &'a Policy) -> impl Iterator<Item = ScopeName> + 'a {
        let no_ceiling = self.from.listed().is_none_or(|listed| listed.ceiling.is_none());
        let scopes = (0..).map(ScopeId).zip(if no_ceiling { &[] } else { to.scopes() });
        scopes.filter_map(move |(id, scope)| {
            let before = from.scope_named(scope.name.as_str())?;
            (self.to.may_hold(id) && !self.from.may_hold(before)).then(|| scope.name.clone())
        })
    }
}

/// What the allowing policy's list lets clients do beyond the other's; each with an example.
pub(super) fn changes(sides: &Sides<'_, '_>) -> Result<Vec<ClientChange>, TooLarge> {
    let mut changes: BTreeMap<ClientAspect, ClientChange> = BTreeMap::new();
    for client in &sides.population.clients {
        for aspect in client.aspects(sides.from.policy, sides.to.policy) {
            let Some(example) = example(sides, client, &aspect)? else { continue };
            let change = changes.entry(aspect.clone()).or_insert_with(|| ClientChange {
                direction: sides.direction,
                aspect,
                clients: Vec::new(),
                unlisted: false,
                example,
            });
            match client.id {
                Some(id) => change.clients.push(id.clone()),
                None => change.unlisted = true,
            }
        }
    }
    Ok(changes.into_values().collect())
}

/// A request of this client that shows what the aspect lets it do.
fn example(sides: &Sides<'_, '_>, client: &Client<'_>, aspect: &ClientAspect) -> Result<Option<Example>, TooLarge> {
    for way in &sides.to.all {
        if !concerns(sides, way, aspect) || !client.could_hold(way) {
            continue;
        }
        for carried in way.carried(sides.to.policy, sides.from.policy) {
            if let Some(example) = by(sides, client, way, &carried)? {
                return Ok(Some(example));
            }
        }
    }
    Ok(None)
}

/// Whether requests that come by the way can depend on this aspect of their client.
fn concerns(sides: &Sides<'_, '_>, way: &Way<'_>, aspect: &ClientAspect) -> bool {
    let Some(asks) = &way.asks else { return false };
    match aspect {
        ClientAspect::Admission | ClientAspect::Certificate | ClientAspect::Account => true,
        ClientAspect::Type => asks.confidential_only,
        ClientAspect::Scope(name) => {
            let held = held(sides.to.policy, asks.names.iter().map(|name| name.as_str()));
            sides.to.policy.scope_named(name.as_str()).is_some_and(|id| held.contains(&id))
        }
    }
}

/// A request of the client by this way that is told apart.
fn by(
    sides: &Sides<'_, '_>,
    client: &Client<'_>,
    way: &Way<'_>,
    carried: &Carried<'_>,
) -> Result<Option<Example>, TooLarge> {
    // Any of them may be closed to this client, and so none stands for the others.
    let others = reaching(way, &carried.names, sides.from);
    let (sources, hosts) = (sources(way, &others)?, hosts(way, &others));
    let classes = Classes::new(&way.shape, shapes(way, &others), places(way))?;
    for sample in &classes.samples {
        let methods = atoms(way.methods_on(sample), others.iter().map(|other| other.methods_on(sample)));
        for case in cases(sources.len()) {
            let owns = [client.to.account(), client.from.account(), None];
            let stands = owns.iter().filter_map(|own| case.stand(way, sample, &sources, *own));
            for stand in stands {
                for (host, methods) in hosts.iter().flat_map(|host| methods.iter().map(move |set| (host, *set))) {
                    let examples = at(client, way, carried, &stand, host, methods);
                    let mut examples = examples.into_iter().flat_map(|example| varied(client, example));
                    if let Some(shown) = examples.find(|example| example.tells(sides.from.policy, sides.to.policy)) {
                        return Ok(Some(shown));
                    }
                }
            }
        }
    }
    Ok(None)
}

/// The example with the accounts and certificates that an entry could ask for.
fn varied(client: &Client<'_>, example: Example) -> Vec<Example> {
    let Some(bearer) = example.bearer.clone() else { return vec![example] };
    let rule = |entry: &Entry<'_>| entry.listed().and_then(|listed| listed.certificate).cloned();
    let (to, from) = (rule(&client.to), rule(&client.from));
    let certificates =
        [None, certificate(&[to.as_ref()]), certificate(&[from.as_ref()]), certificate(&[to.as_ref(), from.as_ref()])];
    let entries: Vec<String> =
        [client.to.account(), client.from.account()].into_iter().flatten().map(str::to_owned).collect();
    let mut accounts = vec![bearer.accounts.clone(), Vec::new(), entries.clone(), vec!["another-account".to_owned()]];
    accounts.extend(entries.into_iter().map(|account| vec![account]));
    let mut varied = Vec::new();
    for certificate in certificates {
        for accounts in &accounts {
            let bearer = Bearer { accounts: accounts.clone(), certificate: certificate.clone(), ..bearer.clone() };
            varied.push(Example { bearer: Some(bearer), ..example.clone() });
        }
    }
    varied
}
