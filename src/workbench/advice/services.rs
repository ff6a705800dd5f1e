//! Of services and exceptions: what no request reaches, what is there twice, what takes in too much.

use hashbrown::HashMap;

use super::{AdviceKind, Review, has_hosts_of, remark, share_hosts};
use crate::config::{Remark, Subject};
use crate::policy::{AccountSource, Api, Listing, MethodSet, Pattern, Role, ScopeId, ServiceId};
use crate::workbench::scope_map::CoverIndex;

impl Review<'_> {
    pub(super) fn services(&self, remarks: &mut Vec<Remark>) {
        let index = CoverIndex::new(&self.listings);
        let mut taken_in = HashMap::new();
        for listing in &self.listings {
            let Some(api) = self.policy.api(listing.api) else { continue };
            let covering = index.covering(listing.service.pattern());
            self.note_overlaps(listing, api, &covering, &mut taken_in);
            let dead = self.unreachable(listing, api).or_else(|| self.without_token(listing, api, &covering));
            remarks.extend(dead.or_else(|| repeated(listing, api, &covering)));
        }
        remarks.extend(self.listings.iter().filter_map(|listing| {
            let (first, count) = taken_in.get(&listing.id)?;
            Some(self.overlap(listing, first, *count))
        }));
        self.idle_exceptions(remarks);
    }

    fn unreachable(&self, listing: &Listing<'_>, api: &Api) -> Option<Remark> {
        let service = listing.service;
        let gone = |message, help: &str| {
            Some(remark(AdviceKind::ServiceUnreachable, Subject::Service(listing.id), message, help))
        };
        let reading = service.pattern().readings();
        match listing.role {
            Role::TokenEndpoint(_) => return None,
            Role::Public => {}
            Role::Grant { scope, .. } => {
                let own = self.exceptions_of(scope).iter();
                let whole = own.filter(|except| except.service.pattern().readings().covers(&reading));
                let left = whole.fold(service.methods(), |left, except| left.without(except.service.methods()));
                if left.is_empty() {
                    let message = format!("no request gets `{service}`: its scope's `except` takes all of it away");
                    return gone(message, "remove the service, or narrow the exception");
                }
            }
        }
        let endpoint = self.endpoints.iter().find(|other| {
            other.service.pattern().readings() == reading
                && self.policy.api(other.api).is_some_and(|other| has_hosts_of(other, api))
        });
        if let Some(endpoint) = endpoint {
            let message =
                format!("no request gets `{service}`: the token endpoint `{}` has its path", endpoint.service);
            return gone(message, "remove the service, or move the endpoint");
        }
        let path = service.pattern().to_string();
        if self.own_paths().any(|own| own == path) {
            let message = format!("no request gets `{service}`: the gateway itself answers there");
            return gone(message, "remove the service");
        }
        None
    }

    /// The paths at which the gateway answers by itself.
    fn own_paths(&self) -> impl Iterator<Item = &str> {
        const METADATA: &str = "/.well-known/oauth-protected-resource";
        let settings = &self.configuration.settings;
        let metadata = settings.resource_metadata.as_ref().map(|_| METADATA);
        let revocation = settings.revocations.as_ref().and_then(|list| list.endpoint.as_deref());
        metadata.into_iter().chain(revocation)
    }

    fn without_token(&self, listing: &Listing<'_>, api: &Api, covering: &[Listing<'_>]) -> Option<Remark> {
        let Role::Grant { scope, .. } = listing.role else { return None };
        let is_public = |other: &&Listing<'_>| {
            other.role == Role::Public && self.policy.api(other.api).is_some_and(|other| has_hosts_of(other, api))
        };
        let mut public = covering.iter().filter(is_public).peekable();
        let first = *public.peek()?;
        let left = public.fold(listing.service.methods(), |left, other| left.without(other.service.methods()));
        left.is_empty().then(|| {
            let name = self.name(scope);
            let message =
                format!("`{}` asks for no token: the public service `{}` takes it in", listing.service, first.service);
            let help = format!("remove it from `{name}`, or from `public` what is to be guarded");
            remark(AdviceKind::ServicePublic, Subject::Service(listing.id), message, help)
        })
    }

    /// Takes down which services of other apis have this one among them.
    fn note_overlaps<'l>(
        &'l self,
        listing: &'l Listing<'l>,
        api: &Api,
        covering: &[Listing<'_>],
        taken_in: &mut HashMap<ServiceId, (&'l Listing<'l>, usize)>,
    ) {
        if listing.role == Role::Public {
            return;
        }
        for other in covering.iter().filter(|other| other.api != listing.api) {
            let shares = self.policy.api(other.api).is_some_and(|other| share_hosts(other, api));
            if shares && !other.service.methods().and(listing.service.methods()).is_empty() {
                taken_in.entry(other.id).or_insert((listing, 0)).1 += 1;
            }
        }
    }

    fn overlap(&self, listing: &Listing<'_>, first: &Listing<'_>, count: usize) -> Remark {
        let name = self.policy.api(first.api).map_or("", |api| api.name.as_str());
        let others = match count {
            1 => String::new(),
            2 => " and one more".to_owned(),
            count => format!(" and {} more", count - 1),
        };
        let lets_in = match listing.role {
            Role::Grant { scope, .. } => format!("who holds `{}`", self.name(scope)),
            Role::Public | Role::TokenEndpoint(_) => "everybody".to_owned(),
        };
        let message = format!(
            "`{}` takes in `{}` of the api `{name}`{others}: {lets_in} gets through there too",
            listing.service, first.service
        );
        let help = "narrow it to this api's own paths; if it is meant so, give the apis `hosts` or a base path each";
        remark(AdviceKind::ApiOverlap, Subject::Service(listing.id), message, help)
    }

    fn idle_exceptions(&self, remarks: &mut Vec<Remark>) {
        let mut granted: HashMap<ScopeId, Vec<(MethodSet, Pattern)>> = HashMap::new();
        for listing in &self.listings {
            if let Role::Grant { scope, .. } = listing.role
                && self.exceptions.contains_key(&scope)
            {
                let service = listing.service;
                granted.entry(scope).or_default().push((service.methods(), service.pattern().readings()));
            }
        }
        for except in self.policy.exceptions() {
            let reading = except.service.pattern().readings();
            let takes = |(methods, pattern): &(MethodSet, Pattern)| {
                !methods.and(except.service.methods()).is_empty() && pattern.meets(&reading)
            };
            if !granted.get(&except.scope).is_some_and(|services| services.iter().any(takes)) {
                let message = format!(
                    "`{}` takes nothing away: no service of `{}` takes it in",
                    except.service,
                    self.name(except.scope)
                );
                let help =
                    "remove it, or write what is to be left out; it does not count for privileges and other scopes";
                remarks.push(remark(AdviceKind::ExceptionIdle, Subject::Exception(except.id), message, help));
            }
        }
    }
}

fn repeated(listing: &Listing<'_>, api: &Api, covering: &[Listing<'_>]) -> Option<Remark> {
    let service = listing.service;
    let covers = |other: &&Listing<'_>| {
        let is_same =
            other.service.pattern().covers(service.pattern()) && service.pattern().covers(other.service.pattern());
        let is_twin = is_same && other.service.methods() == service.methods();
        other.role == listing.role
            && other.api == listing.api
            && other.id != listing.id
            // Of two that take the same, the second is one too many.
            && (!is_twin || other.id < listing.id)
            && service.methods().without(other.service.methods()).is_empty()
            && names_account_alike(api, service.pattern(), other.service.pattern())
    };
    let other = covering.iter().find(covers)?;
    let message = format!("`{service}` is in `{}` already", other.service);
    Some(remark(AdviceKind::ServiceRepeated, Subject::Service(listing.id), message, "remove it"))
}

/// Whether both find the account in the same segments.
fn names_account_alike(api: &Api, one: &Pattern, other: &Pattern) -> bool {
    api.account.iter().all(|source| match source {
        AccountSource::Path(name) => one.capture(name) == other.capture(name),
        AccountSource::Query(_) | AccountSource::Header(_) => true,
    })
}
