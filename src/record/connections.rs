//! What can become of a connection before a request of it is judged, and the series of one upstream.

use prometheus::{IntCounter, IntGauge};

/// What is shaken hands about with a server of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// TLS: whose the server is.
    Tls,
    /// HTTP/2: that it speaks it.
    Http2,
}

/// Why a connection ended before a request of it was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// There were as many as may be.
    TooMany,
    /// There were as many of its address as may be.
    TooManyOfAddress,
    /// TLS or the first bytes of HTTP/2 were not what they should be, or did not come in time.
    Handshake,
    /// A head did not come in time.
    HeadTimeout,
    /// A head was larger than it may be.
    HeadTooLarge,
}

/// The series of one upstream.
#[derive(Debug, Clone)]
pub struct UpstreamSeries {
    pub(super) requests: IntGauge,
    pub(super) shed: IntCounter,
    pub(super) tls_failed: IntCounter,
    pub(super) http2_failed: IntCounter,
}

impl Handshake {
    pub(super) const ALL: [Self; 2] = [Self::Tls, Self::Http2];

    /// What it is called in labels and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Http2 => "http2",
        }
    }
}

impl ConnectionEnd {
    pub(super) const ALL: [Self; 5] =
        [Self::TooMany, Self::TooManyOfAddress, Self::Handshake, Self::HeadTimeout, Self::HeadTooLarge];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::TooManyOfAddress => "too_many_of_address",
            Self::Handshake => "handshake",
            Self::HeadTimeout => "head_timeout",
            Self::HeadTooLarge => "head_too_large",
        }
    }
}

impl UpstreamSeries {
    /// A request to it is under way.
    pub fn begun(&self) {
        self.requests.inc();
    }

    /// It is no more.
    pub fn ended(&self) {
        self.requests.dec();
    }

    /// A handshake with one of its servers has failed.
    pub fn handshake_failed(&self, handshake: Handshake) {
        match handshake {
            Handshake::Tls => self.tls_failed.inc(),
            Handshake::Http2 => self.http2_failed.inc(),
        }
    }

    /// A request was refused because there were as many as may be.
    pub fn shed(&self) {
        self.shed.inc();
    }
}
