//! One request, from its head to its record, by one generation.
//!
//! The phases of `proxy` call it in their order.

mod answering;
mod question;
mod recording;
mod tries;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::HeaderValue;
use http::{HeaderMap, StatusCode};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType};

pub(super) use self::answering::linger;
use self::question::Asking;
use super::body::{BodyMeter, Excess};
use super::cors::Cors;
use super::failure::Failure;
use super::forward::Forward;
use super::generation::{Gateway, Generation};
use super::grpc::is_grpc;
use super::head_checks;
use super::inbound::{self, Peer};
use super::judge::{Asked, Findings, Judged, judge};
use super::known::Known;
use super::load::Carried;
use super::onward::Way;
use super::outbound::Sending;
use super::problem::Answer;
use super::rates::{Counting, Fields};
use super::revocation::{self, is_revocation, revoke};
use super::shadow::Shadow;
use super::tenure::Watched;
use super::token_endpoint::{self, AskedToken};
use super::trace::{self, Traced};
use super::upstream::{Pool, Turn};
use crate::config::Limits;
use crate::issuer::Moment;
use crate::policy::{Denial, TokenFault};

/// One request, from its head to its record.
pub(super) struct Context {
    gateway: Arc<Gateway>,
    /// By which all of it is done.
    generation: Arc<Generation>,
    /// The candidate that it is judged by besides, which has no say.
    shadow: Option<Arc<Shadow>>,
    time: SystemTime,
    started: Instant,
    decided: Option<Duration>,
    answered: Option<Duration>,
    peer: Peer,
    pub(super) request_id: HeaderValue,
    /// Its place in its trace, where there are spans.
    traced: Option<Traced>,
    found: Findings,
    /// Only a permit leads to one, and only one leads to an upstream.
    forward: Option<Forward>,
    turn: Option<Turn>,
    /// How often it was sent again.
    retried: u8,
    /// Its place among the requests of its upstream.
    carried: Option<Carried>,
    body: BodyMeter,
    /// The question that it is, where a data plane asks about a request of its own.
    asking: Option<Box<Asking>>,
    /// Where the exchange goes on after its answer has begun.
    watched: Option<Watched>,
    /// What went wrong last; nothing once a server was connected to.
    pub(super) failure: Option<Failure>,
}

impl Context {
    /// Of a request whose head has just been read.
    pub(super) fn new(gateway: &Arc<Gateway>) -> Self {
        gateway.enter();
        Self {
            gateway: Arc::clone(gateway),
            generation: gateway.current(),
            shadow: gateway.candidate(),
            time: SystemTime::now(),
            started: Instant::now(),
            decided: None,
            answered: None,
            peer: Peer { address: None, trusted: false, tls: false, local: None },
            request_id: HeaderValue::from_static("-"),
            traced: None,
            found: Findings::default(),
            forward: None,
            turn: None,
            retried: 0,
            carried: None,
            body: BodyMeter::default(),
            asking: None,
            watched: None,
            failure: None,
        }
    }

    /// Takes down who sends the request, and under which id.
    ///
    /// # Errors
    /// If pingora cannot write what HTTP/2 calls the host as a header.
    pub(super) fn meet(&mut self, session: &mut ServerSession) -> pingora::Result<()> {
        inbound::settle_host(session.req_header_mut())?;
        let address = session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
        let tls = Known::is_secure(session.digest());
        self.peer = Peer::new(address, tls, &self.generation.settings.trusted_proxies);
        if inbound::proof(&session.req_header().headers).is_some() {
            self.peer.local = session.server_addr().and_then(|address| address.as_inet()).copied();
        }
        let headers = &session.req_header().headers;
        self.request_id = trace::request_id(headers);
        if let Some(spans) = &self.generation.spans {
            self.traced = Some(Traced::new(headers, spans.sampling(), self.peer.trusted));
        }
        Ok(())
    }

