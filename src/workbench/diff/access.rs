//! What scopes and public services newly open, or no longer.

use std::cmp::Reverse;

use super::cases::{Stand, cases};
use super::clients::Client;
use super::example::{Bearer, Example};
use super::gaps::{Gap, Gaps, gaps};
use super::shape::Region;
use super::way::{Carried, Way};
use super::{Direction, Risk, Sides, TooLarge, collapse};
use crate::policy::{AccountSource, ApiName, ClientId, MethodSet, Reach, ScopeName, ServiceId};

/// A line of the difference: what is newly allowed, or no longer, and whom it concerns.
#[derive(Debug, Clone)]
pub struct AccessChange {
    /// Which of both.
    pub direction: Direction,
    /// The api whose services they are.
    pub api: ApiName,
    /// Whether that is all of something.
    pub whole: Option<Whole>,
    /// What it consists of; never empty.
    pub grants: Vec<Grant>,
    /// Who gains or loses by it.
    pub clients: Affected,
    /// How much is to be feared of it.
    pub risk: Risk,
    /// What in the files is behind it, as far as one thing is.
    pub because: Vec<String>,
    /// A request that the two policies answer differently; `None` where nobody can make one.
    pub example: Option<Example>,
}

/// All of which thing is newly allowed, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whole {
    /// Every service of the api.
    Api,
    /// Every service of a scope or privilege.
    Scope(ScopeName),
}

/// What one service of a scope opens.
#[derive(Debug, Clone)]
pub struct Grant {
    /// By which scope or privilege; `None`: no token is asked for.
    pub scope: Option<ScopeName>,
    /// The api's required scopes, which a token must have besides.
    pub required: Vec<ScopeName>,
    /// To which accounts; `None` where the api has none.
    pub reach: Option<Reach>,
    /// Whether browsers and public clients are refused.
    pub confidential_only: bool,
    /// The service, as its file writes it.
    pub service: String,
    /// Its number in that file.
    pub(super) id: ServiceId,
    /// Of it, these methods.
    pub methods: MethodSet,
    /// Of it, these paths.
    pub regions: Vec<Region>,
    /// Of it, these hosts; `None`: all that the api is for.
    pub hosts: Option<Vec<String>>,
    /// Where only for some ways of naming the account, which.
    pub when: Option<String>,
    pub(super) is_whole: bool,
    /// Whether it is by a privilege that includes the scope.
    pub(super) is_included: bool,
}

/// Who gains or loses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Affected {
    /// Whether every client does that may have such a token.
    pub everyone: bool,
    /// The listed ones that do.
    pub listed: Vec<ClientId>,
    /// Whether clients do that neither file lists.
    pub unlisted: bool,
}

/// The changes that somebody feels, and those that nobody does.
pub(super) fn changes(sides: &Sides<'_, '_>) -> Result<(Vec<AccessChange>, Vec<AccessChange>), TooLarge> {
    let (mut effective, mut idle) = (Vec::new(), Vec::new());
    let ways: Vec<_> = sides.to.all.iter().filter(|way| !is_redundant(way, sides)).collect();
    for way in &ways {
        let mut known: Vec<Vec<Gap>> = Vec::new();
        for carried in way.carried(sides.to.policy, sides.from.policy) {
            let found = gaps(way, &carried.names, sides.from)?;
            // Who carries a privilege has its scope too, and is told of with it.
            if known.contains(&found.list) {
                continue;
            }
            for gap in &found.list {
                let change = change(sides, way, &carried, &found, gap);
                if change.example.is_some() { effective.push(change) } else { idle.push(change) }
            }
            known.push(found.list);
        }
    }
    Ok((collapse::collapse(effective, &ways, sides), collapse::collapse(idle, &ways, sides)))
}

/// Whether another way of the same policy opens all that it does, to all.
fn is_redundant(way: &Way<'_>, sides: &Sides<'_, '_>) -> bool {
    let names = way.asks.as_ref().map(|asks| asks.names.clone()).unwrap_or_default();
    let is_wider = |other: &Way<'_>| {
        other.service != way.service && other.covers(way) && (other.service < way.service || !way.covers(other))
    };
    sides.to.open_to(&names).any(is_wider)
}

fn change(sides: &Sides<'_, '_>, way: &Way<'_>, carried: &Carried<'_>, found: &Gaps<'_>, gap: &Gap) -> AccessChange {
    let policy = sides.to.policy;
    let name = |id| policy.scope(id).map(|scope| scope.name.clone());
    let required = if way.asks.is_some() { &*way.api.required } else { &[] };
    let grant = Grant {
        scope: carried.scope.cloned(),
        required: required.iter().filter_map(|id| name(*id)).collect(),
        reach: way.asks.as_ref().filter(|_| !way.api.account.is_empty()).map(|asks| asks.reach),
        confidential_only: way.asks.as_ref().is_some_and(|asks| asks.confidential_only),
        service: policy.service(way.service).map(ToString::to_string).unwrap_or_default(),
        id: way.service,
        methods: gap.methods,
        regions: gap.regions.clone(),
        hosts: gap.hosts.clone(),
        when: when(gap, &found.sources),
        is_whole: found.is_whole,
        is_included: way.asks.as_ref().and_then(|asks| name(asks.scope)) != carried.scope.cloned(),
    };
    let (clients, example) = affected(sides, way, carried, found, gap);
    let risk = risk(sides.direction, &grant, &clients);
    let because = Vec::new();
    let api = way.api.name.clone();
    AccessChange { direction: sides.direction, api, whole: None, grants: vec![grant], clients, risk, because, example }
}

