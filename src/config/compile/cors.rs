//! `apis[].cors`: which pages of browsers may call an api.

use std::time::Duration;

use http::header::HeaderName;

use super::take::{Firsts, Wrong, at_least_one, checked, items, optional, parsed};
use super::values;
use crate::config::document;
use crate::config::entry::{Entry, List};
use crate::config::finding::{At, Finding, Findings, Quoted};
use crate::config::{Cors, Origins};
use crate::policy::MethodSet;

/// How long a preflight's answer holds if the file does not say.
const USUAL_AGE: Duration = Duration::from_secs(600);
/// No browser keeps an answer longer.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 60 * 60);
const REMOVE: &str = "remove one of them";
const EXAMPLE: &str = "write an origin as browsers send it, such as `https://app.example.com`";

pub(super) fn cors(entry: Entry<document::Cors>, at: At<'_>, findings: &mut Findings) -> Option<Cors> {
    let document = optional(entry, at, findings)?;
    let credentials = optional(document.credentials, at.key("credentials"), findings).unwrap_or_default();
    let origins = origins(document.origins, credentials, at.key("origins"), findings);
    let here = at.key("max_age");
    let max_age = parsed(optional(document.max_age, here, findings), here, findings, age).unwrap_or(USUAL_AGE);
    Some(Cors {
        methods: methods(document.methods, at.key("methods"), findings),
        headers: headers(document.headers, at.key("headers"), findings),
        expose: headers(document.expose, at.key("expose"), findings),
        origins: origins?,
        max_age,
    })
}

fn origins(list: List<String>, credentials: bool, at: At<'_>, findings: &mut Findings) -> Option<Origins> {
    let texts = at_least_one(list, at, EXAMPLE, findings);
    if let [(place, only)] = &*texts
        && only == "*"
    {
        if credentials {
            let finding = Finding::new(at.nth(*place), "`*` lets every page call, and never with credentials");
            findings.add(finding.help("list the origins, or remove `credentials`"));
            return None;
        }
        return Some(Origins::Any);
    }
    let mut firsts = Firsts::new();
    let mut origins: Vec<Box<str>> = Vec::with_capacity(texts.len());
    for (place, text) in texts {
        let here = at.nth(place);
        if let Some(origin) = checked(Some(text), here, findings, |text| origin(&text)) {
            firsts.note(origin.clone(), here, &format!("the origin {}", Quoted(&origin)), REMOVE, findings);
            origins.push(origin);
        }
    }
    origins.sort_unstable();
    (!origins.is_empty()).then(|| Origins::Listed { origins: origins.into(), credentials })
}

/// An origin as the Fetch standard serializes it: it is compared byte by byte.
fn origin(text: &str) -> Result<Box<str>, Wrong> {
    if text == "null" {
        let message = "`null` is the origin of every sandboxed page and local file, whoever made it";
        return Err(Wrong::new(message, EXAMPLE));
    }
    if text == "*" {
        return Err(Wrong::new("`*` stands for every origin, and so stands alone", "remove it, or the others"));
    }
    if text.contains('*') {
        return Err(Wrong::new(format!("{} is a pattern, and origins are listed", Quoted(text)), EXAMPLE));
    }
    let serialized = match text.split_once("://") {
        Some((scheme, _)) if ["http", "https"].iter().any(|web| web.eq_ignore_ascii_case(scheme)) => serialized(text),
        // Of applications and extensions, which write theirs in no other way.
        Some((scheme, host)) if is_scheme(scheme) && is_plain_host(host) => Some(text.to_owned()),
        Some(_) | None => None,
    };
    match serialized {
        Some(serialized) if serialized == text => Ok(text.into()),
        Some(serialized) => Err(Wrong::new(
            format!("{} is not an origin as browsers send it", Quoted(text)),
            format!("write `{serialized}`"),
        )),
        None => Err(Wrong::new(format!("{} is not an origin", Quoted(text)), EXAMPLE)),
    }
}

/// What a browser makes of it: letters small, no default port, no path.
fn serialized(text: &str) -> Option<String> {
    // The parser forgives these.
    let is_odd = |character: char| character.is_whitespace() || character.is_control() || character == '\\';
    let parsed = reqwest::Url::parse(text).ok().filter(|_| !text.contains(is_odd))?;
    parsed.origin().is_tuple().then(|| parsed.origin().ascii_serialization())
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte))
}

fn is_plain_host(host: &str) -> bool {
    !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:".contains(&byte))
}

fn methods(list: List<String>, at: At<'_>, findings: &mut Findings) -> Option<MethodSet> {
    let is_there = matches!(list, Entry::Given(_));
    let mut methods = MethodSet::NONE;
    for (place, text) in items(list, at, findings) {
        let method = parsed(Some(text), at.nth(place), findings, |text| {
            MethodSet::known(text).ok_or_else(|| {
                let help = "write a method in capitals, such as `GET`";
                Wrong::new(format!("{} is not a method that a service can take", Quoted(text)), help)
            })
        });
        methods = methods.or(method.unwrap_or_default());
    }
    is_there.then_some(methods)
}

fn headers(list: List<String>, at: At<'_>, findings: &mut Findings) -> Vec<HeaderName> {
    let items = items(list, at, findings).into_iter();
    items.filter_map(|(place, text)| parsed(Some(text), at.nth(place), findings, header)).collect()
}

fn header(text: &str) -> Result<HeaderName, Wrong> {
    if text == "*" {
        let help = "list the headers' names, such as `X-Account-Id`";
        return Err(Wrong::new("`*` is not every header: browsers except `Authorization`", help));
    }
    values::header_name(text)
}

/// In whole seconds, as `Access-Control-Max-Age` counts.
fn age(text: &str) -> Result<Duration, Wrong> {
    match values::seconds(text).map(Duration::from_secs) {
        Ok(age) if age <= LONGEST_AGE => Ok(age),
        Ok(_) => Err(Wrong::new("no browser keeps the answer to a preflight that long", "write `24h` or less")),
        Err(_) => values::duration(text)
            .and_then(|_| Err(Wrong::new("browsers count in whole seconds", "write whole seconds, such as `30s`"))),
    }
}
