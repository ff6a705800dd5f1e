//! The issuers of one generation.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;

use super::fleet::Told;
use super::introspect::Introspector;
use super::revoke::Revokers;
use super::revoked::Revoked;
use super::sign_in::SignIn;
use super::state::IssuerState;
use super::{Memory, environment::Environment};
use crate::fleet::Fleet;

/// The issuers of one generation. An issuer's refresh ends with the last set that has it.
pub struct IssuerSet {
    pub(super) states: Box<[Arc<IssuerState>]>,
    pub(super) revoked: Option<Arc<Revoked>>,
    pub(super) revokers: Option<Revokers>,
    /// What other gateways know, if it is shared.
    pub(super) fleet: Option<Arc<Fleet>>,
    /// What they have revoked, where there is a list of revoked tokens.
    pub(super) told: Option<Arc<Told>>,
    pub(super) sign_in: Option<Arc<SignIn>>,
    pub(super) memory: Arc<Memory>,
    pub(super) around: Environment,
}

impl IssuerSet {
    /// Whether every issuer has had keys (or needs none) and the list of revoked tokens, if there is
    /// one, was read. Once true it stays true.
    pub fn are_ready(&self) -> bool {
        self.waiting_for().is_empty()
    }

    /// What [`IssuerSet::are_ready`] waits for: issuers by name, the list of revoked tokens, and the
    /// shared one.
    pub fn waiting_for(&self) -> Vec<String> {
        let issuers =
            self.states.iter().filter(|state| !state.is_ready()).map(|state| state.rules().issuer.to_string());
        let list = self.revoked.iter().filter(|list| !list.is_ready()).map(|_| "revocations".to_owned());
        let told = self.told.iter().filter(|told| !told.is_ready()).map(|_| "shared_state".to_owned());
        issuers.chain(list).chain(told).collect()
    }

    /// The nonce for an answer that asks for one, or renews it (RFC 9449 sections 8 and 9).
    pub fn proof_nonce(&self, now: Instant) -> Option<HeaderValue> {
        HeaderValue::try_from(self.memory.nonces.give(now)?).ok()
    }

    /// What other gateways know, if it is shared.
    pub fn fleet(&self) -> Option<&Arc<Fleet>> {
        self.fleet.as_ref()
    }

    /// Where people sign in to the console, if the file says so.
    pub fn sign_in(&self) -> Option<&Arc<SignIn>> {
        self.sign_in.as_ref()
    }

    /// The state of that number, if the generation has it.
    pub(super) fn state(&self, id: u64) -> Option<&IssuerState> {
        self.states.iter().find(|state| state.id == id).map(|state| &**state)
    }

    /// The issuer of a token's `iss`, compared exactly.
    pub(super) fn issued_by(&self, issuer: &str) -> Option<&IssuerState> {
        self.states.iter().find(|state| *state.rules().issuer == *issuer).map(|state| &**state)
    }

    /// The issuer of opaque tokens, which do not say whose they are: the one that can be asked.
    pub(super) fn introspecting(&self) -> Option<(&IssuerState, &Introspector)> {
        self.states.iter().find_map(|state| Some((&**state, state.introspection.as_ref()?)))
    }
}

impl std::fmt::Debug for IssuerSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.states.iter().map(|state| &state.rules().issuer)).finish()
    }
}