    /// The answer to a request that is not forwarded.
    pub(super) async fn judge(&mut self, session: &mut ServerSession) -> Option<Answer> {
        let answer = match self.metadata(session) {
            Some(document) => Some(document),
            None if is_revocation(&self.generation, session.req_header()) => {
                let asked = revocation::Asked {
                    generation: &self.generation,
                    audit: self.gateway.audit(),
                    request_id: &self.request_id,
                    peer: self.peer,
                    now: self.now(),
                };
                // On the heap, so that what every request carries along stays small.
                Some(Box::pin(revoke(session, &asked, &mut self.found)).await)
            }
            None => self.decide(session).await.unwrap_or_else(|denial| Some(self.refuse(&denial))),
        };
        self.decided = Some(self.started.elapsed());
        answer
    }

    /// Which way the request goes to its upstream.
    pub(super) fn way(&self) -> Way {
        let pool = self.forward.as_ref().and_then(|forward| self.generation.upstreams.pool(forward.upstream()));
        pool.map_or_else(Way::default, Pool::way)
    }

    /// Whether it is a call of gRPC to a server that can take one: it goes on for as long as both sides like.
    pub(super) fn is_call(&self, head: &RequestHeader) -> bool {
        is_grpc(head) && self.way().is_http2
    }

    /// Whether a form is sent in the place of the body that came.
    pub(super) fn has_form(&self) -> bool {
        self.forward.as_ref().is_some_and(|forward| forward.form().is_some())
    }

    /// Makes of the request that came the one to send.
    pub(super) fn write(&self, request: &mut RequestHeader) -> pingora::Result<()> {
        let forward = self.forward.as_ref().ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
        self.generation.outbound.write(forward, &self.sending(), request)
    }

    /// The head to send for a usual request that came, as text; `None` if it is not one.
    pub(super) fn head(&self, request: &RequestHeader) -> Option<Vec<u8>> {
        self.generation.outbound.head(self.forward.as_ref()?, &self.sending(), request)
    }

