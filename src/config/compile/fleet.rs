//! `shared_state`: where gateways share what they know.

use std::path::Path;
use std::time::Duration;

use super::take::{Wrong, optional, parsed, required};
use super::values;
use crate::config::document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Finding, Findings, Quoted};
use crate::config::{OnOutage, SharedState};

const EXAMPLE: &str = "write `redis://127.0.0.1:6379/0`, or `rediss://` for TLS";
const USUAL_PORT: u16 = 6379;
const USUAL_TIMEOUT: Duration = Duration::from_millis(250);
/// Any gateway refuses within a second what one was told to refuse.
const USUAL_STALE: Duration = Duration::from_secs(1);
const LONGEST_STALE: Duration = Duration::from_secs(60 * 60);
const LONGEST_PREFIX: usize = 100;

struct Server {
    tls: bool,
    host: Box<str>,
    port: u16,
    database: u8,
}

pub(super) fn shared_state(
    entry: Entry<document::SharedState>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<SharedState> {
    let document = optional(entry, at, findings)?;
    let url = at.key("url");
    let server = parsed(required(document.url, url, EXAMPLE, findings), url, findings, server);
    let help = "write `deny` to refuse then what cannot be told, or `local` to go on with what this gateway knows";
    let on_outage = required(document.on_outage, at.key("on_outage"), help, findings);
    let stale = at.key("stale_for");
    let stale_for = parsed(optional(document.stale_for, stale, findings), stale, findings, stale_for);
    if stale_for.is_some() && matches!(on_outage, Some(document::OnOutage::Local)) {
        let finding = Finding::new(stale, "with `on_outage: local` what was heard is trusted for as long as it takes");
        findings.add(finding.help("write `on_outage: deny`, or remove the key"));
    }
    let name = at.key("username");
    let username = parsed(optional(document.username, name, findings), name, findings, values::text);
    let file = |entry, key, findings: &mut Findings| {
        let at = at.key(key);
        let text: Option<String> = optional(entry, at, findings);
        parsed(text, at, findings, |text| values::file(text, directory))
    };
    let password_file = file(document.password_file, "password_file", findings);
    let ca_file = file(document.ca_file, "ca_file", findings);
    if username.is_some() && password_file.is_none() {
        findings.add(Finding::new(name, "a user name alone signs nobody in").help("add `password_file`, or remove it"));
    }
    let prefix = at.key("prefix");
    let prefix = parsed(optional(document.prefix, prefix, findings), prefix, findings, key_prefix);
    let timeout_at = at.key("timeout");
    let timeout = parsed(optional(document.timeout, timeout_at, findings), timeout_at, findings, timeout);
    let Server { tls, host, port, database } = server?;
    if ca_file.is_some() && !tls {
        let finding = Finding::new(at.key("ca_file"), "without TLS no certificate is looked at");
        findings.add(finding.help("write `rediss://` in `url`, or remove the key"));
    }
    Some(SharedState {
        tls,
        host,
        port,
        database,
        username,
        password_file,
        ca_file,
        prefix: prefix.unwrap_or_else(|| "scopegate:".into()),
        on_outage: match on_outage? {
            document::OnOutage::Deny => OnOutage::Deny { stale_for: stale_for.unwrap_or(USUAL_STALE) },
            document::OnOutage::Local => OnOutage::Local,
        },
        timeout: timeout.unwrap_or(USUAL_TIMEOUT),
    })
}

fn server(text: &str) -> Result<Server, Wrong> {
    let wrong = || Wrong::new(format!("{} is not where a Redis is", Quoted(text)), EXAMPLE);
    let url = reqwest::Url::parse(text).map_err(|_| wrong())?;
    let tls = match url.scheme() {
        "redis" => false,
        "rediss" => true,
        _ => return Err(wrong()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        let help = "write `username` and `password_file` beside it";
        return Err(Wrong::new("a URL here has no user name and no password", help));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
    let database = match url.path().trim_start_matches('/') {
        "" => 0,
        number => number.parse().map_err(|_| wrong())?,
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong());
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').into();
    Ok(Server { tls, host, port: url.port().unwrap_or(USUAL_PORT), database })
}

fn key_prefix(text: &str) -> Result<Box<str>, Wrong> {
    if text.len() > LONGEST_PREFIX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let help = format!("write visible ASCII, {LONGEST_PREFIX} characters at most, such as `scopegate:`");
        return Err(Wrong::new(format!("{} is not a prefix of keys", Quoted(text)), help));
    }
    Ok(text.into())
}

fn timeout(text: &str) -> Result<Duration, Wrong> {
    let given = values::duration(text)?;
    if !(Duration::from_millis(10)..=Duration::from_secs(5)).contains(&given) {
        return Err(Wrong::new("no request waits as long, or as short, as that", "write `10ms` to `5s`"));
    }
    Ok(given)
}

fn stale_for(text: &str) -> Result<Duration, Wrong> {
    let given = values::duration(text)?;
    if !(USUAL_STALE..=LONGEST_STALE).contains(&given) {
        return Err(Wrong::new(
            "what others have revoked is not heard as often, or trusted as long",
            "write `1s` to `1h`",
        ));
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, compile};

    fn read(shared: &str) -> Result<SharedState, String> {
        let text = format!(
            "version: 1\nlisteners: [{{ address: \"127.0.0.1:1\" }}]\nupstreams: {{ u: {{ servers: [\"127.0.0.1:2\"] }} }}\n\
             apis: [{{ name: a, upstream: u, public: [/a] }}]\nshared_state: {shared}\n"
        );
        let source = Source { shown: "gateway.yaml", directory: Path::new("/etc"), text: &text };
        let read = compile(&source).map_err(|problems| problems.to_string())?;
        Ok(read.settings.shared_state.unwrap())
    }

    #[test]
    fn a_shared_state_says_where_it_is_and_what_comes_of_an_outage() {
        let plain = read("{ url: \"redis://cache\", on_outage: local }").unwrap();
        assert_eq!((&*plain.host, plain.port, plain.database, plain.tls), ("cache", 6379, 0, false));
        assert_eq!((&*plain.prefix, plain.on_outage, plain.timeout), ("scopegate:", OnOutage::Local, USUAL_TIMEOUT));
        let all = "{ url: \"rediss://[::1]:7000/3\", username: u, password_file: p, ca_file: ca.pem, prefix: \"x:\", \
                   on_outage: deny, timeout: 1s }";
        let expected = SharedState {
            tls: true,
            host: "::1".into(),
            port: 7000,
            database: 3,
            username: Some("u".into()),
            password_file: Some("/etc/p".into()),
            ca_file: Some("/etc/ca.pem".into()),
            prefix: "x:".into(),
            on_outage: OnOutage::Deny { stale_for: Duration::from_secs(1) },
            timeout: Duration::from_secs(1),
        };
        assert_eq!(read(all).unwrap(), expected);
        let stale = read(&all.replace("deny", "deny, stale_for: 30s")).unwrap();
        assert_eq!(stale.on_outage, OnOutage::Deny { stale_for: Duration::from_secs(30) });
    }

    #[test]
    fn what_is_wrong_with_a_shared_state_is_said() {
        for (shared, expected) in [
            ("{ on_outage: deny }", "`url` is missing"),
            ("{ url: \"redis://a\" }", "`on_outage` is missing"),
            ("{ url: \"http://a\", on_outage: deny }", "is not where a Redis is"),
            ("{ url: \"redis://a/x\", on_outage: deny }", "is not where a Redis is"),
            ("{ url: \"redis://u:p@a\", on_outage: deny }", "no user name and no password"),
            ("{ url: \"redis://a\", on_outage: deny, username: u }", "a user name alone"),
            ("{ url: \"redis://a\", on_outage: deny, ca_file: ca.pem }", "without TLS"),
            ("{ url: \"redis://a\", on_outage: deny, prefix: a b }", "not a prefix"),
            ("{ url: \"redis://a\", on_outage: deny, timeout: 1m }", "no request waits"),
            ("{ url: \"redis://a\", on_outage: deny, stale_for: 900ms }", "is not heard as often"),
            ("{ url: \"redis://a\", on_outage: deny, stale_for: 61m }", "or trusted as long"),
            ("{ url: \"redis://a\", on_outage: local, stale_for: 30s }", "for as long as it takes"),
        ] {
            let problems = read(shared).unwrap_err();
            assert!(problems.contains(expected), "{shared}\n{problems}");
        }
    }
}
