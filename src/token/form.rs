//! `application/x-www-form-urlencoded`: what is asked of providers, and what clients post.

use crate::policy::FormFault;

/// The text as a value in a form (RFC 6749 appendix B).
pub fn form_encoded(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => text.push(char::from(*byte)),
            b' ' => text.push('+'),
            _ => {
                text.push('%');
                for half in [byte >> 4, byte & 15] {
                    text.extend(HEX.get(usize::from(half)).map(|digit| char::from(*digit)));
                }
            }
        }
    }
    text
}

/// The value of the parameter of that name; `None` if there is none, or it is empty, which counts as
/// left out (RFC 6749 section 3.1).
///
/// # Errors
/// If the body is no form, or has the parameter twice.
pub fn form_parameter(body: &[u8], name: &str) -> Result<Option<String>, FormFault> {
    let mut found = None;
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len()));
        let (key, value) = (decoded(key)?, decoded(value.get(1..).unwrap_or_default())?);
        if key == name && found.replace(value).is_some() {
            return Err(FormFault::Repeated);
        }
    }
    Ok(found.filter(|value| !value.is_empty()))
}

pub(super) fn decoded(text: &[u8]) -> Result<String, FormFault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                let (high, low) = digit().zip(digit()).ok_or(FormFault::BrokenEscape)?;
                u8::try_from(high * 16 + low).map_err(|_| FormFault::BrokenEscape)?
            }
            _ => *byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| FormFault::NotText)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(body: &[u8], expected: Result<Option<&str>, FormFault>) {
        let found = form_parameter(body, "token");
        assert_eq!(found.as_ref().map(Option::as_deref), expected.as_ref().copied(), "{}", body.escape_ascii());
    }

    #[test]
    fn the_example_of_the_rfc_is_encoded_as_it_says() {
        // RFC 6749 appendix B: a space, `%`, `&`, `+`, the pound and euro signs.
        assert_eq!(form_encoded(" %&+\u{a3}\u{20ac}".as_bytes()), "+%25%26%2B%C2%A3%E2%82%AC");
    }

    #[test]
    fn a_parameter_is_found_whatever_stands_around_it() {
        check(b"token=a", Ok(Some("a")));
        check(b"&&token_type_hint=x&token=a.b-c_d&", Ok(Some("a.b-c_d")));
        check(b"t%6Fken=a%2Bb+c%C3%A9", Ok(Some("a+b c\u{e9}")));
        check(b"token=a=b", Ok(Some("a=b")));
        for absent in [&b""[..], b"token", b"token=", b"Token=a", b"xtoken=a", b"=token"] {
            check(absent, Ok(None));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        check(b"token=a&token=a", Err(FormFault::Repeated));
        check(b"token=a&t%6fken=b", Err(FormFault::Repeated));
        check(b"token=a&token=", Err(FormFault::Repeated));
        for broken in [&b"token=%"[..], b"token=%4", b"token=%4g", b"token=%+1", b"%zz=a&token=a"] {
            check(broken, Err(FormFault::BrokenEscape));
        }
        check(b"token=%ff", Err(FormFault::NotText));
        check(b"token=\xff", Err(FormFault::NotText));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_again(value in ".{1,60}") {
            let body = format!("a=b&token={}", form_encoded(value.as_bytes()));
            prop_assert_eq!(form_parameter(body.as_bytes(), "token"), Ok(Some(value)));
        }

        #[test]
        fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = form_parameter(&body, "token");
        }
    }
}
