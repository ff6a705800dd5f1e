//! What a target, its parameters and its headers mean, written a second time as naively as can be.

use scopegate::policy::{AccountSource, PolicySpec};

use super::Asked;

/// The path as it goes on; `None` if servers read it in different ways.
pub(super) fn judged(path: &str) -> Option<String> {
    let lower = path.to_lowercase();
    let refused = ["//", "\\", ";", "#", "%2f", "%5c", "%25", "%3b", "%23", "%3f", "\"", "<", ">", "[", "]", "^", "`"];
    if !path.starts_with('/') || refused.iter().any(|text| lower.contains(text)) || lower.contains(['{', '|', '}', ' '])
    {
        return None;
    }
    let bytes = decoded(path)?;
    if bytes.chars().any(|c| !(' '..='~').contains(&c)) || !path.is_ascii() {
        return None;
    }
    let judged = unreserved_decoded(path);
    let is_nothing = |segment: &str| !segment.is_empty() && carelessly(segment).is_empty();
    (!judged.split('/').any(is_nothing)).then_some(judged)
}

/// Whether a query means one thing as far as its bytes go.
pub(super) fn is_query(query: &str) -> bool {
    query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') && decoded(query).is_some()
}

/// Whether the headers that every decision uses mean one thing.
pub(super) fn headers_agree(policy: &PolicySpec, asked: &Asked) -> bool {
    let account = policy.apis.iter().flat_map(|api| &api.account).filter_map(|source| match source {
        AccountSource::Header(name) => Some(name.to_string()),
        AccountSource::Path(_) | AccountSource::Query(_) => None,
    });
    let decisive: Vec<String> = account.chain(["authorization".to_owned(), "origin".to_owned()]).collect();
    let options = values(&asked.headers, "connection").join(",").to_lowercase();
    values(&asked.headers, "authorization").len() < 2
        && !options.split(',').any(|option| decisive.iter().any(|name| name == option.trim()))
}

/// The account that the query parameter `name` names.
pub(super) fn parameter(query: &str, name: &str) -> Result<Option<String>, &'static str> {
    let named = |separators: &[char]| -> Vec<String> {
        query.split(separators).filter(|pair| is_named(pair, name)).map(str::to_owned).collect()
    };
    let (one_way, other_way) = (named(&['&']), named(&['&', ';']));
    match (one_way.as_slice(), other_way.as_slice()) {
        ([], []) => Ok(None),
        ([pair], [same]) if pair == same => match pair.split_once('=') {
            Some((key, value)) if key == name => readable(value).map(Some),
            _ => Err("header_ambiguous"),
        },
        _ => Err("header_ambiguous"),
    }
}

/// The account that the header `name` names.
pub(super) fn header(headers: &[(String, String)], name: &str) -> Result<Option<String>, &'static str> {
    match values(headers, name).as_slice() {
        [] => Ok(None),
        [value] if !value.is_empty() && !value.contains(',') && value.is_ascii() => Ok(Some((*value).to_owned())),
        _ => Err("header_ambiguous"),
    }
}

/// Whether a run of the key's parts has the letters and digits of the name, whatever their case.
fn is_named(pair: &str, name: &str) -> bool {
    let letters = |text: &str| text.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let key = decoded(pair.split('=').next().unwrap()).unwrap();
    let parts: Vec<&str> = key.split(['.', '[', ']', '(', ')', '\0']).collect();
    let mut runs = (0..parts.len()).flat_map(|first| (first..parts.len()).map(move |last| (first, last)));
    runs.any(|(first, last)| letters(&parts[first..=last].concat()) == letters(name))
}

fn readable(value: &str) -> Result<String, &'static str> {
    let text = decoded(value).unwrap();
    let is_plain = !text.is_empty() && text.chars().all(|c| (' '..='~').contains(&c));
    if is_plain && !value.contains('+') && !text.contains('%') { Ok(text) } else { Err("header_ambiguous") }
}

/// A segment with every encoding decoded, without dots and spaces at its end, and without an NTFS stream's name.
pub(super) fn carelessly(segment: &str) -> String {
    let decoded = decoded(segment).unwrap();
    let name = decoded.trim_end_matches(['.', ' ']);
    let parts: Vec<_> = name.splitn(3, ':').collect();
    let is_stream = parts.len() == 3 && (parts[2].starts_with('$') || parts[2].contains(":$"));
    if is_stream { parts[0].trim_end_matches(['.', ' ']).to_owned() } else { name.to_owned() }
}

/// Every encoding decoded; `None` if one is broken.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut decoded = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        decoded.push(char::from(u8::from_str_radix(digits, 16).unwrap()));
        decoded.push_str(&piece[2..]);
    }
    Some(decoded)
}

pub(super) fn unreserved_decoded(path: &str) -> String {
    if !path.contains('%') {
        return path.to_owned();
    }
    let unreserved = ('0'..='9').chain('A'..='Z').chain('a'..='z').chain(['-', '.', '_', '~']);
    unreserved.fold(path.to_owned(), |path, c| {
        let code = u32::from(c);
        path.replace(&format!("%{code:02x}"), &c.to_string()).replace(&format!("%{code:02X}"), &c.to_string())
    })
}

fn values<'h>(headers: &'h [(String, String)], name: &str) -> Vec<&'h str> {
    headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
}
