//! How a request goes from server to server of its upstream, and what each is held to account for.
//!
//! Whose turn it is, and how many retries there may be, is `upstream`'s.

use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorSource, ErrorType};

use super::{Context, written};
use crate::gateway::failure::Failure;
use crate::gateway::upstream::{Pool, Turn};

impl Context {
    /// The request's turn among the servers that the permit leads to.
    pub(in crate::gateway) fn turn(&mut self) -> Option<&mut Turn> {
        let pool = self.generation.upstreams.pool(self.forward.as_ref()?.upstream())?;
        let account = self.found.account.as_ref().map(http::HeaderValue::as_bytes);
        Some(self.turn.get_or_insert_with(|| pool.turn(account)))
    }

    /// The server could not be connected to; whether another is to be tried. Nothing was sent yet, so that this
    /// is as good for any method.
    pub(in crate::gateway) fn unreached(&mut self) -> bool {
        self.failure = Some(Failure::UpstreamUnavailable);
        self.turn.as_ref().is_some_and(|turn| {
            turn.failed();
            turn.has_more()
        })
    }

    /// The server has closed the connection before it saw the request, which is for the same one again.
    pub(in crate::gateway) fn outdated(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.again();
        }
    }

    /// The exchange has ended well, or goes on for as long as it may: the server has done what was asked of it.
    pub(in crate::gateway) fn served(&self) {
        if let Some(turn) = &self.turn {
            turn.succeeded();
        }
    }

    /// The exchange has ended with an error: the server is held to account for its own. `has_all`: whether the
    /// client has sent the whole request; until then it is the client that is waited for.
    pub(in crate::gateway) fn broken_off(&self, error: &Error, has_all: bool) {
        if let Some(turn) = &self.turn
            && *error.esource() == ErrorSource::Upstream
            && (has_all || *error.etype() != ErrorType::ReadTimedout)
        {
            turn.failed();
        }
    }

    /// The time is over in which the server was to say something, and it waits for the rest of the request: the client
    /// is told that it was slow.
    pub(in crate::gateway) fn awaited(&mut self, error: &Error, session: &mut ServerSession) {
        let is_late = *error.esource() == ErrorSource::Upstream && *error.etype() == ErrorType::ReadTimedout;
        if is_late && !session.is_body_done() && written(session).is_none() {
            self.failure = Some(Failure::RequestTimeout);
        }
    }

    /// The time for all of the exchange is over. Where an answer has begun, who was slow nobody knows.
    pub(in crate::gateway) fn overdue(&self, session: &mut ServerSession, error: &Error) {
        if written(session).is_none() {
            self.broken_off(error, session.is_body_done());
        }
    }

    /// Whether a request is to be sent again whose server has taken it and not begun to answer: one that may be
    /// done twice, if its upstream may have one more retry. It counts as sent then.
    pub(in crate::gateway) fn retry(&mut self, session: &ServerSession) -> bool {
        let may = session.req_header().method.is_idempotent()
            && written(session).is_none()
            && self.pool().is_some_and(|pool| pool.may_retry(self.retried));
        if may && let Some(turn) = &mut self.turn {
            turn.retry();
            self.retried += 1;
        }
        may
    }

    fn pool(&self) -> Option<&Pool> {
        self.generation.upstreams.pool(self.forward.as_ref()?.upstream())
    }
}
