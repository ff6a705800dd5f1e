//! Clients that take their time: how long one may take to send a head, how long one may be idle, and
//! how long one may leave an answer untaken.
//!
//! Pingora bounds each read and not their sum, so that a head can be sent byte by byte for weeks; and
//! it bounds no write of a head, so that a client that reads nothing keeps its request, and with it an
//! upstream's connection, for ever. What a piece of a body may take is `proxy`'s.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::TcpKeepalive;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::time::timeout;

use super::admission::Connections;
use super::known::Known;
use super::proxy::Proxy;
use crate::config::Limits;
use crate::record::ConnectionEnd;

/// What a client may send of one body, and of all of a connection, before any is passed on, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What frames of less than 256 bytes, that nobody has read yet, may lack of that in all; beyond, the connection ends.
/// A stream's window full of messages of 16 bytes, as gRPC sends them, lacks half of it.
const FRAME_BUDGET: usize = 8 * 1024 * 1024;

/// The proxy for one connection, which it closes when its client does not send a head in time.
pub(super) struct Patient {
    proxy: Arc<HttpProxy<Proxy>>,
    connections: Connections,
    known: Arc<Known>,
    limits: Limits,
    options: HttpServerOptions,
    /// Whether there was a request before.
    used: AtomicBool,
}

/// A request of pingora's, from its head to the connection as it leaves it.
type Request<'r> = Pin<Box<dyn Future<Output = Option<ReusedHttpStream>> + Send + 'r>>;

/// How far a request has got.
enum Progress {
    /// The first byte has come.
    Begun,
    /// Its head was read.
    Read,
    Ended(Option<ReusedHttpStream>),
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

impl Patient {
    pub(super) fn new(
        proxy: Arc<HttpProxy<Proxy>>,
        connections: Connections,
        known: Arc<Known>,
        limits: Limits,
    ) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(limits.idle_timeout);
        Self { proxy, connections, known, limits, options, used: AtomicBool::new(false) }
    }

    /// A request of HTTP/1, whose head must come in time.
    async fn serve(&self, mut request: Request<'_>) -> Option<ReusedHttpStream> {
        let is_first = !self.used.swap(true, Ordering::Relaxed);
        let start = if is_first { self.limits.head_timeout } else { self.limits.idle_timeout };
        let mut progress = timeout(start, self.progress(&mut request, is_first)).await;
        if let Ok(Progress::Begun) = progress {
            progress = timeout(self.limits.head_timeout, self.progress(&mut request, true)).await;
        }
        let end = match progress {
            Ok(Progress::Read | Progress::Begun) => return request.await,
            Ok(Progress::Ended(reused)) if !self.known.head.is_exceeded() => return reused,
            Ok(Progress::Ended(_)) => ConnectionEnd::HeadTooLarge,
            // Whoever sends nothing more has done nothing wrong.
            Err(_) if !is_first && !self.known.head.has_begun() => return None,
            Err(_) => ConnectionEnd::HeadTimeout,
        };
        self.connections.ended(end);
        // What is dropped is closed.
        None
    }

    /// Runs the request until its head is read, or begun unless that is `passed_over`, or it ends.
    async fn progress(&self, request: &mut Request<'_>, passed_over: bool) -> Progress {
        let head = &self.known.head;
        poll_fn(|context| match request.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(Progress::Ended(ended)),
            Poll::Pending if !head.is_on() => Poll::Ready(Progress::Read),
            Poll::Pending if head.has_begun() && !passed_over => Poll::Ready(Progress::Begun),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

#[async_trait]
impl HttpServerApp for Patient {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if session.as_http1().is_none() {
            return self.proxy.process_new_http(session, shutdown).await;
        }
        if session.get_keepalive().is_some() {
            // For ever, but for what is bounded here.
            session.set_keepalive(Some(0));
        }
        self.known.head.start(self.limits.header_bytes);
        self.serve(self.proxy.process_new_http(session, shutdown)).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        let head = u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX);
        options
            .max_concurrent_streams(self.limits.http2.streams)
            .max_header_list_size(head)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .data_frame_budget(FRAME_BUDGET)
            .max_pending_accept_reset_streams(self.limits.http2.resets)
            .max_local_error_reset_streams(Some(self.limits.http2.errors));
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}
