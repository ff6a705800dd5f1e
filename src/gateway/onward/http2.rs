//! An exchange over one stream of an HTTP/2 connection (RFC 9113).
//!
//! Both directions are looked after at once: what the server says is told on while it takes the request. What
//! is read of an answer is bounded by the stream's window, which `streams` sets: room is given back for what
//! was told. What waits for a client is one piece: in frames, small ones would cost many times their bytes, and
//! the library ends a connection on which too many of them wait, whoever else has streams on it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use http::{Request, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::time::timeout;
use pingora::{Error, ErrorType, Result, RetryType};

use super::exchange::{Event, Piece, Times};
use super::streams::Place;
use super::trailers;

/// A smaller piece is told together with what is there beside it.
const SMALL: usize = 1024;

/// An exchange over one stream. When it is dropped before its end the stream is reset.
pub(super) struct Exchange {
    answer: Answer,
    body: SendStream<Bytes>,
    /// Whether the server takes more of the request.
    takes: bool,
    /// Read of the answer's body while what came before was told.
    ahead: BytesMut,
    /// What ended the answer meanwhile.
    broken: Option<h2::Error>,
    /// How much of what was handed out still takes room.
    handed_out: usize,
    place: Place,
}

/// How far the answer has come.
enum Answer {
    Awaited(ResponseFuture),
    Body(RecvStream),
    Trailers(RecvStream),
    Done,
}

impl Exchange {
    /// Sends the head; with `is_whole` it is all of the request.
    ///
    /// # Errors
    /// If there is no way to send it, or the connection has ended.
    pub(super) async fn begin(place: Place, request: Request<()>, is_whole: bool) -> Result<Self> {
        let mut sender = place.sender().await.or_else(|error| {
            place.retire();
            failed(error, true).map_err(|mut error: Box<Error>| {
                // Nothing was sent.
                error.retry = RetryType::Decided(true);
                error
            })
        })?;
        let (answer, body) = sender.send_request(request, is_whole).or_else(|error| failed(error, true))?;
        let answer = Answer::Awaited(answer);
        let (ahead, broken, handed_out) = (BytesMut::new(), None, 0);
        Ok(Self { answer, body, takes: !is_whole, ahead, broken, handed_out, place })
    }

    /// See [`super::exchange::Exchange::step`].
    pub(super) async fn step(&mut self, held: &mut Option<Piece>, times: Times) -> Result<Event> {
        let (time, late) = match held {
            Some(_) => (times.write, ErrorType::WriteTimedout),
            None => (times.read, ErrorType::ReadTimedout),
        };
        if let Ok(event) = timeout(time, poll_fn(|context| self.poll(held, context))).await {
            return event;
        }
        self.place.doubt();
        Err(Error::new_up(late))
    }

    /// Reads on while what was handed out is told, as far as there is room. It has no end of its own.
    pub(super) async fn read_ahead(&mut self) -> Infallible {
        poll_fn(|context| {
            self.read_what_is_there(context);
            Poll::Pending
        })
        .await
    }

    fn poll(&mut self, held: &mut Option<Piece>, context: &mut Context<'_>) -> Poll<Result<Event>> {
        if held.is_some() && self.poll_send(held, context).is_ready() {
            return Poll::Ready(Ok(Event::Sent));
        }
        self.poll_answer(context).map_ok(Event::Answered)
    }

