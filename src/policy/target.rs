//! The request target, judged: one meaning for us and for the upstream, or none.
//!
//! [`Target::parse`] refuses every target that servers are known to read in different ways. What it
//! accepts is in one form: percent-encoded unreserved characters are decoded (RFC 3986 section
//! 6.2.2.2), and that form is both what is judged and what is forwarded. It does not look at hosts.

use std::borrow::Cow;

use super::PathFault;
use super::account::hex;

/// A target that means one thing: `/path?query`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'r> {
    path: Cow<'r, str>,
    query: Option<&'r str>,
}

impl<'r> Target<'r> {
    /// Judges the bytes of a request line's target, or of HTTP/2's `:path`.
    ///
    /// # Errors
    /// What makes it ambiguous, the first of it from the left.
    pub fn parse(raw: &'r [u8]) -> Result<Self, PathFault> {
        if raw.first() != Some(&b'/') {
            return Err(PathFault::NotOriginForm);
        }
        let end = raw.iter().position(|byte| *byte == b'?').unwrap_or(raw.len());
        let (path, rest) = raw.split_at(end);
        let decodes = check_path(path)?;
        let query = match rest.split_first() {
            Some((_, query)) => Some(check_query(query)?),
            None => None,
        };
        let path = text(path)?;
        let path = if decodes { Cow::Owned(decode_unreserved(path)) } else { Cow::Borrowed(path) };
        check_segments(&path)?;
        Ok(Self { path, query })
    }

    /// The path to forward: as judged, with the trailing slash that it came with.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path to judge: the segments without the slashes that start and end it.
    #[must_use]
    pub fn judged(&self) -> &str {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        path.strip_suffix('/').unwrap_or(path)
    }

    /// What follows `?`, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&'r str> {
        self.query
    }

    /// Whether the path to forward is written differently from the one that came.
    #[must_use]
    pub fn is_rewritten(&self) -> bool {
        matches!(self.path, Cow::Owned(_))
    }
}

/// What a byte of a path comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Goes through: `pchar` of RFC 3986 section 3.3 without `;` and `%`, and `/`.
    Plain,
    Percent,
    Refused(PathFault),
}

const CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut table = [Class::Refused(PathFault::IllegalCharacter); 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(
            clippy::indexing_slicing,
            clippy::cast_possible_truncation,
            reason = "a constant, and the loop stays within 256"
        )]
        {
            table[byte] = match byte as u8 {
                b'A'..=b'Z'
                | b'a'..=b'z'
                | b'0'..=b'9'
                | b'/'
                | b'-'
                | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@' => Class::Plain,
                b'%' => Class::Percent,
                b'\\' => Class::Refused(PathFault::Backslash),
                b';' => Class::Refused(PathFault::MatrixParameter),
                b'#' => Class::Refused(PathFault::Fragment),
                0..=0x1f | 0x7f => Class::Refused(PathFault::Control),
                0x80..=0xff => Class::Refused(PathFault::NonAscii),
                _ => Class::Refused(PathFault::IllegalCharacter),
            };
        }
        byte += 1;
    }
    table
}

fn class(byte: u8) -> Class {
    #[expect(clippy::indexing_slicing, reason = "a byte cannot be outside a table of 256")]
    CLASSES[usize::from(byte)]
}

/// Whether an unreserved character is encoded somewhere, which is to be decoded.
fn check_path(path: &[u8]) -> Result<bool, PathFault> {
    let mut decodes = false;
    let mut bytes = path.iter();
    while let Some(byte) = bytes.next() {
        match class(*byte) {
            Class::Plain => {}
            Class::Refused(fault) => return Err(fault),
            Class::Percent => decodes |= is_unreserved(check_encoded(escape(bytes.next(), bytes.next())?)?),
        }
    }
    Ok(decodes)
}

/// The byte that an encoding stands for, if it may stand in a path.
fn check_encoded(byte: u8) -> Result<u8, PathFault> {
    match byte {
        b'/' => Err(PathFault::EncodedSlash),
        b'\\' => Err(PathFault::Backslash),
        b'%' => Err(PathFault::DoubleEncoding),
        b';' => Err(PathFault::MatrixParameter),
        b'#' => Err(PathFault::Fragment),
        0..=0x1f | 0x7f => Err(PathFault::Control),
        0x80..=0xff => Err(PathFault::NonAscii),
        _ => Ok(byte),
    }
}

fn check_query(query: &[u8]) -> Result<&str, PathFault> {
    let mut bytes = query.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                escape(bytes.next(), bytes.next())?;
            }
            b'#' => return Err(PathFault::Fragment),
            b' ' => return Err(PathFault::IllegalCharacter),
            0..=0x1f | 0x7f => return Err(PathFault::Control),
            0x80..=0xff => return Err(PathFault::NonAscii),
            _ => {}
        }
    }
    text(query)
}

fn escape(high: Option<&u8>, low: Option<&u8>) -> Result<u8, PathFault> {
    let digit = |digit: Option<&u8>| digit.and_then(|digit| hex(*digit)).ok_or(PathFault::BrokenEscape);
    Ok(digit(high)? << 4 | digit(low)?)
}

