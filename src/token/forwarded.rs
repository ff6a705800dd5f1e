//! Envoy's `X-Forwarded-Client-Cert`: elements with commas between, each of `Key=value` pairs with
//! semicolons between, values in double quotes where they have one of these characters.
//!
//! Of several elements the last counts: each proxy appends the certificate that it saw itself, so
//! the last one is what the proxy that is trusted saw, and those before it are hearsay.

use crate::policy::Certificate;

use super::certificate::certificate_from_der;
use super::pem;
use crate::hex::parse_hex;

/// The certificate of the last element: that of `Cert`, else the first of `Chain`, else what `Hash`,
/// `Subject` and `DNS` tell of it.
///
/// `None` if any element cannot be read, if the last tells of no certificate, or of several.
pub(super) fn certificate(header: &str) -> Option<Certificate> {
    let element = elements(header)?.pop()?;
    let shown = [element.one("Cert")?, element.one("Chain")?].into_iter().flatten();
    let shown = shown.map(first_in_pem).collect::<Option<Vec<_>>>()?;
    let hash = match element.one("Hash")? {
        Some(hex) => Some(parse_hex(hex)?),
        None => None,
    };
    let told = hash.map(|sha256| Certificate {
        sha256,
        subject: element.one("Subject").flatten().unwrap_or_default().into(),
        san_dns: element.all("DNS").map(Box::from).collect(),
    });
    let mut certificates = shown.into_iter().chain(told);
    let certificate = certificates.next()?;
    certificates.all(|other| other.sha256 == certificate.sha256).then_some(certificate)
}

/// What one proxy saw.
#[derive(Debug, Default, PartialEq)]
struct Element<'h>(Vec<(&'h str, String)>);

impl Element<'_> {
    /// The values under a key, whose letter case does not count.
    fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(key)).map(|(_, value)| &**value)
    }

    /// The value under a key; `None` if there are several.
    #[expect(clippy::option_option, reason = "several are a fault, none is not")]
    fn one(&self, key: &str) -> Option<Option<&str>> {
        let mut values = self.all(key);
        let first = values.next();
        values.next().is_none().then_some(first)
    }
}

fn elements(header: &str) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    let mut element = Element::default();
    let mut rest = header;
    loop {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_matches(' ');
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let (value, after) = value(after)?;
        element.0.push((key, value));
        if let Some(after) = after.strip_prefix(';') {
            rest = after;
            continue;
        }
        elements.push(std::mem::take(&mut element));
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None if after.is_empty() => return Some(elements),
            None => return None,
        }
    }
}

/// A value, and what comes after it. Envoy escapes a quote and nothing else, so that a backslash
/// before anything else is one of the value's own.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, after) = text.split_at(text.find([',', ';']).unwrap_or(text.len()));
        return (!value.contains('"')).then(|| (value.to_owned(), after));
    };
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        let Some(before) = before.strip_suffix('\\') else {
            value.push_str(before);
            return Some((value, after));
        };
        value.push_str(before);
        value.push('"');
        rest = after;
    }
}

/// The first certificate of a percent-encoded PEM text.
pub(super) fn first_in_pem(encoded: &str) -> Option<Certificate> {
    let text = percent_decoded(encoded)?;
    let block = pem::blocks(&text).next()?.ok()?;
    (block.label == "CERTIFICATE").then(|| certificate_from_der(&block.der).ok()).flatten()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let [byte] = parse_hex(digits)?;
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(header: &str, expected: Option<&[&[(&str, &str)]]>) {
        let found = elements(header);
        let found: Option<Vec<Vec<_>>> = found.as_ref().map(|elements| {
            elements.iter().map(|element| element.0.iter().map(|(key, value)| (*key, &**value)).collect()).collect()
        });
        let expected: Option<Vec<Vec<_>>> = expected.map(|it| it.iter().map(|element| element.to_vec()).collect());
        assert_eq!(found, expected, "{header}");
    }

    #[test]
    fn elements_and_pairs_are_told_apart_whatever_is_quoted() {
        check("Hash=ab;URI=", Some(&[&[("Hash", "ab"), ("URI", "")]]));
        check(
            r#"By=a;Hash=b;Subject="CN=x,O=y;z",By=c;Hash=d"#,
            Some(&[&[("By", "a"), ("Hash", "b"), ("Subject", "CN=x,O=y;z")], &[("By", "c"), ("Hash", "d")]]),
        );
        check("Hash=a, Hash=b", Some(&[&[("Hash", "a")], &[("Hash", "b")]]));
        check(r#"Subject="O=a\, b";DNS=c"#, Some(&[&[("Subject", r"O=a\, b"), ("DNS", "c")]]));
        check(r#"Subject="CN=\\"x\\"";DNS=c"#, Some(&[&[("Subject", r#"CN=\"x\""#), ("DNS", "c")]]));
        check(r#"Subject="a\",Hash=b\"";DNS=c"#, Some(&[&[("Subject", r#"a",Hash=b""#), ("DNS", "c")]]));
        for bad in [
            "",
            ";",
            ",",
            "x",
            "Hash",
            "=a",
            "Hash=a;",
            "Hash=a,",
            ",Hash=a",
            "Hash=a;;By=b",
            "a b=c",
            r#"Subject="a"#,
            r#"Subject="a"b"#,
            r#"Subject=a"b"#,
            r#"Subject="a\""#,
            r#"Subject="CN=x\\";Hash=a,By=b;Subject="CN=y""#,
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn a_hash_alone_tells_of_a_certificate() {
        let hex = "AB".repeat(32);
        let told =
            certificate(&format!(r#"By=x;Hash={hex};Subject="CN=acme,O=Acme";URI=spiffe://a;DNS=a.example;DNS=b"#));
        let expected = Certificate {
            sha256: [0xab; 32],
            subject: "CN=acme,O=Acme".into(),
            san_dns: ["a.example".into(), "b".into()].into(),
        };
        assert_eq!(told, Some(expected));
        let nothing =
            ["By=x;URI=spiffe://a", "Hash=ab", "Hash=", &format!("Hash={hex}ab"), &format!("Hash={hex};Hash={hex}")]
                .map(certificate);
        assert_eq!(nothing, [None, None, None, None, None]);
    }

    #[test]
    fn the_last_element_counts() {
        let element = |byte: &str| format!("Hash={}", byte.repeat(32));
        let told = certificate(&format!("{},{}", element("01"), element("02"))).unwrap();
        assert_eq!(told.sha256, [2; 32]);
        assert_eq!(certificate(&format!("{},By=x", element("01"))), None);
        assert_eq!(certificate(&format!("x,{}", element("01"))), None);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[ -~]{0,80}") {
            let _ = certificate(&text);
        }

        #[test]
        fn what_was_quoted_is_read_again(subject in r#"[a-z,;="]{0,20}"#) {
            let header = format!(r#"Hash={};Subject="{}""#, "00".repeat(32), subject.replace('"', "\\\""));
            prop_assert_eq!(certificate(&header).map(|told| told.subject.into_string()), Some(subject));
        }
    }
}
