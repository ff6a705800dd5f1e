//! A connection as pingora takes it: bytes either way, and what is known of the client who sends them.
//!
//! Pingora's own streams have no place for a client's certificate unless its TLS is used, which
//! brings a second crypto library and cannot change its certificate authorities while it runs.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    ALPN, Digest, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::tls::Secured;
use crate::policy::Certificate;

/// What every HTTP/2 client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An answer's head and a small body are sent as one.
const WRITE_BUFFER: usize = 4096;
/// How long a client may take to take the last bytes.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// One client's connection; without TLS also one to an upstream's server.
#[derive(Debug)]
pub(super) struct Connection {
    transport: BufWriter<Transport>,
    /// Read already, and not yet asked for.
    ahead: Bytes,
    http2: bool,
    socket: Arc<SocketDigest>,
    told: Option<Arc<ProxyDigest>>,
    fd: RawFd,
    since: SystemTime,
}

/// What TLS says of a client; there is none without TLS.
#[derive(Debug)]
pub(super) struct Security {
    certificate: Option<Certificate>,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Security {
    /// That of the connection that a request came by.
    pub(super) fn of(digest: Option<&Digest>) -> Option<&Self> {
        digest?.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// The certificate that the client of that connection has shown, verified.
    pub(super) fn certificate(digest: Option<&Digest>) -> Option<&Certificate> {
        Self::of(digest)?.certificate.as_ref()
    }
}

impl Connection {
    /// Without TLS.
    pub(super) fn plain(stream: TcpStream, peer: SocketAddr) -> Self {
        let fd = stream.as_raw_fd();
        Self::new(Transport::Plain(stream), fd, peer, None)
    }

    /// With TLS.
    ///
    /// # Errors
    /// If pingora has no place for what is known of the client.
    pub(super) fn tls(secured: Secured, peer: SocketAddr) -> pingora::Result<Self> {
        let fd = secured.stream.get_ref().0.as_raw_fd();
        // The one place for something of ours that pingora's connections have; nothing reads its head.
        let security = Security { certificate: secured.certificate };
        let head = ResponseHeader::build(200, None)?;
        let told = Arc::new(ProxyDigest::new(Box::new(head), Some(Box::new(security))));
        Ok(Self::new(Transport::Tls(Box::new(secured.stream)), fd, peer, Some(told)))
    }

    /// The system's socket, where there is no TLS.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        match self.transport.get_ref() {
            Transport::Plain(stream) => Some(stream),
            Transport::Tls(_) => None,
        }
    }

    /// Has these bytes, which were read from the socket, read again.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.ahead = bytes;
    }

    fn new(transport: Transport, fd: RawFd, peer: SocketAddr, told: Option<Arc<ProxyDigest>>) -> Self {
        let socket = SocketDigest::from_raw_fd(fd);
        // It is new, and so empty.
        let _ = socket.peer_addr.set(Some(peer.into()));
        Self {
            transport: BufWriter::with_capacity(WRITE_BUFFER, transport),
            ahead: Bytes::new(),
            http2: false,
            socket: Arc::new(socket),
            told,
            fd,
            since: SystemTime::now(),
        }
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

/// Pingora counts on it where it drops a connection whose answer broke off.
impl Drop for Connection {
    fn drop(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.transport).poll_flush(&mut context);
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(to.remaining());
            to.put_slice(&self.ahead.split_to(length));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.transport).poll_read(context, to)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        // Whoever has gone already needs no goodbye.
        let _ = tokio::time::timeout(SHUTDOWN, self.transport.shutdown()).await;
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

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, to),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, to),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
