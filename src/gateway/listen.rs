//! A listening socket: connections are accepted, shake hands where there is TLS, and go to pingora.
//!
//! Pingora's own listeners are not used, for what `connection` says. What a connection carries is
//! pingora's from then on; which requests pass is `proxy`'s.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pingora::apps::{HttpServerOptions, ServerApp as _};
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::l4::ext::set_tcp_keepalive;
use pingora::proxy::http_proxy;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::connection::Connection;
use super::generation::Gateway;
use super::patience::{Patience, Patient};
use super::proxy::Proxy;
use super::tls::Tls;
use crate::config;

/// Connections that wait to be accepted; the system's own bound may be lower.
const BACKLOG: u32 = 65_535;
/// How long a client may take for TLS and the first bytes of HTTP/2.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After the system had no more sockets to give.
const PAUSE: Duration = Duration::from_secs(1);

/// Requests of one HTTP/2 connection that may be under way at once.
const MOST_STREAMS: u32 = 100;
/// A request's head as HTTP/2 counts it, in bytes.
const LARGEST_HEAD: u32 = 64 * 1024;
/// What a client may send of one body, and of all of a connection, before any is passed on, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams that a client has reset before they were looked at; one more and the connection ends.
const MOST_RESETS: usize = 20;
/// Streams that were reset for what the client did wrong in them; likewise.
const MOST_ERRORS: usize = 1024;

/// A socket that listens.
pub(super) struct Listener {
    socket: TcpListener,
    speech: Speech,
}

/// What is spoken on a socket's connections.
#[derive(Clone)]
struct Speech {
    http2: bool,
    tls: Option<Arc<Tls>>,
    patience: Patience,
}

/// The phases of `proxy`, as pingora runs them.
pub(super) type App = Arc<Patient>;

/// How many connections are open.
#[derive(Debug, Clone, Default)]
pub(super) struct Open(Arc<AtomicUsize>);

/// One of them, as long as this lives.
struct Opened(Open);

/// Pingora's proxy over the gateway, within these bounds for HTTP/2.
pub(super) fn app(configuration: &Arc<ServerConf>, gateway: Arc<Gateway>, patience: Patience) -> App {
    let mut proxy = http_proxy(configuration, Proxy::new(gateway));
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(patience.head);
    proxy.server_options = Some(options);
    proxy.h2_options = Some(h2_options());
    Arc::new(Patient::new(proxy, patience))
}

impl Listener {
    /// Listens, within a runtime.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub(super) fn bind(settings: &config::Listener, tls: Option<Arc<Tls>>, patience: Patience) -> io::Result<Self> {
        let socket = if settings.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(settings.address)?;
        Ok(Self { socket: socket.listen(BACKLOG)?, speech: Speech { http2: settings.http2, tls, patience } })
    }

    /// Where it really listens: the port may have been left open.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts connections and has them served until `ends` says so.
    pub(super) async fn serve(self, app: App, open: Open, mut ends: ShutdownWatch) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                // An error is that nobody is left to say so.
                _ = ends.wait_for(|ended| *ended) => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (app, ends, opened) = (Arc::clone(&app), ends.clone(), open.one());
                    // The connection outlives the socket.
                    let speech = self.speech.clone();
                    tokio::spawn(async move {
                        let _opened = opened;
                        speech.serve(stream, peer, app, &ends).await;
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted right now");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

impl Speech {
    async fn serve(&self, stream: TcpStream, peer: SocketAddr, app: App, ends: &ShutdownWatch) {
        match self.open(stream, peer).await {
            Ok(connection) => {
                let mut next: Option<pingora::protocols::Stream> = Some(Box::new(connection));
                while let Some(stream) = next {
                    next = app.process_new(stream, ends).await;
                }
            }
            // Anybody can connect and say what they like.
            Err(error) => tracing::debug!(%peer, %error, "a connection was not taken"),
        }
    }

    /// The connection, once it is known what it speaks.
    async fn open(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        set_tcp_keepalive(&stream, &self.patience.keepalive()).map_err(io::Error::other)?;
        if let Some(tls) = &self.tls {
            return within(HANDSHAKE, async {
                let secured = tls.accept(stream).await?;
                let http2 = secured.http2;
                let mut connection = Connection::tls(secured, peer).map_err(io::Error::other)?;
                if http2 && !connection.begin_http2().await? {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "it agreed on HTTP/2 and speaks another"));
                }
                Ok(connection)
            })
            .await;
        }
        let mut connection = Connection::plain(stream, peer);
        if self.http2 {
            within(self.patience.head, connection.begin_http2()).await?;
        }
        Ok(connection)
    }
}

impl Open {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn one(&self) -> Opened {
        self.0.fetch_add(1, Ordering::AcqRel);
        Opened(self.clone())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn within<T>(time: Duration, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(time, what).await.unwrap_or_else(|late| Err(late.into()))
}

/// Whether an error is of the connection that was to be accepted, and the next may well be good.
fn is_of_one_connection(error: &io::Error) -> bool {
    [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused]
        .contains(&error.kind())
}

fn h2_options() -> H2Options {
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(LARGEST_HEAD)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(MOST_RESETS)
        .max_local_error_reset_streams(Some(MOST_ERRORS));
    options
}
