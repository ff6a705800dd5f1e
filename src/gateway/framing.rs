//! Reads along where the requests of an HTTP/1.1 connection end, and makes chunks that servers end in different
//! places unreadable to pingora, which then refuses them.
//!
//! Pingora's parser takes any byte for a part of a chunk's extension. A proxy before the gateway that ends the line at
//! a bare line feed there finds another chunk in what pingora takes for data, and in its data what pingora takes for
//! the next request ("TERM.EXT", 2025; CVE-2025-22871 and others). Here a chunk is what RFC 9112 section 7.1 says, and
//! nothing else. Nothing is judged here: a head that could be framed in two ways is refused by others.

use memchr::memchr;

/// What of a line of a head is kept: more than a name that frames and a length take.
const KEPT: usize = 64;

/// What is before a carriage return in no chunk, and so makes one unreadable.
const UNREADABLE: u8 = b'\r';

/// Where a client is in what it sends, as long as that is requests.
#[derive(Debug, Default)]
pub(super) struct Framing {
    place: Place,
    head: Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Head,
    /// So many bytes of a body are left.
    Body(u64),
    Size {
        digits: u8,
        size: u64,
        blank: bool,
    },
    Extension(u64),
    /// After the carriage return.
    SizeEnd(u64),
    /// So many bytes of a chunk are left.
    Data(u64),
    DataEnd,
    DataEndFeed,
    /// In the trailers; whether their line has begun.
    Trailer(bool),
    /// After the carriage return of a line that had begun, or of the last.
    TrailerEnd(bool),
    /// What comes cannot be told.
    Broken,
}

/// What is known of a head.
#[derive(Debug, Default)]
struct Head {
    /// The beginning of its line.
    line: Vec<u8>,
    has_begun: bool,
    chunked: bool,
    length: Option<u64>,
    /// It frames in a way that is refused.
    odd: bool,
}

impl Framing {
    /// Reads what came next. From what is no chunk on, nothing of it is left to be read as one.
    pub(super) fn watch(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(rest) = bytes.get_mut(at..).filter(|rest| !rest.is_empty()) {
            match self.place {
                Place::Head => at += self.head_line(rest),
                Place::Body(left) => {
                    let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - taken as u64;
                    self.place = if left == 0 { Place::Head } else { Place::Body(left) };
                    at += taken;
                }
                Place::Data(left) => {
                    let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - taken as u64;
                    self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
                    at += taken;
                }
                Place::Broken => return rest.fill(UNREADABLE),
                place @ (Place::Size { .. }
                | Place::Extension(_)
                | Place::SizeEnd(_)
                | Place::DataEnd
                | Place::DataEndFeed
                | Place::Trailer(_)
                | Place::TrailerEnd(_)) => {
                    self.place = rest.first().map_or(place, |byte| place.after(*byte));
                    at += usize::from(self.place != Place::Broken);
                }
            }
        }
    }

    /// Whether a head comes next, or goes on.
    pub(super) fn is_in_head(&self) -> bool {
        self.place == Place::Head
    }

    /// Takes a line of a head, or what there is of it.
    fn head_line(&mut self, rest: &[u8]) -> usize {
        let end = memchr(b'\n', rest);
        let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.head.keep(line);
        if end.is_some() {
            self.place = self.head.end_line();
        }
        line.len() + usize::from(end.is_some())
    }
}

impl Head {
    fn keep(&mut self, part: &[u8]) {
        let room = (KEPT + 1).saturating_sub(self.line.len());
        self.line.extend(part.iter().take(room));
    }

    /// Where the line leads.
    fn end_line(&mut self) -> Place {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if line.is_empty() {
            // Empty lines before a request are passed over (RFC 9112 section 2.2).
            return if self.has_begun { self.end() } else { self.next_line() };
        }
        if let Some((name, value)) = split(line).filter(|_| self.has_begun) {
            if name.eq_ignore_ascii_case(b"transfer-encoding") {
                self.chunked = true;
            } else if name.eq_ignore_ascii_case(b"content-length") {
                let length = if line.len() > KEPT { None } else { number(value) };
                self.odd |= length.is_none() || self.length.is_some();
                self.length = length;
            }
        }
        self.has_begun = true;
        self.next_line()
    }

    fn next_line(&mut self) -> Place {
        self.line.clear();
        Place::Head
    }

    fn end(&mut self) -> Place {
        let Self { odd, chunked, length, .. } = *self;
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        *self = Self { line, ..Self::default() };
        match (odd, chunked, length) {
            (true, ..) | (false, true, Some(_)) => Place::Broken,
            (false, true, None) => Place::SIZE,
            (false, false, None | Some(0)) => Place::Head,
            (false, false, Some(length)) => Place::Body(length),
        }
    }
}

impl Place {
    const SIZE: Self = Self::Size { digits: 0, size: 0, blank: false };

