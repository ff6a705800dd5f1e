//! The candidate that live requests are judged by besides, and how its answers compare.
//!
//! Nothing here has a say in what becomes of a request: what comes out goes to the record alone. The
//! candidate's policy judges; tokens are those that the issuers in force have found good. Reading its
//! file is `reload`'s.

use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;

use super::generation::Gateway;
use crate::config::{Configuration, Issuer, KeySource, Settings};
use crate::issuer::Authenticated;
use crate::policy::{
    Basis, Certificate, Denial, Identity, Permit, Policy, Reason, Request, ScopeId, ScopeIds, ServiceId, TokenFault,
};
use crate::record::{AuditSink, Metrics, Outcome, ShadowDifference, ShadowResult};
use crate::token::credential;

/// A candidate at work.
#[derive(Debug)]
pub struct Shadow {
    /// Counted from 1 since the start of the process.
    pub number: u64,
    /// Its file.
    pub file: PathBuf,
    /// Of the file's text.
    pub sha256: [u8; 32],
    /// When it was taken into use.
    pub loaded_at: SystemTime,
    policy: Policy,
    issuers: Vec<Issuer>,
}

/// The candidate of this process, if there is one.
#[derive(Debug, Default)]
pub(super) struct Shadows {
    current: ArcSwapOption<Shadow>,
    retired: Mutex<Retired>,
}

#[derive(Debug, Default)]
struct Retired {
    last: u64,
    /// Kept until no request has them.
    list: Vec<Arc<Shadow>>,
}

/// How an issuer's tokens are taken in a comparison, where the candidate does not say of it what the file
/// in force does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerApart {
    /// The candidate has it with other keys, claims or rules: its tokens are read as in force.
    ReadAsInForce,
    /// The candidate lacks it: it would refuse its tokens.
    NotOfCandidate,
    /// Only the candidate has it: its tokens are refused by both, as they are in force.
    NotInForce,
}

/// Who sends a request, as far as the policy in force has found out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Met<'a> {
    /// There is a token, and nobody looked at it, the service being public.
    NotAsked,
    /// What came of looking.
    Asked(&'a Result<Option<Arc<Authenticated>>, Denial>),
}

/// How the candidate's answer to a request compares.
#[derive(Debug, Default)]
pub(super) enum Compared {
    /// It was not asked.
    #[default]
    NotJudged,
    /// It is the same.
    Same,
    /// It is another.
    Different(Box<Other>),
}

/// Another answer.
#[derive(Debug)]
pub(super) struct Other {
    was: Reason,
    would: Reason,
    reported: Option<Reason>,
    granting: Option<ScopeId>,
    service: Option<ServiceId>,
    wanted: ScopeIds,
}

impl Shadows {
    pub(super) fn current(&self) -> Option<Arc<Shadow>> {
        self.current.load_full()
    }

    pub(super) fn tend(&self) {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).list.retain(|shadow| Arc::strong_count(shadow) > 1);
    }

    /// Puts another in the place of the one that is asked; its number.
    fn replace(&self, make: impl FnOnce(u64) -> Option<Shadow>) -> Option<u64> {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let next = make(retired.last + 1);
        let number = next.as_ref().map(|shadow| shadow.number);
        retired.last = number.unwrap_or(retired.last);
        let before = self.current.swap(next.map(Arc::new));
        retired.list.extend(before);
        number
    }
}

impl Gateway {
    /// Has live requests judged by this candidate too, in the place of any other; its number.
    pub fn try_candidate(&self, file: &Path, candidate: Configuration) -> Option<u64> {
        let Configuration { policy, settings, sha256 } = candidate;
        let issuers = settings.issuers;
        let (file, loaded_at) = (file.to_owned(), SystemTime::now());
        let number = self.shadows().replace(|number| Some(Shadow { number, file, sha256, loaded_at, policy, issuers }));
        self.metrics().shadow().candidate(number);
        number
    }

    /// Has live requests judged by no candidate any more.
    pub fn end_trial(&self) {
        self.shadows().replace(|_| None);
        self.metrics().shadow().candidate(None);
    }

    /// The candidate that live requests are judged by besides.
    pub fn candidate(&self) -> Option<Arc<Shadow>> {
        self.shadows().current()
    }
}

impl Shadow {
    /// The issuers for which comparing is not all that the two files say, by their names.
    #[must_use]
    pub fn issuers_apart(&self, live: &Settings) -> Vec<(Box<str>, IssuerApart)> {
        let find = |list: &[Issuer], name: &str| list.iter().position(|issuer| &*issuer.rules.issuer == name);
        let of_live = live.issuers.iter().filter_map(|issuer| {
            let name = &*issuer.rules.issuer;
            let apart = match find(&self.issuers, name).and_then(|place| self.issuers.get(place)) {
                None => IssuerApart::NotOfCandidate,
                Some(own) if !says_same(own, issuer) => IssuerApart::ReadAsInForce,
                Some(_) => return None,
            };
            Some((name.into(), apart))
        });
        let own = self.issuers.iter().map(|issuer| &*issuer.rules.issuer);
        let own = own.filter(|name| find(&live.issuers, name).is_none());
        of_live.chain(own.map(|name| (name.into(), IssuerApart::NotInForce))).collect()
    }