    fn sending(&self) -> Sending<'_> {
        let identity = self.found.caller.as_deref().map(|caller| &caller.headers);
        Sending { identity, peer: self.peer, request_id: &self.request_id, traced: self.traced.as_ref() }
    }

    /// The bounds by which it is served.
    pub(super) fn limits(&self) -> &Limits {
        &self.generation.settings.limits
    }

    /// That a piece of the body has come.
    ///
    /// # Errors
    /// If it makes the body larger, or slower, than it may be.
    pub(super) fn bound_body(&mut self, bytes: usize) -> pingora::Result<()> {
        let Err(excess) = self.body.take(bytes, Instant::now()) else { return Ok(()) };
        self.failure = Some(match excess {
            Excess::Slow => Failure::RequestTimeout,
            Excess::Large => {
                if let Some(forward) = &self.forward {
                    self.found.refuse(&Denial::BodyTooLarge { api: forward.api() });
                }
                Failure::BodyTooLarge
            }
        });
        Err(Error::new_down(ErrorType::InvalidHTTPHeader))
    }

    /// The body to send: the one that came, or the form that was judged in its place, once all of the
    /// other is there.
    pub(super) fn write_body(&self, body: &mut Option<Bytes>, is_last: bool) {
        if let Some(form) = self.forward.as_ref().and_then(Forward::form) {
            *body = Some(if is_last { form.clone() } else { Bytes::new() });
        }
    }

    /// The answer to a request for the resource's metadata, which no policy judges.
    fn metadata(&mut self, session: &ServerSession) -> Option<Answer> {
        let metadata = self.generation.metadata.as_ref()?;
        let head = session.req_header();
        let path = head.raw_path().split(|byte| *byte == b'?').next()?;
        if !metadata.is_at(path) || head_checks::check_own(&raw_head(session), head, self.limits()).is_err() {
            return None;
        }
        let (mut answer, reason) = metadata.answer(path, &head.method, &self.request_id);
        if self.generation.cors.is_some() {
            Cors::share_public(&mut answer);
        }
        self.found.reason = Some(reason);
        Some(answer)
    }

    /// The answer, if the request goes no further.
    async fn decide(&mut self, session: &mut ServerSession) -> Result<Option<Answer>, Denial> {
        let raw_head = raw_head(session);
        let asked = Asked {
            generation: &self.generation,
            head: session.req_header(),
            raw_head: &raw_head,
            peer: self.peer,
            certificate: Known::certificate(session.digest()),
            now: self.now(),
            shadow: self.shadow.as_deref(),
            is_under_way: false,
        };
        let forward = match judge(&asked, &mut self.found).await? {
            Judged::Permitted(forward) => forward,
            Judged::Preflight(api) => {
                let cors = self.generation.cors.as_ref();
                return Ok(cors.map(|cors| cors.answer(api, &self.request_id)));
            }
            Judged::AsksForToken(endpoint) => {
                let asked = AskedToken { generation: &self.generation, endpoint, peer: self.peer };
                // On the heap, as above.
                Box::pin(token_endpoint::judge(session, &asked, &mut self.found)).await?
            }
        };
        self.take(forward, session.req_header()).inspect_err(|denial| self.found.refuse(denial))?;
        Ok(None)
    }

    /// Takes what was permitted into work, within the bounds of its api and its upstream.
    fn take(&mut self, forward: Forward, head: &RequestHeader) -> Result<(), Denial> {
        if forward.form().is_none() {
            self.body = self.meter(&forward, &head.headers)?;
        }
        self.carried = Some(admit(&self.generation, &forward, head, self.peer, &mut self.found)?);
        self.forward = Some(forward);
        if self.is_call(head) {
            self.body.may_pause();
        }
        Ok(())
    }

    /// What bounds the body of a request that was permitted.
    fn meter(&self, forward: &Forward, headers: &HeaderMap) -> Result<BodyMeter, Denial> {
        let (api, settings) = (forward.api(), &self.generation.settings);
        let most = settings.body_bytes.get(api.0 as usize).copied().flatten();
        let meter = BodyMeter::new(most, settings.limits.body_bytes_per_second);
        if meter.is_exceeded_by(headers) { Err(Denial::BodyTooLarge { api }) } else { Ok(meter) }
    }

    /// What an answer tells of rate limits.
    pub(super) fn limits_told(&self) -> Option<&Fields> {
        self.found.limits_told.as_deref()
    }

    fn refuse(&self, denial: &Denial) -> Answer {
        let wants_nonce = matches!(denial, Denial::Token(TokenFault::NonceRequired));
        let nonce = wants_nonce.then(|| self.generation.issuers.proof_nonce(self.started)).flatten();
        self.generation.refusals.refuse(denial, &self.generation.policy, nonce, &self.request_id)
    }

    fn now(&self) -> Moment {
        Moment::of(self.time, self.started)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.gateway.leave();
    }
}

/// Counts a request that was permitted, and gives it its place among those of its upstream. One that is refused for
/// either counts for neither.
fn admit(
    generation: &Generation,
    forward: &Forward,
    head: &RequestHeader,
    peer: Peer,
    found: &mut Findings,
) -> Result<Carried, Denial> {
    let rates = generation.rates.as_deref();
    let counting = rates.map(|rates| Counting { rates, generation, forward, head, peer });
    let counted = counting.map(|counting| counting.ask(found)).transpose()?;
    // INVARIANT: an api's upstream is one of its generation.
    let pool = generation.upstreams.pool(forward.upstream()).ok_or(Denial::RouteUnknown)?;
    let carried = pool.carry().ok_or(Denial::Overloaded { api: forward.api() })?;
    if let Some((counting, counted)) = counting.zip(counted) {
        counting.count(counted, found)?;
    }
    Ok(carried)
}

/// The head as it was read; empty where it was not read as text.
pub(super) fn raw_head(session: &ServerSession) -> bytes::Bytes {
    match session.as_http1() {
        Some(http1) => http1.get_headers_raw_bytes(),
        None => bytes::Bytes::new(),
    }
}

/// The status of the answer, if its head was written.
fn written(session: &ServerSession) -> Option<StatusCode> {
    let status = session.response_written()?.status;
    (!status.is_informational() || session.was_upgraded()).then_some(status)
}
