//! The short way of a usual request to its upstream and back.
//!
//! A `GET` without a body needs nothing of what makes `onward`'s way longer: two directions at once, and
//! versions of HTTP to choose from. What is unusual goes that way; so does an answer that is not plain,
//! which is then read there from its first byte. A request that was not answered because its connection
//! was old is left to it too.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::time::timeout;
use pingora::{Error, ErrorType, Result};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::connection::Connection;
use super::context::Context;
use super::failure::Failure;
use super::head::is_usual;
use super::hygiene;
use super::onward::{self, dial_plain};
use super::reply::{self, Plain, Reply};
use super::tenure::ended;
use super::trace::REQUEST_ID;
use super::upstream::{Server, Turn};

/// What is read of an answer at first, and what at a time of a long one.
const FIRST_READ: usize = 4096;
const READ: usize = 32 * 1024;

/// An exchange under way.
struct Exchange<'r> {
    session: &'r mut ServerSession,
    context: &'r mut Context,
    server: &'r Server,
    connection: Box<Connection>,
}

/// Whether the request was answered; if not, `onward` is to forward it.
///
/// # Errors
/// If it can be answered neither here nor there.
pub(super) async fn relay(session: &mut ServerSession, context: &mut Context) -> Result<bool> {
    if session.as_http1().is_none() || !is_usual(session.req_header()) || !session.is_body_empty() {
        return Ok(false);
    }
    let Some(head) = context.head(session.req_header()) else { return Ok(false) };
    let Some(server) = context.turn().and_then(Turn::next) else { return Ok(false) };
    let (connection, reused) = match server.idle.take(None) {
        Some(connection) => (connection, true),
        None => match dial_plain(&server).await {
            Ok(connection) => (connection, false),
            Err(error) => {
                // Another server may be reached.
                return if context.unreached() { Ok(false) } else { Err(error) };
            }
        },
    };
    context.failure = None;
    let mut exchange = Exchange { session, context, server: &server, connection };
    let reply = match exchange.ask(&head).await {
        Ok(reply) => reply,
        // The server has closed it meanwhile, and has not begun to answer.
        Err(error) if reused && error.retry() => {
            exchange.context.outdated();
            return Ok(false);
        }
        Err(error) => {
            context.broken_off(&error, true);
            return if Failure::is_cut_off(&error) && context.retry(session) { Ok(false) } else { Err(error) };
        }
    };
    let told = match reply {
        Ok(plain) => exchange.tell(plain).await,
        Err(read) => Box::pin(exchange.tell_odd(read)).await,
    };
    told.inspect_err(|error| context.broken_off(error, true)).map(|()| true)
}

/// Makes of an upstream's answer the one to tell on.
///
/// # Errors
/// If it must not be told on.
pub(super) fn prepare(response: &mut ResponseHeader, session: &ServerSession, context: &mut Context) -> Result<()> {
    let switches = response.status == StatusCode::SWITCHING_PROTOCOLS;
    if switches && !(session.is_upgrade_req() && hygiene::is_to_websocket(response)) {
        return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
    }
    hygiene::clean_response(response);
    if let Some(told) = context.limits_told().filter(|_| !response.status.is_informational()) {
        // Beside those of the upstream, if it has some: they are lists.
        for (name, value) in told.headers() {
            response.append_header(name, value)?;
        }
    }
    if !response.status.is_informational() && !response.headers.contains_key(&REQUEST_ID) {
        response.insert_header("X-Request-Id", context.request_id.clone())?;
    }
    context.watch(session, response);
    context.share(session.req_header(), response)
}

