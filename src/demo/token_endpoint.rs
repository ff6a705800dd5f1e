//! The token endpoint's judgement (RFC 6749 sections 2.3, 4.4 and 5.2): a form becomes what a client
//! gets, or why not. Pure; `issuer` signs and answers.

use super::clients::{self, DemoClient};
use super::scope::{self, InvalidScope};
use crate::token::{ScopeSyntax, basic_credentials};

/// A request for a token, as far as it is looked at.
pub(super) struct TokenRequest<'a> {
    /// `Authorization`, as sent.
    pub(super) authorization: Option<&'a str>,
    /// The form's parameters, in their order.
    pub(super) form: &'a [(String, String)],
}

/// What a client gets.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) client: &'static DemoClient,
    /// Privileges written out.
    pub(super) scopes: Vec<String>,
}

/// RFC 6749 section 5.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    InvalidRequest(&'static str),
    InvalidClient,
    /// It may not use this grant: RFC 6749 section 4.4 keeps it for confidential clients.
    UnauthorizedClient,
    UnsupportedGrantType,
    /// What was asked for and may not be had.
    InvalidScope(String),
    /// The code is none that was given to who brings it, or was brought before.
    InvalidGrant,
    /// Nothing was asked for.
    NoScope(&'static DemoClient),
}

/// What the client of `request` gets from the issuer of this syntax.
pub(super) fn judge(request: &TokenRequest<'_>, syntax: ScopeSyntax) -> Result<Granted, Refusal> {
    let grant_type = parameter(request.form, "grant_type")?;
    let scope = parameter(request.form, "scope")?;
    let client = authenticate(request)?;
    match grant_type {
        None => return Err(Refusal::InvalidRequest("grant_type is missing")),
        Some("client_credentials") => {}
        Some(_) => return Err(Refusal::UnsupportedGrantType),
    }
    if client.secret.is_none() {
        return Err(Refusal::UnauthorizedClient);
    }
    if client.syntax != syntax {
        return Err(Refusal::InvalidClient);
    }
    let scopes = scope::read(scope.unwrap_or_default(), syntax)?;
    if scopes.is_empty() {
        return Err(Refusal::NoScope(client));
    }
    scope::check(&scopes, client)?;
    Ok(Granted { client, scopes })
}

impl Refusal {
    /// Status and error code.
    pub(super) fn code(&self) -> (u16, &'static str) {
        match self {
            Self::InvalidRequest(_) => (400, "invalid_request"),
            Self::InvalidClient => (401, "invalid_client"),
            Self::UnauthorizedClient => (400, "unauthorized_client"),
            Self::UnsupportedGrantType => (400, "unsupported_grant_type"),
            Self::InvalidGrant => (400, "invalid_grant"),
            Self::InvalidScope(_) | Self::NoScope(_) => (400, "invalid_scope"),
        }
    }

    /// What to do about it, in the characters that RFC 6749 allows there.
    pub(super) fn description(&self) -> String {
        match self {
            Self::InvalidRequest(why) => (*why).to_owned(),
            Self::InvalidClient => "the client is unknown to this issuer, or its secret is wrong".to_owned(),
            Self::UnauthorizedClient => "a public client cannot get a token by client_credentials".to_owned(),
            Self::UnsupportedGrantType => "only client_credentials is supported".to_owned(),
            Self::InvalidGrant => "the code is unknown, was used before, or is another's".to_owned(),
            Self::InvalidScope(scope) => {
                let shown: String = scope.chars().filter(|c| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~')).collect();
                format!("the client may not have {shown}")
            }
            Self::NoScope(client) => {
                let may: Vec<String> = client.may.iter().map(ToString::to_string).collect();
                format!("scope is missing; the client may have {}", scope::write(&may, client.syntax))
            }
        }
    }
}

impl From<InvalidScope> for Refusal {
    fn from(InvalidScope(scope): InvalidScope) -> Self {
        Self::InvalidScope(scope)
    }
}

/// The parameter's one value; an empty one counts as none (RFC 6749 section 3.2).
fn parameter<'a>(form: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = form.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let value = values.next();
    match values.next() {
        Some(_) => Err(Refusal::InvalidRequest("a parameter is given more than once")),
        None => Ok(value.filter(|value| !value.is_empty())),
    }
}

