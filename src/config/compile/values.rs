//! Single values: the text of the file to its type, or what would be right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::HeaderName;
use ipnet::IpNet;

use super::take::Wrong;
use crate::config::ServerAddress;
use crate::config::finding::Quoted;
use crate::hex::parse_hex;

/// Longer than anything that is waited for, and short enough for every clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A text that is not empty and has no control characters.
pub(super) fn text(text: &str) -> Result<Box<str>, Wrong> {
    if text.is_empty() {
        return Err(Wrong::new("an empty text says nothing here", "write what is meant"));
    }
    match text.chars().find(|character| character.is_control()) {
        None => Ok(text.into()),
        Some(_) => Err(Wrong::new(format!("{} has a control character", Quoted(text)), "remove it")),
    }
}

/// `30s`, `500ms`, `24h`; nothing is a duration too.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let Ok(duration) = humantime::parse_duration(text) else {
        let help = "write a number and a unit, such as `500ms`, `30s` or `24h`";
        return Err(Wrong::new(format!("{} is not a duration", Quoted(text)), help));
    };
    if duration > LONGEST {
        return Err(Wrong::new(format!("{} is longer than 365 days", Quoted(text)), "365 days are the most"));
    }
    Ok(duration)
}

/// A duration that is more than nothing.
pub(super) fn timeout(text: &str) -> Result<Duration, Wrong> {
    let duration = duration(text)?;
    if duration.is_zero() {
        return Err(Wrong::new("no time at all is not a duration to wait", "write `1ms` or more"));
    }
    Ok(duration)
}

/// A duration in whole seconds.
pub(super) fn seconds(text: &str) -> Result<u64, Wrong> {
    let duration = duration(text)?;
    if duration.subsec_nanos() > 0 {
        return Err(Wrong::new("tokens count in whole seconds", "write whole seconds, such as `30s`"));
    }
    Ok(duration.as_secs())
}

/// An absolute `http` or `https` URL without user, password and fragment, as it is written.
pub(super) fn url(text: &str) -> Result<Box<str>, Wrong> {
    const EXAMPLE: &str = "write a whole URL such as `https://login.example.com/jwks`";
    let quoted = Quoted(text);
    let has_scheme = text.starts_with("https://") || text.starts_with("http://");
    if !has_scheme {
        let help = format!("{EXAMPLE}; `http` should stay on this machine");
        return Err(Wrong::new(format!("{quoted} is not an `https` or `http` URL"), help));
    }
    // The parser forgives these, and what is sent would then not be what is written.
    if text.contains(|character: char| character == '\\' || character.is_whitespace() || character.is_control()) {
        return Err(Wrong::new(format!("{quoted} has a character that no URL has"), EXAMPLE));
    }
    let parsed = match reqwest::Url::parse(text) {
        Ok(parsed) if parsed.has_host() => parsed,
        Ok(_) | Err(_) => return Err(Wrong::new(format!("{quoted} is not a URL"), EXAMPLE)),
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Wrong::new("a URL here has no user name and no password", "remove what is before the `@`"));
    }
    if parsed.fragment().is_some() {
        return Err(Wrong::new(format!("{quoted} has a fragment"), "remove the `#` and what is after it"));
    }
    Ok(text.into())
}

/// A server of an upstream, `host:port`.
pub(super) fn server(text: &str) -> Result<ServerAddress, Wrong> {
    const EXAMPLE: &str = "write host and port such as `127.0.0.1:9000` or `[::1]:9000`";
    match split_port(text) {
        Some((host, Some(port))) => {
            Ok(ServerAddress { host: host.trim_start_matches('[').trim_end_matches(']').into(), port })
        }
        Some((host, None)) => Err(Wrong::new(
            format!("{} has no port", Quoted(text)),
            format!("write `{host}:80` or the port that it is"),
        )),
        None if text.contains("://") => {
            Err(Wrong::new(format!("{} is a URL, and not a server", Quoted(text)), EXAMPLE))
        }
        None => Err(Wrong::new(format!("{} is not a server", Quoted(text)), EXAMPLE)),
    }
}

/// A `Host` that requests name: lower case, with a port if the file gives one.
pub(super) fn host(text: &str) -> Result<Box<str>, Wrong> {
    if split_port(text).is_none() {
        let help = "write a name such as `api.example.com`, with `:port` if only that port is meant";
        return Err(Wrong::new(format!("{} is not a host", Quoted(text)), help));
    }
    Ok(text.to_ascii_lowercase().into())
}

/// A DNS name, lower case.
pub(super) fn dns_name(text: &str) -> Result<Box<str>, Wrong> {
    match split_port(text) {
        Some((name, None)) if !name.starts_with('[') => Ok(name.to_ascii_lowercase().into()),
        Some(_) | None => {
            let help = "write a name such as `acme.example.com`";
            Err(Wrong::new(format!("{} is not a DNS name", Quoted(text)), help))
        }
    }
}

/// Where to listen.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let help = match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
            Ok(port) => {
                format!("write `0.0.0.0:{port}` for every address, or `127.0.0.1:{port}` for this machine only")
            }
            Err(_) => match text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok()) {
                Some(port) => format!("write the address in numbers: `127.0.0.1:{port}`"),
                None => "write an address and port such as `0.0.0.0:8080` or `[::1]:8080`".to_owned(),
            },
        };
        Wrong::new(format!("{} is not an address and port", Quoted(text)), help)
    })
}

/// An address, or a network of them.
pub(super) fn network(text: &str) -> Result<IpNet, Wrong> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| {
        let help = "write an address such as `10.0.0.7`, or a network such as `10.0.0.0/8`";
        Wrong::new(format!("{} is neither an address nor a network", Quoted(text)), help)
    })
}

/// A header's name.
pub(super) fn header_name(text: &str) -> Result<HeaderName, Wrong> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        let help = "write letters, digits and `-`, such as `X-Account-Id`";
        Wrong::new(format!("{} is not a header's name", Quoted(text)), help)
    })
}

/// A file, relative to the directory that `gateway.yaml` is in.
pub(super) fn file(text: &str, directory: &Path) -> Result<PathBuf, Wrong> {
    if text.is_empty() || text.contains('\0') {
        return Err(Wrong::new(format!("{} is not a file", Quoted(text)), "write a path such as `keys/jwks.json`"));
    }
    Ok(directory.join(text))
}

/// SHA-256 in hexadecimal, with or without colons.
pub(super) fn sha256(text: &str) -> Result<[u8; 32], Wrong> {
    let digits: String = text.chars().filter(|character| *character != ':').collect();
    parse_hex(&digits).ok_or_else(|| {
        let help = "write the 64 hexadecimal digits that `openssl x509 -noout -fingerprint -sha256` shows";
        Wrong::new(format!("{} is not a SHA-256 fingerprint", Quoted(text)), help)
    })
}

/// The host, in its brackets if it has them, and the port if there is one.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rfind(']') {
        Some(end) => text.split_at_checked(end + 1)?,
        None => text.split_at_checked(text.find(':').unwrap_or(text.len()))?,
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0)?)
        }
        Some(_) | None => return None,
    };
    is_host(host).then_some((host, port))
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    // What ends in a number is an IPv4 address to everyone who looks at it.
    let is_name = host.len() <= 253 && host.split('.').all(is_label);
    is_name && (!host.rsplit('.').next().is_some_and(is_number) || host.parse::<Ipv4Addr>().is_ok())
}
