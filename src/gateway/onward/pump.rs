//! Both directions of one exchange: the client's body to the server, the server's answer to the client.
//!
//! One task looks after both, so that what is on its way is bounded by one piece of each.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::ServerSession;
use pingora::time::timeout;
use pingora::{Error, ErrorType, Result};

use super::exchange::{Event, Exchange, Piece, Times};
use super::http1::{has_no_body, is_empty};
use crate::config::Transport;
use crate::gateway::context::Context;
use crate::gateway::known::Known;
use crate::gateway::relay::prepare;
use crate::gateway::tenure::ended;

/// A piece of a request that is smaller goes on with what is there beside it, up to about so much.
const SMALL: usize = 1024;
const GATHERED: usize = 4 * 1024;

/// What was told of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    /// An interim one (RFC 9110 section 15.2).
    Interim,
    /// Its head.
    Head,
}

/// An exchange between a client and a server.
pub(super) struct Pump<'r> {
    pub(super) session: &'r mut ServerSession,
    pub(super) context: &'r mut Context,
    transport: &'r Transport,
    /// That the connection speaks another protocol from here on.
    upgraded: &'r AtomicBool,
    pub(super) told: Told,
    /// Of the request, and not sent yet.
    held: Option<Piece>,
    /// Whether all of the request was read.
    pub(super) is_read: bool,
    /// Whether the client is heard beyond that, so that its end is noticed.
    listens: bool,
    /// How long a piece of the request may take, where pingora does not see to it: over HTTP/2.
    piece_time: Option<Duration>,
}

impl<'r> Pump<'r> {
    pub(super) fn new(
        session: &'r mut ServerSession,
        context: &'r mut Context,
        transport: &'r Transport,
        upgraded: &'r AtomicBool,
    ) -> Self {
        let is_read = session.is_body_done();
        let is_bounded = session.is_http2() && !context.is_call(session.req_header());
        let piece_time = is_bounded.then(|| context.limits().body_timeout);
        Self {
            session,
            context,
            transport,
            upgraded,
            told: Told::Nothing,
            held: None,
            is_read,
            listens: true,
            piece_time,
        }
    }

    /// Has sent what was read of the request already: for an earlier try, or to judge it.
    pub(super) fn hold_what_was_read(&mut self) {
        let read = self.session.get_retry_buffer();
        if read.is_some() || self.is_read {
            self.hold(read);
        }
    }

    /// Moves everything, to the answer's end.
    ///
    /// # Errors
    /// Whatever ends it before.
    pub(super) async fn run(&mut self, exchange: &mut Exchange) -> Result<()> {
        loop {
            let is_over = match self.context.tenure() {
                None => self.step(exchange).await?,
                // Whatever it waits for, and before anything more passes.
                Some(tenure) => tokio::select! {
                    biased;
                    () = tenure.ended() => return ended(),
                    is_over = self.step(exchange) => is_over?,
                },
            };
            if is_over {
                return Ok(());
            }
        }
    }

    /// Waits for what comes next, from either side, and passes it on; whether that was the end.
    async fn step(&mut self, exchange: &mut Exchange) -> Result<bool> {
        let times = Times::of(self.transport, self.told == Told::Head);
        let event = if self.held.is_some() {
            exchange.step(&mut self.held, times).await?
        } else {
            let mut none = None;
            tokio::select! {
                biased;
                event = exchange.step(&mut none, times) => event?,
                read = next_piece(self.session, self.is_read, self.piece_time), if self.listens => {
                    self.hear(read.map_err(Error::into_down)?)?;
                    return self.gather().await.map(|()| false);
                }
            }
        };
        match event {
            // A client of another protocol that has closed its half has left.
            Event::Sent => Ok(self.session.was_upgraded() && self.is_read),
            Event::Answered(task) => self.tell(task, exchange).await,
        }
    }

    /// Takes what the client has sent.
    fn hear(&mut self, read: Option<Bytes>) -> Result<()> {
        if self.is_read {
            // Pingora keeps what comes for the next request.
            self.listens = false;
            return Ok(());
        }
        let is_upgraded = self.session.was_upgraded();
        self.is_read = read.is_none() || !is_upgraded && self.session.is_body_done();
        if self.is_read
            && let Some(known) = Known::of(self.session.digest())
        {
            known.listen();
        }
        // The client of another protocol has closed its half.
        self.listens = !(is_upgraded && self.is_read);
        if !is_upgraded {
            self.context.bound_body(read.as_ref().map_or(0, Bytes::len))?;
        }
        self.hold(read);
        Ok(())
    }

