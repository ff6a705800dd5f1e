//! One issuer at work: its rules, its keys, its introspection.

use std::sync::Arc;
use std::time::Duration;

use super::environment::Environment;
use super::introspect::Introspector;
use super::keys::{IssuerKeys, Wanted, unique};
use crate::config;
use crate::token::IssuerRules;

/// One issuer at work. It is shared by the generations whose settings for it are equal, and ends
/// with the last of them.
pub(super) struct IssuerState {
    /// Of this state and no other, before or after: verdicts of another state do not stand.
    pub(super) id: u64,
    settings: config::Issuer,
    pub(super) keys: Option<Arc<IssuerKeys>>,
    pub(super) introspection: Option<Introspector>,
}

impl IssuerState {
    /// Takes an issuer's settings into use. `earlier` are those at work, of which the keys are
    /// shared where they are fetched alike. It reads files, and blocks as long as that takes.
    pub(super) fn start(settings: &config::Issuer, earlier: &[Arc<Self>], around: &Environment) -> Self {
        let keys = settings.keys.as_ref().map(|source| {
            let wanted = Wanted {
                issuer: Arc::clone(&settings.rules.issuer),
                source: source.clone(),
                ca: settings.ca_file.clone(),
            };
            let same = earlier.iter().filter_map(|state| state.keys.as_ref()).find(|keys| keys.are_of(&wanted));
            let stale_for = settings.stale_keys_for;
            match same {
                Some(keys) => {
                    keys.keep_stale_for(stale_for);
                    Arc::clone(keys)
                }
                None => Arc::new(IssuerKeys::start(wanted, stale_for, around)),
            }
        });
        let introspection = settings.introspection.as_ref().map(|introspection| {
            let discovered = keys.as_ref().map(|keys| Arc::clone(keys.discovered())).unwrap_or_default();
            Introspector::start(introspection, &settings.rules, settings.ca_file.clone(), discovered, around)
        });
        Self { id: unique(), settings: settings.clone(), keys, introspection }
    }

    /// Whether it is what [`IssuerState::start`] would make of these settings.
    pub(super) fn is_of(&self, settings: &config::Issuer) -> bool {
        self.settings == *settings
    }

    /// What its tokens must be.
    pub(super) fn rules(&self) -> &IssuerRules {
        &self.settings.rules
    }

    /// How far apart fetches are that tokens with unknown keys set off.
    pub(super) fn refetch_interval(&self) -> Duration {
        self.settings.refetch_interval
    }

    /// Who is asked about its JWTs too, once they were verified.
    pub(super) fn confirming(&self) -> Option<&Introspector> {
        let jwts = self.settings.introspection.as_ref().is_some_and(|introspection| introspection.jwts);
        self.introspection.as_ref().filter(|_| jwts)
    }

    /// Whether it has had keys, or needs none.
    pub(super) fn is_ready(&self) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.held().ever())
    }
}