/// The path with its encoded unreserved characters decoded and every other encoding as it is.
fn decode_unreserved(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let (digits, after) = after.split_at_checked(2).unwrap_or((after, ""));
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if is_unreserved(byte) => decoded.push(char::from(byte)),
            Ok(_) | Err(_) => {
                decoded.push('%');
                decoded.push_str(digits);
            }
        }
        rest = after;
    }
    decoded.push_str(rest);
    decoded
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// One trailing slash may stand; nothing else may be empty or made of dots.
fn check_segments(path: &str) -> Result<(), PathFault> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = match path.strip_suffix('/') {
        // `//` is the empty segment before a trailing slash.
        Some("") => return Err(PathFault::EmptySegment),
        Some(path) => path,
        None if path.is_empty() => return Ok(()),
        None => path,
    };
    for segment in path.split('/') {
        match segment.as_bytes().first() {
            None => return Err(PathFault::EmptySegment),
            Some(b'.' | b'%') if is_dots(segment) => return Err(PathFault::DotSegment),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Some file systems drop trailing dots and spaces, so any run of them may be `.`, `..` or nothing.
fn is_dots(mut segment: &str) -> bool {
    while let Some(rest) = segment.strip_prefix('.').or_else(|| segment.strip_prefix("%20")) {
        segment = rest;
    }
    segment.is_empty()
}

fn text(bytes: &[u8]) -> Result<&str, PathFault> {
    // Bytes that are not ASCII were refused before; this is how the compiler gets to know it.
    std::str::from_utf8(bytes).map_err(|_| PathFault::NonAscii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: impl AsRef<[u8]>, expected: Result<(&str, Option<&str>), PathFault>) {
        let raw = raw.as_ref();
        let target = Target::parse(raw);
        let seen = target.as_ref().map(|target| (target.path(), target.query())).map_err(|fault| *fault);
        assert_eq!(seen, expected, "{}", raw.escape_ascii());
    }

    #[test]
    fn a_plain_target_is_forwarded_as_it_came() {
        for path in ["/", "/a", "/a/", "/a/b.c/~d", "/a:b@c!$&'()*+,=", "/a%20b", "/a%3Fb", "/.a", "/a..b", "/..a"] {
            check(path, Ok((path, None)));
        }
        check("/a?", Ok(("/a", Some(""))));
        check("/a?b=%2F%00%C3%A9&c=?;{|}", Ok(("/a", Some("b=%2F%00%C3%A9&c=?;{|}"))));
    }

    #[test]
    fn encoded_unreserved_characters_are_decoded() {
        check("/%61%7E%2D/%41?%61", Ok(("/a~-/A", Some("%61"))));
        check("/%61%20%62", Ok(("/a%20b", None)));
    }

    #[test]
    fn ambiguous_targets_are_refused() {
        for (fault, targets) in [
            (PathFault::NotOriginForm, &["", "*", "a", "http://h/a", "h:80", "?a", "%2Fa"][..]),
            (
                PathFault::DotSegment,
                &[
                    "/.",
                    "/..",
                    "/a/./b",
                    "/a/../b",
                    "/%2e",
                    "/a/%2E%2e/b",
                    "/.%2e",
                    "/...",
                    "/a/%20",
                    "/..%20/b",
                    "/../",
                ],
            ),
            (PathFault::EmptySegment, &["//", "//a", "/a//b", "/a//"]),
            (PathFault::Backslash, &["/a\\b", "/a%5cb", "/..\\a"]),
            (PathFault::EncodedSlash, &["/a%2fb", "/a%2Fb", "/..%2f"]),
            (PathFault::DoubleEncoding, &["/%2561", "/a%25", "/%252e%252e"]),
            (PathFault::Control, &["/a\0", "/a%00", "/a\t", "/a%0d%0a", "/a\x7f", "/a%7F", "/a?\r\n"]),
            (PathFault::NonAscii, &["/é", "/%C3%A9", "/%c0%ae", "/a?é", "/%ef%bc%8f"]),
            (PathFault::BrokenEscape, &["/%", "/%4", "/%zz", "/a?%", "/a?%g0", "/%u002e"]),
            (PathFault::MatrixParameter, &["/a;b", "/a;", "/..;/b", "/a%3Bb"]),
            (PathFault::Fragment, &["/a#b", "/a?b#c", "/a%23"]),
            (PathFault::IllegalCharacter, &["/a b", "/a<", "/a{b}", "/a|b", "/a\"", "/a^", "/a`", "/[", "/a?b c"]),
        ] {
            for target in targets {
                check(target, Err(fault));
            }
        }
        check(b"/\xff", Err(PathFault::NonAscii));
    }

    #[test]
    fn what_is_forwarded_is_judged_the_same_again() {
        for raw in ["/%61/b/?c=%61", "/a%20/b", "/%7Ea/"] {
            let target = Target::parse(raw.as_bytes()).unwrap();
            let again = Target::parse(target.path().as_bytes()).unwrap();
            assert_eq!(target.path(), again.path());
            assert!(!again.is_rewritten());
        }
    }

    #[test]
    fn a_trailing_slash_is_forwarded_and_not_judged() {
        for (raw, judged) in [("/a/b/", "a/b"), ("/a/b", "a/b"), ("/", "")] {
            let target = Target::parse(raw.as_bytes()).unwrap();
            assert_eq!((target.path(), target.judged()), (raw, judged));
        }
    }
}
