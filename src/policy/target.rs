//! The request target, judged: one meaning for us and for the upstream, or none.
//!
//! [`Target::parse`] refuses every target that servers are known to read in different ways. What it
//! accepts is in one form: percent-encoded unreserved characters are decoded (RFC 3986 section
//! 6.2.2.2), and that form is both what is judged and what is forwarded. It does not look at hosts.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::PathFault;
use super::percent::{escape, reading, without_tail};

/// A target that means one thing: `/path?query`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'r> {
    path: Cow<'r, str>,
    query: Option<&'r str>,
    slashes: Slashes,
}

/// Where the path's slashes are: the n-th segment lies between the n-th slash and the next.
type Slashes = SmallVec<[u32; 12]>;

impl<'r> Target<'r> {
    /// Judges the bytes of a request line's target, or of HTTP/2's `:path`.
    ///
    /// # Errors
    /// What makes it ambiguous.
    pub fn parse(raw: &'r [u8]) -> Result<Self, PathFault> {
        if raw.first() != Some(&b'/') {
            return Err(PathFault::NotOriginForm);
        }
        let scan = scan_path(raw)?;
        // What is not ASCII is refused, in the path by now and in the query right below.
        let text = std::str::from_utf8(raw).map_err(|_| PathFault::NonAscii)?;
        let (path, rest) = text.split_at_checked(scan.end).unwrap_or((text, ""));
        let query = rest.strip_prefix('?');
        if let Some(query) = query {
            check_query(query.as_bytes())?;
        }
        let (path, slashes) = if scan.decodes {
            let decoded = decode_unreserved(path);
            // Decoding moves the slashes and can bring dots to light.
            let again = scan_path(decoded.as_bytes())?;
            (Cow::Owned(decoded), again.slashes)
        } else {
            (Cow::Borrowed(path), scan.slashes)
        };
        let target = Self { path, query, slashes };
        target.check_segments()?;
        Ok(target)
    }

    /// The path to forward: as judged, with the trailing slash that it came with.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
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

    /// The segment at that place, counted from 0; a trailing slash has none after it.
    #[must_use]
    pub fn segment(&self, place: usize) -> Option<&str> {
        let start = *self.slashes.get(place)? as usize + 1;
        let end = self.slashes.get(place + 1).map_or(self.path.len(), |slash| *slash as usize);
        // An empty last segment is that of `/` or of a trailing slash.
        self.path.get(start..end).filter(|segment| !segment.is_empty())
    }

    /// The path of that many segments from the first on, without a trailing slash; `None` if there
    /// are not so many.
    pub(super) fn first(&self, segments: usize) -> Option<&str> {
        let Some(last) = segments.checked_sub(1) else { return Some("/") };
        self.segment(last)?;
        let end = self.slashes.get(segments).map_or(self.path.len(), |slash| *slash as usize);
        self.path.get(..end)
    }

    /// What the least exact of servers reads in the segment at that place: exceptions are compared by it.
    #[must_use]
    pub fn reading(&self, place: usize) -> Option<Cow<'_, str>> {
        self.segment(place).map(reading)
    }

    /// One trailing slash may stand; nothing else may be empty or made of dots.
    fn check_segments(&self) -> Result<(), PathFault> {
        for (place, slash) in self.slashes.iter().enumerate() {
            match self.path.as_bytes().get(*slash as usize + 1) {
                Some(b'/') => return Err(PathFault::EmptySegment),
                Some(b'.' | b'%') if self.segment(place).is_some_and(is_dots) => return Err(PathFault::DotSegment),
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}

/// What a byte of a path comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Goes through: `pchar` of RFC 3986 section 3.3 without `;` and `%`.
    Plain,
    Slash,
    Percent,
    /// `?`: the query begins.
    Query,
    Refused,
}

const CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut table = [Class::Refused; 256];
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
                b'/' => Class::Slash,
                b'%' => Class::Percent,
                b'?' => Class::Query,
                _ => Class::Refused,
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

/// What one look at every byte of a path finds.
struct Scan {
    slashes: Slashes,
    /// Where the path ends: at `?` or with the bytes.
    end: usize,
    /// Whether an unreserved character is encoded somewhere, which is to be decoded.
    decodes: bool,
}

fn scan_path(raw: &[u8]) -> Result<Scan, PathFault> {
    let mut scan = Scan { slashes: Slashes::new(), end: raw.len(), decodes: false };
    let mut bytes = raw.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        let class = class(*byte);
        // Most bytes are plain: one comparison, before the others.
        if class == Class::Plain {
            continue;
        }
        match class {
            Class::Plain => {}
            Class::Slash => scan.slashes.push(u32::try_from(at).map_err(|_| PathFault::IllegalCharacter)?),
            Class::Percent => {
                let mut digit = || bytes.next().map(|(_, digit)| digit);
                let (high, low) = (digit(), digit());
                let byte = escape(high, low).ok_or(PathFault::BrokenEscape)?;
                scan.decodes |= is_unreserved(check_encoded(byte)?);
            }
            Class::Query => {
                scan.end = at;
                break;
            }
            Class::Refused => return Err(fault(*byte)),
        }
    }
    Ok(scan)
}