    /// Sends as much of the piece as the server has room for. What it does not want any more is thrown away:
    /// what it answers says why.
    fn poll_send(&mut self, held: &mut Option<Piece>, context: &mut Context<'_>) -> Poll<()> {
        while let Some(piece) = held.as_mut().filter(|_| self.takes) {
            let part = if piece.bytes.is_empty() {
                Bytes::new()
            } else {
                self.body.reserve_capacity(piece.bytes.len());
                let Some(Ok(room)) = ready!(self.body.poll_capacity(context)) else {
                    self.takes = false;
                    break;
                };
                piece.bytes.split_to(room.min(piece.bytes.len()))
            };
            let is_sent = piece.bytes.is_empty();
            let ends = is_sent && piece.is_last;
            if ends || !part.is_empty() {
                self.takes = self.body.send_data(part, ends).is_ok() && !ends;
            }
            if is_sent {
                break;
            }
        }
        *held = None;
        Poll::Ready(())
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<HttpTask>> {
        self.make_room()?;
        if !self.ahead.is_empty() {
            let bytes = self.ahead.split().freeze();
            return Poll::Ready(Ok(self.hand_out(bytes)));
        }
        if let Some(error) = self.broken.take() {
            return Poll::Ready(failed(error, false));
        }
        loop {
            match &mut self.answer {
                Answer::Awaited(answer) => {
                    // An error is told again as that of the answer.
                    if let Poll::Ready(Some(Ok(interim))) = answer.poll_informational(context) {
                        let head = head(interim.into_parts().0)?;
                        return Poll::Ready(Ok(HttpTask::Header(head, false)));
                    }
                    let answer = ready!(Pin::new(answer).poll(context)).or_else(|error| {
                        if error.is_go_away() {
                            self.place.retire();
                        }
                        failed(error, true)
                    })?;
                    let (parts, body) = answer.into_parts();
                    let has_ended = body.is_end_stream();
                    self.answer = if has_ended { Answer::Done } else { Answer::Body(body) };
                    return Poll::Ready(Ok(HttpTask::Header(head(parts)?, has_ended)));
                }
                Answer::Body(body) => match ready!(body.poll_data(context)) {
                    Some(Ok(bytes)) => {
                        let bytes = self.gather(bytes, context);
                        return Poll::Ready(Ok(self.hand_out(bytes)));
                    }
                    Some(Err(error)) => return Poll::Ready(failed(error, false)),
                    None => self.end_body(),
                },
                Answer::Trailers(body) => {
                    let fields = ready!(body.poll_trailers(context)).or_else(|error| failed(error, false))?;
                    self.answer = Answer::Done;
                    let fields = fields.map(trailers::clean).filter(|fields| !fields.is_empty());
                    return Poll::Ready(Ok(fields.map_or(HttpTask::Done, |f| HttpTask::Trailer(Some(Box::new(f))))));
                }
                Answer::Done => return Poll::Ready(Ok(HttpTask::Done)),
            }
        }
    }

    fn read_what_is_there(&mut self, context: &mut Context<'_>) {
        while self.broken.is_none()
            && let Answer::Body(body) = &mut self.answer
            && let Poll::Ready(piece) = body.poll_data(context)
        {
            match piece {
                Some(Ok(bytes)) => self.ahead.extend_from_slice(&bytes),
                Some(Err(error)) => self.broken = Some(error),
                None => self.end_body(),
            }
        }
    }

    /// A piece with what is there beside it, if it is small.
    fn gather(&mut self, piece: Bytes, context: &mut Context<'_>) -> Bytes {
        if piece.len() >= SMALL {
            return piece;
        }
        self.read_what_is_there(context);
        if self.ahead.is_empty() {
            return piece;
        }
        let rest = std::mem::replace(&mut self.ahead, piece.into());
        self.ahead.extend_from_slice(&rest);
        self.ahead.split().freeze()
    }

    /// A piece of the body, which takes room until it is told.
    fn hand_out(&mut self, bytes: Bytes) -> HttpTask {
        self.handed_out = bytes.len();
        let has_ended = match &self.answer {
            Answer::Body(body) | Answer::Trailers(body) => body.is_end_stream(),
            Answer::Awaited(_) | Answer::Done => false,
        };
        HttpTask::Body(Some(bytes), has_ended)
    }

    /// That what was handed out is told.
    fn make_room(&mut self) -> Result<()> {
        let length = std::mem::take(&mut self.handed_out);
        match &mut self.answer {
            Answer::Body(body) | Answer::Trailers(body) if length > 0 => {
                body.flow_control().release_capacity(length).or_else(|error| failed(error, false))
            }
            Answer::Body(_) | Answer::Trailers(_) | Answer::Awaited(_) | Answer::Done => Ok(()),
        }
    }

    /// That all of the body was read.
    fn end_body(&mut self) {
        self.answer = match std::mem::replace(&mut self.answer, Answer::Done) {
            Answer::Body(body) => Answer::Trailers(body),
            other @ (Answer::Awaited(_) | Answer::Trailers(_) | Answer::Done) => other,
        };
    }
}

/// The head as HTTP/1.1 has it, which is what the way back is made of.
fn head(parts: http::response::Parts) -> Result<Box<ResponseHeader>> {
    let mut head = ResponseHeader::from(parts);
    head.set_version(Version::HTTP_11);
    // The library has seen that they are the same; a client of HTTP/1.1 is told once.
    let length = head.headers.get(CONTENT_LENGTH).cloned();
    if let Some(length) = length {
        head.insert_header(CONTENT_LENGTH, length)?;
    }
    Ok(Box::new(head))
}

/// What the library's error comes to. `is_first`: nothing of the answer has come.
fn failed<T>(error: h2::Error, is_first: bool) -> Result<T> {
    // RFC 9113 section 8.7: what was refused, or came after the last that the server has taken up, was not
    // processed. The library ends by a GOAWAY only the streams that are beyond its last.
    let is_unprocessed =
        error.is_remote() && (error.is_go_away() || error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM));
    let is_gone = error.is_io();
    let mut failed = Error::because(ErrorType::H2Error, "exchanging", error).into_up();
    failed.retry = match (is_first, is_unprocessed, is_gone) {
        (true, true, _) => RetryType::Decided(true),
        (true, false, true) => RetryType::ReusedOnly,
        (true, false, false) | (false, ..) => RetryType::Decided(false),
    };
    Err(failed)
}
