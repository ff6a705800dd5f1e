//! What clients are told of rate limits: `RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers-11
//! has them (lists of strings with parameters, RFC 9651).

use std::fmt::Write as _;

use http::header::{HeaderName, HeaderValue};

use crate::policy::RateLimitSpec;

/// The limits that apply, and what is left of them.
#[derive(Debug)]
pub(in crate::gateway) struct Fields {
    policies: HeaderValue,
    left: HeaderValue,
}

/// The limits that apply, as they are told.
#[derive(Debug)]
pub(super) struct Policies(HeaderValue);

/// What is left of a limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left<'l> {
    /// A string, with its quotes.
    pub(super) name: &'l str,
    pub(super) requests: u64,
    /// The time for which it is meant.
    pub(super) seconds: u64,
}

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

impl Policies {
    pub(super) fn new<'s>(limits: impl Iterator<Item = &'s RateLimitSpec>) -> Self {
        let mut text = String::new();
        for limit in limits {
            let separator = if text.is_empty() { "" } else { ", " };
            // Writing to a text does not fail.
            let _ = write!(text, "{separator}\"{}\";q={};w={}", limit.name.as_str(), limit.requests, limit.per);
            if limit.burst != limit.requests {
                let _ = write!(text, ";scopegate-burst={}", limit.burst);
            }
        }
        Self(value(text))
    }

    pub(super) fn with(&self, left: &[Left<'_>]) -> Fields {
        let mut text = String::with_capacity(left.len() * 48);
        for Left { name, requests, seconds } in left {
            let separator = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{separator}{name};r={requests};t={seconds}");
        }
        Fields { policies: self.0.clone(), left: value(text) }
    }
}

impl Fields {
    /// The headers of an answer.
    pub(in crate::gateway) fn headers(&self) -> [(HeaderName, HeaderValue); 2] {
        [(RATELIMIT_POLICY, self.policies.clone()), (RATELIMIT, self.left.clone())]
    }
}

/// INVARIANT: names are letters, digits, `-`, `_` and `.`.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
