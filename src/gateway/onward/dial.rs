//! Connections to a server: one that is there already, or a new one, with its handshakes.
//!
//! Why no handshake comes about is said once for each reason, not for each request.

use std::io;

use parking_lot::Mutex;
use pingora::time::timeout;
use pingora::{Error, ErrorType, Result};
use tokio::net::TcpStream;

use super::streams::{Place, Streams};
use crate::gateway::connection::Connection;
use crate::gateway::upstream::Server;
use crate::record::{Handshake, UpstreamSeries};

/// What is shaken hands about with a server, and what was last said of it.
#[derive(Debug)]
pub(in crate::gateway) struct Handshakes {
    upstream: Box<str>,
    series: UpstreamSeries,
    /// Why the last one failed, without what differs from one to the next.
    said: Mutex<Option<String>>,
}

/// A new connection over TCP alone.
///
/// # Errors
/// If there is none in time.
pub(in crate::gateway) async fn plain(server: &Server) -> Result<Box<Connection>> {
    within(server, async {
        let stream = tcp(server).await?;
        Ok(Box::new(Connection::plain(stream, server.address)?))
    })
    .await
}

/// A connection to speak HTTP/1.1 over, and whether it was used before; never if it is to be `new`.
///
/// # Errors
/// If there is none in time.
pub(super) async fn http1(server: &Server, new: bool) -> Result<(Box<Connection>, bool)> {
    let kept = if new { None } else { server.idle.take(server.age()) };
    match kept {
        Some(connection) => Ok((connection, true)),
        None => Ok((within(server, secured(server)).await?, false)),
    }
}

/// A place on an HTTP/2 connection, and whether that was used before.
///
/// # Errors
/// If there is none in time.
pub(super) async fn http2(server: &Server, streams: &Streams) -> Result<(Place, bool)> {
    if let Some(place) = streams.place(server.age()) {
        return Ok((place, true));
    }
    within(server, async {
        // Who waited meanwhile finds room on what another has made.
        let _making = streams.making.lock().await;
        if let Some(place) = streams.place(server.age()) {
            return Ok((place, true));
        }
        let connection = secured(server).await?;
        let age = connection.age();
        let place = streams.begin(connection, age).await;
        let place = place.or_else(|error| server.handshakes.failed(server, Handshake::Http2, &error))?;
        server.handshakes.succeeded(server);
        Ok((place, false))
    })
    .await
}

/// A new connection, with TLS if the server has it.
async fn secured(server: &Server) -> Result<Box<Connection>> {
    let stream = tcp(server).await?;
    let Some(tls) = &server.tls else {
        return Ok(Box::new(Connection::plain(stream, server.address)?));
    };
    let shaken = async { tls.connect(tls.name(&server.host)?, stream).await };
    match shaken.await {
        Ok((stream, age)) => {
            if server.streams.is_none() {
                server.handshakes.succeeded(server);
            }
            Ok(Box::new(Connection::to_server(stream, server.address, age)?))
        }
        Err(error) => server.handshakes.failed(server, Handshake::Tls, &error),
    }
}

async fn tcp(server: &Server) -> Result<TcpStream> {
    let stream = TcpStream::connect(server.address).await;
    let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    stream.map_err(|error| Error::because(ErrorType::ConnectError, "connecting", error).into_up())
}

/// All of it within the time that a connection may take.
async fn within<T>(server: &Server, what: impl Future<Output = Result<T>>) -> Result<T> {
    if let Ok(done) = timeout(server.transport.connect_timeout, what).await {
        return done;
    }
    if let Some(handshake) = server.handshake() {
        let late = io::Error::new(io::ErrorKind::TimedOut, "it did not come about in time");
        return server.handshakes.failed(server, handshake, &late);
    }
    Err(Error::new_up(ErrorType::ConnectTimedout))
}

impl Handshakes {
    pub(in crate::gateway) fn new(upstream: Box<str>, series: UpstreamSeries) -> Self {
        Self { upstream, series, said: Mutex::new(None) }
    }

    fn failed<T, E: std::error::Error>(&self, server: &Server, what: Handshake, error: &E) -> Result<T> {
        self.series.handshake_failed(what);
        let text = error.to_string();
        // Times in it differ from one to the next.
        let gist: String = text.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        let mut said = self.said.lock();
        if said.as_ref() != Some(&gist) {
            *said = Some(gist);
            let (upstream, server, what) = (&*self.upstream, server.address, what.as_str());
            tracing::warn!(upstream, %server, error = text, "no {what} handshake with a server of the upstream comes about");
        }
        Err(Error::explain(ErrorType::TLSHandshakeFailure, text).into_up())
    }

    fn succeeded(&self, server: &Server) {
        if self.said.lock().take().is_some() {
            let (upstream, server) = (&*self.upstream, server.address);
            tracing::info!(upstream, %server, "handshakes with a server of the upstream come about again");
        }
    }
}
