//! `tracing`: where spans go, and of which requests.

use std::path::Path;
use std::time::Duration;

use super::take::{Wrong, checked, optional, parsed, required};
use super::values;
use crate::config::document::tracing as document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Findings};
use crate::config::tracing::{FollowParents, Sampling, Share, Tracing};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Spans that wait for longer are given up for newer ones.
const LONGEST: Duration = Duration::from_secs(60);

pub(super) fn tracing(
    entry: Entry<document::Tracing>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<Tracing> {
    let document = optional(entry, at, findings)?;
    let (otlp, name) = (at.key("otlp"), at.key("service_name"));
    let (headers, ca) = (at.key("headers_file"), at.key("ca_file"));
    let help = "write where a collector takes spans, such as `http://127.0.0.1:4318/v1/traces`";
    let url = required(document.otlp, otlp, help, findings);
    let url = parsed(url, otlp, findings, values::url);
    let file = optional(document.headers_file, headers, findings);
    let headers_file = parsed(file, headers, findings, |text| values::file(text, directory));
    let file = optional(document.ca_file, ca, findings);
    let ca_file = parsed(file, ca, findings, |text| values::file(text, directory));
    let service_name = optional(document.service_name, name, findings);
    let service_name = parsed(service_name, name, findings, values::text).unwrap_or_else(|| "scopegate".into());
    let sample = at.key("sample");
    let share = checked(optional(document.sample, sample, findings), sample, findings, share);
    let parents = match optional(document.follow_parents, at.key("follow_parents"), findings) {
        Some(document::FollowParents::Always) | None => FollowParents::Always,
        Some(document::FollowParents::TrustedProxies) => FollowParents::TrustedProxies,
        Some(document::FollowParents::Never) => FollowParents::Never,
    };
    let time = at.key("timeout");
    let timeout = parsed(optional(document.timeout, time, findings), time, findings, timeout).unwrap_or(TIMEOUT);
    let share = share.or_else(|| Share::new(1.0))?;
    Some(Tracing { otlp: url?, headers_file, ca_file, service_name, sampling: Sampling { share, parents }, timeout })
}

fn share(of_one: f64) -> Result<Share, Wrong> {
    Share::new(of_one).ok_or_else(|| {
        Wrong::new(format!("`{of_one}` is not a share"), "write 0 to 1, such as `0.1` for a tenth of all requests")
    })
}

fn timeout(text: &str) -> Result<Duration, Wrong> {
    let timeout = values::timeout(text)?;
    if timeout > LONGEST {
        return Err(Wrong::new(format!("`{text}` is longer than spans can wait"), "60 seconds are the most"));
    }
    Ok(timeout)
}
