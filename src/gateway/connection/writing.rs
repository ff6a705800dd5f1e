//! What goes out on a connection: it is held until its writer waits for something, or goes at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::Connection;
use crate::gateway::farewell::Farewell;
use crate::gateway::tenure::{Kind, Tenure};

/// A write that is to go at once, and has not gone yet. Until it has, it is not done: TLS takes what it has no room
/// for, and nobody would look after it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owed {
    /// Where its bytes are, by which it is known again.
    at: usize,
    length: usize,
}

impl Connection {
    /// Writes into the buffer; what is to go at once goes on from there before the write is done.
    fn poll_out(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
        of: Option<&Arc<Tenure>>,
    ) -> Poll<io::Result<usize>> {
        let at = bytes.as_ptr().addr();
        let length = match self.owed {
            Some(owed) if owed.at == at && owed.length <= bytes.len() => owed.length,
            // The write before was given up, and nobody knows how much of it the client gets.
            Some(_) => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            None => {
                let length = ready!(Pin::new(&mut self.transport).poll_write(context, bytes))?;
                self.is_held = true;
                if let Some(tenure) = of {
                    self.farewell_of(tenure).watch(bytes.get(..length).unwrap_or_default());
                }
                if !self.known.hurries() {
                    return Poll::Ready(Ok(length));
                }
                self.owed = Some(Owed { at, length });
                length
            }
        };
        ready!(Pin::new(&mut *self).poll_flush(context))?;
        self.owed = None;
        Poll::Ready(Ok(length))
    }

    /// Writes what belongs to an exchange that can end; what comes after its end is not passed on.
    fn poll_watched_write(
        &mut self,
        tenure: &Arc<Tenure>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !tenure.has_ended() {
            return self.poll_out(context, bytes, Some(tenure));
        }
        self.say_farewell(tenure, context);
        match tenure.kind {
            // Reading has it end, once the client had time to read why.
            Kind::WebSocket => Poll::Ready(Ok(bytes.len())),
            Kind::Events | Kind::Call => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }

    /// That of this exchange, and of none before it on the same connection.
    pub(super) fn farewell_of(&mut self, tenure: &Arc<Tenure>) -> &mut Farewell {
        if !self.farewell.as_ref().is_some_and(|farewell| farewell.is_of(tenure)) {
            self.farewell = None;
        }
        self.farewell.get_or_insert_with(|| Box::new(Farewell::new(Arc::clone(tenure))))
    }

    fn say_farewell(&mut self, tenure: &Arc<Tenure>, context: &mut Context<'_>) {
        self.farewell_of(tenure);
        if let Some(farewell) = &mut self.farewell {
            farewell.say(&mut self.transport, context);
        }
    }

    /// Ends an exchange; what comes of reading then is the end.
    pub(super) fn poll_end(&mut self, tenure: &Arc<Tenure>, context: &mut Context<'_>) -> Poll<()> {
        self.farewell_of(tenure);
        match &mut self.farewell {
            Some(farewell) => farewell.poll(&mut self.transport, context),
            None => Poll::Ready(()),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.known.tenure() {
            None => self.poll_out(context, bytes, None),
            Some(tenure) => self.poll_watched_write(&tenure, context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.owed.is_some() || self.known.hurries() || self.known.tenure().is_some() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(context, first.map_or(&[], |slice| slice));
        }
        self.is_held = true;
        Pin::new(&mut self.transport).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.transport).poll_flush(context))?;
        self.is_held = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }
}