/// Who feels it, and an example.
fn affected(
    sides: &Sides<'_, '_>,
    way: &Way<'_>,
    carried: &Carried<'_>,
    found: &Gaps<'_>,
    gap: &Gap,
) -> (Affected, Option<Example>) {
    let mut affected = Affected { everyone: true, ..Affected::default() };
    let mut example = None;
    for client in &sides.population.clients {
        if !client.could_hold(way) {
            affected.everyone = false;
            continue;
        }
        let mut examples = examples(client, way, carried, found, gap);
        let Some(shown) = examples.find(|example| example.tells(sides.from.policy, sides.to.policy)) else {
            affected.everyone = false;
            continue;
        };
        example.get_or_insert(shown);
        match client.id {
            Some(id) => affected.listed.push(id.clone()),
            None => affected.unlisted = true,
        }
    }
    (affected, example)
}

/// Requests of the gap that this client can make.
fn examples<'e>(
    client: &'e Client<'_>,
    way: &'e Way<'_>,
    carried: &'e Carried<'_>,
    found: &'e Gaps<'_>,
    gap: &'e Gap,
) -> impl Iterator<Item = Example> + 'e {
    let hosts = gap.hosts.as_ref().unwrap_or(&found.hosts);
    let every: Vec<_> = cases(found.sources.len()).collect();
    let cases = gap.cases.clone().unwrap_or(every);
    let stands = gap.samples.iter().flat_map(move |sample| {
        let stands = cases.iter().filter_map(|case| case.stand(way, sample, &found.sources, client.account()));
        stands.collect::<Vec<_>>()
    });
    let examples = stands.flat_map(move |stand| {
        hosts.iter().flat_map(move |host| at(client, way, carried, &stand.clone(), host, gap.methods))
    });
    examples.filter(|example| {
        let target = crate::policy::Target::parse(example.target.as_bytes());
        target.is_ok_and(|target| gap.regions.iter().any(|region| region.takes(&target)))
    })
}

/// A stand's request, as this client can make it.
pub(super) fn at(
    client: &Client<'_>,
    way: &Way<'_>,
    carried: &Carried<'_>,
    stand: &Stand,
    host: &str,
    methods: MethodSet,
) -> Vec<Example> {
    let Some(asks) = &way.asks else { return vec![Example::new(stand, host, methods, None)] };
    let scopes: Vec<String> = carried.names.iter().map(ToString::to_string).collect();
    let mut examples = Vec::new();
    for accounts in client.token_accounts(&stand.accounts) {
        let bearer = Bearer {
            client: Some(client.called().to_owned()),
            accounts,
            scopes: scopes.clone(),
            certificate: client.certificate(),
        };
        let example = Example::new(stand, host, methods, Some(bearer));
        examples.push(example.clone());
        if !asks.confidential_only {
            examples.push(example.by_browser());
        }
    }
    examples
}

fn risk(direction: Direction, grant: &Grant, clients: &Affected) -> Risk {
    let reads = ["GET", "HEAD", "OPTIONS", "QUERY", "PROPFIND", "REPORT", "SEARCH"];
    let reads = reads.into_iter().filter_map(MethodSet::known).fold(MethodSet::NONE, MethodSet::or);
    match (direction, &grant.scope) {
        (Direction::Denied, _) => Risk::Low,
        (Direction::Allowed, None) => Risk::Critical,
        (Direction::Allowed, Some(_)) if grant.reach == Some(Reach::Any) || clients.unlisted && !clients.everyone => {
            Risk::High
        }
        (Direction::Allowed, Some(_)) if grant.methods.without(reads).is_empty() => Risk::Low,
        (Direction::Allowed, Some(_)) => Risk::Medium,
    }
}

/// In which cases, for people.
fn when(gap: &Gap, sources: &[&AccountSource]) -> Option<String> {
    let open = gap.cases.as_ref()?;
    let has = |place: usize, is: bool| open.iter().all(|case| (case.sent & (1 << place) != 0) == is);
    let mut words: Vec<String> = Vec::new();
    for (place, source) in sources.iter().enumerate() {
        let source = match source {
            AccountSource::Path(name) => format!("the segment `{name}`"),
            AccountSource::Query(name) => format!("the parameter `{name}`"),
            AccountSource::Header(name) => format!("the header `{name}`"),
        };
        if has(place, true) {
            words.push(format!("with {source}"));
        } else if has(place, false) {
            words.push(format!("without {source}"));
        }
    }
    if open.iter().all(|case| case.several) {
        words.push("by a caller of several accounts".to_owned());
    }
    Some(if words.is_empty() { "for some ways to name the account".to_owned() } else { words.join(" and ") })
}

impl AccessChange {
    /// The riskiest first, and what is allowed before what is denied; then as the files have it.
    pub(super) fn order(&self) -> (Direction, Reverse<Risk>, Option<ServiceId>) {
        (self.direction, Reverse(self.risk), self.grants.first().map(|grant| grant.id))
    }
}