    /// Takes what else of the request is there already, where it comes in small pieces: each by itself would be a frame
    /// or a chunk of its own to the server, at many times its bytes.
    async fn gather(&mut self) -> Result<()> {
        let is_small = |piece: &Piece| piece.bytes.len() < SMALL;
        if self.is_read || self.session.was_upgraded() || !self.held.as_ref().is_some_and(is_small) {
            return Ok(());
        }
        let mut gathered = BytesMut::new();
        while !self.is_read && gathered.len() < GATHERED {
            let next = {
                let mut read = pin!(self.session.read_request_body());
                poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await
            };
            let Poll::Ready(read) = next else { break };
            take_over(&mut self.held, &mut gathered);
            self.hear(read.map_err(Error::into_down)?)?;
        }
        if !gathered.is_empty() {
            take_over(&mut self.held, &mut gathered);
            self.held = Some(Piece { bytes: gathered.freeze(), is_last: self.is_read });
        }
        Ok(())
    }

    /// Has so much sent, or the form that was judged in its place.
    fn hold(&mut self, mut bytes: Option<Bytes>) {
        self.context.write_body(&mut bytes, self.is_read);
        let bytes = bytes.unwrap_or_default();
        if self.is_read || !bytes.is_empty() {
            self.held = Some(Piece { bytes, is_last: self.is_read });
        }
    }

    /// Tells so much of the answer; whether that was the end.
    async fn tell(&mut self, task: HttpTask, exchange: &mut Exchange) -> Result<bool> {
        if let (Some(_), Some(known)) = (self.session.as_http1(), Known::of(self.session.digest())) {
            // Where the client is not listened to meanwhile, nothing else has it sent. HTTP/2 sees to that itself.
            known.hurry(self.held.is_some() || !self.listens);
        }
        let task = match task {
            HttpTask::Header(mut head, is_end) => {
                prepare(&mut head, self.session, self.context)?;
                let is_interim = head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS;
                if is_interim && self.is_http10() {
                    // RFC 9110 section 15.2.
                    return Ok(false);
                }
                self.told = if is_interim { Told::Interim } else { Told::Head };
                self.frame(&mut head, is_end)?;
                HttpTask::Header(head, is_end)
            }
            HttpTask::Failed(error) => return Err(error.into_up()),
            task @ (HttpTask::Body(..) | HttpTask::UpgradedBody(..)) if is_empty(&task) => return Ok(false),
            task @ (HttpTask::Body(..) | HttpTask::UpgradedBody(..) | HttpTask::Trailer(_) | HttpTask::Done) => task,
        };
        let told = tokio::select! {
            biased;
            told = self.session.response_duplex_vec(vec![task]) => told,
            never = exchange.read_ahead() => match never {},
        };
        let is_end = told.map_err(Error::into_down)?;
        if !self.upgraded.load(Ordering::Relaxed) && self.session.was_upgraded() {
            self.upgraded.store(true, Ordering::Relaxed);
            // What comes from the client now is of the other protocol.
            (self.is_read, self.listens) = (false, true);
        }
        Ok(is_end)
    }

    /// Says how long a body is whose end the server tells in its own way: HTTP/1.1 has it in chunks, so that
    /// the client's connection stays, and an answer that breaks off cannot be taken for a whole one.
    fn frame(&mut self, head: &mut ResponseHeader, is_end: bool) -> Result<()> {
        if self.is_http10() {
            // It knows nothing of chunks (RFC 9112 section 6.1): its body goes on to the connection's end.
            head.remove_header(&TRANSFER_ENCODING);
            let has_end = is_end || head.headers.contains_key(CONTENT_LENGTH) || has_no_body(head.status);
            if !has_end && self.session.req_header().method != Method::HEAD {
                self.session.set_keepalive(None);
                return Ok(());
            }
        }
        let is_framed = head.headers.contains_key(CONTENT_LENGTH) || head.headers.contains_key(TRANSFER_ENCODING);
        if is_framed || has_no_body(head.status) || self.session.req_header().method == Method::HEAD {
            return Ok(());
        }
        head.set_version(Version::HTTP_11);
        if is_end { head.insert_header(CONTENT_LENGTH, 0) } else { head.insert_header(TRANSFER_ENCODING, "chunked") }
    }

    fn is_http10(&self) -> bool {
        self.session.req_header().version == Version::HTTP_10
    }
}

/// What the client sends next, or its end.
async fn next_piece(session: &mut ServerSession, is_read: bool, time: Option<Duration>) -> Result<Option<Bytes>> {
    match time.filter(|_| !is_read) {
        None => session.read_body_or_idle(is_read).await,
        Some(time) => {
            let read = timeout(time, session.read_body_or_idle(false)).await;
            read.unwrap_or_else(|_| Err(Error::new_down(ErrorType::ReadTimedout)))
        }
    }
}

fn take_over(held: &mut Option<Piece>, gathered: &mut BytesMut) {
    if let Some(piece) = held.take() {
        gathered.extend_from_slice(&piece.bytes);
    }
}