    /// Compares its answer with the one that was given.
    pub(super) fn compare(
        &self,
        request: &Request<'_>,
        met: Met<'_>,
        certificate: Option<&Certificate>,
        given: &Result<Permit<'_>, Denial>,
    ) -> Compared {
        let Some(own) = self.judge(request, met, certificate) else { return Compared::NotJudged };
        let (was, would) = (reason(given), reason(&own));
        if is_same(given, &own) {
            return Compared::Same;
        }
        let permit = own.as_ref().ok();
        let reported = permit.and_then(Permit::reported).map(|reported| &reported.denial);
        let denial = own.as_ref().err().or(reported);
        Compared::Different(Box::new(Other {
            was,
            would,
            reported: reported.map(Denial::reason),
            granting: permit.and_then(|permit| match permit.basis() {
                Basis::Scope(scope) => Some(scope),
                Basis::Public | Basis::TokenEndpoint(_) | Basis::Reported => None,
            }),
            service: permit.and_then(Permit::service),
            wanted: denial.map(Denial::wanted_scopes).unwrap_or_default().iter().copied().collect(),
        }))
    }

    /// Compares its answer with that of a public service, for which no token was looked at.
    pub(super) fn compare_public(&self, request: &Request<'_>, given: &Result<Permit<'_>, Denial>) -> Compared {
        let shown = credential(request.headers).map_err(Denial::from);
        let has_token = matches!(shown, Ok(Some(_)));
        let unasked = shown.map(|_| None);
        let met = if has_token { Met::NotAsked } else { Met::Asked(&unasked) };
        self.compare(request, met, None, given)
    }

    /// `None` where it takes more to judge than is known: what is in a form, or whether a token is good that
    /// nobody looked at.
    fn judge<'r>(
        &self,
        request: &Request<'r>,
        met: Met<'_>,
        certificate: Option<&Certificate>,
    ) -> Option<Result<Permit<'r>, Denial>> {
        if self.policy.find_token_endpoint(request).is_some() {
            return None;
        }
        let route = match self.policy.find(*request) {
            Ok(route) => route,
            Err(denial) => return Some(Err(denial)),
        };
        let identity = match met {
            Met::Asked(Ok(Some(caller))) => {
                let tried = caller.tried(self.number, |caller| self.standing(caller));
                let standing = tried.as_ref().and_then(|tried| tried.standing.as_ref());
                let identity = match standing {
                    Some(standing) => Identity::Known { standing, certificate },
                    None => Identity::Refused(TokenFault::IssuerUnknown.into()),
                };
                return Some(self.policy.decide(&route, identity));
            }
            Met::NotAsked if route.public().is_none() => return None,
            Met::NotAsked | Met::Asked(Ok(None)) => Identity::Absent,
            Met::Asked(Err(denial)) => Identity::Refused(denial.clone()),
        };
        Some(self.policy.decide(&route, identity))
    }

    fn standing(&self, caller: &crate::policy::Caller) -> Option<crate::policy::Standing> {
        let is_its_own = self.issuers.iter().any(|issuer| issuer.rules.issuer == caller.issuer);
        is_its_own.then(|| self.policy.standing(caller))
    }

    /// Records how the answer to a request compares.
    pub(super) fn record(&self, compared: &Compared, outcome: &Outcome<'_>, metrics: &Metrics, audit: &AuditSink) {
        let series = metrics.shadow();
        let other = match compared {
            Compared::NotJudged => return series.compared(ShadowResult::NotJudged),
            Compared::Same => return series.compared(ShadowResult::Same),
            Compared::Different(other) => other,
        };
        series.compared(ShadowResult::Different);
        if series.differed(other.was, other.would, outcome.time) {
            let scope = |id: ScopeId| self.policy.scope(id).map(|scope| scope.name.as_str());
            let difference = ShadowDifference {
                generation: self.number,
                was: other.was,
                would: other.would,
                reported: other.reported,
                granted_by: other.granting.and_then(scope),
                service: other.service.and_then(|id| self.policy.service(id)).map(crate::policy::Service::as_str),
                wanted: other.wanted.iter().filter_map(|id| scope(*id)).collect(),
            };
            audit.write_difference(outcome, &difference);
        }
    }
}

/// Whether two files say the same of an issuer, wherever they lie.
fn says_same(one: &Issuer, other: &Issuer) -> bool {
    let plain = |issuer: &Issuer| {
        let mut issuer = issuer.clone();
        if let Some(KeySource::File(file)) = &mut issuer.keys {
            *file = without_detours(file);
        }
        issuer.ca_file = issuer.ca_file.as_deref().map(without_detours);
        issuer
    };
    plain(one) == plain(other)
}

/// `keys.json` for `./candidates/../keys.json`.
fn without_detours(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir if path.file_name().is_some() => drop(path.pop()),
            Component::ParentDir | Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                path.push(component);
            }
        }
        path
    })
}

fn reason(decided: &Result<Permit<'_>, Denial>) -> Reason {
    decided.as_ref().map_or_else(Denial::reason, Permit::reason)
}

/// Whether a client would see the same: by what it is let through, it does not see.
fn is_same(one: &Result<Permit<'_>, Denial>, other: &Result<Permit<'_>, Denial>) -> bool {
    match (one, other) {
        (Ok(_), Ok(_)) => true,
        (Err(one), Err(other)) => one.reason() == other.reason(),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}
