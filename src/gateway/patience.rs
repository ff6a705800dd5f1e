//! Clients that take their time: how long one may take to send a head, how long one may be idle, and
//! how long one may leave an answer untaken.
//!
//! Pingora bounds each read and not their sum, so that a head can be sent byte by byte for weeks; and
//! it bounds no write of a head, so that a client that reads nothing keeps its request, and with it an
//! upstream's connection, for ever. What a piece of a body may take is `proxy`'s.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use pingora::protocols::TcpKeepalive;
use pingora::protocols::http::ServerSession;
use pingora::time::timeout;
use pingora::{Error, ErrorType};

use super::ending::Ending;
use super::known::Known;
use crate::config::Limits;
use crate::record::ConnectionEnd;

/// With the client of one connection of HTTP/1.1.
pub(super) struct Patience {
    pub(super) known: Arc<Known>,
    pub(super) limits: Limits,
    pub(super) ending: Arc<Ending>,
    /// Spreads the connections that wait.
    pub(super) shard: usize,
}

/// How a wait for a head has ended.
pub(super) enum Wait {
    /// It was read.
    Read,
    /// There is none, and nobody has done anything wrong.
    Gone,
    /// It did not come in time, or is none.
    Ended(ConnectionEnd),
}

/// Has the system close connections whose client takes nothing (`TCP_USER_TIMEOUT`) or is gone.
pub(super) fn keepalive(limits: &Limits) -> TcpKeepalive {
    TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 6,
        #[cfg(target_os = "linux")]
        user_timeout: limits.send_timeout,
    }
}

impl Patience {
    /// Waits for the next head. The first has `head_timeout` from the start; a later one may be waited for as long as a
    /// connection may be idle, and has that time from its first byte on. `sent_ahead`: how much of it was read already;
    /// where that is more than it, nothing is read.
    pub(super) async fn wait(&self, session: &mut ServerSession, is_first: bool, sent_ahead: usize) -> Wait {
        let (head, limits) = (&self.known.head, &self.limits);
        head.start(limits.header_bytes);
        head.take(sent_ahead);
        let first = if is_first { limits.head_timeout } else { limits.idle_timeout };
        let read = {
            let mut reading = pin!(self.read(session));
            let begun = poll_fn(|context| match reading.as_mut().poll(context) {
                Poll::Ready(read) => Poll::Ready(Some(read)),
                Poll::Pending if head.has_begun() && !is_first => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            match timeout(first, begun).await {
                Ok(Some(read)) => Ok(read),
                Ok(None) => timeout(limits.head_timeout, reading).await,
                Err(late) => Err(late),
            }
        };
        match read {
            Ok(Some(Ok(true))) => return Wait::Read,
            Ok(Some(Err(error))) => give_up(session, &error).await,
            Ok(Some(Ok(false)) | None) => {}
            // Whoever sends nothing more has done nothing wrong.
            Err(_) if !is_first && !head.has_begun() => {}
            Err(_) => return Wait::Ended(ConnectionEnd::HeadTimeout),
        }
        if head.is_exceeded() { Wait::Ended(ConnectionEnd::HeadTooLarge) } else { Wait::Gone }
    }

    /// Reads a head; `None` if the connection is let go before it is there.
    async fn read(&self, session: &mut ServerSession) -> Option<pingora::Result<bool>> {
        tokio::select! {
            // What has come is taken first.
            biased;
            read = session.read_request() => Some(read),
            () = self.ending.lets_go(self.shard) => None,
        }
    }
}

/// Closes a connection on which something came that is no head, and says so.
async fn give_up(session: &mut ServerSession, error: &Error) {
    if *error.etype() == ErrorType::InvalidHTTPHeader {
        // Who does not take the answer has gone: there is nobody to tell.
        let _ = session.respond_error(400).await;
    }
    session.shutdown().await;
}
