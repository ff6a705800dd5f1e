//! What an upstream's entry says of several servers: shares, balancing, checks, ejection and retries.

use std::time::Duration;

use super::limits::number;
use super::take::{Wrong, at_least_one, optional, parsed, required};
use super::values;
use crate::config::document::{self, DurationText, ServerText, WeightedServer};
use crate::config::entry::{Entry, List, WordOr};
use crate::config::finding::{At, Finding, Findings, Quoted};
use crate::config::{Balance, Ejection, HealthCheck, Retries, UpstreamServer};
use crate::policy::Target;

/// The largest weight of a server.
pub(in crate::config) const HEAVIEST: usize = 100;
/// More checks or failures in a row say nothing that fewer do not.
pub(in crate::config) const LONGEST_RUN: usize = 1_000;
/// More retries of one request only add to what is wrong.
pub(in crate::config) const MOST_RETRIES: usize = 3;

/// The servers of an upstream, of which there must be one.
pub(super) fn servers(
    list: List<WordOr<ServerText, WeightedServer>>,
    at: At<'_>,
    findings: &mut Findings,
) -> Vec<UpstreamServer> {
    let help = "write `servers: [\"127.0.0.1:9000\"]`";
    let entries = at_least_one(list, at, help, findings);
    let server = |(place, entry)| server(entry, at.nth(place), findings);
    entries.into_iter().filter_map(server).collect()
}

pub(super) fn balance(entry: Entry<document::Balance>, at: At<'_>, findings: &mut Findings) -> Balance {
    match optional(entry, at, findings) {
        None | Some(document::Balance::RoundRobin) => Balance::RoundRobin,
        Some(document::Balance::LeastRequests) => Balance::LeastRequests,
        Some(document::Balance::Account) => Balance::Account,
    }
}

pub(super) fn health(entry: Entry<document::Health>, at: At<'_>, findings: &mut Findings) -> Option<HealthCheck> {
    let document = optional(entry, at, findings)?;
    let target = optional(document.path, at.key("path"), findings);
    let check = HealthCheck {
        path: parsed(target, at.key("path"), findings, path),
        interval: time(document.interval, at.key("interval"), Duration::from_secs(5), findings),
        timeout: time(document.timeout, at.key("timeout"), Duration::from_secs(1), findings),
        healthy_after: run(document.healthy_after, at.key("healthy_after"), 2, findings),
        unhealthy_after: run(document.unhealthy_after, at.key("unhealthy_after"), 3, findings),
    };
    if check.timeout > check.interval {
        let finding = Finding::new(at, "`timeout` is longer than `interval`: a check would meet the one before");
        findings.add(finding.help("write a `timeout` that is no longer than `interval`"));
    }
    Some(check)
}

pub(super) fn ejection(entry: Entry<document::Ejection>, at: At<'_>, findings: &mut Findings) -> Option<Ejection> {
    let document = optional(entry, at, findings)?;
    Some(Ejection {
        failures: run(document.failures, at.key("failures"), 5, findings),
        time: time(document.time, at.key("for"), Duration::from_secs(30), findings),
    })
}

pub(super) fn retries(entry: Entry<document::Retries>, at: At<'_>, findings: &mut Findings) -> Option<Retries> {
    let document = optional(entry, at, findings)?;
    let attempts = number(document.attempts, at.key("attempts"), 1..=MOST_RETRIES, 1, findings);
    let percent = number(document.budget_percent, at.key("budget_percent"), 1..=100, 20, findings);
    Some(Retries { attempts: u8::try_from(attempts).unwrap_or(1), budget_percent: u8::try_from(percent).unwrap_or(1) })
}

fn server(entry: WordOr<ServerText, WeightedServer>, at: At<'_>, findings: &mut Findings) -> Option<UpstreamServer> {
    let (text, place, weight) = match entry {
        WordOr::Word(text) => (Some(text), at, 1),
        WordOr::Other(document) => {
            let weight = number(document.weight, at.key("weight"), 1..=HEAVIEST, 1, findings);
            let place = at.key("address");
            let text = required(document.address, place, "write `address: \"127.0.0.1:9000\"`", findings);
            (text, place, u16::try_from(weight).unwrap_or(1))
        }
    };
    parsed(text, place, findings, values::server).map(|address| UpstreamServer { address, weight })
}

/// A path in the one form that requests for it have.
fn path(text: &str) -> Result<Box<str>, Wrong> {
    if Target::parse(text.as_bytes()).is_ok_and(|target| target.path() == text) {
        return Ok(text.into());
    }
    let message = format!("{} is not a path that requests could have", Quoted(text));
    Err(Wrong::new(message, "write a path such as `/health`"))
}

fn time(entry: Entry<DurationText>, at: At<'_>, usual: Duration, findings: &mut Findings) -> Duration {
    let text = optional(entry, at, findings);
    parsed(text, at, findings, values::timeout).unwrap_or(usual)
}

fn run(entry: Entry<u64>, at: At<'_>, usual: usize, findings: &mut Findings) -> u32 {
    u32::try_from(number(entry, at, 1..=LONGEST_RUN, usual, findings)).unwrap_or(u32::MAX)
}