impl Exchange<'_> {
    /// Sends the request; the answer, or what was read of one that is not plain.
    async fn ask(&mut self, head: &[u8]) -> Result<std::result::Result<Plain, BytesMut>> {
        let socket = socket(&self.connection)?;
        within(self.server.transport.write_timeout, ErrorType::WriteTimedout, send(socket, head)).await?;
        let mut read = BytesMut::with_capacity(FIRST_READ);
        loop {
            let transport = &self.server.transport;
            let time = if read.is_empty() { transport.first_byte_timeout } else { transport.read_timeout };
            let received = self.receive(&mut read, time).await;
            let received = received.and_then(|length| if length > 0 { Ok(length) } else { closed() });
            received.map_err(|mut error| {
                // What was answered in part was asked, however old the connection.
                if !read.is_empty() {
                    error.set_retry(false);
                }
                error
            })?;
            match reply::parse(&mut read) {
                Reply::Plain(plain) => return Ok(Ok(plain)),
                Reply::Odd => return Ok(Err(read)),
                Reply::Partial => read.reserve(FIRST_READ),
            }
        }
    }

    /// Tells a plain answer on, and keeps the connection.
    async fn tell(self, plain: Plain) -> Result<()> {
        let Plain { mut head, body, rest, is_overrun } = plain;
        prepare(&mut head, self.session, self.context)?;
        let downstream = &mut *self.session;
        downstream.write_response_header(head).await.map_err(Error::into_down)?;
        match self.context.tenure() {
            None => self.tell_body(body, rest, is_overrun).await,
            // Events of which it is known how long they are.
            Some(tenure) => tokio::select! {
                biased;
                () = tenure.ended() => ended(),
                told = Box::pin(self.tell_body(body, rest, is_overrun)) => told,
            },
        }
    }

    /// Tells so much of a body, and the rest as it comes.
    async fn tell_body(mut self, body: Bytes, mut rest: usize, mut is_overrun: bool) -> Result<()> {
        let downstream = &mut *self.session;
        downstream.write_response_body(body, rest == 0).await.map_err(Error::into_down)?;
        while rest > 0 {
            let mut read = BytesMut::with_capacity(READ.min(rest));
            let length = self.receive(&mut read, self.server.transport.read_timeout).await?;
            if length == 0 {
                return closed();
            }
            is_overrun |= length > rest;
            read.truncate(rest);
            rest = rest.saturating_sub(length);
            let downstream = &mut *self.session;
            downstream.write_response_body(read.freeze(), rest == 0).await.map_err(Error::into_down)?;
        }
        if !is_overrun {
            self.server.idle.give(self.connection);
        }
        Ok(())
    }

    /// Has pingora's client read the answer, from its first byte.
    async fn tell_odd(mut self, read: BytesMut) -> Result<()> {
        self.connection.unread(read.freeze());
        onward::answer(self.connection, self.server, self.session, self.context).await
    }

    /// Waits for what the server says next and appends it, as far as there is room; its length, 0 at the
    /// connection's end. It gives up where the client does.
    async fn receive(&mut self, to: &mut BytesMut, time: Duration) -> Result<usize> {
        // Not by the socket's own calls, after which the system would be asked once more for nothing.
        let read = self.connection.read_buf(to);
        let mut read = std::pin::pin!(within(time, ErrorType::ReadTimedout, read));
        tokio::select! {
            biased;
            read = &mut read => read,
            // Pingora takes what comes for the next request, and an end for the client's.
            next = self.session.read_body_or_idle(true) => {
                next.map_err(Error::into_down)?;
                read.await
            }
        }
    }
}

/// The server has closed the connection.
fn closed<T>() -> Result<T> {
    let mut error = Error::new_up(ErrorType::ConnectionClosed);
    error.set_retry(true);
    Err(error)
}

/// Connections of this module have no TLS.
fn socket(connection: &Connection) -> Result<&TcpStream> {
    connection.socket().ok_or_else(|| Error::new_in(ErrorType::InternalError))
}

async fn send(socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// An error of the connection itself may be tried again on another, if it was used before.
async fn within<T>(time: Duration, late: ErrorType, what: impl Future<Output = io::Result<T>>) -> Result<T> {
    let done = timeout(time, what).await.map_err(|_| Error::new_up(late))?;
    done.map_err(|error| {
        let mut error = Error::because(ErrorType::ConnectionClosed, "exchanging", error).into_up();
        error.set_retry(true);
        error
    })
}
