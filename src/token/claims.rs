//! Claims to a [`Caller`]: each that is present is of the right type, or it is an error.
//!
//! Who may say so is not judged here: a JWT's signature is `keys`', and an introspection answer
//! comes from the provider itself.

use crate::policy::{Account, Binding, Caller, TokenFault, UnixTime};

use super::json::{Json, Object};
use super::{ClaimPath, IssuerRules, base64url, scopes};

/// The claims of one token, read and not judged.
#[derive(Debug)]
pub(super) struct Claims {
    /// `None` if there is no `aud`.
    audience: Option<Vec<Box<str>>>,
    /// Everything but its binding.
    caller: Caller,
    binding: Result<Binding, TokenFault>,
}

/// Whether the caller's token is good now; to be asked again each time that a verdict is used again.
///
/// # Errors
/// [`TokenFault::Expired`] or [`TokenFault::NotYetValid`].
pub fn check_times(caller: &Caller, rules: &IssuerRules, now: UnixTime) -> Result<(), TokenFault> {
    let ahead = |time: Option<UnixTime>| time.is_some_and(|time| time.0 > now.0.saturating_add(rules.leeway));
    if now.0 >= caller.expires_at.0.saturating_add(rules.leeway) {
        return Err(TokenFault::Expired);
    }
    if ahead(caller.not_before) || ahead(caller.issued_at) {
        return Err(TokenFault::NotYetValid);
    }
    Ok(())
}

impl Claims {
    /// Reads every claim that counts, `iss` excepted; other claims are not looked at.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`].
    pub(super) fn read(claims: &Object, rules: &IssuerRules) -> Result<Self, TokenFault> {
        if depth(&mut claims.values()) > rules.bounds.depth {
            return Err(TokenFault::Malformed("its claims are nested too deeply"));
        }
        let caller = Caller {
            issuer: rules.issuer.clone(),
            subject: name(claims.get("sub"), "its `sub` is not a string without control characters")?,
            client: name(first(claims, &rules.claims.client)?, "its client claim is not a string of a client id")?,
            accounts: accounts(first(claims, &rules.claims.account)?)?,
            scopes: match first(claims, &rules.claims.scope)? {
                Some(claim) => scopes::parse(claim, rules.scope_syntax, rules.bounds)?,
                None => [].into(),
            },
            token_id: name(claims.get("jti"), "its `jti` is not a string without control characters")?,
            issued_at: time(claims, "iat", f64::floor, "its `iat` is not a number of seconds since 1970")?,
            not_before: time(claims, "nbf", f64::ceil, "its `nbf` is not a number of seconds since 1970")?,
            expires_at: time(claims, "exp", f64::floor, "its `exp` is not a number of seconds since 1970")?
                .ok_or(TokenFault::Malformed("it has no `exp`"))?,
            binding: Binding::default(),
        };
        let binding = match claims.get("cnf").map(binding) {
            Some(Err(fault @ TokenFault::Malformed(_))) => return Err(fault),
            Some(binding) => binding,
            None => Ok(Binding::default()),
        };
        Ok(Self { audience: audience(claims.get("aud"))?, caller, binding })
    }

    /// As [`Claims::read`], of a token that must have an `aud`.
    pub(super) fn read_with_audience(claims: &Object, rules: &IssuerRules) -> Result<Self, TokenFault> {
        let read = Self::read(claims, rules)?;
        if read.audience.is_none() {
            return Err(TokenFault::Malformed("it has no `aud`"));
        }
        Ok(read)
    }

    /// The caller, if the token is meant for us, good now, and bound to nothing that is not understood.
    ///
    /// # Errors
    /// The first of these that is not so, in this order.
    pub(super) fn judge(self, rules: &IssuerRules, now: UnixTime) -> Result<Caller, TokenFault> {
        if self.audience.is_some_and(|named| !named.iter().any(|audience| rules.audiences.contains(audience))) {
            return Err(TokenFault::AudienceMismatch);
        }
        check_times(&self.caller, rules, now)?;
        Ok(Caller { binding: self.binding?, ..self.caller })
    }
}

/// How many objects and arrays are inside each other, the one that has these members counted. `json`
/// has bounded it.
fn depth<'c>(members: &mut dyn Iterator<Item = &'c Json>) -> usize {
    let of = |member: &'c Json| match member {
        Json::Object(members) => depth(&mut members.values()),
        Json::Array(elements) => depth(&mut elements.iter()),
        Json::Null | Json::Bool(_) | Json::Whole(_) | Json::Fraction(_) | Json::String(_) => 0,
    };
    1 + members.map(of).max().unwrap_or(0)
}

/// The claim at the first of the paths that leads to one.
pub(super) fn first<'c>(claims: &'c Object, paths: &[ClaimPath]) -> Result<Option<&'c Json>, TokenFault> {
    paths.iter().find_map(|path| at(claims, &path.0).transpose()).transpose()
}

