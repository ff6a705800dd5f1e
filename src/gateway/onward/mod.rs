//! The way of a request to a server and of its answer back, whatever either side speaks.
//!
//! Pingora's own upstream half is not used. Without pingora's TLS, a stream of the gateway's making has no
//! descriptor there, and one without is never used again; and nothing there ends an exchange that waits. So the
//! exchange is made here: `relay` makes the usual short one, this module all others. `outbound` writes the request,
//! `relay::prepare` makes the answer the one to tell on.

mod dial;
mod exchange;
pub(super) mod head;
mod http1;
mod http2;
mod probe;
mod pump;
mod streams;
mod tls;
mod trailers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::uri::Scheme;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType, Result, RetryType};
use tokio::time::sleep_until;

use self::exchange::{Exchange, Times};
use self::pump::{Pump, Told};
use super::connection::Connection;
use super::context::{Context, linger};
use super::failure::Failure;
use super::head_checks::is_websocket;
use super::relay::relay;
use super::upstream::{Server, Turn};
use crate::config::Transport;

pub(super) use self::dial::{Handshakes, plain as dial_plain};
pub(super) use self::probe::probe;
pub(super) use self::streams::Streams;
pub(super) use self::tls::{Age, AllTls, ServerTls};

/// Which way requests to an upstream go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Way {
    /// Whether `relay` may try: the servers speak plain HTTP/1.1.
    is_plain: bool,
    pub(super) is_http2: bool,
    /// How long all of an exchange may take.
    total: Option<Duration>,
}

/// Why an exchange with one server has failed.
struct Failed {
    error: Box<Error>,
    /// Whether the request may be sent again: nothing was told, and what was read of it is still there.
    may_repeat: bool,
    /// Whether the connection was used before.
    was_used: bool,
}

impl Way {
    pub(super) fn of(transport: &Transport) -> Self {
        let is_http2 = transport.http2;
        Self { is_plain: transport.tls.is_none() && !is_http2, is_http2, total: transport.total_timeout }
    }
}

/// Has a server answer the request.
///
/// # Errors
/// If none does, or the answer broke off.
pub(super) async fn forward(session: &mut ServerSession, context: &mut Context) -> Result<()> {
    let Way { is_plain, total, .. } = context.way();
    // The others on the heap, so that what every request carries along stays small.
    match total {
        None if is_plain && relay(session, context).await? => Ok(()),
        None => Box::pin(exchange(session, context, &AtomicBool::new(false))).await,
        Some(total) => Box::pin(go(session, context, is_plain, total)).await,
    }
}

/// Tells the answer that a server gives over this connection, to a request that was sent whole.
///
/// # Errors
/// If it breaks off.
pub(super) async fn answer(
    connection: Box<Connection>,
    server: &Server,
    session: &mut ServerSession,
    context: &mut Context,
) -> Result<()> {
    let upgraded = AtomicBool::new(false);
    let mut exchange = Exchange::Http1(Box::new(http1::Exchange::sent(connection)));
    Pump::new(session, context, &server.transport, &upgraded).run(&mut exchange).await?;
    keep(exchange, server).await;
    Ok(())
}

/// Within the time that all of it may take; a connection that was upgraded is not bound by it.
async fn go(session: &mut ServerSession, context: &mut Context, is_plain: bool, total: Duration) -> Result<()> {
    let upgraded = AtomicBool::new(false);
    let exchanged = async {
        if is_plain && relay(session, context).await? {
            return Ok(());
        }
        exchange(session, context, &upgraded).await
    };
    let end = Instant::now() + total;
    {
        let mut exchanged = std::pin::pin!(exchanged);
        tokio::select! {
            biased;
            done = &mut exchanged => return done,
            () = sleep_until(end.into()) => {}
        }
        if upgraded.load(Ordering::Relaxed) {
            return exchanged.await;
        }
    }
    let late = Error::new_up(ErrorType::ReadTimedout);
    context.overdue(session, &late);
    Err(late)
}

