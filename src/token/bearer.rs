//! The `Authorization` header: which credential was sent, if one that is ours.
//!
//! Tokens in a query or a body (RFC 6750 sections 2.2 and 2.3) are never looked at, and whether a
//! second `Authorization` makes a request ambiguous was judged before.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::policy::TokenFault;

/// The longest token that is looked at, in bytes, whatever a file says.
pub const LONGEST_TOKEN: usize = 64 * 1024;

/// How a token was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449 section 7.1.
    Dpop,
}

/// A token as it was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credential<'h> {
    /// How it was presented.
    pub scheme: Scheme,
    /// Visible ASCII, never empty.
    pub token: &'h str,
}

impl<'t> Credential<'t> {
    /// A token that came otherwise than in a header; `None` if no header could have it.
    pub fn bearer(token: &'t str) -> Option<Self> {
        let could_be_sent = !token.is_empty() && token.len() <= LONGEST_TOKEN && are_credential_chars(token);
        could_be_sent.then_some(Self { scheme: Scheme::Bearer, token })
    }
}

/// Shows the scheme and never the token.
impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// The credential of a request; `None` where there is none that is ours (no header, or another
/// scheme such as `Basic`).
///
/// # Errors
/// [`TokenFault::Malformed`] if one of our schemes is followed by anything but spaces and one token.
pub fn credential(headers: &HeaderMap) -> Result<Option<Credential<'_>>, TokenFault> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(TokenFault::Malformed("there is more than one Authorization header"));
    }
    let value = value.as_bytes();
    let (scheme, rest) = value.split_at(value.iter().take_while(|byte| is_token_char(**byte)).count());
    let scheme = if scheme.eq_ignore_ascii_case(b"bearer") {
        Scheme::Bearer
    } else if scheme.eq_ignore_ascii_case(b"dpop") {
        Scheme::Dpop
    } else {
        return Ok(None);
    };
    let token = rest.trim_ascii_start();
    let spaces = rest.len() - token.len();
    if spaces == 0 || !rest.iter().take(spaces).all(|byte| *byte == b' ') {
        return Err(TokenFault::Malformed("the scheme is not followed by a space and a token"));
    }
    if token.len() > LONGEST_TOKEN {
        return Err(TokenFault::Malformed("it is longer than any that is accepted"));
    }
    match std::str::from_utf8(token) {
        Ok(token) if !token.is_empty() && are_credential_chars(token) => Ok(Some(Credential { scheme, token })),
        Ok(_) | Err(_) => Err(TokenFault::Malformed("the scheme is not followed by exactly one token")),
    }
}

/// RFC 9110 section 5.6.2.
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 6750's `b64token` and, for opaque tokens of other habits, the rest of visible ASCII but the
/// characters that separate the parts of a header.
fn are_credential_chars(token: &str) -> bool {
    let is_bad = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b',' | b'"');
    // Gathered rather than searched for, which the compiler does with many bytes at once.
    token.bytes().fold(0, |any, byte| any | u8::from(is_bad(byte))) == 0
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(value: &[u8], expected: Result<Option<(Scheme, &str)>, ()>) {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        let found = credential(&headers);
        let seen = found.as_ref().map(|found| found.map(|it| (it.scheme, it.token))).map_err(|_| ());
        assert_eq!(seen, expected, "{}", value.escape_ascii());
    }

    #[test]
    fn one_token_after_the_scheme_is_a_credential() {
        check(b"Bearer abc", Ok(Some((Scheme::Bearer, "abc"))));
        check(b"bEARER   a.b-c_d~e+f/g==", Ok(Some((Scheme::Bearer, "a.b-c_d~e+f/g=="))));
        check(b"DPoP abc", Ok(Some((Scheme::Dpop, "abc"))));
        check(b"dpop 1|abc", Ok(Some((Scheme::Dpop, "1|abc"))));
    }

    #[test]
    fn another_scheme_is_no_credential_of_ours() {
        for other in [&b""[..], b"Basic YTpi", b"Bearers abc", b"Bearer-x abc", b"abc", b" Bearer abc", b"\xff"] {
            check(other, Ok(None));
        }
        assert_eq!(credential(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn our_scheme_with_anything_but_one_token_is_malformed() {
        for bad in [
            &b"Bearer"[..],
            b"Bearer ",
            b"Bearer a b",
            b"Bearer abc ",
            b"Bearer\tabc",
            b"Bearer \tabc",
            b"Bearer,abc",
            b"Bearer=abc",
            b"Bearer a,Bearer b",
            b"Bearer \"abc\"",
            b"Bearer caf\xc3\xa9",
            b"Bearer \xff",
        ] {
            check(bad, Err(()));
        }
        check(format!("Bearer {}", "a".repeat(LONGEST_TOKEN + 1)).as_bytes(), Err(()));
        let longest = "a".repeat(LONGEST_TOKEN);
        check(format!("Bearer {longest}").as_bytes(), Ok(Some((Scheme::Bearer, &longest))));
    }

    #[test]
    fn two_authorization_headers_are_malformed() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("Basic YTpi"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
        assert!(credential(&headers).is_err());
    }

    #[test]
    fn debug_output_has_no_token() {
        let shown = format!("{:?}", Credential { scheme: Scheme::Bearer, token: "secret" });
        assert!(!shown.contains("secret"), "{shown}");
    }
}
