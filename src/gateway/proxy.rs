//! The path of a request through pingora's phases, in their order: take a generation, judge, answer
//! or forward, record once.
//!
//! Nothing is decided here. What a phase does is in the module that it calls.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::UPGRADE;
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::authorizer;
use super::context::Context;
use super::generation::Gateway;
use super::head_checks;
use super::known::Known;
use super::onward::forward;
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
            known.begin();
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
            None => forward(session, context).await.map(|()| true),
        }
    }

    /// Nothing is left to pingora's upstream half.
    async fn upstream_peer(&self, _session: &mut Session, _context: &mut Context) -> Result<Box<HttpPeer>> {
        Err(Error::new_in(ErrorType::InternalError))
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
