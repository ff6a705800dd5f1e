//! A connection as pingora takes it: bytes either way, and what is known of the client who sends them.
//!
//! Pingora's own streams have no place for a client's certificate unless its TLS is used, which
//! brings a second crypto library and cannot change its certificate authorities while it runs.

#[cfg(test)]
mod tests;
mod transport;
mod writing;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio_rustls::client;

use self::transport::Transport;
use self::writing::Owed;
use super::answer::head_too_large;
use super::farewell::Farewell;
use super::framing::Framing;
use super::known::{Known, Security};
use super::onward::Age;
use super::tenure::Kind;
use super::tls::Secured;
use super::trace::request_id;
use crate::policy::{Denial, HeadFault};

/// What every HTTP/2 client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An answer's head and a small body are sent as one.
const WRITE_BUFFER: usize = 4096;
/// How long a client may take to take the last bytes.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// How much of a head that is too large is read and thrown away, and how long that may take.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// One client's connection, or one to an upstream's server.
#[derive(Debug)]
pub(super) struct Connection {
    transport: BufWriter<Transport>,
    /// Whether something that was written may not have gone yet.
    is_held: bool,
    owed: Option<Owed>,
    /// Read already, and not yet asked for.
    ahead: Bytes,
    http2: bool,
    /// Of what a client of HTTP/1.1 sends.
    framing: Option<Framing>,
    socket: Arc<SocketDigest>,
    known: Arc<Known>,
    told: Option<Arc<ProxyDigest>>,
    fd: RawFd,
    since: SystemTime,
    /// Of an exchange that can end before this would.
    farewell: Option<Box<Farewell>>,
    /// To a server with TLS.
    age: Option<Age>,
}

impl Connection {
    /// Without TLS.
    ///
    /// # Errors
    /// If pingora has no place for what is known of the client.
    pub(super) fn plain(stream: TcpStream, peer: SocketAddr) -> pingora::Result<Self> {
        let fd = stream.as_raw_fd();
        Self::new(Transport::Plain(stream), fd, peer, None)
    }

    /// With TLS.
    ///
    /// # Errors
    /// If pingora has no place for what is known of the client.
    pub(super) fn tls(secured: Secured, peer: SocketAddr) -> pingora::Result<Self> {
        let fd = secured.stream.get_ref().0.as_raw_fd();
        let security = Security { certificate: secured.certificate };
        Self::new(Transport::Tls(Box::new(secured.stream.into())), fd, peer, Some(security))
    }

    /// To a server, with TLS of that age.
    ///
    /// # Errors
    /// As above.
    pub(super) fn to_server(
        stream: client::TlsStream<TcpStream>,
        server: SocketAddr,
        age: Age,
    ) -> pingora::Result<Self> {
        let fd = stream.get_ref().0.as_raw_fd();
        let mut connection = Self::new(Transport::Tls(Box::new(stream.into())), fd, server, None)?;
        connection.age = Some(age);
        Ok(connection)
    }

    /// Which state of its TLS files it was made with, if it is to a server with TLS.
    pub(super) fn age(&self) -> Option<Age> {
        self.age
    }

    /// Whether a server keeps silent on it, as it has to between two answers.
    pub(super) fn is_silent(&mut self) -> bool {
        if let Transport::Plain(stream) = self.transport.get_ref() {
            // The system is asked only where it has announced something.
            return stream.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        }
        let mut byte = [0];
        let mut to = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        // TLS may have something to say that is no part of an answer.
        let read = unconstrained(poll_fn(|context| Pin::new(&mut self.transport).poll_read(context, &mut to)));
        std::pin::pin!(read).poll(&mut context).is_pending()
    }

