//! Of scopes and privileges: what grants nothing of its own, and what grants more than it should.

use hashbrown::HashMap;

use super::{AdviceKind, Review, reaches, remark};
use crate::config::{Remark, Subject};
use crate::policy::{
    Api, ApiId, ClientType, Listing, MethodSet, Reach, Role, Scope, ScopeId, Segment, UnregisteredClients,
};

/// Names of segments that are accounts wherever they are met.
const ACCOUNTS: [&str; 10] = [
    "account",
    "accountid",
    "account_id",
    "account-id",
    "tenant",
    "tenantid",
    "tenant_id",
    "tenant-id",
    "customerid",
    "customer_id",
];

impl<'c> Review<'c> {
    pub(super) fn scopes(&self, remarks: &mut Vec<Remark>) {
        let mut of_scopes: HashMap<ScopeId, Vec<&Listing<'c>>> = HashMap::new();
        for listing in &self.listings {
            if let Role::Grant { scope, .. } = listing.role {
                of_scopes.entry(scope).or_default().push(listing);
            }
        }
        let services = |id: ScopeId| of_scopes.get(&id).map_or(&[][..], |services| &**services);
        let mut alike: HashMap<_, ScopeId> = HashMap::new();
        for (id, scope) in self.scopes_by_id() {
            let Some(api) = self.policy.api(scope.api) else { continue };
            remarks.extend(self.adds_nothing(id, scope, api, &services));
            remarks.extend(self.any_for_browsers(id, scope, api));
            remarks.extend(self.locks_out(id, scope));
            if scope.marks.deprecated || services(id).is_empty() {
                continue;
            }
            let first = *alike.entry(self.grants(id, scope, services(id))).or_insert(id);
            if first != id {
                let message = format!("`{}` grants the same as `{}`", scope.name, self.name(first));
                let help = "keep one of them, and mark the other `deprecated: true` while clients move";
                remarks.push(remark(AdviceKind::ScopeDuplicated, Subject::Scope(id), message, help));
            }
        }
        self.accounts_unseen(remarks);
    }

    /// All that a scope grants, in one order.
    fn grants(&self, id: ScopeId, scope: &Scope, services: &[&Listing<'_>]) -> Grants {
        let written = |methods: MethodSet, pattern: &crate::policy::Pattern| (methods, pattern.to_string());
        let mut granted: Vec<_> =
            services.iter().map(|listing| written(listing.service.methods(), listing.service.pattern())).collect();
        granted.sort();
        let own = self.exceptions_of(id).iter();
        let mut excepted: Vec<_> =
            own.map(|except| written(except.service.methods(), except.service.pattern())).collect();
        excepted.sort();
        let is_any = scope.reach == Reach::Any;
        // A privilege has what its scope has besides.
        (scope.api, scope.includes, is_any, scope.marks.confidential_only, scope.marks.required, granted, excepted)
    }

    /// Whether what is held with it anyway grants all of it.
    fn adds_nothing<'l>(
        &self,
        id: ScopeId,
        scope: &Scope,
        api: &Api,
        services: &impl Fn(ScopeId) -> &'l [&'l Listing<'c>],
    ) -> Option<Remark>
    where
        'c: 'l,
    {
        let own = services(id);
        if own.is_empty() {
            return None;
        }
        let with = scope.includes.into_iter().chain(api.required.iter().copied().filter(|required| *required != id));
        let covered = |holder: ScopeId| {
            let Some(other) = self.policy.scope(holder) else { return false };
            let is_excepted = !self.exceptions_of(holder).is_empty();
            let admits = !other.marks.confidential_only || scope.marks.confidential_only;
            !is_excepted
                && admits
                && reaches(other.reach, scope.reach)
                && own.iter().all(|listing| is_in(listing, services(holder)))
        };
        let holder = with.into_iter().find(|holder| covered(*holder))?;
        let why = if scope.includes == Some(holder) { "which it includes" } else { "which every token must have" };
        let message = format!("`{}` adds nothing to `{}`, {why}", scope.name, self.name(holder));
        let help = "give it services of its own, or remove it";
        Some(remark(AdviceKind::ScopeAddsNothing, Subject::Scope(id), message, help))
    }

    fn any_for_browsers(&self, id: ScopeId, scope: &Scope, api: &Api) -> Option<Remark> {
        // A privilege without reach of its own is told with its scope.
        let is_told = scope.includes.and_then(|of| self.policy.scope(of)).is_some_and(|of| of.reach == Reach::Any);
        if scope.reach == Reach::Own || scope.marks.confidential_only || api.account.is_empty() || is_told {
            return None;
        }
        let is_open = !self.policy.lists_clients() || self.policy.unregistered_clients() == UnregisteredClients::Allow;
        let who = if is_open {
            "browsers among them".to_owned()
        } else {
            let mut public = self.policy.clients().filter(|client| client.client_type == ClientType::Public);
            let client = public.find(|client| client.ceiling.is_none_or(|ceiling| ceiling.contains(id)))?;
            format!("the public client `{}` among them", client.id)
        };
        let message = format!("`{}` reaches every account for whoever holds it, {who}", scope.name);
        let help = "add `confidential_only: true` to the scope, or write `accounts: own`";
        Some(remark(AdviceKind::AnyForBrowsers, Subject::Scope(id), message, help))
    }

    fn locks_out(&self, id: ScopeId, scope: &Scope) -> Option<Remark> {
        if !scope.marks.required {
            return None;
        }
        let (why, help) = if scope.marks.deprecated {
            ("it is deprecated: clients that move off it are refused", "remove `required`, or `deprecated`")
        } else if !scope.marks.show_in_discovery && self.configuration.settings.resource_metadata.is_some() {
            (
                "the metadata does not list it: clients that ask for what is listed are refused",
                "remove `show_in_discovery: false`",
            )
        } else {
            return None;
        };
        let message = format!("every token needs `{}`, and {why}", scope.name);
        Some(remark(AdviceKind::RequiredLocksOut, Subject::Scope(id), message, help))
    }

    fn accounts_unseen(&self, remarks: &mut Vec<Remark>) {
        let mut told: Option<ApiId> = None;
        for listing in &self.listings {
            let is_blind = self.policy.api(listing.api).is_some_and(|api| api.account.is_empty());
            let is_grant = matches!(listing.role, Role::Grant { .. });
            if !is_blind || !is_grant || told == Some(listing.api) {
                continue;
            }
            let shown = listing.service.pattern().segments().iter().find_map(|segment| match segment {
                Segment::Capture(name) => ACCOUNTS.contains(&&*name.to_ascii_lowercase()).then_some(name),
                Segment::Literal(_) | Segment::Any => None,
            });
            if let Some(name) = shown {
                told = Some(listing.api);
                let message = format!(
                    "`{}` shows an account, and its api does not look at it: every scope reaches all accounts",
                    listing.service
                );
                let help = format!("add `account: {{ path: {name} }}` to the api");
                remarks.push(remark(AdviceKind::AccountUnseen, Subject::Service(listing.id), message, help));
            }
        }
    }
}

type Written = Vec<(MethodSet, String)>;
type Grants = (ApiId, Option<ScopeId>, bool, bool, bool, Written, Written);

fn is_in(listing: &Listing<'_>, services: &[&Listing<'_>]) -> bool {
    let (methods, pattern) = (listing.service.methods(), listing.service.pattern());
    let covering = services.iter().filter(|other| other.service.pattern().covers(pattern));
    covering.fold(methods, |left, other| left.without(other.service.methods())).is_empty()
}
