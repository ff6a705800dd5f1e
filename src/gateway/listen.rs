//! A listening socket: connections are accepted, shake hands where there is TLS, and are served by `client`.
//!
//! Pingora's own listeners are not used, for what `connection` says.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::protocols::l4::ext::set_tcp_keepalive;
use pingora::server::ShutdownWatch;
use tokio::net::{TcpListener, TcpStream};

use super::admission::Connections;
use super::client::Client;
use super::connection::Connection;
use super::ending::Ending;
use super::generation::Gateway;
use super::patience::{Patience, keepalive};
use super::sockets::Sockets;
use super::tls::Tls;
use crate::config::{self, Authorizer, Limits};
use crate::record::ConnectionEnd;

/// After the system had no more sockets to give.
const PAUSE: Duration = Duration::from_secs(1);
/// Where more and more connections wait, somebody else must take the last.
const LAST: Duration = Duration::from_millis(100);

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
    authorizer: Option<Arc<Authorizer>>,
}

/// What serves connections.
#[derive(Clone)]
pub(super) struct App {
    gateway: Arc<Gateway>,
    pub(super) connections: Connections,
    pub(super) ending: Arc<Ending>,
}

impl App {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        let connections = Connections::new(Arc::clone(gateway.metrics()));
        Self { gateway, connections, ending: Arc::default() }
    }
}

impl Listener {
    /// Listens, within a runtime.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub(super) fn open(settings: &config::Listener, tls: Option<Arc<Tls>>, sockets: &mut Sockets) -> io::Result<Self> {
        let socket = sockets.listen(settings.address)?;
        let authorizer = settings.authorizer.clone().map(Arc::new);
        Ok(Self { socket, speech: Speech { http2: settings.http2, tls, authorizer } })
    }

    /// Where it really listens: the port may have been left open.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts connections and has them served until `ends` says so.
    pub(super) async fn serve(self, app: App, mut ends: ShutdownWatch) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                // An error is that nobody is left to say so.
                _ = ends.wait_for(|ended| *ended) => break,
            };
            match accepted {
                // The next connection is served, whatever comes of this one.
                Ok((stream, peer)) => {
                    drop(catch_unwind(AssertUnwindSafe(|| self.speech.take(stream, peer, &app, &ends))));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted right now");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        // Who is served from here on has not seen the end.
        ends.mark_changed();
        self.take_waiting(&app, &ends);
    }

    /// Has the connections served that wait to be accepted: with the socket they would be gone.
    fn take_waiting(self, app: &App, ends: &ShutdownWatch) {
        let Self { socket, speech } = self;
        let Ok(socket) = socket.into_std() else { return };
        let until = Instant::now() + LAST;
        // It does not block: where nobody waits, that is an error.
        while let Ok((stream, peer)) = socket.accept()
            && Instant::now() < until
        {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                speech.take(stream, peer, app, ends);
            }
        }
    }
}

impl Speech {
    /// Has a connection served, if there may be one more.
    fn take(&self, stream: TcpStream, peer: SocketAddr, app: &App, ends: &ShutdownWatch) {
        let generation = app.gateway.current();
        let settings = &generation.settings;
        let limits = self.limits(settings.limits);
        // Who asks an authorizer stands for many clients, as a trusted proxy does.
        let trusted = self.authorizer.as_ref().map_or(&settings.trusted_proxies, |authorizer| &authorizer.peers);
        let admitted = match app.connections.admit(peer.ip(), &limits, trusted) {
            Ok(admitted) => admitted,
            Err(end) => return app.connections.ended(end),
        };
        // The connection outlives the socket.
        let (app, ends, speech) = (app.clone(), ends.clone(), self.clone());
        tokio::spawn(async move {
            let _admitted = admitted;
            speech.serve(stream, peer, app, limits, &ends).await;
        });
    }

    /// Those of a connection: a question has a whole head in it, beside what its plane says.
    fn limits(&self, limits: Limits) -> Limits {
        let factor = if self.authorizer.is_some() { 2 } else { 1 };
        Limits { header_bytes: limits.header_bytes.saturating_mul(factor), ..limits }
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, app: App, limits: Limits, ends: &ShutdownWatch) {
        match self.open(stream, peer, &limits).await {
            Ok(connection) => {
                let connection = connection.takes_requests();
                if let Some(authorizer) = &self.authorizer {
                    // It is new, and so empty.
                    let _ = connection.known().authorizer.set(Arc::clone(authorizer));
                }
                let App { gateway, connections, ending } = app;
                let shard = usize::from(peer.port());
                let patience = Patience { known: connection.known(), limits, ending, shard };
                Client::new(gateway, connections, patience).serve(connection, ends).await;
            }
            // Anybody can connect, and say what they like or nothing.
            Err(error) => {
                tracing::debug!(%peer, %error, "a connection was not taken");
                if error.kind() != io::ErrorKind::UnexpectedEof {
                    app.connections.ended(ConnectionEnd::Handshake);
                }
            }
        }
    }

    /// The connection, once it is known what it speaks.
    async fn open(&self, stream: TcpStream, peer: SocketAddr, limits: &Limits) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        set_tcp_keepalive(&stream, &keepalive(limits)).map_err(io::Error::other)?;
        if let Some(tls) = &self.tls {
            return within(limits.head_timeout, async {
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
        let mut connection = Connection::plain(stream, peer).map_err(io::Error::other)?;
        if self.http2 {
            within(limits.head_timeout, connection.begin_http2()).await?;
        }
        Ok(connection)
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
