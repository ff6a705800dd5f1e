//! Services: the lines of `public`, `services` and `except`.

use hashbrown::HashMap;

use super::take::{Wrong, items, parsed};
use crate::config::entry::List;
use crate::config::finding::{At, Finding, Findings, Place, Quoted};
use crate::config::suggest;
use crate::policy::{AccountSource, BasePath, InvalidPattern, MethodSet, PathFault, Pattern, Service};

/// What the services of a list must be beside services.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Where they lie; `None` where that is not known.
    pub(super) base_path: Option<&'a BasePath>,
    /// Where requests name their account, if these services must show it in one of those places.
    pub(super) shown_account: Option<&'a [AccountSource]>,
}

pub(super) fn services(list: List<String>, at: At<'_>, terms: Terms<'_>, findings: &mut Findings) -> Vec<Service> {
    let entries = items(list, at, findings);
    let mut services = Vec::with_capacity(entries.len());
    let mut places = Vec::with_capacity(entries.len());
    for (place, text) in entries {
        let here = at.nth(place);
        let Some(service) = parsed(Some(text), here, findings, service) else { continue };
        check_base_path(&service, terms, here, findings);
        check_account(&service, terms, here, findings);
        services.push(service);
        places.push(place);
    }
    report_repeated(&services, &places, at, findings);
    services
}

pub(super) fn service(text: &str) -> Result<Service, Wrong> {
    Service::parse(text)
        .map_err(|invalid| Wrong::new(format!("{} is not a service: {invalid}", Quoted(text)), remedy(&invalid, text)))
}

/// What would be right in place of a bad pattern.
pub(super) fn remedy(invalid: &InvalidPattern, text: &str) -> String {
    match invalid {
        InvalidPattern::Empty => "write methods and a path, such as `GET /orders/{id}`".to_owned(),
        InvalidPattern::NoPath(method) => format!("write the path after it, such as `{method} /orders`"),
        InvalidPattern::TooDeep(_) => "end it with `**`, which takes any rest".to_owned(),
        InvalidPattern::Method(method) => method_remedy(method, text),
        InvalidPattern::NeverForwarded(_) => "remove it".to_owned(),
        InvalidPattern::RestNotLast => "write `*` for exactly one segment".to_owned(),
        InvalidPattern::PartialWildcard(_) => "write the whole segment as `*` or `{name}`".to_owned(),
        InvalidPattern::CaptureName(_) => "write a name such as `{account}`".to_owned(),
        InvalidPattern::CaptureTwice(_) => "give the second another name, or write `*`".to_owned(),
        InvalidPattern::NotLiteral(_) => "write literal segments only, such as `/integration/orders`".to_owned(),
        InvalidPattern::NotPath(_) => "end it before that: methods and a path are all that is looked at".to_owned(),
        InvalidPattern::NeverJudged(fault) => path_remedy(*fault).to_owned(),
    }
}

fn method_remedy(method: &str, text: &str) -> String {
    let upper = method.to_ascii_uppercase();
    if method.is_empty() {
        return "join methods by commas without spaces, such as `GET,POST /orders`".to_owned();
    }
    if text.trim_start().starts_with('/') {
        return "a path has no spaces; write `%20` where one is meant".to_owned();
    }
    match MethodSet::known(&upper) {
        Some(_) => format!("write `{upper}`: the letter case of methods counts"),
        None => match suggest::nearest(&upper, MethodSet::ALL.names()) {
            Some(near) => suggest::perhaps(near),
            None => "write `*` or nothing for every method".to_owned(),
        },
    }
}

fn path_remedy(fault: PathFault) -> &'static str {
    match fault {
        PathFault::NotOriginForm => "begin it with `/`",
        PathFault::DotSegment => "remove the dots",
        PathFault::EmptySegment => "write single slashes",
        PathFault::Backslash | PathFault::EncodedSlash => "write `/` between segments",
        PathFault::DoubleEncoding => "encode it once",
        PathFault::Control | PathFault::NonAscii => "write a path that requests can have: visible ASCII characters",
        PathFault::BrokenEscape => "write two hexadecimal digits after `%`",
        PathFault::MatrixParameter => "remove the `;` and what is after it",
        PathFault::Fragment => "remove the `#` and what is after it",
        PathFault::EncodedQuestionMark => "remove the `%3F`",
        PathFault::Respelled => "write these characters as themselves",
        PathFault::IllegalCharacter => "write it percent-encoded",
    }
}

fn check_base_path(service: &Service, terms: Terms<'_>, at: At<'_>, findings: &mut Findings) {
    let Some(base_path) = terms.base_path else { return };
    if service.pattern().is_under(base_path) {
        return;
    }
    let message = format!("{} lies outside the api's base path `{base_path}`", Quoted(service.as_str()));
    findings.add(Finding::new(at, message).help(format!("begin its path with `{base_path}`, or change `base_path`")));
}

fn check_account(service: &Service, terms: Terms<'_>, at: At<'_>, findings: &mut Findings) {
    let Some(sources) = terms.shown_account else { return };
    let mut names = Vec::new();
    for source in sources {
        match source {
            AccountSource::Path(name) => names.push(name),
            // Any request may have these.
            AccountSource::Query(_) | AccountSource::Header(_) => return,
        }
    }
    let Some(name) = names.first() else { return };
    if names.iter().any(|name| service.pattern().capture(name).is_some()) {
        return;
    }
    let message = format!("{} does not name the account, and its reach is own accounts only", Quoted(service.as_str()));
    let help = format!("write `{{{name}}}` for the segment that is the account, or `accounts: any`");
    findings.add(Finding::new(at, message).help(help));
}

fn report_repeated(services: &[Service], places: &[usize], at: At<'_>, findings: &mut Findings) {
    let mut firsts: HashMap<(MethodSet, &Pattern), usize> = HashMap::with_capacity(services.len());
    for (service, place) in services.iter().zip(places) {
        if let Some(first) = firsts.get(&(service.methods(), service.pattern())) {
            let finding =
                Finding::new(at.nth(*place), format!("the service {} is there twice", Quoted(service.as_str())));
            findings.add(finding.first(Place::Value(at.nth(*first).path())).help("remove one of them"));
        } else {
            firsts.insert((service.methods(), service.pattern()), *place);
        }
    }
}
