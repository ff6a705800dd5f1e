//! Distinguished names as text (RFC 4514), so that a subject can be written in the file.
//!
//! Where RFC 4514 leaves a choice it is as `openssl x509 -nameopt RFC2253,-esc_msb` chooses, which
//! is how people get at a subject: everything from the end to the start, `emailAddress` by name.

use x509_parser::der_parser::asn1_rs::{Tag, ToDer as _};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// `CN=acme,O=Acme`; `None` if a value of it cannot be written.
pub(super) fn text(name: &X509Name<'_>) -> Option<Box<str>> {
    let mut relative = Vec::new();
    for attributes in name.iter_rdn() {
        let attributes = attributes.iter().map(attribute).collect::<Option<Vec<_>>>()?;
        relative.push(attributes.into_iter().rev().collect::<Vec<_>>().join("+"));
    }
    relative.reverse();
    Some(relative.join(",").into())
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let oid = attribute.attr_type().to_id_string();
    let known = NAMES.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name);
    let (name, value) = match (known, string(attribute)) {
        (Some(name), Some(value)) => (name, escaped(&value)),
        // RFC 4514 section 2.4: a type without a name, or a value without a string form.
        (name, _) => (name.unwrap_or(&oid), encoded(&attribute.attr_value().to_der_vec().ok()?)),
    };
    Some(format!("{name}={value}"))
}

/// The types that have names: those of RFC 4514 section 3, and others as openssl knows them.
const NAMES: [(&str, &str); 15] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "GN"),
    ("2.5.4.97", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

fn string(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let value = attribute.attr_value();
    if value.tag() != Tag::BmpString {
        return attribute.as_str().ok().map(str::to_owned);
    }
    let (units, []) = value.data.as_chunks::<2>() else { return None };
    String::from_utf16(&units.iter().map(|unit| u16::from_be_bytes(*unit)).collect::<Vec<_>>()).ok()
}

/// RFC 4514 section 2.4, control characters as pairs of hexadecimal digits.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (place, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', character]),
            '#' if place == 0 => text.push_str("\\#"),
            ' ' if place == 0 || place == last => text.push_str("\\ "),
            control if control.is_control() => {
                for byte in control.encode_utf8(&mut [0; 4]).bytes() {
                    text.push('\\');
                    text.extend(hex(byte));
                }
            }
            plain => text.push(plain),
        }
    }
    text
}

fn encoded(der: &[u8]) -> String {
    std::iter::once('#').chain(der.iter().flat_map(|byte| hex(*byte))).collect()
}

/// The two digits of a byte.
fn hex(byte: u8) -> [char; 2] {
    [byte >> 4, byte & 0xf].map(|digit| char::from_digit(digit.into(), 16).unwrap_or_default().to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_mean_something_are_escaped() {
        for (value, expected) in [
            ("acme", "acme"),
            ("James \"Jim\" Smith, III", "James \\\"Jim\\\" Smith\\, III"),
            ("Before\rAfter", "Before\\0DAfter"),
            ("#a#", "\\#a#"),
            (" ", "\\ "),
            ("  a  ", "\\  a \\ "),
            ("a+b;c<d>e\\", "a\\+b\\;c\\<d\\>e\\\\"),
            ("Lučić", "Lučić"),
            ("a\u{85}b", "a\\C2\\85b"),
            ("", ""),
        ] {
            assert_eq!(escaped(value), expected, "{value:?}");
        }
    }
}
