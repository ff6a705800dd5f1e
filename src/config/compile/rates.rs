//! `apis[].rate_limits`: how many requests may pass in a time.

use super::take::{Firsts, RENAME, Wrong, checked, items, one_or_many, optional, parsed, required};
use super::values;
use crate::config::document;
use crate::config::entry::List;
use crate::config::finding::{At, Finding, Findings, Quoted};
use crate::config::suggest;
use crate::policy::{ApiId, ApiName, ApiSpec, CountedBy, RateLimitSpec, ScopeName};

/// More in one limit than anybody counts.
pub(in crate::config) const MOST_REQUESTS: u64 = 1_000_000_000;

/// The most that pass in a second: beyond it a bucket's interval would be too coarse.
const FASTEST: u64 = 1_000_000;

/// In nanoseconds, a year: a bucket that takes longer to be full again is a mistake, or no limit.
const LONGEST: u64 = 366 * 24 * 60 * 60 * 1_000_000_000;

const HOW_MANY: &str = "write how many requests pass in that time, such as `100`";

/// The limits of the api of that number; `spec` is what else is known of it, where it could be read.
pub(super) fn rate_limits(
    list: List<document::RateLimit>,
    at: At<'_>,
    api: ApiId,
    spec: Option<&ApiSpec>,
    findings: &mut Findings,
) -> Vec<RateLimitSpec> {
    let mut names = Firsts::new();
    let mut limits = Vec::new();
    for (place, document) in items(list, at, findings) {
        let here = at.nth(place);
        let Some(limit) = rate_limit(document, here, api, spec, findings) else { continue };
        let what = format!("the rate limit {}", Quoted(limit.name.as_str()));
        names.note(limit.name.clone(), here, &what, RENAME, findings);
        limits.push(limit);
    }
    limits
}

fn rate_limit(
    document: document::RateLimit,
    at: At<'_>,
    api: ApiId,
    spec: Option<&ApiSpec>,
    findings: &mut Findings,
) -> Option<RateLimitSpec> {
    let (by_at, per_at) = (at.key("by"), at.key("per"));
    let help = "write what is counted together, such as `client` or `[client, service]`";
    let by = required(document.by, by_at, help, findings);
    let by = by.map(|by| one_or_many(by, by_at, findings).into_iter().map(|(_, by)| counted_by(by)).collect());
    let by = by.map(sorted).filter(|by| !by.is_empty());
    let requests =
        number(required(document.requests, at.key("requests"), HOW_MANY, findings), at.key("requests"), findings);
    let per = required(document.per, per_at, "write in which time, such as `1m`", findings);
    let per = parsed(per, per_at, findings, whole_seconds);
    let burst = number(optional(document.burst, at.key("burst"), findings), at.key("burst"), findings);
    let name_at = at.key("name");
    let name = parsed(optional(document.name, name_at, findings), name_at, findings, limit_name);
    let scopes = scopes(document.scopes, at.key("scopes"), spec, findings);
    let (by, requests, (per, text)) = (by?, requests?, per?);
    if requests / per > FASTEST {
        let message = format!("`{requests}` in {per} s are more than {FASTEST} a second");
        findings.add(Finding::new(at.key("requests"), message).help("write fewer, or remove the limit"));
    }
    // INVARIANT: letters, digits and `-` make a name.
    let name = name.or_else(|| ApiName::parse(&usual_name(&by, &text)).ok())?;
    let spec = RateLimitSpec { api, name, scopes, by, requests, per, burst: burst.unwrap_or(requests) };
    if spec.pace().whole > LONGEST {
        let message = format!("the rate limit {} takes more than a year to be full again", Quoted(spec.name.as_str()));
        findings.add(Finding::new(per_at, message).help("write a shorter `per`, or a smaller `burst`"));
    }
    Some(spec)
}

fn counted_by(by: document::CountedBy) -> CountedBy {
    match by {
        document::CountedBy::Api => CountedBy::Api,
        document::CountedBy::Client => CountedBy::Client,
        document::CountedBy::Account => CountedBy::Account,
        document::CountedBy::Scope => CountedBy::Scope,
        document::CountedBy::Service => CountedBy::Service,
        document::CountedBy::Address => CountedBy::Address,
    }
}

/// However a pair is written, it is the same.
fn sorted(mut by: Vec<CountedBy>) -> Vec<CountedBy> {
    by.sort_unstable();
    by.dedup();
    by
}

/// `client-service-1m`.
fn usual_name(by: &[CountedBy], per: &str) -> String {
    let mut name: String = by.iter().flat_map(|by| [by.as_str(), "-"]).collect();
    name.extend(per.chars().filter(char::is_ascii_alphanumeric));
    name
}

fn number(given: Option<u64>, at: At<'_>, findings: &mut Findings) -> Option<u64> {
    checked(given, at, findings, |given| match given {
        1..=MOST_REQUESTS => Ok(given),
        _ => Err(Wrong::new(format!("`{given}` is not a number of requests"), format!("write 1 to {MOST_REQUESTS}"))),
    })
}

