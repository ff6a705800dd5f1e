//! What came of a request that was not sent: the data that `gateway` fills in and stories are told of.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use crate::policy::{
    ApiId, Basis, Caller, Certificate, ClientId, Considered, Denial, Reason, ServiceId, Standing, TokenFault,
    UpstreamId,
};
use crate::token::Credential;

/// What a request shows of its caller.
#[derive(Debug, Clone)]
pub struct Showing<'r> {
    /// Its credential, if it has one of ours.
    pub credential: Result<Option<Credential<'r>>, TokenFault>,
    /// The TLS client certificate, if one was presented.
    pub certificate: Option<&'r Certificate>,
    /// The `DPoP` header's value, if there is one.
    pub proof: Option<&'r str>,
    /// The request's method.
    pub method: &'r str,
    /// What a proof's `htu` must be.
    pub url: String,
}

/// What came of a request.
#[derive(Debug)]
pub struct Rehearsed<'c> {
    /// The path and query as judged and forwarded; `None` where the target is ambiguous.
    pub target: Option<String>,
    /// The services that have its path; none where it was refused before.
    pub considered: Vec<Considered<'c>>,
    /// Whose token it is, if it is good, and what the policy makes of it.
    pub caller: Option<(Caller, Standing)>,
    /// The TLS client certificate that counts.
    pub certificate: Option<Certificate>,
    /// Whether a browser sent it, by its headers.
    pub from_browser: bool,
    /// The api that it is for, where one was found.
    pub api: Option<ApiId>,
    /// The listed client that a request for a token names.
    pub client: Option<ClientId>,
    /// The reason's code.
    pub reason: Reason,
    /// What became of it.
    pub ending: Ending,
}

/// What became of a request.
#[derive(Debug)]
pub enum Ending {
    /// It was refused.
    Refused(Denial, Said),
    /// It is one that the gateway itself answers, whoever asks; with the answer, where nothing would
    /// come of it but that.
    Answered(Own, Option<Said>),
    /// It is forwarded.
    Forwarded(Sent),
}

/// What the gateway itself has at some path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// The resource's metadata (RFC 9728).
    Metadata,
    /// Where holders of tokens revoke them (RFC 7009).
    Revocation,
    /// Whether a page of another origin may call (CORS).
    Preflight,
}

/// An answer of the gateway's own.
#[derive(Debug)]
pub struct Said {
    /// The status.
    pub status: u16,
    /// In the order in which they are sent, but for those of the transport.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// A request as an upstream gets it.
#[derive(Debug)]
pub struct Sent {
    /// The service that lets it through; `None` where nothing grants it.
    pub service: Option<ServiceId>,
    /// What it rests on.
    pub basis: Basis,
    /// Why it would be refused, where its api only reports.
    pub reported: Option<Denial>,
    /// Where it goes.
    pub upstream: UpstreamId,
    /// The target.
    pub target: String,
    /// By name, without what is new each time. No credential is in them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Of a request for a token: its form, but for the values that say nothing of what is asked for.
    pub form: Option<String>,
}
