//! An exchange over HTTP/1.1, by pingora's client.

use http::StatusCode;
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::{Error, ErrorType, Result, RetryType};

use super::exchange::{Event, Piece, Times};
use crate::gateway::connection::Connection;

/// An exchange over a connection of its own.
pub(super) struct Exchange {
    client: HttpSession,
    /// Why no more of the request is sent: the server may have answered before it stopped reading.
    unsent: Option<Box<Error>>,
    /// Whether all of the request is sent.
    is_sent: bool,
}

impl Exchange {
    /// Sends the head; with `is_whole` it is all of the request.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub(super) async fn begin(
        connection: Box<Connection>,
        request: RequestHeader,
        is_whole: bool,
        times: Times,
    ) -> Result<Self> {
        let mut client = HttpSession::new(connection as Stream);
        client.write_timeout = Some(times.write);
        client.write_request_header(Box::new(request)).await.or_else(ended)?;
        Ok(Self { client, unsent: None, is_sent: is_whole })
    }

    /// One whose request was sent whole over that connection.
    pub(super) fn sent(connection: Box<Connection>) -> Self {
        Self { client: HttpSession::new(connection as Stream), unsent: None, is_sent: true }
    }

    /// See [`super::exchange::Exchange::step`]. What is waited for while nothing is held is read into the
    /// client's own buffers, so that nothing is lost where it is given up.
    pub(super) async fn step(&mut self, held: &mut Option<Piece>, times: Times) -> Result<Event> {
        if let Some(piece) = held.take() {
            if self.unsent.is_none() {
                self.unsent = self.send(&piece).await.err();
            }
            return Ok(Event::Sent);
        }
        self.client.read_timeout = Some(times.read);
        match self.client.read_response_task().await {
            Ok(task) => Ok(Event::Answered(task)),
            Err(error) => ended(self.unsent.take().unwrap_or(error)),
        }
    }

    async fn send(&mut self, piece: &Piece) -> Result<()> {
        self.client.maybe_upgrade_body_writer();
        if !piece.bytes.is_empty() {
            self.client.write_body(&piece.bytes).await?;
        }
        if piece.is_last {
            self.client.finish_body().await?;
            self.is_sent = true;
        }
        Ok(())
    }

    /// Its connection, if that can be used again.
    pub(super) async fn into_connection(mut self) -> Option<Box<Connection>> {
        self.client.respect_keepalive();
        let is_good = self.is_sent && self.unsent.is_none() && self.client.will_keepalive();
        // Pingora would wait until a connection is closed that cannot be used again.
        if !is_good || !self.client.is_body_done() {
            return None;
        }
        self.client.reuse().await?.into_any().downcast().ok()
    }
}

/// A connection that was kept may have ended before it saw the request. Pingora does not say so of TLS, nor of a
/// request that could not be written.
fn ended<T>(mut error: Box<Error>) -> Result<T> {
    if matches!(error.etype(), ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed) {
        error.retry = RetryType::ReusedOnly;
    }
    Err(error.into_up())
}

/// What of an answer ends it without a body, whatever it says of its length (RFC 9112 section 6.3).
pub(super) fn has_no_body(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether a piece of an answer says nothing: an empty one would end an answer in chunks.
pub(super) fn is_empty(task: &HttpTask) -> bool {
    match task {
        HttpTask::Body(bytes, false) | HttpTask::UpgradedBody(bytes, false) => {
            bytes.as_ref().is_none_or(bytes::Bytes::is_empty)
        }
        HttpTask::Header(..)
        | HttpTask::Body(_, true)
        | HttpTask::UpgradedBody(_, true)
        | HttpTask::Trailer(_)
        | HttpTask::Done
        | HttpTask::Failed(_) => false,
    }
}
