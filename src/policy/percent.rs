//! Percent-encodings (RFC 3986 section 2.1), read without allocating where that can be.
//!
//! What may be encoded is for whoever reads: `target` for paths, `account` for accounts.

use std::borrow::Cow;

/// The bytes of a text, those that are encoded decoded. It ends at a broken encoding.
#[derive(Clone)]
pub(super) struct Decoded<'r> {
    rest: std::slice::Iter<'r, u8>,
    encoded: bool,
}

impl<'r> Decoded<'r> {
    /// Of a text whose encodings stand for bytes.
    pub(super) fn of(text: &'r str) -> Self {
        Self { rest: text.as_bytes().iter(), encoded: true }
    }

    /// Of a text that is what it says.
    pub(super) fn plain(text: &'r str) -> Self {
        Self { rest: text.as_bytes().iter(), encoded: false }
    }
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let byte = *self.rest.next()?;
        if byte != b'%' || !self.encoded {
            return Some(byte);
        }
        escape(self.rest.next(), self.rest.next())
    }
}

/// The byte that two hexadecimal digits stand for; `None` if they are none.
pub(super) fn escape(high: Option<&u8>, low: Option<&u8>) -> Option<u8> {
    let digit = |digit: Option<&u8>| char::from(*digit?).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// The segment without the dots and spaces at its end, which some file systems drop.
pub(super) fn without_tail(mut segment: &str) -> &str {
    while let Some(rest) = segment.strip_suffix('.').or_else(|| segment.strip_suffix("%20")) {
        segment = rest;
    }
    segment
}

/// What the least exact of servers reads in a segment of a judged path: `docs%3Adelete.` is
/// `docs:delete` to it, `admin::$DATA` is `admin`. Two that it takes for one another have the same reading.
pub(super) fn reading(segment: &str) -> Cow<'_, str> {
    let kept = without_tail(segment);
    if !kept.contains(['%', '$']) {
        return Cow::Borrowed(kept);
    }
    // INVARIANT: judged paths encode nothing but ASCII.
    let mut decoded: String = Decoded::of(kept).map(char::from).collect();
    if let Some(end) = end_before_stream(&decoded) {
        decoded.truncate(end);
        decoded.truncate(decoded.trim_end_matches(['.', ' ']).len());
    }
    Cow::Owned(decoded)
}

/// Where a name ends that an NTFS stream's follows (`admin::$INDEX_ALLOCATION`): to a server on such a file
/// system it is the file or folder itself.
fn end_before_stream(name: &str) -> Option<usize> {
    let (before, stream) = name.split_once(':')?;
    stream.contains(":$").then_some(before.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_segment_have_one_reading() {
        for (segment, expected) in [
            ("admin", "admin"),
            ("Admin", "Admin"),
            ("admin.", "admin"),
            ("admin%20", "admin"),
            ("admin.%20.", "admin"),
            ("docs%3Adelete", "docs:delete"),
            ("docs%3adelete", "docs:delete"),
            ("docs:delete", "docs:delete"),
            ("a%5Bb", "a[b"),
            ("a.b%20c", "a.b c"),
            ("admin::$DATA", "admin"),
            ("admin%3a%3A%24INDEX_ALLOCATION", "admin"),
            ("admin.:$I30:$INDEX_ALLOCATION.", "admin"),
            ("a:$b", "a:$b"),
            ("$a::b", "$a::b"),
        ] {
            assert_eq!(reading(segment), expected, "{segment}");
        }
    }

    #[test]
    fn a_plain_text_is_what_it_says() {
        assert!(Decoded::plain("a%40b").eq("a%40b".bytes()));
        assert!(Decoded::of("a%40b").eq("a@b".bytes()));
        assert!(Decoded::of("a%4").eq("a".bytes()));
    }
}