/// `client_secret_basic` or `client_secret_post`, never both; a public client names itself alone.
fn authenticate(request: &TokenRequest<'_>) -> Result<&'static DemoClient, Refusal> {
    let in_form = (parameter(request.form, "client_id")?, parameter(request.form, "client_secret")?);
    let (id, secret) = match (request.authorization, in_form) {
        (Some(_), (_, Some(_))) => return Err(Refusal::InvalidRequest("the client authenticates in two ways")),
        (Some(header), (id, None)) => {
            let basic = basic_credentials(header.as_bytes()).ok().flatten().ok_or(Refusal::InvalidClient)?;
            if id.is_some_and(|id| id != basic.id) {
                return Err(Refusal::InvalidRequest("two clients are named"));
            }
            (basic.id, Some(basic.secret))
        }
        (None, (Some(id), secret)) => (id.to_owned(), secret.map(str::to_owned)),
        (None, (None, _)) => return Err(Refusal::InvalidClient),
    };
    let client = clients::find(&id).ok_or(Refusal::InvalidClient)?;
    if client.secret == secret.as_deref() { Ok(client) } else { Err(Refusal::InvalidClient) }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const ACME: &[(&str, &str)] = &[("client_id", "acme-integration"), ("client_secret", "acme-secret")];

    fn ask(authorization: Option<&str>, form: &[&[(&str, &str)]], syntax: ScopeSyntax) -> Result<Granted, Refusal> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let form: Vec<_> = form.iter().copied().flatten().map(owned).collect();
        judge(&TokenRequest { authorization, form: &form }, syntax)
    }

    #[track_caller]
    fn check(form: &[&[(&str, &str)]], status: u16, code: &str) {
        let refusal = ask(None, form, ScopeSyntax::Words).unwrap_err();
        assert_eq!(refusal.code(), (status, code), "{form:?}");
        let allowed = |c: char| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~');
        assert!(refusal.description().chars().all(allowed), "{}", refusal.description());
    }

    #[test]
    fn each_mistake_has_its_rfc_6749_error() {
        const GRANT: &[(&str, &str)] = &[("grant_type", "client_credentials")];
        const SCOPE: &[(&str, &str)] = &[("scope", "wk-dgs-core-read")];
        check(&[ACME, SCOPE], 400, "invalid_request");
        check(&[ACME, SCOPE, &[("grant_type", "")]], 400, "invalid_request");
        check(&[ACME, SCOPE, GRANT, GRANT], 400, "invalid_request");
        check(&[ACME, SCOPE, SCOPE, GRANT], 400, "invalid_request");
        check(&[ACME, ACME, SCOPE, GRANT], 400, "invalid_request");
        check(&[SCOPE, GRANT], 401, "invalid_client");
        check(&[&[("client_id", "acme-integration")], SCOPE, GRANT], 401, "invalid_client");
        check(&[&[("client_id", "acme-integration"), ("client_secret", "x")], SCOPE, GRANT], 401, "invalid_client");
        check(&[&[("client_id", "nobody"), ("client_secret", "x")], SCOPE, GRANT], 401, "invalid_client");
        check(&[&[("client_secret", "acme-secret")], SCOPE, GRANT], 401, "invalid_client");
        let venafi: &[(&str, &str)] = &[("client_id", "venafi-automation"), ("client_secret", "venafi-secret")];
        check(&[venafi, &[("scope", "ssh")], GRANT], 401, "invalid_client");
        check(&[&[("client_id", "wirewheel-web")], &[("scope", "consent-get-api")], GRANT], 400, "unauthorized_client");
        let with_secret: &[(&str, &str)] = &[("client_id", "wirewheel-web"), ("client_secret", "x")];
        check(&[with_secret, &[("scope", "consent-get-api")], GRANT], 401, "invalid_client");
        check(&[ACME, SCOPE, &[("grant_type", "password")]], 400, "unsupported_grant_type");
        check(&[ACME, GRANT], 400, "invalid_scope");
        check(&[ACME, GRANT, &[("scope", " ")]], 400, "invalid_scope");
        check(&[ACME, GRANT, &[("scope", "wk-ezcfg-def-data-su")]], 400, "invalid_scope");
        check(&[ACME, GRANT, &[("scope", "wk-dgs-core-read no\"such\\é\n")]], 400, "invalid_scope");
        let grant = ask(None, &[ACME, GRANT, SCOPE], ScopeSyntax::Words).unwrap();
        assert_eq!((grant.client.id, &*grant.scopes), ("acme-integration", &["wk-dgs-core-read".to_owned()][..]));
    }

    #[test]
    fn a_client_may_authenticate_by_basic_or_by_form_and_not_by_both() {
        let form: &[(&str, &str)] = &[("grant_type", "client_credentials"), ("scope", "wk-dgs-core-read")];
        let basic = |text: &str| format!("basic {}", STANDARD.encode(text));
        for good in ["acme-integration:acme-secret", "acme%2Dintegration:acme%2dsecret"] {
            assert!(ask(Some(&basic(good)), &[form], ScopeSyntax::Words).is_ok(), "{good}");
        }
        for bad in ["acme-integration:no", "acme-integration", "acme-integration:acme-secret%2", ":"] {
            let refusal = ask(Some(&basic(bad)), &[form], ScopeSyntax::Words).unwrap_err();
            assert_eq!(refusal, Refusal::InvalidClient, "{bad}");
        }
        for bad in ["Bearer abc", "Basic %%%", "Basic", ""] {
            assert_eq!(ask(Some(bad), &[form], ScopeSyntax::Words).unwrap_err(), Refusal::InvalidClient, "{bad}");
        }
        let good = basic("acme-integration:acme-secret");
        let both = ask(Some(&good), &[form, ACME], ScopeSyntax::Words).unwrap_err();
        assert_eq!(both.code().1, "invalid_request");
        let other = ask(Some(&good), &[form, &[("client_id", "registry-portal")]], ScopeSyntax::Words).unwrap_err();
        assert_eq!(other.code().1, "invalid_request");
    }

    #[test]
    fn a_client_of_privileges_asks_in_their_form() {
        let form: &[(&str, &str)] = &[
            ("client_id", "venafi-automation"),
            ("client_secret", "venafi-secret"),
            ("grant_type", "client_credentials"),
            ("scope", "certificate:manage,revoke;ssh"),
        ];
        let granted = ask(None, &[form], ScopeSyntax::Privileges).unwrap();
        assert_eq!(granted.scopes, ["certificate:manage", "certificate:revoke", "ssh"]);
    }
}
