//! The form of a request for a token (RFC 6749 section 3.2): read so strictly that no server reads it
//! in another way, and written again in one form.
//!
//! Whether its client may have its scopes is `policy`'s to say; the secrets in it pass through unread.

use std::collections::BTreeSet;

use http::HeaderValue;

use super::basic::basic_credentials;
use super::form::{decoded, form_encoded};
use super::json::{self, Json};
use super::{ScopeSyntax, base64url, scopes};
use crate::policy::{ClientId, FormFault, TokenRequestFault};

/// The parameters of a request for a token, in their order.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenForm {
    parameters: Vec<(String, String)>,
}

const SCOPE: &str = "scope";
const CLIENT_ID: &str = "client_id";
const CLIENT_ASSERTION: &str = "client_assertion";

/// What is judged here: no other parameter may look like one of these.
const JUDGED: [&str; 3] = [SCOPE, CLIENT_ID, CLIENT_ASSERTION];

/// RFC 8707 section 2 and RFC 8693 section 2.1 let these be there more than once.
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// More are no request for a token, and some servers stop reading at a thousand.
const MOST_PARAMETERS: usize = 100;

/// Whether `Content-Type` says that the body is a form in UTF-8.
///
/// # Errors
/// [`FormFault::MediaType`] if it says anything else.
pub fn check_media_type(content_type: &[u8]) -> Result<(), FormFault> {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let mut parts = content_type.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let is_form = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(FORM));
    let is_utf8 = |parameter: &[u8]| {
        [&b"charset=utf-8"[..], b"charset=\"utf-8\""].iter().any(|utf8| parameter.eq_ignore_ascii_case(utf8))
    };
    let is_plain = parts.next().is_none_or(is_utf8) && parts.next().is_none();
    if is_form && is_plain { Ok(()) } else { Err(FormFault::MediaType) }
}

impl TokenForm {
    /// Reads a body; `query` is that of the URL, whose parameters some servers add to the body's.
    ///
    /// # Errors
    /// What is wrong with it, or could be read in another way.
    pub fn parse(body: &[u8], query: Option<&str>) -> Result<Self, FormFault> {
        let mut parameters = Vec::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == MOST_PARAMETERS {
                return Err(FormFault::TooManyParameters);
            }
            let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len()));
            let (name, value) = (decoded(name)?, decoded(value.get(1..).unwrap_or_default())?);
            check_name(&name)?;
            parameters.push((name, value));
        }
        let form = Self { parameters };
        form.check_repeated()?;
        form.check_query(query.unwrap_or_default())?;
        Ok(form)
    }

    /// Who says to be asking: the client of the `Authorization` that is `Basic`, of `client_id`, and of
    /// the assertion's `sub` (RFC 7523 section 3), where these are there.
    ///
    /// # Errors
    /// If none names a client, one cannot be read, or two name different clients.
    pub fn client(&self, authorization: Option<&HeaderValue>) -> Result<ClientId, TokenRequestFault> {
        let basic = match authorization.map(|value| basic_credentials(value.as_bytes())) {
            Some(Ok(Some(basic))) => Some(basic.id),
            Some(Ok(None)) | None => None,
            Some(Err(_)) => return Err(TokenRequestFault::ClientMissing),
        };
        let parameter = self.value(CLIENT_ID).map(str::to_owned);
        let asserted = match self.value(CLIENT_ASSERTION) {
            Some(assertion) => Some(subject(assertion).ok_or(TokenRequestFault::ClientMissing)?),
            None => None,
        };
        let mut named = [basic, parameter, asserted].into_iter().flatten();
        let client = named.next().ok_or(TokenRequestFault::ClientMissing)?;
        if named.any(|other| other != client) {
            return Err(FormFault::SeveralClients.into());
        }
        ClientId::parse(&client).map_err(|_| TokenRequestFault::ClientMissing)
    }

    /// The scopes that it asks for, privileges written out, each once; `None` where it asks for none,
    /// an empty parameter being one that is left out (RFC 6749 section 3.2).
    ///
    /// # Errors
    /// If they are not in the issuer's syntax.
    pub fn scopes(&self, syntax: ScopeSyntax) -> Result<Option<Box<[Box<str>]>>, TokenRequestFault> {
        let Some(text) = self.value(SCOPE) else { return Ok(None) };
        let names = scopes::parse_text(text, syntax).map_err(|_| TokenRequestFault::ScopeMalformed)?;
        Ok((!names.is_empty()).then_some(names))
    }

    /// It, asking for these scopes in the place of its own.
    #[must_use]
    pub fn asking_for(mut self, names: &[Box<str>], syntax: ScopeSyntax, is_privilege: impl Fn(&str) -> bool) -> Self {
        let text = scopes::write(names, syntax, is_privilege);
        for (name, value) in &mut self.parameters {
            if name == SCOPE {
                value.clone_from(&text);
            }
        }
        self
    }

    /// As a body.
    #[must_use]
    pub fn encode(&self) -> String {
        let pair = |(name, value): &(String, String)| {
            [form_encoded(name.as_bytes()), form_encoded(value.as_bytes())].join("=")
        };
        self.parameters.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    /// The value of a parameter that is there and not empty.
    fn value(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn check_repeated(&self) -> Result<(), FormFault> {
        let mut seen = BTreeSet::new();
        let mut names = self.parameters.iter().map(|(name, _)| name.as_str());
        let all_once = names.all(|name| REPEATABLE.contains(&name) || seen.insert(name));
        if all_once { Ok(()) } else { Err(FormFault::Repeated) }
    }

    /// RFC 6749 section 3.2 lets an endpoint's URL have a query, and a provider may need it.
    fn check_query(&self, query: &str) -> Result<(), FormFault> {
        // Some servers split at `;` too.
        for parameter in query.split(['&', ';']).filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
            let name = decoded(name.as_bytes()).map_err(|_| FormFault::InUrl)?;
            let is_secret = bare(&name) == "clientsecret";
            let is_in_body = || self.parameters.iter().any(|(own, _)| bare(own) == bare(&name));
            if !is_name(&name) || is_judged(&name) || is_secret || is_in_body() {
                return Err(FormFault::InUrl);
            }
        }
        Ok(())
    }
}

/// Shows which parameters there are and none of their values.
impl std::fmt::Debug for TokenForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.parameters.iter().map(|(name, _)| name)).finish()
    }
}

fn check_name(name: &str) -> Result<(), FormFault> {
    if !is_name(name) {
        return Err(FormFault::Name);
    }
    if is_judged(name) && !JUDGED.contains(&name) {
        return Err(FormFault::Spelling);
    }
    Ok(())
}

/// RFC 6749 section 8.2.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// Whether some server would take it for a parameter that is judged: ASP.NET whatever its case or
/// what stands before a dot, PHP with a dot for an underscore.
fn is_judged(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    JUDGED.iter().any(|judged| bare(judged) == bare(name) || bare(judged) == bare(last))
}

/// The name's letters and digits, in lower case.
fn bare(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Whom an assertion is about, unverified: that it is so is the provider's to find out.
fn subject(assertion: &str) -> Option<String> {
    let (_, rest) = assertion.split_once('.')?;
    let (payload, signature) = rest.split_once('.')?;
    let claims = json::object(&base64url::decode(payload)?).ok()?;
    match claims.get("sub") {
        Some(Json::String(subject)) if !signature.contains('.') => Some((**subject).to_owned()),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests;