/// The claim that a path leads to. A name may have dots itself (`https://example.com/account`), so
/// the path's names count as one name first, then as ever shorter ones with the rest inside.
fn at<'c>(claims: &'c Object, path: &[Box<str>]) -> Result<Option<&'c Json>, TokenFault> {
    for length in (1..=path.len()).rev() {
        let (names, inside) = path.split_at_checked(length).unwrap_or_default();
        match claims.get(&*names.join(".")) {
            None => {}
            Some(claim) if inside.is_empty() => return Ok(Some(claim)),
            Some(Json::Object(members)) => {
                if let Some(claim) = at(members, inside)? {
                    return Ok(Some(claim));
                }
            }
            Some(_) => return Err(TokenFault::Malformed("a claim that should have others inside is not an object")),
        }
    }
    Ok(None)
}

/// A name: a string that is not empty, has no control characters, and no spaces around it, which a
/// server that reads it from a header would drop, and so take it for another name.
fn name(claim: Option<&Json>, fault: &'static str) -> Result<Option<Box<str>>, TokenFault> {
    match claim {
        None => Ok(None),
        Some(Json::String(text))
            if !text.is_empty() && text.trim() == &**text && !text.chars().any(char::is_control) =>
        {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(TokenFault::Malformed(fault)),
    }
}

/// RFC 7519 section 4.1.3: a string or an array of strings.
fn audience(claim: Option<&Json>) -> Result<Option<Vec<Box<str>>>, TokenFault> {
    const FAULT: TokenFault = TokenFault::Malformed("its `aud` is neither a string nor an array of strings");
    match claim {
        None => Ok(None),
        Some(Json::String(one)) => Ok(Some(vec![one.clone()])),
        Some(Json::Array(several)) => several
            .iter()
            .map(|one| if let Json::String(one) = one { Ok(one.clone()) } else { Err(FAULT) })
            .collect::<Result<_, _>>()
            .map(Some),
        Some(_) => Err(FAULT),
    }
}

/// The accounts that a claim names, each once.
fn accounts(claim: Option<&Json>) -> Result<Box<[Account]>, TokenFault> {
    let named = match claim {
        None => &[],
        Some(Json::Array(several)) => &**several,
        Some(one) => std::slice::from_ref(one),
    };
    if named.len() > MOST_ACCOUNTS {
        return Err(TokenFault::Malformed("it carries more accounts than are accepted"));
    }
    let mut accounts = Vec::new();
    for name in named {
        let account = if let Json::String(name) = name { Account::parse(name) } else { None };
        let account =
            account.ok_or(TokenFault::Malformed("its account claim is neither a string nor an array of strings"))?;
        if !accounts.contains(&account) {
            accounts.push(account);
        }
    }
    Ok(accounts.into())
}

const MOST_ACCOUNTS: usize = 1_000;

/// RFC 7519 section 2: seconds since 1970, maybe with a fraction, which `round` takes away to the
/// stricter side.
fn time(
    claims: &Object,
    name: &str,
    round: fn(f64) -> f64,
    fault: &'static str,
) -> Result<Option<UnixTime>, TokenFault> {
    match claims.get(name) {
        None => Ok(None),
        Some(claim) => numeric_date(claim, round).map(Some).ok_or(TokenFault::Malformed(fault)),
    }
}

/// The time that a number is; `None` for what is no number, negative, or 2^53 and more, from where
/// numbers are not exact in every reader (RFC 8259 section 6).
pub(super) fn numeric_date(claim: &Json, round: fn(f64) -> f64) -> Option<UnixTime> {
    const LIMIT: u64 = 1 << 53;
    let seconds = match claim {
        Json::Whole(seconds) => u64::try_from(*seconds).ok()?,
        Json::Fraction(seconds) if *seconds >= 0.0 && *seconds < 9_007_199_254_740_992.0 => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
            let whole = round(*seconds) as u64;
            whole
        }
        Json::Fraction(_) | Json::Null | Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
            return None;
        }
    };
    (seconds < LIMIT).then_some(UnixTime(seconds))
}

/// RFC 7800: what a `cnf` binds to. Each of its members must be understood, and there must be one.
fn binding(claim: &Json) -> Result<Binding, TokenFault> {
    let Json::Object(members) = claim else { return Err(TokenFault::Malformed("its `cnf` is not an object")) };
    let mut binding = Binding::default();
    let mut understood = !members.is_empty();
    for (name, value) in members {
        match &**name {
            "x5t#S256" => binding.certificate = Some(digest(value)?),
            "jkt" => binding.proof_key = Some(digest(value)?),
            _ => understood = false,
        }
    }
    if understood { Ok(binding) } else { Err(TokenFault::BindingMismatch) }
}

fn digest(value: &Json) -> Result<[u8; 32], TokenFault> {
    if let Json::String(text) = value { base64url::decode_32(text) } else { None }
        .ok_or(TokenFault::Malformed("a member of its `cnf` is not a SHA-256 in base64url without padding"))
}

#[cfg(test)]
mod tests;
