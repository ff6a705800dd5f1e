//! Where spans of requests go, and of which requests there are any.

use std::path::PathBuf;
use std::time::Duration;

/// Where spans of requests go, and of which requests there are any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracing {
    /// The collector's URL for spans, `http` or `https` (OTLP/HTTP with protobuf).
    pub otlp: Box<str>,
    /// A file with header fields for the collector, read again when it changes.
    pub headers_file: Option<PathBuf>,
    /// A PEM file with the authorities that the collector's certificate must come from, in the place of
    /// those that the machine trusts; read again when it changes.
    pub ca_file: Option<PathBuf>,
    /// `service.name` of the resource.
    pub service_name: Box<str>,
    /// Which requests are sampled.
    pub sampling: Sampling,
    /// How long the collector may take to answer.
    pub timeout: Duration,
}

/// Which requests are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// The share of those for which no parent decides.
    pub share: Share,
    /// Whose parent decides.
    pub parents: FollowParents,
}

/// Whose `traceparent` decides whether a request is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowParents {
    /// Everybody's.
    Always,
    /// That of trusted proxies.
    TrustedProxies,
    /// Nobody's.
    Never,
}

/// A share of all, from none to every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u64);

/// What a [`Share`] of all is, in its own unit.
const ALL: u64 = 1 << 63;

impl Share {
    /// A number of 0 to 1; `None` for any other.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share is as exact as the number that says it, and is not below zero"
    )]
    pub fn new(of_one: f64) -> Option<Self> {
        (0.0..=1.0).contains(&of_one).then_some(Self((of_one * ALL as f64) as u64))
    }

    /// Whether a number that is as likely as any other falls into it. For the last eight bytes of a trace
    /// id it is the answer that the SDKs of OpenTelemetry come to (`traceidratio`).
    #[must_use]
    pub fn takes(self, number: u64) -> bool {
        number >> 1 < self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_as_many_as_it_says() {
        for (of_one, taken) in [(0.0, 0), (0.25, 256), (0.5, 512), (1.0, 1024)] {
            let share = Share::new(of_one).unwrap();
            let numbers = (0..1024).map(|part| part << 54 | 0x3f_ffff_ffff_ffff);
            assert_eq!(numbers.filter(|number| share.takes(*number)).count(), taken, "{of_one}");
        }
        assert!(!Share::new(0.0).unwrap().takes(0));
        assert!(Share::new(1.0).unwrap().takes(u64::MAX));
        for no_share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::new(no_share), None, "{no_share}");
        }
    }
}