/// The seconds, and how they are written.
fn whole_seconds(text: &str) -> Result<(u64, Box<str>), Wrong> {
    let duration = values::timeout(text)?;
    if duration.subsec_nanos() > 0 {
        let help = "write whole seconds, such as `1s` or `1m`";
        return Err(Wrong::new("rate limits count in whole seconds", help));
    }
    Ok((duration.as_secs(), text.into()))
}

fn limit_name(text: &str) -> Result<ApiName, Wrong> {
    ApiName::parse(text).map_err(|invalid| {
        let help = "letters, digits, `-`, `_` and `.` make a name";
        Wrong::new(format!("{} is not a rate limit's name: {invalid}", Quoted(text)), help)
    })
}

fn scopes(list: List<String>, at: At<'_>, spec: Option<&ApiSpec>, findings: &mut Findings) -> Vec<ScopeName> {
    let mut names = Vec::new();
    for (place, text) in items(list, at, findings) {
        let Some(spec) = spec else { continue };
        if let Some(scope) = spec.scopes.iter().find(|scope| scope.name.as_str() == text) {
            names.push(scope.name.clone());
            continue;
        }
        let message = format!("the api {} has no scope {}", Quoted(spec.name.as_str()), Quoted(&text));
        let near = suggest::nearest(&text, spec.scopes.iter().map(|scope| scope.name.as_str()));
        let help = near.map_or_else(|| "name a scope of this api".to_owned(), suggest::perhaps);
        findings.add(Finding::new(at.nth(place), message).help(help));
    }
    names
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::compile::tests::meaning;
    use crate::config::{Source, compile};

    fn file(limits: &str) -> String {
        let head =
            "version: 1\nlisteners: [{ address: \"127.0.0.1:1\" }]\nupstreams: { u: { servers: [\"127.0.0.1:2\"] } }";
        format!("{head}\napis: [{{ name: a, upstream: u, public: [/a], rate_limits: [{limits}] }}]\n")
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, u64, u64, u64)]) {
        let (spec, _) = meaning(&file(text));
        let told: Vec<_> = spec
            .rate_limits
            .iter()
            .map(|limit| {
                let by: Vec<_> = limit.by.iter().map(|by| by.as_str()).collect();
                (limit.name.as_str().to_owned(), by.join(","), limit.requests, limit.per, limit.burst)
            })
            .collect();
        let told: Vec<_> = told.iter().map(|(name, by, n, per, burst)| (&**name, &**by, *n, *per, *burst)).collect();
        assert_eq!(told, expected, "{text}");
    }

    #[test]
    fn what_is_wrong_with_a_limit_is_said_with_what_would_be_right() {
        for (text, expected) in [
            ("{ requests: 1, per: 1s }", "`by` is missing"),
            ("{ by: [], requests: 1, per: 1s }", "`by` has no entry"),
            ("{ by: clients, requests: 1, per: 1s }", "clients"),
            ("{ by: api, per: 1s }", "`requests` is missing"),
            ("{ by: api, requests: 0, per: 1s }", "`0` is not a number of requests"),
            ("{ by: api, requests: 1 }", "`per` is missing"),
            ("{ by: api, requests: 1, per: 1500ms }", "rate limits count in whole seconds"),
            ("{ by: api, requests: 1, per: 0s }", "no time at all"),
            ("{ by: api, requests: 2000000, per: 1s }", "more than 1000000 a second"),
            ("{ by: api, requests: 1, per: 1s, burst: 0 }", "`0` is not a number of requests"),
            ("{ by: api, requests: 1, per: 8760h, burst: 2 }", "takes more than a year to be full again"),
            ("{ by: api, requests: 1, per: 24h, burst: 1000000000 }", "takes more than a year to be full again"),
            ("{ by: api, requests: 1, per: 1s, name: a b }", "`a b` is not a rate limit's name"),
            ("{ by: api, requests: 1, per: 1s, scopes: [other] }", "the api `a` has no scope `other`"),
            ("{ by: api, requests: 1, per: 1s }, { by: api, requests: 2, per: 1s }", "`api-1s` is there twice"),
            ("{ by: api, requests: 1, per: 1s, window: 1 }", "window"),
        ] {
            let text = file(text);
            let source = Source { shown: "gateway.yaml", directory: Path::new("/"), text: &text };
            let problems = compile(&source).unwrap_err().to_string();
            assert!(problems.contains(expected), "{text}\n{problems}");
        }
    }

    #[test]
    fn a_limit_says_what_is_counted_how_many_and_in_which_time() {
        check("{ by: client, requests: 100, per: 1m }", &[("client-1m", "client", 100, 60, 100)]);
        check(
            "{ by: [service, client], requests: 5, per: 1s, burst: 2 }, { name: day, by: api, requests: 9, per: 24h }",
            &[("client-service-1s", "client,service", 5, 1, 2), ("day", "api", 9, 86_400, 9)],
        );
        check("{ by: [client, client], requests: 1, per: 1h 30m }", &[("client-1h30m", "client", 1, 5_400, 1)]);
    }
}
