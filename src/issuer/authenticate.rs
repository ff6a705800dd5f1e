//! Steps 4 to 7 of the decision: whose token is it, is it good, is it shown by whom it is bound to?
//!
//! A token that was found good before is in the cache, and what that verdict rests on is asked
//! again on every hit: `judge`. Others are verified or asked about: `learn`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::authenticated::{Authenticated, Evidence, Voucher};
use super::binding::check_first_use;
use super::expired::Found;
use super::introspect::{Introspector, Told};
use super::keys::{IssuerKeys, KeyStanding, Refetched};
use super::moment::{Moment, Span};
use super::set::IssuerSet;
use super::state::IssuerState;
use crate::policy::{Caller, Certificate, Denial, Policy, TokenFault};
use crate::record::CacheResult;
use crate::token::{Credential, Jwt, Verified, check_times};

/// What a request shows of its caller.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'r> {
    /// The token, and how it was sent.
    pub credential: Credential<'r>,
    /// The TLS client certificate, if one was presented.
    pub certificate: Option<&'r Certificate>,
    /// The `DPoP` header's value, if there is one.
    pub proof: Option<&'r str>,
    /// The request's method.
    pub method: &'r str,
    /// What a proof's `htu` must be: scheme, host and path.
    pub url: &'r str,
}

/// A question about a token.
#[derive(Clone, Copy)]
struct Asked<'r> {
    token: &'r str,
    policy: &'r Policy,
    generation: u64,
    now: Moment,
    /// Whether a request asks: an exchange under way asks again and again, and is counted once.
    is_request: bool,
}

/// A token that is good, and whose it is.
struct Known<'s> {
    state: &'s IssuerState,
    found: Arc<Authenticated>,
}

