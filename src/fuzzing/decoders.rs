//! What servers of several kinds make of a target's path.

/// A way to read a path, and its name.
pub(super) struct Reading {
    pub(super) name: &'static str,
    read: fn(&[u8]) -> Vec<u8>,
}

/// Each gives a path with `/` between segments; dots are resolved and slashes merged after it.
pub(super) const READINGS: [Reading; 9] = [
    Reading { name: "as it is", read: |path| path.to_vec() },
    Reading { name: "decoded once", read: |path| cut(&decoded(path)) },
    Reading { name: "decoded twice", read: |path| cut(&decoded(&decoded(path))) },
    Reading { name: "decoded three times", read: |path| cut(&decoded(&decoded(&decoded(path)))) },
    Reading { name: "parameters off, then decoded", read: |path| cut(&decoded(&without_parameters(path))) },
    Reading { name: "decoded, then parameters off", read: |path| cut(&without_parameters(&decoded(path))) },
    Reading { name: "backslashes are slashes", read: |path| cut(&with_slashes(&decoded(path))) },
    Reading { name: "%u and backslashes", read: |path| cut(&with_slashes(&decoded(&unicode_escapes(path)))) },
    Reading { name: "overlong and fullwidth", read: |path| cut(&with_slashes(&best_fit(&decoded(&decoded(path))))) },
];

impl Reading {
    /// The segments of the path that a target leads to.
    pub(super) fn segments(&self, target: &[u8]) -> Vec<String> {
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let mut segments = Vec::new();
        for segment in (self.read)(path).split(|byte| *byte == b'/') {
            match segment {
                b"" | b"." => {}
                b".." => drop(segments.pop()),
                other => segments.push(String::from_utf8_lossy(other).into_owned()),
            }
        }
        segments
    }
}

/// Percent-encodings decoded, broken ones left.
pub(super) fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut bytes, mut at) = (Vec::new(), 0);
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
            }
            (byte, ..) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}

/// `%u002e`, as IIS had it.
fn unicode_escapes(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text).into_owned();
    let mut parts = text.split("%u");
    let mut read = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        if let Some(code) = code {
            read.push(code);
            read.push_str(&part[4..]);
        } else {
            read.push_str("%u");
            read.push_str(part);
        }
    }
    best_fit(read.as_bytes())
}

/// Overlong UTF-8 and look-alikes for what they stand for.
fn best_fit(bytes: &[u8]) -> Vec<u8> {
    const FITS: [(&[u8], u8); 13] = [
        (b"\xc0\xae", b'.'),
        (b"\xc0\xaf", b'/'),
        (b"\xc0\x5c", b'\\'),
        (b"\xc1\x9c", b'\\'),
        (b"\xe0\x80\xae", b'.'),
        (b"\xe0\x80\xaf", b'/'),
        (b"\xf0\x80\x80\xae", b'.'),
        (b"\xf0\x80\x80\xaf", b'/'),
        (b"\xef\xbc\x8e", b'.'),
        (b"\xef\xbc\x8f", b'/'),
        (b"\xef\xbc\xbc", b'\\'),
        (b"\xe2\x88\x95", b'/'),
        (b"\xe2\x81\x84", b'/'),
    ];
    let (mut read, mut rest) = (Vec::new(), bytes);
    while let Some((first, after)) = rest.split_first() {
        let fit = FITS.iter().find(|(long, _)| rest.starts_with(long));
        read.push(fit.map_or(*first, |(_, short)| *short));
        rest = fit.map_or(after, |(long, _)| &rest[long.len()..]);
    }
    read
}

/// Each segment up to its `;`.
fn without_parameters(path: &[u8]) -> Vec<u8> {
    let bare = |segment: &[u8]| segment.split(|byte| *byte == b';').next().unwrap_or_default().to_vec();
    path.split(|byte| *byte == b'/').map(bare).collect::<Vec<_>>().join(&b'/')
}

fn with_slashes(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

/// Up to what ends a string, a path or a line where paths are rewritten.
fn cut(path: &[u8]) -> Vec<u8> {
    path.split(|byte| matches!(byte, 0 | b'?' | b'#' | b'\r' | b'\n')).next().unwrap_or_default().to_vec()
}

#[test]
fn the_readings_see_what_they_are_for() {
    for (target, name, seen) in [
        ("/a/%2e%2e/b", "decoded once", &["b"][..]),
        ("/a/%252e%252e/b", "decoded twice", &["b"]),
        ("/a/%25252e%25252e/b", "decoded three times", &["b"]),
        ("/a/..;x/b;y", "parameters off, then decoded", &["b"]),
        ("/a/..%3b/b", "decoded, then parameters off", &["b"]),
        ("/a/..%5cb", "backslashes are slashes", &["b"]),
        ("/a/%u002e%u002e%u2215b", "%u and backslashes", &["b"]),
        ("/a/%c0%ae%c0%ae%ef%bc%8fb", "overlong and fullwidth", &["b"]),
        ("/a/b%00c", "decoded once", &["a", "b"]),
        ("/a/b%3fc", "decoded once", &["a", "b"]),
        ("//a///b/", "as it is", &["a", "b"]),
    ] {
        let reading = READINGS.iter().find(|reading| reading.name == name).unwrap();
        assert_eq!(reading.segments(target.as_bytes()), seen, "{target} {name}");
    }
}
