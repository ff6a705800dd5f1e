//! The table of variations: the templates of `table/`, each slot with every one of its values.

use std::collections::{BTreeMap, BTreeSet};

/// One way of asking for what is denied.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variation {
    /// The target of a `GET` of HTTP/1.1.
    Target(Vec<u8>),
    /// All bytes of a connection of HTTP/1.
    Bytes(Vec<u8>),
    /// The fields of a request of HTTP/2.
    Fields(Vec<(Vec<u8>, Vec<u8>)>),
}

/// The values of each slot.
type Lists = BTreeMap<&'static str, Vec<&'static str>>;

/// All of them; slots that are no lists are filled from `given`.
pub(crate) fn all(given: &[(&str, &str)]) -> Vec<Variation> {
    let lists = lists();
    let mut all = BTreeSet::new();
    for text in expanded(include_str!("table/targets.txt"), &lists) {
        all.insert(Variation::Target(bytes(&text)));
    }
    for text in expanded(include_str!("table/requests.txt"), &lists) {
        let text = given.iter().fold(text, |text, (name, value)| text.replace(&format!("{{{name}}}"), value));
        all.insert(Variation::Bytes(bytes(&text)));
    }
    for text in expanded(include_str!("table/http2.txt"), &lists) {
        let fields = text.split(" | ").map(|field| {
            // The first character of a pseudo-header's name is no separator.
            let at = field.char_indices().skip(1).find(|(_, c)| *c == '=').map_or(field.len(), |(at, _)| at);
            (bytes(&field[..at]), bytes(field.get(at + 1..).unwrap_or_default()))
        });
        all.insert(Variation::Fields(fields.collect()));
    }
    all.into_iter().collect()
}

impl Variation {
    /// As one line.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Target(target) => format!("target\t{}", target.escape_ascii()),
            Self::Bytes(bytes) => format!("bytes\t{}", bytes.escape_ascii()),
            Self::Fields(fields) => {
                let fields =
                    fields.iter().map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()));
                format!("fields\t{}", fields.collect::<Vec<_>>().join(" | "))
            }
        }
    }
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "))
}

fn lists() -> Lists {
    let list = |line: &'static str| {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        (words.next().unwrap(), words.collect())
    };
    lines(include_str!("table/lists.txt")).map(list).collect()
}

/// Every line with every value in its slots; a slot that is there twice has the same value in both places.
fn expanded(text: &'static str, lists: &Lists) -> Vec<String> {
    let mut done = Vec::new();
    let mut open: Vec<String> = lines(text).map(str::to_owned).collect();
    while let Some(line) = open.pop() {
        match lists.iter().find(|(name, _)| line.contains(&format!("{{{name}}}"))) {
            Some((name, values)) => open.extend(values.iter().map(|value| line.replace(&format!("{{{name}}}"), value))),
            None => done.push(line),
        }
    }
    done
}

/// The bytes that a text with escapes is.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().unwrap() {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b's' => b' ',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => panic!("\\{} in {text}", char::from(other)),
        });
    }
    bytes
}

#[test]
fn the_table_is_what_it_says() {
    assert_eq!(bytes(r"a\r\n\0\s\\\xff"), b"a\r\n\0 \\\xff");
    let all = all(&[("auth", ""), ("good", "")]);
    assert!(all.len() >= 10_000, "{}", all.len());
    for kind in ["target", "bytes", "fields"] {
        assert!(all.iter().filter(|one| one.shown().starts_with(kind)).count() >= 500, "{kind}");
    }
}
