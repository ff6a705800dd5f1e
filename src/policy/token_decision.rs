//! What a client may ask a token for at a guarded token endpoint.
//!
//! Which requests are for one is `token_endpoint`'s. Who the client really is, and what it gets, the
//! provider decides.

use super::client::Listed;
use super::decision::token_request;
use super::{
    AdmittedTokenRequest, ClientId, Denial, Policy, ScopeId, ScopeSet, TokenEndpointId, TokenRequest,
    TokenRequestFault, UnregisteredClients,
};

impl Policy {
    /// Decides whether a request for a token may go to the provider, and for which scopes.
    ///
    /// A request without scopes goes on without them: the provider has a default (RFC 6749 section
    /// 3.3), which the required scopes alone would take the place of. Whatever it grants is judged
    /// when the token is used.
    ///
    /// # Errors
    /// The first of these that is not so: the client is listed where there is a list, it presents the
    /// certificate that its entry asks for, each scope is defined and none beyond its ceiling.
    pub fn decide_token_request(
        &self,
        id: TokenEndpointId,
        asked: &TokenRequest<'_>,
    ) -> Result<AdmittedTokenRequest, Denial> {
        let endpoint = self.token_endpoint(id).ok_or(Denial::RouteUnknown)?;
        let refused = |fault| Denial::TokenRequest { api: endpoint.api, fault };
        let ceiling = self.check_asking_client(asked).map_err(refused)?;
        let scopes = match asked.scopes {
            Some(names) => Some(self.scopes_to_ask(names, ceiling).map_err(refused)?),
            None => None,
        };
        Ok(AdmittedTokenRequest { permit: token_request(id, endpoint), scopes })
    }

    /// The client of the list that has this id.
    #[must_use]
    pub fn listed_client(&self, id: &ClientId) -> Option<&ClientId> {
        Some(&self.clients.as_ref()?.find(Some(id.as_str()))?.client.id)
    }

    /// Whether this is the name of a privilege, compared as tokens' are.
    #[must_use]
    pub fn is_privilege(&self, name: &str) -> bool {
        self.scope_named(name).and_then(|id| self.scope(id)).is_some_and(|scope| scope.includes.is_some())
    }

    /// The ceiling of a client that may ask, if it has one.
    fn check_asking_client(&self, asked: &TokenRequest<'_>) -> Result<Option<&ScopeSet>, TokenRequestFault> {
        let Some(clients) = &self.clients else { return Ok(None) };
        let Some(Listed { client, .. }) = clients.find(Some(asked.client.as_str())) else {
            return match self.unregistered_clients {
                UnregisteredClients::Allow => Ok(None),
                UnregisteredClients::Refuse => Err(TokenRequestFault::ClientUnknown),
            };
        };
        match &client.certificate {
            Some(rule) if !rule.admits(asked.certificate) => Err(TokenRequestFault::CertificateMismatch),
            Some(_) | None => Ok(client.ceiling.as_ref()),
        }
    }

