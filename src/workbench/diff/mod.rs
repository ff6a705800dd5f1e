//! What a change of policy means: who may newly do what, and who may no longer.
//!
//! Exact over the decision: each way that one policy opens is held against those of the other, in every
//! class of paths, hosts, methods and named accounts that some service, exception or account of either
//! tells from the rest; then every client's entry against its former one. What is told of is shown by an
//! example that the two policies do answer differently. Requests that either policy refuses as ambiguous
//! are left out, and so is what is behind token endpoints.

mod access;
mod cases;
mod classes;
mod clients;
mod collapse;
mod example;
mod gaps;
mod settings;
mod shape;
mod tokens;
mod way;

use thiserror::Error;

pub use access::{AccessChange, Affected, Grant, Whole};
pub use clients::{ClientAspect, ClientChange};
pub use example::{Bearer, Example, Verdict};
pub use settings::{Effect, SettingChange, settings};
pub use shape::{Region, Shape};
pub use tokens::{TokenAspect, TokenChange};

use self::clients::Population;
use self::way::Ways;
use crate::policy::Policy;

/// What a change of policy means.
#[derive(Debug)]
pub struct Difference {
    /// What scopes and public services newly open, or no longer; the riskiest first.
    pub access: Vec<AccessChange>,
    /// What becomes of clients whose entries differ.
    pub clients: Vec<ClientChange>,
    /// What becomes of tokens by the scopes that they carry.
    pub tokens: Vec<TokenChange>,
    /// What would be opened or closed if any client could hold the scopes.
    pub without_effect: Vec<AccessChange>,
}

/// Whether somebody gains or loses by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// What was refused is allowed.
    Allowed,
    /// What was allowed is refused.
    Denied,
}

/// How much is to be feared of a change that allows something; a change that denies is low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// Reads of the caller's own account, or of an api that has none.
    Low,
    /// Something can be changed.
    Medium,
    /// Any account, or clients that nothing is known of.
    High,
    /// No token is asked for.
    Critical,
}

/// The policies tell apart more than can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the services of the two files overlap in too many ways to be compared exactly")]
pub struct TooLarge;

/// The policy that refuses and the one that allows, and who calls.
struct Sides<'a, 'p> {
    direction: Direction,
    from: &'a Ways<'p>,
    to: &'a Ways<'p>,
    population: &'a Population<'p>,
}

impl Difference {
    /// What becomes of requests if `new` takes the place of `old`.
    ///
    /// # Errors
    /// If their patterns overlap in too many ways.
    pub fn new(old: &Policy, new: &Policy) -> Result<Self, TooLarge> {
        let (old, new) = (Ways::new(old), Ways::new(new));
        let gaining = Population::new(old.policy, new.policy);
        let losing = Population::new(new.policy, old.policy);
        let sides = [
            Sides { direction: Direction::Allowed, from: &old, to: &new, population: &gaining },
            Sides { direction: Direction::Denied, from: &new, to: &old, population: &losing },
        ];
        let mut difference = Self { access: vec![], clients: vec![], tokens: vec![], without_effect: vec![] };
        for sides in &sides {
            let (effective, idle) = access::changes(sides)?;
            difference.access.extend(effective);
            difference.without_effect.extend(idle);
            difference.clients.extend(clients::changes(sides)?);
            difference.tokens.extend(tokens::changes(sides)?);
        }
        difference.access.sort_by_key(AccessChange::order);
        Ok(difference)
    }

    /// Whether nobody gains or loses anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.access.is_empty() && self.clients.is_empty() && self.tokens.is_empty()
    }
}
