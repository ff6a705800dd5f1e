//! Clients that take their time: how long one may take to send a head, and how long one may leave an
//! answer untaken.
//!
//! Pingora bounds each read and not their sum, so that a head can be sent byte by byte for weeks; and
//! it bounds no write of a head, so that a client that reads nothing keeps its request, and with it an
//! upstream's connection, for ever. What a piece of a body may take is `proxy`'s.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::TcpKeepalive;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::time::timeout;

use super::proxy::Proxy;

/// How long clients are waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From the opening of a connection, or the end of the answer before, to the end of a head; so it
    /// bounds idle connections too.
    pub(super) head: Duration,
    /// While a client acknowledges nothing or takes nothing of what was sent.
    pub(super) untaken: Duration,
}

/// The proxy, which closes the connections of clients that do not send a head in time.
pub(super) struct Patient {
    proxy: Arc<HttpProxy<Proxy>>,
    patience: Patience,
}

thread_local! {
    /// Whether a head was read in the poll that is under way on this thread.
    static HEAD_IS_READ: Cell<bool> = const { Cell::new(false) };
}

/// To be called where a request's head has been read.
pub(super) fn head_is_read() {
    HEAD_IS_READ.set(true);
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(60), untaken: Duration::from_secs(60) }
    }
}

impl Patience {
    /// Has the system close connections whose client takes nothing (`TCP_USER_TIMEOUT`) or is gone.
    pub(super) fn keepalive(self) -> TcpKeepalive {
        TcpKeepalive {
            idle: Duration::from_secs(60),
            interval: Duration::from_secs(10),
            count: 6,
            #[cfg(target_os = "linux")]
            user_timeout: self.untaken,
        }
    }
}

impl Patient {
    pub(super) fn new(proxy: HttpProxy<Proxy>, patience: Patience) -> Self {
        Self { proxy: Arc::new(proxy), patience }
    }
}

#[async_trait]
impl HttpServerApp for Patient {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let mut request = self.proxy.process_new_http(session, shutdown);
        let up_to_head = poll_fn(|context| {
            HEAD_IS_READ.set(false);
            match request.as_mut().poll(context) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending if HEAD_IS_READ.get() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        match timeout(self.patience.head, up_to_head).await {
            Ok(Some(ended)) => ended,
            Ok(None) => request.await,
            // What is dropped is closed.
            Err(_) => None,
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