    /// What is known of it.
    pub(super) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known)
    }

    /// The system's socket, where there is no TLS.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        match self.transport.get_ref() {
            Transport::Plain(stream) => Some(stream),
            Transport::Tls(_) => None,
        }
    }

    /// Whether bytes that were to be read again were not.
    pub(super) fn has_unread(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Has these bytes, which were read from the socket, read again.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.ahead = bytes;
    }

    /// Whether HTTP/2 is spoken on it.
    pub(super) fn speaks_http2(&self) -> bool {
        self.http2
    }

    fn new(transport: Transport, fd: RawFd, peer: SocketAddr, security: Option<Security>) -> pingora::Result<Self> {
        let known = Arc::new(Known::new(security));
        // The one place for something of ours that pingora's connections have; nothing reads its head.
        let head = Box::new(ResponseHeader::build(200, None)?);
        let told = Arc::new(ProxyDigest::new(head, Some(Box::new(Arc::clone(&known)))));
        let socket = SocketDigest::from_raw_fd(fd);
        // It is new, and so empty.
        let _ = socket.peer_addr.set(Some(peer.into()));
        Ok(Self {
            transport: BufWriter::with_capacity(WRITE_BUFFER, transport),
            is_held: false,
            owed: None,
            ahead: Bytes::new(),
            http2: false,
            framing: None,
            socket: Arc::new(socket),
            known,
            told: Some(told),
            fd,
            since: SystemTime::now(),
            farewell: None,
            age: None,
        })
    }

    /// That a client is at its other end, who sends requests of HTTP/1.1 from here on.
    pub(super) fn takes_requests(mut self) -> Self {
        self.framing = (!self.http2).then(Framing::default);
        self
    }

    /// Speaks HTTP/2 from here on if that is how the client begins, and whether it is. It reads no
    /// more than it takes to tell.
    ///
    /// # Errors
    /// If the client says nothing.
    pub(super) async fn begin_http2(&mut self) -> io::Result<bool> {
        let mut read = Vec::with_capacity(PREFACE.len());
        while PREFACE.starts_with(&read) && read.len() < PREFACE.len() {
            let rest = PREFACE.len() - read.len();
            if (&mut self.transport).take(rest as u64).read_buf(&mut read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.http2 = read == PREFACE;
        self.ahead = read.into();
        Ok(self.http2)
    }
}

impl Connection {
    fn poll_any(&mut self, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(to.remaining());
            to.put_slice(&self.ahead.split_to(length));
            self.known.head.take(length);
            return Poll::Ready(Ok(()));
        }
        match self.known.head.left() {
            None => Pin::new(&mut self.transport).poll_read(context, to),
            Some(0) => {
                self.refuse_head(context);
                Poll::Ready(Ok(()))
            }
            Some(left) => self.poll_head(left, context, to),
        }
    }

    /// Reads what may still come of a head, so that no more of it is kept than is accepted.
    fn poll_head(&mut self, left: usize, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = to.filled().len();
        let transport = Pin::new(&mut self.transport);
        if left >= to.remaining() {
            ready!(transport.poll_read(context, to))?;
            self.known.head.take(to.filled().len() - before);
            return Poll::Ready(Ok(()));
        }
        let mut part = ReadBuf::new(to.initialize_unfilled_to(left));
        ready!(transport.poll_read(context, &mut part))?;
        let read = part.filled().len();
        to.advance(read);
        self.known.head.take(read);
        Poll::Ready(Ok(()))
    }

    /// Answers a head that is too large; what comes of it then is the end.
    fn refuse_head(&mut self, context: &mut Context<'_>) {
        self.known.head.exceed();
        let id = request_id(&HeaderMap::new());
        let reason = Denial::HeadTooLarge(HeadFault::Bytes).reason().as_str();
        let answer = head_too_large(HeadFault::Bytes).answer(reason, &id).last_of_http1();
        // It goes into the buffer, which is empty where a request is awaited.
        let _ = Pin::new(&mut self.transport).poll_write(context, &answer);
    }

    fn is_between_requests(&self) -> bool {
        self.framing.as_ref().is_some_and(Framing::is_in_head)
    }

    /// Reads and throws away, so that a client that is still sending gets to read its answer (RFC 9112
    /// section 9.6).
    async fn linger(&mut self) {
        let (mut left, mut bytes) = (LINGER_BYTES, [0; 4096]);
        while let Ok(read @ 1..) = self.transport.read(&mut bytes).await
            && read <= left
        {
            left -= read;
        }
    }
}

/// Pingora counts on it where it drops a connection whose answer broke off.
impl Drop for Connection {
    fn drop(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.transport).poll_flush(&mut context);
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(tenure) = self.known.tenure() {
            if tenure.poll_ended(context) {
                return self.poll_end(&tenure, context).map(Ok);
            }
            if tenure.kind == Kind::WebSocket {
                // What comes is no request, nor is it ever again.
                self.framing = None;
            }
        }
        // Who listens has nothing more to say for now. An error is found by who writes next.
        if self.is_held && self.as_mut().poll_flush(context).is_pending() && self.is_between_requests() {
            // The next request can wait. Who has heard of it does not listen any more, and so what is held would stay.
            return Poll::Pending;
        }
        let before = to.filled().len();
        let read = self.poll_any(context, to);
        if let (Some(framing), Some(bytes)) = (&mut self.framing, to.filled_mut().get_mut(before..)) {
            framing.watch(bytes);
            if !bytes.is_empty() && self.known.head.left().is_none() {
                self.known.hear();
            }
        }
        read
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        // Whoever has gone already needs no goodbye.
        let _ = tokio::time::timeout(SHUTDOWN, self.transport.shutdown()).await;
        if self.known.head.is_exceeded() {
            let _ = tokio::time::timeout(LINGER_TIME, self.linger()).await;
        }
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.fd
    }
}

impl Ssl for Connection {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.http2.then_some(ALPN::H2)
    }
}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        vec![Some(TimingDigest { established_ts: self.since, ..TimingDigest::default() })]
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.told.clone()
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.socket))
    }
}

impl Peek for Connection {}