    /// Where one byte of a chunk's frame leads.
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Size { digits: 1.., size, .. } | Self::Extension(size), b'\r') => Self::SizeEnd(size),
            (Self::Size { digits: 1.., size, .. }, b';') | (Self::Extension(size), b'\t' | 0x20..=0x7e | 0x80..) => {
                Self::Extension(size)
            }
            (Self::Size { digits: digits @ 1.., size, .. }, b' ' | b'\t') => Self::Size { digits, size, blank: true },
            (Self::Size { digits: digits @ ..16, size, blank: false }, digit) => match char::from(digit).to_digit(16) {
                Some(digit) => Self::Size { digits: digits + 1, size: size << 4 | u64::from(digit), blank: false },
                None => Self::Broken,
            },
            (Self::SizeEnd(0) | Self::TrailerEnd(true), b'\n') => Self::Trailer(false),
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataEnd, b'\r') => Self::DataEndFeed,
            (Self::DataEndFeed, b'\n') => Self::SIZE,
            (Self::Trailer(begun), b'\r') => Self::TrailerEnd(begun),
            (Self::Trailer(false), b' ' | b'\t') | (Self::Trailer(_), b'\n') => Self::Broken,
            (Self::Trailer(_), _) => Self::Trailer(true),
            (Self::TrailerEnd(false), b'\n') => Self::Head,
            (
                Self::Head
                | Self::Body(_)
                | Self::Size { .. }
                | Self::Extension(_)
                | Self::SizeEnd(_)
                | Self::Data(_)
                | Self::DataEnd
                | Self::DataEndFeed
                | Self::TrailerEnd(_)
                | Self::Broken,
                _,
            ) => Self::Broken,
        }
    }
}

/// A field's name and its value.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
    Some((name, value.get(1..)?))
}

fn number(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    let digits = std::str::from_utf8(value).ok().filter(|_| value.iter().all(u8::is_ascii_digit))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// What is left of a stream that comes in pieces of this length.
    fn left(stream: &str, pieces: usize) -> Vec<u8> {
        let mut bytes = stream.as_bytes().to_vec();
        let mut framing = Framing::default();
        bytes.chunks_mut(pieces).for_each(|piece| framing.watch(piece));
        bytes
    }

    #[track_caller]
    fn check(stream: &str, broken_at: Option<usize>) {
        let good = broken_at.unwrap_or(stream.len());
        let expected = [&stream.as_bytes()[..good], &vec![UNREADABLE; stream.len() - good]].concat();
        for pieces in [1, 2, 3, 7, stream.len()] {
            assert_eq!(
                left(stream, pieces).escape_ascii().to_string(),
                expected.escape_ascii().to_string(),
                "{pieces}"
            );
        }
    }

    #[test]
    fn what_ends_in_one_place_is_left_as_it_is() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "A\r\n0123456789\r\n00\r\nX: y\r\nZ:\r\n\r\n",
            "2 \t;a=\"b;c\"\r\n\r\n\r\n0;\r\n\r\n",
            "0000000000000002\r\n\n\n\r\n0\r\n\r\n",
        ] {
            check(&format!("{CHUNKED}{body}{GET}{CHUNKED}{body}\r\n{GET}"), None);
        }
        let by_length = "POST / HTTP/1.1\r\ncontent-length:  20 \r\n\r\nTransfer-Encoding:\r\n\r\n";
        check(&format!("{GET}{by_length}{GET}"), None);
        check(&format!("{by_length}{CHUNKED}0\r\n\r\n"), None);
        check("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n2;\nxx", None);
        check(&format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n{GET}", "content-length:".repeat(50)), None);
    }

    #[test]
    fn what_some_server_ends_elsewhere_cannot_be_read_from_there_on() {
        for (good, bad) in [
            ("2;", "\nxx\r\n45\r\n0\r\n\r\n"),
            ("2;a", "\nxx\r\n0\r\n\r\n"),
            ("2;a\r", "xx\r\n0\r\n\r\n"),
            ("2;a", "\0\r\nxx\r\n0\r\n\r\n"),
            ("2", "\nxx\n0\n\n"),
            ("2\r", "xx\r\n0\r\n\r\n"),
            ("2 ", "2\r\nxx\r\n0\r\n\r\n"),
            ("", " 2\r\nxx\r\n0\r\n\r\n"),
            ("", "\r\n0\r\n\r\n"),
            ("", ";a\r\n"),
            ("0", "x2\r\n"),
            ("", "+2\r\n"),
            ("0000000000000000", "2\r\n"),
            ("2\r\nxx", "yy0\r\n\r\n"),
            ("2\r\nxx", "\n0\r\n\r\n"),
            ("2\r\nxx\r", "x0\r\n\r\n"),
            ("0\r\n", "\n"),
            ("0\r\nX: y", "\n\r\n"),
            ("0\r\nX: y\r", "Z: y\r\n\r\n"),
            ("0\r\n", " X: y\r\n\r\n"),
            ("0\r\n\r", "\r\n"),
        ] {
            check(&format!("{GET}{CHUNKED}{good}{bad}{GET}"), Some(GET.len() + CHUNKED.len() + good.len()));
        }
    }

    #[test]
    fn after_a_head_that_frames_in_two_ways_nothing_is_read() {
        for lines in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: x",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
        ] {
            let head = format!("POST / HTTP/1.1\r\n{lines}\r\n\r\n");
            check(&format!("{head}{GET}"), Some(head.len()));
        }
        let head = format!("POST / HTTP/1.1\r\nContent-Length:{}5\r\n\r\n", " ".repeat(KEPT));
        check(&format!("{head}{GET}"), Some(head.len()));
    }
}