/// What becomes of what was found of a token once.
enum Judged<'s> {
    /// It stands.
    Good(Known<'s>),
    /// The policy is another: this is what it makes of it.
    Remade(Known<'s>),
    /// It rests on something that is no more.
    Outdated,
    /// The token is no longer good.
    Refused(Denial),
}

impl IssuerSet {
    /// Steps 4 to 7 of the decision. With a token that was found good before, it never waits.
    ///
    /// # Errors
    /// The first step that refuses.
    pub async fn authenticate(
        &self,
        presented: &Presented<'_>,
        policy: &Policy,
        generation: u64,
        now: Moment,
    ) -> Result<Arc<Authenticated>, Denial> {
        let known = self
            .verified(Asked { token: presented.credential.token, policy, generation, now, is_request: true })
            .await?;
        if let Some((proof, until)) =
            self.check_binding(presented, known.found.caller.binding, known.state.rules(), now)?
            && let Some(fleet) = &self.fleet
        {
            // On the heap, as above.
            Box::pin(check_first_use(fleet, proof, until, now)).await?;
        }
        Ok(known.found)
    }

    /// Steps 4 to 7 without what the token is bound to.
    ///
    /// # Errors
    /// The first step that refuses.
    pub async fn know(
        &self,
        token: &str,
        policy: &Policy,
        generation: u64,
        now: Moment,
    ) -> Result<Arc<Authenticated>, Denial> {
        self.verified(Asked { token, policy, generation, now, is_request: true }).await.map(|known| known.found)
    }

    /// The same for an exchange that was let through with the token before, and goes on.
    ///
    /// # Errors
    /// The first step that refuses.
    pub async fn know_still(
        &self,
        token: &str,
        policy: &Policy,
        generation: u64,
        now: Moment,
    ) -> Result<Arc<Authenticated>, Denial> {
        self.verified(Asked { token, policy, generation, now, is_request: false }).await.map(|known| known.found)
    }

    async fn verified(&self, asked: Asked<'_>) -> Result<Known<'_>, Denial> {
        match self.recall(&asked) {
            Some(recalled) => recalled,
            // On the heap, so that what every request carries along stays small.
            None => Box::pin(self.learn(&asked)).await,
        }
    }

    /// What the cache has to say of a token, if anything that stands.
    fn recall(&self, asked: &Asked<'_>) -> Option<Result<Known<'_>, Denial>> {
        let Some(found) = self.memory.tokens.find(asked.token) else {
            self.count(asked, CacheResult::Miss);
            return None;
        };
        let (result, known) = match self.judge(found, asked) {
            Judged::Good(known) => (CacheResult::Hit, Some(Ok(known))),
            Judged::Refused(denial) => (CacheResult::Hit, Some(Err(denial))),
            Judged::Remade(known) => (CacheResult::Stale, Some(Ok(known))),
            Judged::Outdated => (CacheResult::Stale, None),
        };
        self.count(asked, result);
        known
    }

    fn count(&self, asked: &Asked<'_>, result: CacheResult) {
        if asked.is_request {
            self.around.metrics.token_cache(result);
        }
    }

    /// Whether what was found of a token still stands, in the order of the decision.
    fn judge(&self, found: Arc<Authenticated>, asked: &Asked<'_>) -> Judged<'_> {
        let evidence = &found.evidence;
        let Some(state) = self.state(evidence.issuer) else { return self.outdated(&found, asked) };
        if evidence.voucher.good_for().is_some_and(|span| !span.lasts(asked.now)) {
            return self.outdated(&found, asked);
        }
        if let Some((key, seen)) = evidence.voucher.key() {
            match state.keys.as_ref().map(|keys| keys.held().check(key, seen)) {
                Some(KeyStanding::Good) => {}
                Some(KeyStanding::Gone) | None => return self.outdated(&found, asked),
                Some(KeyStanding::Unavailable) => return Judged::Refused(Denial::IssuerUnavailable),
            }
        }
        if let Err(fault) = check_times(&found.caller, state.rules(), asked.now.time) {
            return Judged::Refused(fault.into());
        }
        if let Err(denial) = self.check_revoked(&found.caller, asked, [&evidence.not_revoked, &evidence.not_told]) {
            return Judged::Refused(denial);
        }
        if evidence.generation == asked.generation {
            return Judged::Good(Known { state, found });
        }
        match self.remake(&found, asked) {
            Ok(found) => Judged::Remade(Known { state, found }),
            Err(fault) => Judged::Refused(fault.into()),
        }
    }

    fn outdated(&self, found: &Arc<Authenticated>, asked: &Asked<'_>) -> Judged<'static> {
        self.memory.tokens.forget(asked.token, found);
        Judged::Outdated
    }

    /// What another generation makes of a caller. What an earlier one makes of it is not kept.
    fn remake(&self, found: &Authenticated, asked: &Asked<'_>) -> Result<Arc<Authenticated>, TokenFault> {
        let evidence = found.evidence.for_generation(asked.generation);
        let remade = Arc::new(self.make(found.caller.clone(), evidence, asked)?);
        if found.evidence.generation < asked.generation {
            self.memory.tokens.put(asked.token, Arc::clone(&remade));
        }
        Ok(remade)
    }

    /// Finds out about a token that the cache does not have.
    async fn learn(&self, asked: &Asked<'_>) -> Result<Known<'_>, Denial> {
        if self.is_known_to_be_expired(asked) {
            return Err(TokenFault::Expired.into());
        }
        if !Jwt::looks_like(asked.token) {
            let Some((state, introspector)) = self.introspecting() else {
                return Err(TokenFault::Malformed("it is no JWT, and no issuer takes other tokens").into());
            };
            return self.introspect(asked, state, introspector).await;
        }
        let jwt = Jwt::parse(asked.token)?;
        let state = self.issued_by(jwt.issuer()).ok_or(TokenFault::IssuerUnknown)?;
        let Some(keys) = &state.keys else {
            let introspector = state.introspection.as_ref().ok_or(Denial::IssuerUnavailable)?;
            return self.introspect(asked, state, introspector).await;
        };
        jwt.check_header(state.rules())?;
        let first = self.verify(asked, &jwt, state, keys).await;
        let Err(denial) = first else { return first };
        if !could_be_cured(&denial, &jwt, keys) {
            return Err(denial);
        }
        match keys.refetch(jwt.kid(), state.refetch_interval()).await {
            Refetched::Again => self.verify(asked, &jwt, state, keys).await,
            Refetched::InVain => Err(denial),
            Refetched::Unavailable => Err(Denial::IssuerUnavailable),
        }
    }

    /// Verifies a JWT, or waits for whoever does so already.
    async fn verify<'s>(
        &'s self,
        asked: &Asked<'_>,
        jwt: &Jwt<'_>,
        state: &'s IssuerState,
        keys: &IssuerKeys,
    ) -> Result<Known<'s>, Denial> {
        if let Some(introspector) = state.confirming() {
            return self.confirm(asked, jwt, state, keys, introspector).await;
        }
        if !keys.held().may_have(jwt.kid()) {
            // There is nothing to do twice, and no turn to take: random key ids cost no more than this.
            return Ok(Known { state, found: Arc::new(self.verify_now(asked, jwt, state, keys)?) });
        }
        match self.memory.tokens.find_or_turn(asked.token).await {
            Err(turn) => {
                // INVARIANT: nothing is awaited while the turn is held.
                let found = Arc::new(self.verify_now(asked, jwt, state, keys)?);
                turn.put(Arc::clone(&found));
                Ok(Known { state, found })
            }
            Ok(found) => match self.judge(found, asked) {
                Judged::Good(known) | Judged::Remade(known) => Ok(known),
                Judged::Refused(denial) => Err(denial),
                Judged::Outdated => Ok(Known { state, found: Arc::new(self.verify_now(asked, jwt, state, keys)?) }),
            },
        }
    }

    fn verify_now(
        &self,
        asked: &Asked<'_>,
        jwt: &Jwt<'_>,
        state: &IssuerState,
        keys: &IssuerKeys,
    ) -> Result<Authenticated, Denial> {
        let (Verified { caller, key }, version) = self.check_signature(asked, jwt, state, keys)?;
        self.find_good(caller, Voucher::Key(key, AtomicU64::new(version)), state, asked)
    }

    /// What a JWT says, and the version of the key set that has its key.
    fn check_signature(
        &self,
        asked: &Asked<'_>,
        jwt: &Jwt<'_>,
        state: &IssuerState,
        keys: &IssuerKeys,
    ) -> Result<(Verified, u64), Denial> {
        let (set, version) = keys.held().at_hand().ok_or(Denial::IssuerUnavailable)?;
        let verified = jwt.verify(state.rules(), &set, asked.now.time).inspect_err(|fault| {
            // Said of a token only once its signature was found good.
            if *fault == TokenFault::Expired {
                self.memory.expired.put(asked.token, Found { issuer: state.id, keys: version, at: asked.now.time });
            }
        })?;
        Ok((verified, version))
    }

    /// Verifies a JWT, and asks its issuer only about one that is good for all that is known here.
    async fn confirm<'s>(
        &'s self,
        asked: &Asked<'_>,
        jwt: &Jwt<'_>,
        state: &'s IssuerState,
        keys: &IssuerKeys,
        introspector: &Introspector,
    ) -> Result<Known<'s>, Denial> {
        let (Verified { caller, key }, version) = self.check_signature(asked, jwt, state, keys)?;
        self.check_revoked(&caller, asked, [&AtomicU64::new(0), &AtomicU64::new(0)])?;
        let voucher = |good_for| Voucher::KeyAndAnswer(key, AtomicU64::new(version), good_for);
        self.take_answer(asked, state, &introspector.ask(asked.token, Some(&caller), asked.now).await, voucher)
    }

    /// Whether the token was verified with these very keys, under the same rules, when it had expired.
    fn is_known_to_be_expired(&self, asked: &Asked<'_>) -> bool {
        let Some(found) = self.memory.expired.find(asked.token) else { return false };
        let keys = self.state(found.issuer).and_then(|state| state.keys.as_ref());
        let version = keys.and_then(|keys| keys.held().at_hand()).map(|(_, version)| version);
        version == Some(found.keys) && asked.now.time >= found.at
    }

    async fn introspect<'s>(
        &'s self,
        asked: &Asked<'_>,
        state: &'s IssuerState,
        introspector: &Introspector,
    ) -> Result<Known<'s>, Denial> {
        self.take_answer(asked, state, &introspector.ask(asked.token, None, asked.now).await, Voucher::Answer)
    }

    /// What an issuer's answer makes of a token.
    fn take_answer<'s>(
        &'s self,
        asked: &Asked<'_>,
        state: &'s IssuerState,
        told: &Told,
        voucher: impl FnOnce(Span) -> Voucher,
    ) -> Result<Known<'s>, Denial> {
        let answer = told.answer.as_ref().map_err(Clone::clone)?;
        // Another request that waited for the same answer may have made of it what is asked here.
        if let Some(found) = self.memory.tokens.find(asked.token)
            && let Judged::Good(known) | Judged::Remade(known) = self.judge(found, asked)
        {
            return Ok(known);
        }
        let found = Arc::new(self.find_good(answer.caller.clone(), voucher(answer.good_for), state, asked)?);
        if answer.good_for.lasts(asked.now) {
            self.memory.tokens.put(asked.token, Arc::clone(&found));
        }
        Ok(Known { state, found })
    }

    /// A caller that was just vouched for, unless its token is revoked.
    fn find_good(
        &self,
        caller: Caller,
        voucher: Voucher,
        state: &IssuerState,
        asked: &Asked<'_>,
    ) -> Result<Authenticated, Denial> {
        let (not_revoked, not_told) = (AtomicU64::new(0), AtomicU64::new(0));
        self.check_revoked(&caller, asked, [&not_revoked, &not_told])?;
        let evidence = Evidence { issuer: state.id, voucher, generation: asked.generation, not_revoked, not_told };
        Ok(self.make(caller, evidence, asked)?)
    }

    fn make(&self, caller: Caller, evidence: Evidence, asked: &Asked<'_>) -> Result<Authenticated, TokenFault> {
        let made = Authenticated::new(caller, asked.policy, evidence)?;
        let defined = made.caller.scopes.iter().filter_map(|name| asked.policy.scope_named(name));
        let names = defined.filter_map(|id| asked.policy.scope(id)).map(|scope| &scope.name);
        self.around.metrics.token_seen(names, made.caller.client.as_deref(), made.caller.expires_at);
        Ok(made)
    }

    /// `seen`: the versions of the own list and of others' by which it was not.
    fn check_revoked(&self, caller: &Caller, asked: &Asked<'_>, seen: [&AtomicU64; 2]) -> Result<(), Denial> {
        let [own, others] = seen;
        let Some(list) = &self.revoked else { return Ok(()) };
        list.check(caller, asked.token, own)?;
        self.told.as_ref().map_or(Ok(()), |told| told.check(caller, asked.token, others, asked.now))
    }
}

/// Whether newer keys could make the token good: none that has its `kid` is in use, or it has none.
fn could_be_cured(denial: &Denial, jwt: &Jwt<'_>, keys: &IssuerKeys) -> bool {
    let faults = [TokenFault::KeyUnknown, TokenFault::SignatureInvalid];
    faults.map(Denial::Token).contains(denial) && !jwt.kid().is_some_and(|kid| keys.held().knows(kid))
}
