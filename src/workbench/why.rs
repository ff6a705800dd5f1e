//! Why a decision is what it is, in a sentence: for operators, who may know all of it.

use super::{CheckOutcome, Ending, Own, Rehearsed, Sent, TokenChecks};
use crate::hex::hex;
use crate::policy::{
    Account, AccountSource, Api, ApiId, Basis, Caller, CertificateRule, ClientId, ClientType, Considered, Denial, Fate,
    MethodSet, Policy, Reach, Role, ScopeId, ServiceId, Standing, TokenRequestFault,
};

/// What sentences are made of.
pub(super) struct Facts<'f> {
    pub(super) policy: &'f Policy,
    pub(super) rehearsed: &'f Rehearsed<'f>,
    pub(super) checks: &'f TokenChecks,
    /// The request's.
    pub(super) method: MethodSet,
}

/// Why the request ended as it did.
pub(super) fn why(facts: &Facts<'_>) -> String {
    match &facts.rehearsed.ending {
        Ending::Answered(Own::Metadata, _) => {
            "the gateway itself answers at this path: it is where the resource's metadata is".to_owned()
        }
        Ending::Answered(Own::Revocation, _) => {
            "the gateway itself answers at this path: whoever has a token revokes it here, which is not tried"
                .to_owned()
        }
        Ending::Answered(Own::Preflight, _) => {
            "a browser asks whether a page of another origin may call, and the api's `cors` lists that origin"
                .to_owned()
        }
        Ending::Forwarded(sent) => {
            let service = sent.service.and_then(|id| facts.policy.service(id)).map_or("", |service| service.as_str());
            match sent.basis {
                Basis::Reported => facts.reported(sent.reported.as_ref()),
                Basis::Public => format!("`{service}` is public: no token is asked for"),
                Basis::TokenEndpoint(_) => {
                    "the client may ask for this: who it is, and what it gets, the provider decides".to_owned()
                }
                Basis::Scope(scope) => {
                    format!("the scope `{}` grants `{service}`{}", facts.scope(scope), facts.account(sent.service))
                }
            }
        }
        Ending::Refused(denial, _) => facts.refused(denial),
    }
}

/// What comes of a service, in a few words.
pub(super) fn fate(considered: &Considered<'_>, facts: &Facts<'_>) -> String {
    match &considered.fate {
        Fate::OtherMethod => format!("takes {}", considered.listing.service.methods().listed()),
        Fate::Excepted(except) => {
            let except = facts.policy.exception(*except).map_or("", |except| except.service.as_str());
            format!("excepted by `{except}`")
        }
        Fate::NotAsked => match facts.rehearsed.ending {
            Ending::Forwarded(Sent { basis: Basis::Public | Basis::Scope(_) | Basis::TokenEndpoint(_), .. }) => {
                "not asked: the service above is public".to_owned()
            }
            Ending::Forwarded(Sent { basis: Basis::Reported, .. }) | Ending::Refused(..) | Ending::Answered(..) => {
                "has path and method".to_owned()
            }
        },
        Fate::NotHeld => "the token does not hold it".to_owned(),
        Fate::Refused(denial) => format!("held, but {}", facts.short(denial, considered)),
        Fate::Permits => match considered.listing.role {
            Role::Public => "public".to_owned(),
            Role::Grant { .. } | Role::TokenEndpoint(_) => "held, and grants it".to_owned(),
        },
    }
}

/// Where a request names its account.
pub(super) fn place(source: &AccountSource) -> String {
    match source {
        AccountSource::Path(name) => format!("the segment {{{name}}}"),
        AccountSource::Query(name) => format!("the parameter {name}"),
        AccountSource::Header(name) => format!("the header {name}"),
    }
}

