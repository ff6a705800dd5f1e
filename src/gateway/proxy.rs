//! The path of a request through pingora's phases, in their order: take a generation, judge, answer
//! or forward, record once.
//!
//! Nothing is decided here. What a phase does is in the module that it calls.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::UPGRADE;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::authorizer;
use super::context::Context;
use super::failure::Failure;
use super::generation::Gateway;
use super::head_checks;
use super::known::Known;
use super::onward::forward;
use super::outbound;
use super::relay::prepare;
use super::upstream::upgrading;
use crate::config::Limits;

/// The gateway as pingora runs it.
pub(super) struct Proxy {
    gateway: Arc<Gateway>,
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

    /// None: pingora's own would offer to compress.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        if let Some(known) = Known::of(session.digest()) {
            known.head.stop();
        }
        #[cfg(test)]
        super::socket_tests::provoke(session.req_header());
        bound(session, context.limits());
        if !head_checks::is_websocket(session.req_header()) {
            // Pingora takes any of these for a request to change protocols, of whatever shape.
            session.req_header_mut().remove_header(&UPGRADE);
        }
        context.meet(session)?;
        if let Some(authorizer) = Known::authorizer(session.digest()) {
            authorizer::answer(session, context, &authorizer).await;
            return Ok(true);
        }
        match context.judge(session).await {
            Some(answer) => {
                context.answer(session, answer).await;
                Ok(true)
            }
            None => forward(session, context).await,
        }
    }

    async fn upstream_peer(&self, session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        let turn = context.turn().ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
        let peer = turn.next().map(|server| server.peer()).ok_or_else(|| Error::new_up(ErrorType::ConnectError))?;
        Ok(if session.is_upgrade_req() { upgrading(peer) } else { peer })
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        error.set_retry(context.unreached());
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        let is_whole = !session.as_ref().retry_buffer_truncated();
        let may_be_twice = session.req_header().method.is_idempotent() && is_whole;
        error.retry.decide_reuse(reused);
        if may_be_twice && error.retry() {
            context.outdated();
            context.rewind_body();
            return error;
        }
        context.broken_off(&error, session.is_body_done());
        let retry = may_be_twice && context.failure.is_none() && Failure::is_cut_off(&error) && context.retry(session);
        if retry {
            context.rewind_body();
        }
        error.set_retry(retry);
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

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        context.write(request)?;
        outbound::distrust_body(request, !session.is_body_empty())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        context: &mut Context,
    ) -> Result<()> {
        if !session.was_upgraded() {
            context.bound_body(body.as_ref().map_or(0, Bytes::len))?;
        }
        context.write_body(body, end_of_stream);
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        prepare(response, session, context)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        context.check_watched().map(|()| None)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Context) -> FailToProxy {
        let error_code = context.fail(session, error).await;
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        if error.is_none() {
            context.served();
        }
        context.record(session);
    }

    /// Always: the audit line has it.
    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
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

/// Sets what pingora would leave open. How long a connection may be idle is `patience`'s, which bounds
/// heads too, and so pingora needs no time for that.
fn bound(session: &mut Session, limits: &Limits) {
    session.set_read_timeout(Some(limits.body_timeout));
    session.set_write_timeout(Some(limits.send_timeout));
    // Requests sent at once are answered one after another (RFC 9112 section 9.3.2).
    session.set_pipelining_enabled(true);
}
