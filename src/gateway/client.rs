//! The requests of one client's connection: those of HTTP/1.1 one after another, those of HTTP/2 as they
//! come.
//!
//! Pingora reads and writes them. How long a head may take is `patience`'s, what becomes of a request
//! `proxy`'s.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use http::Method;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp as _};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::server::ReusableHttpStream;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::server::ShutdownWatch;

use super::admission::Connections;
use super::connection::Connection;
use super::generation::Gateway;
use super::patience::{Patience, Wait};
use super::proxy::exchange;

/// What a client may send of one body, and of all of a connection, before any is passed on, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What frames of less than 256 bytes, that nobody has read yet, may lack of that in all; beyond, the connection ends.
/// A stream's window full of messages of 16 bytes, as gRPC sends them, lacks half of it.
const FRAME_BUDGET: usize = 8 * 1024 * 1024;

/// Who serves one connection.
pub(super) struct Client {
    gateway: Arc<Gateway>,
    connections: Connections,
    patience: Patience,
    options: HttpServerOptions,
}

/// A connection between two requests, and what was read of the next one already.
type Between = (Stream, Option<BytesMut>);

impl Client {
    pub(super) fn new(gateway: Arc<Gateway>, connections: Connections, patience: Patience) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(patience.limits.idle_timeout);
        Self { gateway, connections, patience, options }
    }

    /// Serves the connection to its end.
    pub(super) async fn serve(self, connection: Connection, ends: &ShutdownWatch) {
        if connection.speaks_http2() {
            Arc::new(self).process_new(Box::new(connection), ends).await;
            return;
        }
        let mut next: Option<Between> = Some((Box::new(connection), None));
        let mut is_first = true;
        while let Some(between) = next {
            next = self.serve_next(between, is_first).await;
            is_first = false;
        }
    }

    /// Serves the next request of a connection of HTTP/1.1; `None`: it was the last.
    async fn serve_next(&self, (stream, ahead): Between, is_first: bool) -> Option<Between> {
        let mut session = ServerSession::new_http1(stream);
        // For ever, but for what is bounded here.
        session.set_keepalive(Some(0));
        let sent_ahead = ahead.as_ref().map_or(0, BytesMut::len);
        if let Some(ahead) = ahead {
            session.set_pipelined_prefix(ahead);
        }
        match self.patience.wait(&mut session, is_first, sent_ahead).await {
            Wait::Read => {}
            Wait::Gone => return None,
            Wait::Ended(end) => {
                self.connections.ended(end);
                return None;
            }
        }
        self.patience.known.begin();
        if self.patience.ending.has_begun() {
            session.set_keepalive(None);
        }
        if !self.answer(&mut session).await {
            return None;
        }
        match session {
            // What pingora's own end of a session would do, and move the session about for.
            ServerSession::H1(mut http1) => {
                http1.finish_body().await.ok()?;
                http1.reuse().await.ok().flatten().map(ReusableHttpStream::into_parts)
            }
            ServerSession::H2(_) | ServerSession::Subrequest(_) | ServerSession::Custom(_) => None,
        }
    }

    /// Answers a request whose head was read; whether that came to a good end.
    async fn answer(&self, session: &mut ServerSession) -> bool {
        if session.req_header().method == Method::CONNECT {
            // It asks for a tunnel, in which there are no requests to judge. Who does not take the answer has gone.
            let _ = session.respond_error(405).await;
            session.shutdown().await;
            return false;
        }
        exchange(session, &self.gateway).await
    }
}

/// What pingora asks of who serves HTTP/2.
#[async_trait]
impl HttpServerApp for Client {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if self.answer(&mut session).await {
            // A stream has one request, and who has reset it hears nothing more.
            let _ = session.finish().await;
        }
        None
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        let limits = &self.patience.limits;
        let head = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
        options
            .max_concurrent_streams(limits.http2.streams)
            .max_header_list_size(head)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .data_frame_budget(FRAME_BUDGET)
            .max_pending_accept_reset_streams(limits.http2.resets)
            .max_local_error_reset_streams(Some(limits.http2.errors));
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}
