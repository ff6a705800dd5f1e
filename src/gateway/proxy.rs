//! The path of a request through pingora's phases, in their order: take a generation, judge, answer
//! or forward, record once.
//!
//! Nothing is decided here. What a phase does is in the module that it calls.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use http::header::HeaderValue;
use http::{Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::answer::{self, Answer};
use super::failure::Failure;
use super::forward::{Forward, Sending};
use super::generation::{Gateway, Generation};
use super::hygiene;
use super::inbound::Peer;
use super::judge::{Asked, Findings, judge};
use super::trace::{self, REQUEST_ID};
use super::upstream::Turn;
use crate::policy::{Denial, Reason, TokenFault, UnixTime};
use crate::record::{HeldScopes, Outcome, record};

/// How long a connection may be idle between requests, and how long a piece of a head may take.
const KEEPALIVE_SECONDS: u64 = 60;
/// Between two pieces of a request's body.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// For a client to take a piece of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of a refused request's body is read and thrown away, and how long that may take, so that
/// a client that is still sending gets to read its answer (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// The gateway as pingora runs it.
pub(super) struct Proxy {
    gateway: Arc<Gateway>,
}

/// One request, from its head to its record.
pub(super) struct Context {
    gateway: Arc<Gateway>,
    /// By which all of it is done.
    generation: Arc<Generation>,
    time: SystemTime,
    started: Instant,
    decided: Option<Duration>,
    answered: Option<Duration>,
    peer: Peer,
    request_id: HeaderValue,
    found: Findings,
    /// Only a permit leads to one, and only it leads to an upstream.
    forward: Option<Forward>,
    turn: Option<Turn>,
    failure: Option<Failure>,
}

impl Proxy {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(&self.gateway)
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        bound(session);
        context.meet(session);
        if let Some(document) = context.metadata(session.req_header()) {
            context.decided = Some(context.started.elapsed());
            context.answer(session, document).await;
            return Ok(true);
        }
        let judged = context.judge(session).await;
        context.decided = Some(context.started.elapsed());
        match judged {
            Ok(forward) => {
                context.forward = Some(forward);
                Ok(false)
            }
            Err(denial) => {
                let refusal = context.refusal(&denial);
                context.answer(session, refusal).await;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        let forward = context.forward.as_ref().ok_or_else(without_permit)?;
        let pool = context.generation.upstreams.pool(forward.upstream()).ok_or_else(without_permit)?;
        let turn = context.turn.get_or_insert_with(|| pool.turn());
        pool.peer(turn).ok_or_else(|| Error::new_up(ErrorType::ConnectError))
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        let forward = context.forward.as_ref().ok_or_else(without_permit)?;
        let identity = context.found.caller.as_deref().map(|caller| &caller.headers);
        let sending = Sending { identity, peer: context.peer, request_id: &context.request_id };
        context.generation.outbound.write(forward, &sending, request)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        context.failure = Some(Failure::UpstreamUnavailable);
        // Nothing was sent yet, so that another server may be tried whatever the method.
        error.set_retry(context.has_more_servers());
        error
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::fd::RawFd,
        _digest: Option<&Digest>,
        context: &mut Context,
    ) -> Result<()> {
        context.failure = None;
        Ok(())
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        hygiene::clean_response(response);
        if !response.status.is_informational() && !response.headers.contains_key(&REQUEST_ID) {
            response.insert_header("X-Request-Id", context.request_id.clone())?;
        }
        Ok(())
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Context) -> FailToProxy {
        let failure = *context.failure.get_or_insert_with(|| Failure::of(error));
        let answer = answer::fail(failure, &context.request_id).filter(|_| written(session).is_none());
        let error_code = answer.as_ref().map_or(0, |answer| answer.status.as_u16());
        if let Some(answer) = answer {
            context.answer(session, answer).await;
        }
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, context: &mut Context) {
        context.record(session.req_header(), written(session));
    }

    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        // The audit line has it.
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _context: &Context,
        _error: &Error,
        _about: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

impl Context {
    fn new(gateway: &Arc<Gateway>) -> Self {
        gateway.enter();
        Self {
            gateway: Arc::clone(gateway),
            generation: gateway.current(),
            time: SystemTime::now(),
            started: Instant::now(),
            decided: None,
            answered: None,
            peer: Peer { address: None, trusted: false },
            request_id: HeaderValue::from_static("-"),
            found: Findings::default(),
            forward: None,
            turn: None,
            failure: None,
        }
    }

    /// Takes down who sends the request, and under which id.
    fn meet(&mut self, session: &Session) {
        let address = session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
        self.peer = Peer::new(address, &self.generation.settings.trusted_proxies);
        self.request_id = trace::request_id(&session.req_header().headers);
    }

    /// The answer to a request for the resource's metadata, which no policy judges.
    fn metadata(&mut self, head: &RequestHeader) -> Option<Answer> {
        let metadata = self.generation.metadata.as_ref()?;
        let path = head.raw_path().split(|byte| *byte == b'?').next()?;
        if !metadata.is_at(path) {
            return None;
        }
        if matches!(head.method, Method::GET | Method::HEAD) {
            self.found.reason = Some(Reason::Public);
            Some(answer::document(metadata.body(), &self.request_id))
        } else {
            self.found.reason = Some(Reason::MethodNotAllowed);
            Some(answer::read_only(&self.request_id))
        }
    }

    async fn judge(&mut self, session: &Session) -> std::result::Result<Forward, Denial> {
        let raw_head = session.as_downstream().as_http1().map(|http1| http1.get_headers_raw_bytes());
        let asked = Asked {
            generation: &self.generation,
            head: session.req_header(),
            raw_head: raw_head.as_deref().unwrap_or_default(),
            peer: self.peer,
            now: self.now(),
        };
        judge(&asked, &mut self.found).await
    }

    fn refusal(&self, denial: &Denial) -> Answer {
        let wants_nonce = matches!(denial, Denial::Token(TokenFault::NonceRequired));
        let nonce = wants_nonce.then(|| self.generation.issuers.proof_nonce(self.now())).flatten();
        answer::refuse(denial, &self.generation.policy, &self.generation.challenges, nonce, &self.request_id)
    }

    /// Answers, and leaves the connection so that nothing of this request is read as the next one:
    /// pingora closes it where the body was not read to its end.
    async fn answer(&mut self, session: &mut Session, answer: Answer) {
        let has_body = session.req_header().method != Method::HEAD;
        // Who does not take the answer has gone: there is nobody to tell.
        if let Ok(head) = answer.head()
            && session.write_response_header(Box::new(head), !has_body).await.is_ok()
            && has_body
        {
            let _ = session.write_response_body(Some(answer.body), true).await;
        }
        self.answered = Some(self.started.elapsed());
        linger(session).await;
    }

    fn has_more_servers(&self) -> bool {
        let pool = self.forward.as_ref().and_then(|forward| self.generation.upstreams.pool(forward.upstream()));
        pool.zip(self.turn).is_some_and(|(pool, turn)| pool.has_more(turn))
    }

    fn record(&self, head: &RequestHeader, status: Option<StatusCode>) {
        let Some(reason) = self.found.reason else { return };
        let policy = &self.generation.policy;
        let caller = self.found.caller.as_deref();
        let path = head.raw_path().split(|byte| *byte == b'?').next().unwrap_or_default();
        let request_time = self.answered.unwrap_or_else(|| self.started.elapsed());
        let outcome = Outcome {
            time: self.time,
            request_id: self.request_id.to_str().unwrap_or_default(),
            generation: self.generation.number,
            api: self.found.api,
            reason,
            issuer: caller.map(|caller| &*caller.caller.issuer),
            client: caller.and_then(|caller| caller.caller.client.as_deref()),
            subject: caller.and_then(|caller| caller.caller.subject.as_deref()),
            account: self.found.account.as_ref().map(|account| String::from_utf8_lossy(account.as_bytes())),
            scopes: caller.map(|caller| HeldScopes { policy, held: caller.standing.held() }),
            granted_by: self.found.granted_by.and_then(|scope| policy.scope(scope)).map(|scope| scope.name.as_str()),
            service: self.found.service.and_then(|service| policy.service(service)).map(|service| service.as_str()),
            method: head.method.as_str(),
            path: &String::from_utf8_lossy(path),
            status: status.map_or(0, |status| status.as_u16()),
            upstream_error: self.failure.and_then(Failure::upstream_error),
            decision_time: self.decided.unwrap_or_default(),
            request_time,
        };
        record(&outcome, &self.generation.labels, self.gateway.audit());
    }

    fn now(&self) -> UnixTime {
        UnixTime(self.time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.gateway.leave();
    }
}

/// Sets what pingora would leave open: it keeps idle connections for ever once a request was read.
fn bound(session: &mut Session) {
    session.set_read_timeout(Some(READ_TIMEOUT));
    session.set_write_timeout(Some(WRITE_TIMEOUT));
    if session.get_keepalive().is_some() {
        session.set_keepalive(Some(KEEPALIVE_SECONDS));
    }
    session.set_pipelining_enabled(true);
}

/// The status of the answer, if its head was written.
fn written(session: &Session) -> Option<StatusCode> {
    let status = session.response_written()?.status;
    (!status.is_informational() || session.was_upgraded()).then_some(status)
}

async fn linger(session: &mut Session) {
    let waits_to_send = session.req_header().headers.contains_key(http::header::EXPECT);
    if waits_to_send || session.is_body_done() {
        return;
    }
    let read = async {
        let mut left = LINGER_BYTES;
        while let (Ok(Some(bytes)), true) = (session.read_request_body().await, left > 0) {
            left = left.saturating_sub(bytes.len());
        }
    };
    // Whatever comes of it, the connection is closed.
    let _ = tokio::time::timeout(LINGER_TIME, read).await;
}

/// The way to an upstream without a permit: there is none.
fn without_permit() -> Box<Error> {
    Error::new_in(ErrorType::InternalError)
}