/// Tries one server after another, as far as `tries` lets it.
async fn exchange(session: &mut ServerSession, context: &mut Context, upgraded: &AtomicBool) -> Result<()> {
    session.enable_retry_buffering();
    let mut new = false;
    loop {
        let Some(server) = context.turn().and_then(Turn::next) else {
            context.failure.get_or_insert(Failure::UpstreamUnavailable);
            return Err(Error::new_up(ErrorType::ConnectError));
        };
        let Err(mut failed) = exchange_with(&server, session, context, upgraded, new).await else { return Ok(()) };
        // Once with each server: one that takes up nothing is as good as one that cannot be reached.
        failed.was_used &= !new;
        new = failed.was_used;
        if !goes_on(&failed, session, context) {
            return Err(failed.error);
        }
    }
}

/// Whether the request is to be sent again. What was not processed is, whatever the method; what an old
/// connection has swallowed only if that does no harm; else it is a retry.
fn goes_on(failed: &Failed, session: &mut ServerSession, context: &mut Context) -> bool {
    let Failed { error, may_repeat, was_used } = failed;
    let is_unprocessed = match error.retry {
        RetryType::Decided(is_unprocessed) => is_unprocessed,
        RetryType::ReusedOnly => *was_used && session.req_header().method.is_idempotent(),
    };
    match (is_unprocessed && *may_repeat, *was_used) {
        (true, true) => {
            context.outdated();
            true
        }
        (true, false) => context.unreached(),
        (false, _) => {
            context.broken_off(error, session.is_body_done());
            context.awaited(error, session);
            *may_repeat && context.failure.is_none() && Failure::is_cut_off(error) && context.retry(session)
        }
    }
}

/// The exchange with one server; with `new` over a connection that was not used before.
async fn exchange_with(
    server: &Arc<Server>,
    session: &mut ServerSession,
    context: &mut Context,
    upgraded: &AtomicBool,
    new: bool,
) -> std::result::Result<(), Failed> {
    let connected = match &server.streams {
        Some(streams) => dial::http2(server, streams).await.map(|(place, used)| (Line::Http2(place), used)),
        None => dial::http1(server, new).await.map(|(connection, used)| (Line::Http1(connection), used)),
    };
    let (line, was_used) = connected.map_err(|mut error| {
        error.retry = RetryType::Decided(true);
        Failed { error, may_repeat: true, was_used: false }
    })?;
    context.failure = None;
    let mut pump = Pump::new(session, context, &server.transport, upgraded);
    let mut exchange = match begin(line, server, &mut pump).await {
        Ok(exchange) => exchange,
        Err(error) => return Err(Failed { error, may_repeat: true, was_used }),
    };
    pump.context.watch_call(pump.session);
    let done = pump.run(&mut exchange).await;
    let (is_read, may_repeat) = (pump.is_read, pump.told == Told::Nothing && !pump.session.retry_buffer_truncated());
    if let Err(error) = done {
        drop(exchange);
        context.part(session).await;
        return Err(Failed { error, may_repeat: may_repeat && !context.has_ended(), was_used });
    }
    keep(exchange, server).await;
    if !is_read {
        linger(session).await;
    }
    Ok(())
}

/// Keeps the connection of an exchange that is at its end, if it can be used again.
async fn keep(exchange: Exchange, server: &Server) {
    if let Exchange::Http1(exchange) = exchange
        && let Some(connection) = exchange.into_connection().await
    {
        server.idle.give(connection);
    }
}

/// What a request is sent over.
enum Line {
    Http1(Box<Connection>),
    Http2(streams::Place),
}

/// Sends the head.
async fn begin(line: Line, server: &Server, pump: &mut Pump<'_>) -> Result<Exchange> {
    let (session, context) = (&mut *pump.session, &*pump.context);
    let times = Times::of(&server.transport, false);
    let has_come = !session.is_body_empty();
    let body = head::Body { is_sent: has_come || context.has_form(), has_come };
    let request = session.req_header();
    let write = |head: &mut _| context.write(head);
    let exchange = match line {
        Line::Http1(connection) => {
            let head = head::http1(request, is_websocket(request), body, write)?;
            let exchange = http1::Exchange::begin(connection, head, !body.is_sent, times).await?;
            Exchange::Http1(Box::new(exchange))
        }
        Line::Http2(place) => {
            if is_websocket(request) {
                pump.context.failure = Some(Failure::UpgradeImpossible);
                return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
            }
            let scheme = if server.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
            let head = head::http2(request, scheme, write)?;
            Exchange::Http2(Box::new(http2::Exchange::begin(place, head, !body.is_sent).await?))
        }
    };
    if body.is_sent {
        pump.hold_what_was_read();
    }
    Ok(exchange)
}
