//! The I/O side of identity: whose token a request carries, and whether it is good now.
//!
//! - `authenticate` is steps 4 to 7 of the decision, with `binding` for the last; `authenticated` is
//!   what they find, `cache` where that is kept, `expired` where that a token is too old is.
//! - `set` is the issuers of one generation, `state` one of them.
//! - `keys` is an issuer's keys as requests see them, `refresh` the task that fetches them,
//!   `attempts` its fetches one after another, `unknown` when a token may set one off.
//! - `discovery` finds out where an issuer's keys and introspection are.
//! - `introspect` asks an issuer about an opaque token or a JWT, `flights` so that nobody asks twice, and
//!   `credentials` prove who asks.
//! - `revoked` is the list of revoked tokens, `revocation_file` how it is kept, `revoke` who may add to
//!   it; `replay` is the memory of proofs, `nonce` what proofs may be asked to contain.
//! - `fleet` is what other gateways have revoked, `there` what of it the shared state has.
//! - `sign_in` is how people come by a token at an issuer, for the console.
//! - `moment` is when something happens: what is judged goes by the time, what is remembered ages by a clock that is
//!   never set.
//! - `web`, over `connections`, and `file` are where bytes come from, `kept` what is made of files,
//!   `pace` how often all of it happens, `environment` what is shared.
//!
//! What a key set, a token or a proof is good for is `token`'s; what a caller may do is `policy`'s.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::Handle;

mod attempts;
mod authenticate;
mod authenticated;
mod binding;
mod cache;
mod connections;
mod credentials;
mod discovery;
mod environment;
mod expired;
mod file;
mod fleet;
mod flights;
mod introspect;
mod kept;
mod keys;
mod moment;
mod nonce;
mod pace;
mod refresh;
mod replay;
mod revocation_file;
mod revoke;
mod revoked;
mod set;
mod sha256;
mod sign_in;
mod state;
mod there;
mod unknown;
mod web;

pub use authenticate::Presented;
pub use authenticated::{Authenticated, IdentityValues, Tried};
pub use moment::Moment;
pub use revoke::{NotRevoked, NotTaken};
pub use revoked::{NotAppended, Revoked};
pub use set::IssuerSet;
pub use sign_in::{Brought, CannotSignIn, SignIn};

use self::cache::TokenCache;
use self::environment::Environment;
use self::expired::Expired;
use self::fleet::Told;
use self::nonce::Nonces;
use self::pace::Pace;
use self::replay::Replays;
use self::revoke::Revokers;
use self::state::IssuerState;
use crate::config::Settings;
use crate::fleet::Fleet;
use crate::record::Metrics;

#[cfg(test)]
mod tests;

/// How many bytes verified tokens may take, at most: well over 100,000 of the usual ones at some 2 KiB
/// each. Only tokens in use take any.
const CACHE: usize = 256 * 1024 * 1024;

/// The issuers of the process. What they know outlives a generation: keys, verified tokens, proofs.
pub struct Issuers {
    around: Environment,
    memory: Arc<Memory>,
    /// Who is at work for some generation. It is locked while settings are taken into use, and never
    /// while something of it is dropped.
    at_work: Mutex<AtWork>,
}

/// What is remembered across generations.
struct Memory {
    tokens: TokenCache,
    expired: Expired,
    replays: Replays,
    nonces: Nonces,
}

#[derive(Default)]
struct AtWork {
    states: Vec<Weak<IssuerState>>,
    revoked: Weak<Revoked>,
    fleet: Weak<Fleet>,
    told: Weak<Told>,
    sign_in: Weak<SignIn>,
}

impl Issuers {
    /// Without any issuer. Background tasks run on `runtime`, which should serve no requests.
    pub fn new(metrics: Arc<Metrics>, runtime: Handle) -> Arc<Self> {
        Self::paced(metrics, runtime, Pace::default(), CACHE)
    }

    fn paced(metrics: Arc<Metrics>, runtime: Handle, pace: Pace, cache: usize) -> Arc<Self> {
        let memory = Memory {
            tokens: TokenCache::new(cache),
            expired: Expired::new(),
            replays: Replays::new(),
            nonces: Nonces::new(),
        };
        Arc::new(Self {
            around: Environment::new(metrics, runtime, pace),
            memory: Arc::new(memory),
            at_work: Mutex::default(),
        })
    }

    /// The issuers of one generation. Those whose settings did not change stay as they are, and
    /// where only the rules did, the keys stay; others start anew, and their keys are there after
    /// the first good fetch. Key files, secrets and the list of revoked tokens are read here: it
    /// blocks as long as that takes.
    pub fn adopt(self: &Arc<Self>, settings: &Settings) -> IssuerSet {
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier: Vec<_> = at_work.states.iter().filter_map(Weak::upgrade).collect();
        let states: Box<[_]> = settings
            .issuers
            .iter()
            .map(|issuer| match earlier.iter().find(|state| state.is_of(issuer)) {
                Some(state) => Arc::clone(state),
                None => Arc::new(IssuerState::start(issuer, &earlier, &self.around)),
            })
            .collect();
        let list = at_work.revoked.upgrade();
        let token_file = settings.admin.as_ref().and_then(|admin| admin.revocations_token_file.as_deref());
        let revoked = settings.revocations.as_ref().map(|settings| {
            let (path, grows) = (&*settings.file, settings.endpoint.is_some() || token_file.is_some());
            match &list {
                Some(list) if list.is_of(path, grows) => Arc::clone(list),
                Some(_) | None => Arc::new(Revoked::start(path, grows, &self.around)),
            }
        });
        let fleet = settings.shared_state.as_ref().map(|settings| match at_work.fleet.upgrade() {
            Some(fleet) if fleet.is_of(settings) => fleet,
            Some(_) | None => Fleet::start(settings, &self.around.metrics, &self.around.runtime),
        });
        let told = fleet.as_ref().zip(revoked.as_ref()).map(|(fleet, own)| match at_work.told.upgrade() {
            Some(told) if told.is_of(fleet, own) => told,
            before => Arc::new(Told::start(fleet, own, before.as_deref(), &self.around)),
        });
        at_work.fleet = fleet.as_ref().map(Arc::downgrade).unwrap_or_default();
        at_work.told = told.as_ref().map(Arc::downgrade).unwrap_or_default();
        let revokers = token_file.map(|file| Revokers::start(file, &self.around));
        let others = earlier.iter().filter(|state| !states.iter().any(|own| Arc::ptr_eq(own, state)));
        at_work.states = others.chain(&states).map(Arc::downgrade).collect();
        at_work.revoked = revoked.as_ref().map(Arc::downgrade).unwrap_or_default();
        let sign_in = SignIn::start(settings, at_work.sign_in.upgrade(), &self.around);
        at_work.sign_in = sign_in.as_ref().map(Arc::downgrade).unwrap_or_default();
        drop(at_work);
        IssuerSet {
            states,
            revoked,
            revokers,
            fleet,
            told,
            sign_in,
            memory: Arc::clone(&self.memory),
            around: self.around.clone(),
        }
    }
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuers").finish_non_exhaustive()
    }
}