    fn scopes_to_ask(
        &self,
        names: &[Box<str>],
        ceiling: Option<&ScopeSet>,
    ) -> Result<Vec<Box<str>>, TokenRequestFault> {
        let found = |name: &str| self.scope_named(name);
        let may_ask = |id: ScopeId| ceiling.is_none_or(|ceiling| ceiling.contains(id));
        let refused: Box<[Box<str>]> = names.iter().filter(|name| !found(name).is_some_and(may_ask)).cloned().collect();
        if !refused.is_empty() {
            let undefined = refused.iter().any(|name| found(name).is_none());
            return Err(if undefined {
                TokenRequestFault::ScopeUndefined { refused }
            } else {
                TokenRequestFault::ScopeBeyond { refused }
            });
        }
        let asked: Vec<ScopeId> = names.iter().filter_map(|name| found(name)).collect();
        let mut held = ScopeSet::default();
        for id in &asked {
            self.add_with_included(&mut held, *id);
        }
        let apis = asked.iter().filter_map(|id| self.api(self.scope(*id)?.api));
        let mut scopes = names.to_vec();
        for required in apis.flat_map(|api| &api.required) {
            if let Some(scope) = self.scope(*required)
                && !held.contains(*required)
            {
                held.insert(*required);
                scopes.push(scope.name.as_str().into());
            }
        }
        Ok(scopes)
    }
}
#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::policy::{
        ApiId, ApiName, ApiSpec, BasePath, Basis, Certificate, CertificateRule, ClientSpec, ClientType, Marks,
        PolicySpec, PrivilegeSpec, Reach, Reason, ScopeName, ScopeNames, ScopeSpec, Service, TokenEndpointSpec,
        UpstreamId,
    };

    fn scope(name: &str, required: bool, privileges: &[&str]) -> ScopeSpec {
        let privilege = |privilege: &&str| PrivilegeSpec {
            name: ScopeName::parse(&format!("{name}:{privilege}")).unwrap(),
            reach: Reach::Any,
            services: vec![],
        };
        ScopeSpec {
            marks: Marks { required, ..Marks::default() },
            privileges: privileges.iter().map(privilege).collect(),
            ..ScopeSpec::new(ScopeName::parse(name).unwrap(), Reach::Any)
        }
    }

    fn api(name: &str, scopes: Vec<ScopeSpec>) -> ApiSpec {
        ApiSpec {
            public: vec![Service::parse(&format!("/{name}/**")).unwrap()],
            scopes,
            ..ApiSpec::new(ApiName::parse(name).unwrap(), BasePath::parse(name).unwrap(), UpstreamId(0))
        }
    }

    fn client(id: &str, scopes: Option<&[&str]>) -> ClientSpec {
        ClientSpec {
            scopes: scopes.map(|scopes| scopes.iter().map(|name| ScopeName::parse(name).unwrap()).collect()),
            ..ClientSpec::new(ClientId::parse(id).unwrap(), ClientType::Confidential)
        }
    }

    pub(in crate::policy) fn spec() -> PolicySpec {
        let bound = ClientSpec { certificate: Some(CertificateRule::Sha256([7; 32])), ..client("bound", None) };
        let directory = vec![scope("use", true, &[]), scope("Read", false, &[]), scope("terms", true, &[])];
        let endpoint = TokenEndpointSpec {
            api: ApiId(1),
            service: Service::parse("POST /data/oauth/token").unwrap(),
            upstream: UpstreamId(3),
        };
        PolicySpec {
            apis: vec![api("data", vec![scope("cert", false, &["approve", "delete"])]), api("directory", directory)],
            clients: Some(vec![client("free", None), client("held", Some(&["cert:approve"])), bound]),
            token_endpoints: vec![endpoint],
            ..PolicySpec::default()
        }
    }

    pub(in crate::policy) const ENDPOINT: TokenEndpointId = TokenEndpointId(0);

    #[track_caller]
    fn check(client: &str, scopes: Option<&[&str]>, expected: Result<Option<&[&str]>, Reason>) {
        check_with(spec(), client, scopes, expected);
    }

    #[track_caller]
    fn check_with(spec: PolicySpec, client: &str, scopes: Option<&[&str]>, expected: Result<Option<&[&str]>, Reason>) {
        let policy = Policy::compile(spec).unwrap();
        let client = ClientId::parse(client).unwrap();
        let names: Option<Vec<Box<str>>> = scopes.map(|names| names.iter().map(|name| (*name).into()).collect());
        let asked = TokenRequest { client: &client, certificate: None, scopes: names.as_deref() };
        let admitted = policy.decide_token_request(ENDPOINT, &asked);
        let owned = |names: &[&str]| names.iter().map(|name| (*name).into()).collect::<Vec<Box<str>>>();
        match (admitted, expected) {
            (Ok(admitted), Ok(expected)) => {
                assert_eq!(admitted.scopes, expected.map(owned), "{client}: {scopes:?}");
                assert_eq!(admitted.permit.basis(), Basis::TokenEndpoint(ENDPOINT));
                assert_eq!(admitted.permit.reason(), Reason::Public);
            }
            (Err(denial), Err(reason)) => assert_eq!((denial.reason(), denial.api()), (reason, Some(ApiId(1)))),
            (found, expected) => panic!("{client}, {scopes:?}: {found:?}, and not {expected:?}"),
        }
    }

    #[test]
    fn the_required_scopes_of_the_apis_concerned_are_added_once() {
        check("free", Some(&["cert"]), Ok(Some(&["cert"])));
        check("free", Some(&["Read"]), Ok(Some(&["Read", "use", "terms"])));
        check("free", Some(&["terms", "Read"]), Ok(Some(&["terms", "Read", "use"])));
        check("free", Some(&["Read", "cert:delete", "use"]), Ok(Some(&["Read", "cert:delete", "use", "terms"])));
    }

    #[test]
    fn who_asks_for_no_scope_is_not_given_the_required_ones_alone() {
        check("free", None, Ok(None));
        check("held", None, Ok(None));
    }

    #[test]
    fn what_is_not_defined_or_beyond_the_ceiling_may_not_be_asked_for() {
        check("free", Some(&["cert", "other"]), Err(Reason::ScopeUndefined));
        check("free", Some(&["read"]), Err(Reason::ScopeUndefined));
        check("held", Some(&["cert:approve", "cert"]), Ok(Some(&["cert:approve", "cert"])));
        check("held", Some(&["use"]), Ok(Some(&["use", "terms"])));
        check("held", Some(&["cert:delete"]), Err(Reason::ScopeInsufficient));
        check("held", Some(&["Read"]), Err(Reason::ScopeInsufficient));
        check("held", Some(&["Read", "other"]), Err(Reason::ScopeUndefined));
    }

    #[test]
    fn names_are_compared_as_tokens_are_and_asked_for_as_they_were_written() {
        let folded = || PolicySpec { scope_names: ScopeNames::CaseInsensitive, ..spec() };
        check_with(folded(), "free", Some(&["READ", "Use"]), Ok(Some(&["READ", "Use", "terms"])));
        check_with(folded(), "held", Some(&["Cert:Approve"]), Ok(Some(&["Cert:Approve"])));
        check_with(folded(), "held", Some(&["CERT:delete"]), Err(Reason::ScopeInsufficient));
        let policy = Policy::compile(folded()).unwrap();
        assert!(policy.is_privilege("CERT:approve") && !policy.is_privilege("cert") && !policy.is_privilege("x:y"));
    }

    #[test]
    fn a_client_is_on_the_list_where_there_is_one() {
        check("stranger", Some(&["cert"]), Err(Reason::ClientUnknown));
        check("stranger", None, Err(Reason::ClientUnknown));
        let unlisted = PolicySpec { clients: None, ..spec() };
        check_with(unlisted, "stranger", Some(&["cert"]), Ok(Some(&["cert"])));
        let lenient = PolicySpec { unregistered_clients: UnregisteredClients::Allow, ..spec() };
        check_with(lenient.clone(), "stranger", Some(&["cert:delete"]), Ok(Some(&["cert:delete"])));
        check_with(lenient, "held", Some(&["cert:delete"]), Err(Reason::ScopeInsufficient));
        let policy = Policy::compile(spec()).unwrap();
        let listed = |id: &str| policy.listed_client(&ClientId::parse(id).unwrap()).map(ClientId::as_str);
        assert_eq!((listed("held"), listed("stranger")), (Some("held"), None));
    }

    #[test]
    fn a_client_with_a_certificate_presents_it_here_too() {
        check("bound", Some(&["cert"]), Err(Reason::CertificateMismatch));
        let policy = Policy::compile(spec()).unwrap();
        let client = ClientId::parse("bound").unwrap();
        for (sha256, is_admitted) in [([7; 32], true), ([8; 32], false)] {
            let certificate = Certificate { sha256, subject: "CN=x".into(), san_dns: [].into() };
            let asked = TokenRequest { client: &client, certificate: Some(&certificate), scopes: None };
            assert_eq!(policy.decide_token_request(ENDPOINT, &asked).is_ok(), is_admitted);
        }
    }
}
