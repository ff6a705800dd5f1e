//! The path of a request through its phases, in their order: take a generation, judge, answer or
//! forward, record once.
//!
//! Nothing is decided here. What a phase does is in the module that it calls. Pingora reads heads and
//! writes answers; its own proxy is not used, which has an upstream half and caches besides and copies
//! the state of all that for each request.

use std::sync::Arc;

use http::header::UPGRADE;
use pingora::Result;
use pingora::protocols::http::ServerSession;

use super::authorizer;
use super::context::Context;
use super::generation::Gateway;
use super::head_checks;
use super::known::Known;
use super::onward::forward;
use crate::config::Limits;

/// Takes a request whose head was read from there to its record; whether it came to a good end, so that its
/// connection may have another one.
pub(super) async fn exchange(session: &mut ServerSession, gateway: &Arc<Gateway>) -> bool {
    let mut context = Context::new(gateway);
    let done = pass(session, &mut context).await;
    match &done {
        Ok(()) => context.served(),
        // On the heap, as all that is rare or long, so that what every connection carries along stays small.
        Err(error) => Box::pin(context.fail(session, error)).await,
    }
    context.record(session);
    done.is_ok()
}

async fn pass(session: &mut ServerSession, context: &mut Context) -> Result<()> {
    #[cfg(test)]
    super::socket_tests::provoke(session.req_header());
    bound(session, context.limits());
    if !head_checks::is_websocket(session.req_header()) {
        // Pingora takes any of these for a request to change protocols, of whatever shape.
        session.req_header_mut().remove_header(&UPGRADE);
    }
    context.meet(session)?;
    if let Some(authorizer) = Known::authorizer(session.digest()) {
        Box::pin(authorizer::answer(session, context, &authorizer)).await;
        return Ok(());
    }
    match context.judge(session).await {
        Some(answer) => {
            Box::pin(context.answer(session, answer)).await;
            Ok(())
        }
        None => forward(session, context).await,
    }
}

/// Sets what pingora would leave open. How long a connection may be idle is `patience`'s, which bounds
/// heads too, and so pingora needs no time for that.
fn bound(session: &mut ServerSession, limits: &Limits) {
    session.set_read_timeout(Some(limits.body_timeout));
    session.set_write_timeout(Some(limits.send_timeout));
    // Requests sent at once are answered one after another (RFC 9112 section 9.3.2).
    session.set_pipelining_enabled(true);
}
