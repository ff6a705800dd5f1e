//! A caller whose token was found good: what one generation makes of it, and what that rests on.

use std::sync::atomic::{AtomicU64, Ordering};

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use http::HeaderValue;

use super::moment::Span;
use crate::policy::{Caller, Policy, Standing, TokenFault};
use crate::token::KeyFingerprint;

/// A caller whose token was found good, as one generation sees it.
pub struct Authenticated {
    /// What the token says.
    pub caller: Caller,
    /// What the generation's policy makes of it.
    pub standing: Standing,
    /// What the upstream may be told of it.
    pub headers: IdentityValues,
    pub(super) evidence: Evidence,
    tried: ArcSwapOption<Tried>,
}

/// What a candidate's policy makes of a caller, kept with what the policy in force makes of it.
#[derive(Debug)]
pub struct Tried {
    candidate: u64,
    /// `None`: its tokens are not of an issuer of the candidate's.
    pub standing: Option<Standing>,
}

/// The values of identity headers, ready to send; `None` where the caller has no such thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdentityValues {
    /// `sub`.
    pub subject: Option<HeaderValue>,
    /// The client id.
    pub client: Option<HeaderValue>,
    /// The scopes and privileges held, by the policy's names, with spaces between.
    pub scopes: Option<HeaderValue>,
    /// The single account that is the caller's own.
    pub account: Option<HeaderValue>,
}

/// What a verdict rests on. It stands as long as all of it does.
pub(super) struct Evidence {
    /// The state of the issuer, by its number, that vouched for it.
    pub(super) issuer: u64,
    pub(super) voucher: Voucher,
    /// The generation whose policy the standing is of.
    pub(super) generation: u64,
    /// The version of the list of revoked tokens that does not have it.
    pub(super) not_revoked: AtomicU64,
    /// The version of what other gateways have revoked that does not have it.
    pub(super) not_told: AtomicU64,
}

/// Who says that the token is good.
pub(super) enum Voucher {
    /// A key, and the version of the key set that it was last seen in.
    Key(KeyFingerprint, AtomicU64),
    /// An introspection, for so long.
    Answer(Span),
    /// Both.
    KeyAndAnswer(KeyFingerprint, AtomicU64, Span),
}

impl Voucher {
    /// The key that it needs, and the version of the key set that it was last seen in.
    pub(super) fn key(&self) -> Option<(KeyFingerprint, &AtomicU64)> {
        match self {
            Self::Key(key, seen) | Self::KeyAndAnswer(key, seen, _) => Some((*key, seen)),
            Self::Answer(_) => None,
        }
    }

    /// For how long it is good without another question.
    pub(super) fn good_for(&self) -> Option<Span> {
        match self {
            Self::Answer(span) | Self::KeyAndAnswer(_, _, span) => Some(*span),
            Self::Key(..) => None,
        }
    }
}

impl Evidence {
    /// The same, for a standing of another generation.
    pub(super) fn for_generation(&self, generation: u64) -> Self {
        let copy = |version: &AtomicU64| AtomicU64::new(version.load(Ordering::Relaxed));
        let voucher = match &self.voucher {
            Voucher::Key(key, seen) => Voucher::Key(*key, copy(seen)),
            Voucher::Answer(good_for) => Voucher::Answer(*good_for),
            Voucher::KeyAndAnswer(key, seen, good_for) => Voucher::KeyAndAnswer(*key, copy(seen), *good_for),
        };
        let (not_revoked, not_told) = (copy(&self.not_revoked), copy(&self.not_told));
        Self { issuer: self.issuer, voucher, generation, not_revoked, not_told }
    }
}

impl Authenticated {
    /// What `policy` makes of a caller.
    ///
    /// # Errors
    /// If the caller has something that no header can say: better refused than left out.
    pub(super) fn new(caller: Caller, policy: &Policy, evidence: Evidence) -> Result<Self, TokenFault> {
        let standing = policy.standing(&caller);
        let headers = IdentityValues::new(&caller, &standing, policy)?;
        Ok(Self { caller, standing, headers, evidence, tried: ArcSwapOption::empty() })
    }

    /// What the candidate of that number makes of the caller: `make`, once for each candidate.
    pub fn tried(&self, candidate: u64, make: impl FnOnce(&Caller) -> Option<Standing>) -> Guard<Option<Arc<Tried>>> {
        let known = self.tried.load();
        if known.as_ref().is_some_and(|tried| tried.candidate == candidate) {
            return known;
        }
        let tried = Some(Arc::new(Tried { candidate, standing: make(&self.caller) }));
        self.tried.store(tried.clone());
        Guard::from_inner(tried)
    }

    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let Caller { subject, client, accounts, scopes, token_id, .. } = &self.caller;
        let texts = [subject, client, token_id].into_iter().flatten().map(|text| text.len());
        let scopes = scopes.iter().map(|scope| scope.len() + ALLOCATED);
        let accounts = accounts.iter().map(|account| account.as_str().len() + ALLOCATED);
        let values = &self.headers;
        let values = [&values.subject, &values.client, &values.scopes, &values.account];
        let values = values.into_iter().flatten().map(|value| value.len() + ALLOCATED);
        size_of::<Self>() + TRIED + texts.chain(scopes).chain(accounts).chain(values).sum::<usize>()
    }
}

/// About what it takes to keep what a candidate makes of it.
const TRIED: usize = 192;

/// About what an allocation takes beside what is in it.
const ALLOCATED: usize = 32;

/// Shows the caller, which is no secret, and nothing that a token could be made of.
impl std::fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticated").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl IdentityValues {
    /// What `policy`, which made the standing, has told of a caller.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`] if something of it can be said in no header.
    pub fn new(caller: &Caller, standing: &Standing, policy: &Policy) -> Result<Self, TokenFault> {
        let mut scopes = String::new();
        for scope in standing.held().iter().filter_map(|id| policy.scope(id)) {
            if !scopes.is_empty() {
                scopes.push(' ');
            }
            scopes.push_str(scope.name.as_str());
        }
        let account = match standing.accounts() {
            [account] => Some(account.as_str()),
            [] | [_, _, ..] => None,
        };
        Ok(Self {
            subject: value(caller.subject.as_deref())?,
            client: value(caller.client.as_deref())?,
            scopes: value((!scopes.is_empty()).then_some(&scopes))?,
            account: value(account)?,
        })
    }
}

/// UTF-8 goes as its bytes; control characters do not go at all.
fn value(text: Option<&str>) -> Result<Option<HeaderValue>, TokenFault> {
    text.map(|text| HeaderValue::from_bytes(text.as_bytes()))
        .transpose()
        .map_err(|_| TokenFault::Malformed("a claim has a control character"))
}
