//! What a permit lets through: where a request goes, under which target, for which account.
//!
//! There is none without a permit, and nothing is sent without one. How it is written into a request
//! is `outbound`'s, which server gets it `upstream`'s.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use crate::issuer::IdentityValues;
use crate::policy::{ApiId, Basis, Denial, HeaderFault, Injection, Permit, Policy, Target, UpstreamId};

/// What a permit lets through.
#[derive(Debug)]
pub(super) struct Forward {
    api: ApiId,
    upstream: UpstreamId,
    /// Whether the upstream may be told of the caller.
    tells_caller: bool,
    /// Where it is not the one that came.
    target: Option<Vec<u8>>,
    /// Whether an account is written into it.
    adds_parameter: bool,
    /// The account header that is written in.
    injected: Option<(HeaderName, HeaderValue)>,
    /// The account that the upstream is told.
    account: Option<HeaderValue>,
    /// Of a request for a token: the form as it was judged.
    form: Option<Bytes>,
}

impl Forward {
    /// # Errors
    /// If the account cannot be written so that the upstream reads it as it was judged.
    pub(super) fn new(
        permit: &Permit<'_>,
        target: &Target<'_>,
        policy: &Policy,
        identity: Option<&IdentityValues>,
    ) -> Result<Self, Denial> {
        let api = permit.api();
        let upstream = match permit.basis() {
            Basis::TokenEndpoint(id) => policy.token_endpoint(id).map(|endpoint| endpoint.upstream),
            Basis::Public | Basis::Scope(_) | Basis::Reported => policy.api(api).map(|api| api.upstream),
        };
        // INVARIANT: a permit's api is one of the policy that made it.
        let upstream = upstream.ok_or(Denial::RouteUnknown)?;
        let tells_caller = permit.reported().is_none_or(|reported| reported.tells_caller);
        let account = account(permit, identity);
        if account.as_ref().is_some_and(has_spaces_around) {
            return Err(HeaderFault::AccountUnreadable.into());
        }
        let (query, injected) = match permit.injection() {
            None => (None, None),
            Some(Injection::Query(name, account)) => (Some((&**name, account.as_str())), None),
            Some(Injection::Header(name, account)) => (None, Some((name.clone(), header_account(account.as_str())?))),
        };
        let adds_parameter = query.is_some();
        let target = rewritten(target, query);
        Ok(Self { api, upstream, tells_caller, target, adds_parameter, injected, account, form: None })
    }

    /// With this form in the place of the body that came.
    pub(super) fn carrying(self, form: String) -> Self {
        Self { form: Some(form.into()), ..self }
    }

    /// The form to send in the place of the body that came.
    pub(super) fn form(&self) -> Option<&Bytes> {
        self.form.as_ref()
    }

    /// Whose it is.
    pub(super) fn api(&self) -> ApiId {
        self.api
    }

    /// The target to send, where it is not the one that came.
    pub(super) fn target(&self) -> Option<&[u8]> {
        self.target.as_deref()
    }

    /// Whether that has a parameter more than the one that came: an account.
    pub(super) fn adds_parameter(&self) -> bool {
        self.adds_parameter
    }

    /// The account header to write in.
    pub(super) fn injected(&self) -> Option<(&HeaderName, &HeaderValue)> {
        self.injected.as_ref().map(|(name, value)| (name, value))
    }

    /// What of the caller the upstream may be told.
    pub(super) fn told<'i>(&self, identity: Option<&'i IdentityValues>) -> Option<&'i IdentityValues> {
        identity.filter(|_| self.tells_caller)
    }

    /// The account that the request touches, or the caller's single own one.
    pub(super) fn account(&self) -> Option<&HeaderValue> {
        self.account.as_ref()
    }

    /// Where it goes.
    pub(super) fn upstream(&self) -> UpstreamId {
        self.upstream
    }
}

/// The account that the request touches, or the caller's single own one where it names none.
fn account(permit: &Permit<'_>, own: Option<&IdentityValues>) -> Option<HeaderValue> {
    let own = own.and_then(|own| own.account.as_ref());
    match (permit.account(), permit.basis()) {
        (Some(named), Basis::Public | Basis::Scope(_) | Basis::TokenEndpoint(_)) => {
            let named = named.text();
            match own.filter(|own| own.as_bytes() == named.as_bytes()) {
                Some(own) => Some(own.clone()),
                None => HeaderValue::from_bytes(named.as_bytes()).ok(),
            }
        }
        (None, Basis::Scope(_)) => own.cloned(),
        (_, Basis::Reported) | (None, Basis::Public | Basis::TokenEndpoint(_)) => None,
    }
}

/// Whether a header with it would be read as another, without the spaces.
fn has_spaces_around(value: &HeaderValue) -> bool {
    value.as_bytes().trim_ascii().len() != value.len()
}

/// An account as an account header's value, which has no comma (RFC 9110 section 5.3).
fn header_account(account: &str) -> Result<HeaderValue, HeaderFault> {
    match HeaderValue::from_bytes(account.as_bytes()) {
        Ok(value) if !has_spaces_around(&value) && !account.contains(',') => Ok(value),
        Ok(_) | Err(_) => Err(HeaderFault::AccountUnreadable),
    }
}

/// The target with a parameter more, or as judged where that is not what came.
fn rewritten(target: &Target<'_>, parameter: Option<(&str, &str)>) -> Option<Vec<u8>> {
    if parameter.is_none() && !target.is_rewritten() {
        return None;
    }
    let mut text = String::with_capacity(target.path().len() + 128);
    text.push_str(target.path());
    if let Some(query) = target.query() {
        text.push('?');
        text.push_str(query);
    }
    if let Some((name, value)) = parameter {
        text.push(match target.query() {
            None => '?',
            Some(_) => '&',
        });
        encode(name, &mut text);
        text.push('=');
        encode(value, &mut text);
    }
    Some(text.into_bytes())
}

/// RFC 3986 section 2: all but unreserved characters as `%XX`.
fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            to.push(char::from(byte));
        } else {
            // It cannot fail: it is a string that grows.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}
