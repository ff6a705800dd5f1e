//! `Authorization: Basic` as clients authenticate with it at a provider (RFC 6749 section 2.3.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::form::decoded;

/// The credentials of a client, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Basic {
    /// The client id.
    pub id: String,
    /// The client's secret.
    pub secret: String,
}

/// Shows the id and never the secret.
impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Basic").field("id", &self.id).finish_non_exhaustive()
    }
}

/// That an `Authorization` is `Basic`, and holds no id and secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBasic;

/// Id and secret of an `Authorization`, each form-encoded before they were joined and put in base64;
/// `None` if it is of another scheme.
///
/// # Errors
/// If it is of this scheme and holds anything else.
pub fn basic_credentials(authorization: &[u8]) -> Result<Option<Basic>, NotBasic> {
    let is_letter = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let (scheme, rest) = authorization.split_at(authorization.iter().take_while(is_letter).count());
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Ok(None);
    }
    read(rest).map(Some).ok_or(NotBasic)
}

fn read(rest: &[u8]) -> Option<Basic> {
    let encoded = rest.strip_prefix(b" ")?;
    let spaces = encoded.iter().take_while(|byte| **byte == b' ').count();
    let pair = STANDARD.decode(encoded.get(spaces..)?).ok()?;
    let (id, secret) = pair.split_at(pair.iter().position(|byte| *byte == b':')?);
    Some(Basic { id: decoded(id).ok()?, secret: decoded(secret.get(1..)?).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(authorization: &[u8], expected: Result<Option<(&str, &str)>, NotBasic>) {
        let found = basic_credentials(authorization);
        let found = found.as_ref().map(|found| found.as_ref().map(|basic| (&*basic.id, &*basic.secret)));
        assert_eq!(found, expected.as_ref().copied(), "{}", authorization.escape_ascii());
    }

    fn encoded(pair: &[u8]) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(pair)).into_bytes()
    }

    #[test]
    fn id_and_secret_are_form_decoded() {
        check(&encoded(b"acme:s3cret"), Ok(Some(("acme", "s3cret"))));
        check(&encoded(b"a+b%2Bc:%3A:x"), Ok(Some(("a b+c", "::x"))));
        check(&encoded(b":"), Ok(Some(("", ""))));
        check(b"bASIC   YTpi", Ok(Some(("a", "b"))));
    }

    #[test]
    fn another_scheme_is_none_of_ours() {
        for other in [&b""[..], b"Bearer YTpi", b"Basics YTpi", b"Basic-x YTpi", b" Basic YTpi", b"\xff"] {
            check(other, Ok(None));
        }
    }

    #[test]
    fn basic_with_anything_else_is_refused() {
        for bad in [
            &b"Basic"[..],
            b"Basic ",
            b"Basic\tYTpi",
            b"Basic,YTpi",
            b"Basic YTpi ",
            b"Basic YTpi, Basic YTpi",
            b"Basic YTp",
            b"Basic YTpj=",
            b"Basic YWJj",
        ] {
            check(bad, Err(NotBasic));
        }
        for bad in [&b"a%2:b"[..], b"a:%zz", b"a%ff:b", b"\xff:b"] {
            check(&encoded(bad), Err(NotBasic));
        }
    }

    #[test]
    fn debug_output_has_no_secret() {
        let shown = format!("{:?}", basic_credentials(&encoded(b"acme:s3cret")));
        assert!(shown.contains("acme") && !shown.contains("s3cret"), "{shown}");
    }
}
