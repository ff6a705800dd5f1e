//! Connections to servers on which a `WebSocket` is asked for.
//!
//! Pingora ends an exchange whose server switches protocols before pingora itself has taken up that the
//! request is over: it takes the end of the request for the client's goodbye. A server on the same
//! machine is fast enough for that. Here reading waits for one turn of the task after the request was
//! written, in which pingora takes up its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::l4::Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Keeps such connections apart from others that are kept.
const GROUP: u64 = 1;

/// Has pingora ask for a `WebSocket` on a connection of its own. One whose server refuses is not kept.
pub(in crate::gateway) fn upgrading(mut peer: Box<HttpPeer>) -> Box<HttpPeer> {
    if peer.options.custom_l4.is_none() {
        peer.options.custom_l4 = Some(Arc::new(Upgrading));
        peer.options.idle_timeout = Some(Duration::ZERO);
        peer.group_key = GROUP;
    }
    peer
}

/// Connects, within pingora's time.
#[derive(Debug)]
struct Upgrading;

/// A socket that is not read in the same turn as it was written.
#[derive(Debug)]
struct Turns {
    stream: TcpStream,
    has_written: bool,
}

#[async_trait]
impl Connect for Upgrading {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let address = address.as_inet().ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
        let connected = TcpStream::connect(address).await;
        let stream = connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let stream = stream.map_err(|error| Error::because(ErrorType::ConnectError, "connecting", error).into_up())?;
        Ok(VirtualSocketStream::new(Box::new(Turns { stream, has_written: false })).into())
    }
}

impl VirtualSocket for Turns {
    /// What is to be set is set.
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Turns {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.has_written) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, to)
    }
}

impl AsyncWrite for Turns {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.has_written = true;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
