//! What can become of a connection before a request of it is judged.

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

impl Handshake {
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
