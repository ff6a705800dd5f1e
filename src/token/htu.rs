//! RFC 9449 section 4.3: two spellings of one HTTP URI, its query and fragment left out.

/// The URI in the form that all its spellings have (RFC 3986 sections 6.2.2.1, 6.2.2.2 and 6.2.3):
/// scheme and host in lower case, no default port, no query, no fragment, no encoded unreserved
/// characters. `None` if it is no `http` or `https` URI, or has a user in it.
///
/// Dot segments stay: the gateway forwards no path that has one, so none is ever expected.
pub(super) fn normalized(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match &*scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let rest = rest.split(['?', '#']).next()?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    let authority = authority.strip_suffix(':').unwrap_or(authority);
    if authority.is_empty() || authority.contains('@') || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut normalized = format!("{scheme}://{}", authority.to_ascii_lowercase());
    append_path(&mut normalized, if path.is_empty() { "/" } else { path })?;
    Some(normalized)
}

fn append_path(to: &mut String, path: &str) -> Option<()> {
    let mut parts = path.split('%');
    to.push_str(parts.next()?);
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let byte =
            digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())??;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(byte.into());
        } else {
            to.push('%');
            to.push_str(&digits.to_ascii_uppercase());
        }
        to.push_str(rest);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_uri_are_the_same() {
        for (one, other) in [
            ("https://a.example/b", "HTTPS://A.Example/b"),
            ("https://a.example/b", "https://a.example:443/b"),
            ("http://a.example/b", "http://a.example:80/b"),
            ("http://a.example/b", "http://a.example:/b"),
            ("https://a.example", "https://a.example/"),
            ("https://a.example/b", "https://a.example/b?c=d"),
            ("https://a.example/b", "https://a.example/b#c/d"),
            ("https://a.example", "https://a.example?b/c"),
            ("https://a.example/%7Ea%2fb", "https://a.example/~a%2Fb"),
            ("https://[::1]:8443/b", "https://[::1]:8443/b"),
        ] {
            assert!(normalized(one).is_some(), "{one}");
            assert_eq!(normalized(one), normalized(other), "{one} {other}");
        }
    }

    #[test]
    fn other_uris_are_not() {
        for (one, other) in [
            ("https://a.example/b", "http://a.example/b"),
            ("https://a.example/b", "https://a.example/B"),
            ("https://a.example/b", "https://a.example/b/"),
            ("https://a.example/b", "https://a.example:80/b"),
            ("https://a.example/a%2Fb", "https://a.example/a/b"),
            ("https://a.example/b", "https://a.example.evil/b"),
        ] {
            assert_ne!(normalized(one), normalized(other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_plain_http_uri_has_no_form() {
        for bad in [
            "",
            "/b",
            "a.example/b",
            "ftp://a.example/b",
            "https:/a.example",
            "https:///b",
            "https://u@a.example/b",
            "https://u:p@a.example/b",
            "https://a.example/%",
            "https://a.example/%4",
            "https://a.example/%+1",
            "https://a.example/a b",
            "https://a.example/é",
            "https://a.example/\u{0}",
            "https://",
        ] {
            assert_eq!(normalized(bad), None, "{bad:?}");
        }
    }
}
