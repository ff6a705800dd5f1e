//! What becomes of tokens by the names of the scopes that they carry.

use super::access::at;
use super::cases::cases;
use super::classes::Classes;
use super::example::Example;
use super::gaps::{hosts, places, reaching, shapes, sources};
use super::way::{Carried, Way};
use super::{Direction, Sides, TooLarge};
use crate::policy::{Policy, ScopeName, ScopeNames, UndefinedScopes};

/// A line of the difference: tokens that are newly let through, or no longer, by what else they carry.
#[derive(Debug, Clone)]
pub struct TokenChange {
    /// Which of both.
    pub direction: Direction,
    /// What differs.
    pub aspect: TokenAspect,
    /// A request that the two policies answer differently.
    pub example: Example,
}

/// What differs about tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenAspect {
    /// Those with a scope that no api defines.
    UndefinedScopes,
    /// Those with this scope, which one of the policies does not define, and so refuses.
    Scope(ScopeName),
    /// Those that write a scope in other letters than the file.
    LetterCase,
}

/// What the allowing policy lets pass beyond the other; each with an example.
pub(super) fn changes(sides: &Sides<'_, '_>) -> Result<Vec<TokenChange>, TooLarge> {
    let mut changes = Vec::new();
    for aspect in aspects(sides.from.policy, sides.to.policy) {
        if let Some(example) = example(sides, &aspect)? {
            changes.push(TokenChange { direction: sides.direction, aspect, example });
        }
    }
    Ok(changes)
}

fn aspects(from: &Policy, to: &Policy) -> Vec<TokenAspect> {
    let mut aspects = Vec::new();
    if from.scope_names() == ScopeNames::CaseSensitive && to.scope_names() == ScopeNames::CaseInsensitive {
        aspects.push(TokenAspect::LetterCase);
    }
    match (from.undefined_scopes(), to.undefined_scopes()) {
        (UndefinedScopes::Ignore, _) => {}
        (UndefinedScopes::Reject, UndefinedScopes::Ignore) => aspects.push(TokenAspect::UndefinedScopes),
        (UndefinedScopes::Reject, UndefinedScopes::Reject) => {
            let names = to.scopes().iter().map(|scope| &scope.name);
            let newly = names.filter(|name| from.scope_named(name.as_str()).is_none());
            aspects.extend(newly.cloned().map(TokenAspect::Scope));
        }
    }
    aspects
}

/// A request with such a token.
fn example(sides: &Sides<'_, '_>, aspect: &TokenAspect) -> Result<Option<Example>, TooLarge> {
    for way in sides.to.all.iter().filter(|way| way.asks.is_some()) {
        for carried in way.carried(sides.to.policy, sides.from.policy) {
            if let Some(example) = by(sides, aspect, way, &carried)? {
                return Ok(Some(example));
            }
        }
    }
    Ok(None)
}

fn by(
    sides: &Sides<'_, '_>,
    aspect: &TokenAspect,
    way: &Way<'_>,
    carried: &Carried<'_>,
) -> Result<Option<Example>, TooLarge> {
    // Whatever it carries, such a token is refused but where none is asked for.
    let mut others = reaching(way, &carried.names, sides.from);
    others.retain(|other| other.asks.is_none());
    let (sources, hosts) = (sources(way, &others)?, hosts(way, &others));
    let classes = Classes::new(&way.shape, shapes(way, &others), places(way))?;
    for client in sides.population.clients.iter().filter(|client| client.could_hold(way)) {
        for sample in &classes.samples {
            let stands = cases(sources.len()).filter_map(|case| case.stand(way, sample, &sources, client.account()));
            for stand in stands {
                for host in &hosts {
                    let public = others.iter().filter(|other| other.api.admits_host(host));
                    let methods =
                        public.fold(way.methods_on(sample), |left, other| left.without(other.methods_on(sample)));
                    if methods.is_empty() {
                        continue;
                    }
                    let examples = at(client, way, carried, &stand, host, methods);
                    let mut examples = examples.into_iter().filter_map(|example| carrying(example, aspect));
                    if let Some(shown) = examples.find(|example| example.tells(sides.from.policy, sides.to.policy)) {
                        return Ok(Some(shown));
                    }
                }
            }
        }
    }
    Ok(None)
}

/// The example with a token that the aspect is about.
fn carrying(mut example: Example, aspect: &TokenAspect) -> Option<Example> {
    let bearer = example.bearer.as_mut()?;
    match aspect {
        TokenAspect::UndefinedScopes => bearer.scopes.push("a-scope-that-no-api-defines".to_owned()),
        TokenAspect::Scope(name) => bearer.scopes.push(name.to_string()),
        TokenAspect::LetterCase => bearer.scopes.iter_mut().for_each(|scope| *scope = other_letters(scope)),
    }
    Some(example)
}

fn other_letters(name: &str) -> String {
    let turned = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    name.chars().map(turned).collect()
}