impl Facts<'_> {
    /// How the account that a granted request touches was found to be good.
    fn account(&self, service: Option<ServiceId>) -> String {
        let granted = self.rehearsed.considered.iter().find(|considered| Some(considered.listing.id) == service);
        let Some(Considered { listing, named, .. }) = granted else { return String::new() };
        let Role::Grant { reach, .. } = listing.role else { return String::new() };
        let asks = self.policy.api(listing.api).is_some_and(|api| !api.account.is_empty());
        match (named.first(), reach) {
            (Some((_, account)), Reach::Own) => format!(", and the account `{account}` is the caller's own"),
            (Some((_, account)), Reach::Any) => format!(" for any account, here `{account}`"),
            (None, Reach::Own) => {
                ", and the caller's own account, which the request leaves out, is written in".to_owned()
            }
            (None, Reach::Any) if asks => " for any account".to_owned(),
            (None, Reach::Any) => String::new(),
        }
    }

    /// Of a request that would be refused, and is let through as its api only reports.
    fn reported(&self, denial: Option<&Denial>) -> String {
        let api = self.rehearsed.api.map_or("", |api| self.api(api));
        let (reason, why) =
            denial.map_or(("", String::new()), |denial| (denial.reason().as_str(), self.refused(denial)));
        format!("it would be denied ({reason}): {why}. It is let through, as the api `{api}` only reports")
    }

    fn refused(&self, denial: &Denial) -> String {
        match denial {
            Denial::Question(fault) => fault.to_string(),
            Denial::PathAmbiguous(fault) => {
                format!("{fault}, and servers read such targets in different ways")
            }
            Denial::HeaderAmbiguous(fault) => fault.to_string(),
            Denial::HeadTooLarge(fault) => format!("{fault}; `limits` has how much that is"),
            Denial::OriginRejected { api } => format!(
                "a browser asks whether a page of another origin may call, and the api `{}` does not list that origin",
                self.api(*api)
            ),
            Denial::TokenMissing if self.rehearsed.considered.is_empty() => {
                "no token was sent, and nothing public has this path".to_owned()
            }
            Denial::TokenMissing => "no token was sent, and no service of this path is public".to_owned(),
            Denial::Token(fault) => self.failed_check().unwrap_or_else(|| fault.to_string()),
            Denial::IssuerUnavailable => {
                self.failed_check().unwrap_or_else(|| "the token could not be checked".to_owned())
            }
            Denial::SharedStateUnavailable => "what other gateways have revoked or seen was not at hand".to_owned(),
            Denial::ClientUnknown => match self.client() {
                Some(id) => format!("the file lists its clients, and `{id}` is not one of them"),
                None => "the file lists its clients, and the token names none".to_owned(),
            },
            Denial::CertificateMismatch => self.certificate_of(self.client().unwrap_or_default()),
            Denial::ClientAccountMismatch => self.contradiction(),
            Denial::ScopeUndefined => {
                let undefined = self.token_scopes(|name| self.policy.scope_named(name).is_none());
                format!("the token carries {}, which no api defines, and the file rejects that", quoted(&undefined))
            }
            Denial::RouteUnknown => self.no_route(),
            Denial::MethodNotAllowed { allow } => {
                format!("services have this path, but for other methods: {}", allow.listed())
            }
            Denial::ScopeRequired { api, missing } => {
                let missing: Vec<_> = missing.iter().map(|scope| self.scope(*scope)).collect();
                format!("every token for the api `{}` needs {}, which this one lacks", self.api(*api), quoted(&missing))
            }
            Denial::ScopeInsufficient { alternatives, .. } => self.insufficient(alternatives),
            Denial::ClientTypeRejected { .. }
            | Denial::AccountMissing { .. }
            | Denial::AccountAmbiguous { .. }
            | Denial::AccountForbidden { .. } => self.short_of_first(denial),
            Denial::BodyTooLarge { .. } => "the body is larger than the api's `body_bytes`".to_owned(),
            Denial::RateLimited { .. } => "more requests came than its rate limits let through".to_owned(),
            Denial::Overloaded { .. } => "as many requests are under way as the upstream's `max_requests`".to_owned(),
            Denial::TokenRequest { fault, .. } => self.token_request(fault),
        }
    }

    /// Of a grant that is held and refuses, in the words of the first that refuses so.
    fn short_of_first(&self, denial: &Denial) -> String {
        let is_it = |considered: &&Considered<'_>| matches!(&considered.fate, Fate::Refused(refused) if refused.reason() == denial.reason());
        match self.rehearsed.considered.iter().find(is_it) {
            Some(considered) => self.short(denial, considered),
            None => denial.reason().to_string(),
        }
    }

    fn short(&self, denial: &Denial, considered: &Considered<'_>) -> String {
        let named: Vec<_> = considered.named.iter().map(|(_, account)| account.as_str()).collect();
        match denial {
            Denial::ClientTypeRejected { .. } => {
                let public = self.client().and_then(|id| self.policy.client(id)).map(|client| client.client_type)
                    == Some(ClientType::Public);
                let asks = match (public, self.rehearsed.from_browser) {
                    (true, _) => "the client is public",
                    (false, true) => "a browser asks, by its headers",
                    (false, false) => "this one is not",
                };
                format!("the scope is for confidential clients only, and {asks}")
            }
            Denial::AccountMissing { api } => {
                let sources = self.policy.api(*api).map(|api: &Api| &*api.account).unwrap_or_default();
                let places: Vec<_> = sources.iter().map(place).collect();
                format!("the request names no account; it is read from {}", places.join(", "))
            }
            Denial::AccountAmbiguous { .. } => format!("the request names different accounts: {}", quoted(&named)),
            Denial::AccountForbidden { .. } => self.forbidden(&named),
            Denial::Question(_)
            | Denial::PathAmbiguous(_)
            | Denial::HeaderAmbiguous(_)
            | Denial::HeadTooLarge(_)
            | Denial::BodyTooLarge { .. }
            | Denial::RateLimited { .. }
            | Denial::Overloaded { .. }
            | Denial::OriginRejected { .. }
            | Denial::TokenMissing
            | Denial::Token(_)
            | Denial::IssuerUnavailable
            | Denial::SharedStateUnavailable
            | Denial::ClientUnknown
            | Denial::CertificateMismatch
            | Denial::ClientAccountMismatch
            | Denial::ScopeUndefined
            | Denial::RouteUnknown
            | Denial::MethodNotAllowed { .. }
            | Denial::ScopeRequired { .. }
            | Denial::ScopeInsufficient { .. }
            | Denial::TokenRequest { .. } => denial.reason().to_string(),
        }
    }

    fn forbidden(&self, named: &[&str]) -> String {
        let own: Vec<_> = match &self.rehearsed.caller {
            Some((_, standing)) => standing.accounts().iter().map(Account::as_str).collect(),
            None => Vec::new(),
        };
        let named = named.first().map_or("another".to_owned(), |account| format!("`{account}`"));
        match &*own {
            [] => format!("the request names the account {named}, and the caller has none of its own"),
            [one] => format!("the request names the account {named}, and the caller's own is `{one}`"),
            several => format!("the request names the account {named}, and the caller's own are {}", quoted(several)),
        }
    }

    fn insufficient(&self, alternatives: &[ScopeId]) -> String {
        let names: Vec<_> = alternatives.iter().map(|scope| self.scope(*scope)).collect();
        let carried = self.token_scopes(|name| {
            let id = self.policy.scope_named(name);
            id.is_some_and(|id| alternatives.contains(&id) || self.includes(id, alternatives))
        });
        if !carried.is_empty() {
            return format!("the token carries {}, but the file does not let its client hold that", quoted(&carried));
        }
        match &*names {
            [] => "no scope grants this".to_owned(),
            [one] => format!("the scope `{one}` is needed, and the token does not hold it"),
            several => format!("one of the scopes {} is needed, and the token holds none of them", quoted(several)),
        }
    }

    fn token_request(&self, fault: &TokenRequestFault) -> String {
        match fault {
            TokenRequestFault::Header(fault) => fault.to_string(),
            TokenRequestFault::Form(fault) => fault.to_string(),
            TokenRequestFault::ClientMissing => "the request for a token names no client that can be read".to_owned(),
            TokenRequestFault::ClientUnknown => {
                "the file lists its clients, and the one that asks for a token is not one of them".to_owned()
            }
            TokenRequestFault::CertificateMismatch => {
                self.certificate_of(self.rehearsed.client.as_ref().map_or("", ClientId::as_str))
            }
            TokenRequestFault::ScopeMalformed => "the scope parameter is not in the issuer's syntax".to_owned(),
            TokenRequestFault::ScopeUndefined { refused } => {
                let names: Vec<_> = refused.iter().map(|name| &**name).collect();
                format!("the client may not ask for {}: no api defines that, or not all of it", quoted(&names))
            }
            TokenRequestFault::ScopeBeyond { refused } => {
                let names: Vec<_> = refused.iter().map(|name| &**name).collect();
                format!("the client asks for {}, which the file does not let it hold", quoted(&names))
            }
        }
    }

    fn includes(&self, privilege: ScopeId, alternatives: &[ScopeId]) -> bool {
        let included = self.policy.scope(privilege).and_then(|scope| scope.includes);
        included.is_some_and(|included| alternatives.contains(&included))
    }

    fn no_route(&self) -> String {
        let is_excepted = |considered: &Considered<'_>| matches!(considered.fate, Fate::Excepted(_));
        if self.rehearsed.considered.iter().any(is_excepted) {
            return "no service has this path: exceptions take it from those that would".to_owned();
        }
        if self.method.is_empty() {
            "no service has this path, and none could have this method"
        } else {
            "no service has this path"
        }
        .to_owned()
    }

    fn certificate_of(&self, client: &str) -> String {
        let rule = self.policy.client(client).and_then(|client| client.certificate);
        let wanted = match rule {
            Some(CertificateRule::Sha256(sha256)) => format!("with the SHA-256 {}", hex(sha256)),
            Some(CertificateRule::Subject(subject)) => format!("with the subject `{subject}`"),
            Some(CertificateRule::SanDns(name)) => format!("with the DNS name `{name}`"),
            None => "that the file names".to_owned(),
        };
        let shown = match &self.rehearsed.certificate {
            None => "none was shown".to_owned(),
            Some(shown) => format!("the one shown is `{}`, SHA-256 {}", shown.subject, hex(&shown.sha256)),
        };
        format!("the client `{client}` must show a certificate {wanted}; {shown}")
    }

    fn contradiction(&self) -> String {
        let accounts = self.caller().map(|caller| &*caller.accounts).unwrap_or_default();
        let named: Vec<_> = accounts.iter().map(Account::as_str).collect();
        let listed = self.client().and_then(|id| self.policy.client(id)).and_then(|client| client.account);
        let listed = listed.map_or("another", |account| account.as_str());
        format!("the token names the account {}, and the file gives its client `{listed}`", quoted(&named))
    }

    fn failed_check(&self) -> Option<String> {
        let failed = self.checks.checks.iter().find(|check| check.outcome == CheckOutcome::Failed)?;
        Some(failed.detail.clone())
    }

    fn caller(&self) -> Option<&Caller> {
        self.rehearsed.caller.as_ref().map(|(caller, _): &(Caller, Standing)| caller)
    }

    fn client(&self) -> Option<&str> {
        self.caller()?.client.as_deref()
    }

    fn token_scopes(&self, is: impl Fn(&str) -> bool) -> Vec<&str> {
        let scopes = self.caller().map(|caller| &*caller.scopes).unwrap_or_default();
        scopes.iter().map(|name| &**name).filter(|name| is(name)).collect()
    }

    fn scope(&self, scope: ScopeId) -> &str {
        self.policy.scope(scope).map_or("", |scope| scope.name.as_str())
    }

    fn api(&self, api: ApiId) -> &str {
        self.policy.api(api).map_or("", |api| api.name.as_str())
    }
}

/// "`a`, `b`".
fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
