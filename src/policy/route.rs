//! What a request's target leads to: the services that match its path, api by api.
//!
//! It says what could be asked for, not who may ask: that is `decision`'s.

use smallvec::SmallVec;

use super::account::{self, NamedAccount};
use super::compile::{Api, Effect, Entry, Exception, Policy};
use super::request::check_headers;
use super::{AccountSource, ApiId, Basis, Denial, HeaderFault, MethodSet, Permit, Request, decision};

/// The services that match a request's path, before anything is known of its caller.
/// Made by [`Policy::find`].
#[derive(Debug)]
pub struct Route<'r, 'p> {
    pub(super) request: Request<'r>,
    /// Only apis of which some service matches; the most specific base path first, then the order of
    /// the file.
    pub(super) candidates: SmallVec<[Candidate<'r, 'p>; 1]>,
    public: Option<Permit<'r>>,
}

/// One api, and its services that match a request's path.
#[derive(Debug)]
pub(super) struct Candidate<'r, 'p> {
    pub(super) id: ApiId,
    pub(super) api: &'p Api,
    pub(super) matches: SmallVec<[Match<'p>; 4]>,
    /// The account that header and query name.
    pub(super) named: Named<'r>,
}

/// An entry that matches a path, with the methods that no exception takes from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match<'p> {
    pub(super) entry: &'p Entry,
    pub(super) methods: MethodSet,
}

/// What places that can name an account name together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named<'r> {
    Nothing,
    One(NamedAccount<'r>),
    Several,
}

impl<'r> Route<'r, '_> {
    /// The permit of a public service, for which no token is looked at.
    #[must_use]
    pub fn public(&self) -> Option<&Permit<'r>> {
        self.public.as_ref()
    }

    /// The request that it was found for.
    #[must_use]
    pub fn request(&self) -> &Request<'r> {
        &self.request
    }

    /// The api that a request of this path most likely means, for labels.
    #[must_use]
    pub fn nearest_api(&self) -> Option<ApiId> {
        self.candidates.first().map(|candidate| candidate.id)
    }

    /// The account that the request asks for, as the first service that matches reads it; for
    /// records of what was refused.
    #[must_use]
    pub fn asked_account(&self) -> Option<NamedAccount<'r>> {
        let candidate = self.candidates.first()?;
        match candidate.account(&self.request, candidate.matches.first()?) {
            Named::One(account) => Some(account),
            Named::Nothing | Named::Several => None,
        }
    }
}

impl<'r> Candidate<'r, '_> {
    /// The account that the request names, as this service's pattern reads its path.
    pub(super) fn account(&self, request: &Request<'r>, found: &Match<'_>) -> Named<'r> {
        let segments = found.entry.account_segments.iter();
        segments.fold(self.named, |named, place| match request.target.segment(usize::from(*place)) {
            Some(segment) => named.and(NamedAccount::encoded(segment)),
            None => named,
        })
    }
}

impl Policy {
    /// Finds the services that match a request's path: steps 1 and 2 of the decision.
    ///
    /// # Errors
    /// If a header or parameter that the decision uses is ambiguous.
    pub fn find<'r>(&self, request: Request<'r>) -> Result<Route<'r, '_>, Denial> {
        check_headers(request.headers, self.account_headers())?;
        let mut candidates = SmallVec::new();
        for id in self.bases.at(request.target) {
            if let Some(api) = self.api(*id)
                && api.admits_host(request.host)
                && let Some(candidate) = self.candidate(*id, api, &request)?
            {
                candidates.push(candidate);
            }
        }
        let public = decision::public(&candidates, request.method);
        Ok(Route { request, candidates, public })
    }

    pub(super) fn candidate<'r, 'p>(
        &'p self,
        id: ApiId,
        api: &'p Api,
        request: &Request<'r>,
    ) -> Result<Option<Candidate<'r, 'p>>, HeaderFault> {
        let Request { target, .. } = request;
        let depth = api.base_path.segments().len();
        let mut matches: SmallVec<[Match<'p>; 4]> = SmallVec::new();
        self.entries.walk(api.entries, &|place| target.segment(place), depth, &mut |entry| {
            matches.push(Match { entry, methods: entry.methods });
        });
        if let Some(root) = api.exceptions
            && !matches.is_empty()
        {
            self.exceptions.walk(root, &|place| target.reading(place), depth, &mut |exception| {
                matches.iter_mut().for_each(|found| found.narrow(exception));
            });
            matches.retain(|found| !found.methods.is_empty());
        }
        if matches.is_empty() {
            return Ok(None);
        }
        // In the order of the file, so that of several grants the first one is named.
        matches.sort_unstable_by_key(|found| found.entry.service);
        let named = outside_path(api, request)?;
        Ok(Some(Candidate { id, api, matches, named }))
    }
}

/// The account that the api's headers and query parameters name.
fn outside_path<'r>(api: &Api, request: &Request<'r>) -> Result<Named<'r>, HeaderFault> {
    api.account.iter().try_fold(Named::Nothing, |named, source| {
        let found = match source {
            AccountSource::Path(_) => None,
            AccountSource::Query(name) => account::in_query(request.target.query(), name)?,
            AccountSource::Header(name) => account::in_header(request.headers, name)?,
        };
        Ok(found.map_or(named, |found| named.and(found)))
    })
}

impl<'r> Named<'r> {
    /// With one more place that names `account`.
    pub(super) fn and(self, account: NamedAccount<'r>) -> Self {
        match self {
            Self::Nothing => Self::One(account),
            Self::One(earlier) if earlier == account => self,
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

impl Match<'_> {
    /// Takes away what an exception of its own scope names.
    fn narrow(&mut self, exception: &Exception) {
        match self.entry.effect {
            Effect::Grant { scope, .. } if scope == exception.scope => {
                self.methods = self.methods.without(exception.methods);
            }
            Effect::Grant { .. } | Effect::Public => {}
        }
    }

    pub(super) fn takes(&self, method: MethodSet) -> bool {
        !self.methods.and(method).is_empty()
    }

    /// The permit's basis, if it rests on this match.
    pub(super) fn basis(&self) -> Basis {
        match self.entry.effect {
            Effect::Public => Basis::Public,
            Effect::Grant { scope, .. } => Basis::Scope(scope),
        }
    }
}
