//! One request with a server and its answer, over either version of HTTP.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use pingora::Result;
use pingora::protocols::http::HttpTask;

use super::{http1, http2};
use crate::config::Transport;

/// One request with a server, whose head was sent.
pub(super) enum Exchange {
    Http1(Box<http1::Exchange>),
    Http2(Box<http2::Exchange>),
}

/// A part of a request's body.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) is_last: bool,
}

/// What has come about.
pub(super) enum Event {
    /// The piece that was held is sent, or nobody wants it.
    Sent,
    /// The server has answered so much.
    Answered(HttpTask),
}

/// How long a server may take for what is awaited next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) read: Duration,
    pub(super) write: Duration,
}

impl Times {
    /// `has_answered`: whether the answer has begun.
    pub(super) fn of(transport: &Transport, has_answered: bool) -> Self {
        let read = if has_answered { transport.read_timeout } else { transport.first_byte_timeout };
        Self { read, write: transport.write_timeout }
    }
}

impl Exchange {
    /// Sends the piece that is held, if there is one, or waits for what the server says. While there is none
    /// it may be given up and begun again.
    ///
    /// # Errors
    /// If the exchange has failed.
    pub(super) async fn step(&mut self, held: &mut Option<Piece>, times: Times) -> Result<Event> {
        match self {
            Self::Http1(exchange) => exchange.step(held, times).await,
            Self::Http2(exchange) => exchange.step(held, times).await,
        }
    }

    /// Looks after what comes while what was answered is told. It has no end of its own.
    pub(super) async fn read_ahead(&mut self) -> Infallible {
        match self {
            // It waits in the system's buffers.
            Self::Http1(_) => std::future::pending().await,
            Self::Http2(exchange) => exchange.read_ahead().await,
        }
    }
}