/// Why a byte may stand in no path.
fn fault(byte: u8) -> PathFault {
    match byte {
        b'\\' => PathFault::Backslash,
        b';' => PathFault::MatrixParameter,
        b'#' => PathFault::Fragment,
        0..=0x1f | 0x7f => PathFault::Control,
        0x80..=0xff => PathFault::NonAscii,
        _ => PathFault::IllegalCharacter,
    }
}

/// The byte that an encoding stands for, if it may stand in a path.
fn check_encoded(byte: u8) -> Result<u8, PathFault> {
    match byte {
        b'/' => Err(PathFault::EncodedSlash),
        b'%' => Err(PathFault::DoubleEncoding),
        // Servers that decode before they split find a query here.
        b'?' => Err(PathFault::EncodedQuestionMark),
        b'\\' | b';' | b'#' | 0..=0x1f | 0x7f..=0xff => Err(fault(byte)),
        _ => Ok(byte),
    }
}

fn check_query(query: &[u8]) -> Result<(), PathFault> {
    let mut bytes = query.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                escape(bytes.next(), bytes.next()).ok_or(PathFault::BrokenEscape)?;
            }
            b' ' | b'#' | 0..=0x1f | 0x7f..=0xff => return Err(fault(*byte)),
            _ => {}
        }
    }
    Ok(())
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

/// A segment of dots and spaces alone may be `.`, `..` or nothing to a file system that drops them.
fn is_dots(segment: &str) -> bool {
    without_tail(segment).is_empty()
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
        for path in ["/", "/a", "/a/", "/a/b.c/~d", "/a:b@c!$&'()*+,=", "/a%20b", "/a%5Bb", "/.a", "/a..b", "/..a"] {
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
            (PathFault::EncodedQuestionMark, &["/a%3Fb", "/a%3f", "/a%3faccountId=beta?accountId=acme"]),
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
        for (raw, segments) in [("/a/b/", &["a", "b"][..]), ("/a/b", &["a", "b"]), ("/", &[]), ("/%61/?/x", &["a"])] {
            let target = Target::parse(raw.as_bytes()).unwrap();
            let seen: Vec<_> = (0..4).map_while(|place| target.segment(place)).collect();
            assert_eq!(seen, segments, "{raw}");
        }
        assert_eq!(Target::parse(b"/a/b/").unwrap().path(), "/a/b/");
    }

    #[test]
    fn the_first_segments_are_a_path_of_their_own() {
        for (raw, expected) in [
            ("/", [Some("/"), None, None, None]),
            ("/a", [Some("/"), Some("/a"), None, None]),
            ("/a/", [Some("/"), Some("/a"), None, None]),
            ("/a/bc/d", [Some("/"), Some("/a"), Some("/a/bc"), Some("/a/bc/d")]),
            ("/a/bc/d/e?f", [Some("/"), Some("/a"), Some("/a/bc"), Some("/a/bc/d")]),
        ] {
            let target = Target::parse(raw.as_bytes()).unwrap();
            assert_eq!([0, 1, 2, 3].map(|segments| target.first(segments)), expected, "{raw}");
        }
    }
}
