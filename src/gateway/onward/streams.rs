//! The HTTP/2 connections to one server, and places among their streams.
//!
//! A connection is made when no other has room, one at a time. It counts as made once the server has answered
//! a PING: by then it has shown that it speaks HTTP/2, and how many streams it takes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use h2::client::{Builder, ReadySendRequest, SendRequest};
use h2::{Ping, PingPong};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::tls::Age;
use crate::gateway::connection::Connection;

/// No more requests are under way over one connection, however many the server takes.
const MOST_STREAMS: usize = 100;
/// How much of one answer waits in memory for a client that does not take it.
const WINDOW: u32 = 256 * 1024;
/// So much that no answer holds another one up.
const CONNECTION_WINDOW: u32 = 100 * WINDOW;
/// What frames of less than 256 bytes, that nobody has read yet, may lack of that in all; beyond, the library ends the
/// connection. One answer's frames may come at once and be of a byte each.
const FRAME_BUDGET: usize = 256 * WINDOW as usize;
/// How much of one request waits to be sent.
const SEND_BUFFER: usize = 64 * 1024;
/// The largest head of an answer, and the largest trailers.
const HEAD: u32 = 64 * 1024;
/// How long a server may take to answer a PING when it keeps silent otherwise.
const PONG: Duration = Duration::from_secs(5);

/// The connections to one server.
pub(in crate::gateway) struct Streams {
    list: ArcSwap<Vec<Arc<Carrier>>>,
    /// Held by who changes the list.
    changing: Mutex<()>,
    /// Held by who makes a connection.
    pub(super) making: tokio::sync::Mutex<()>,
}

/// One connection.
struct Carrier {
    sender: SendRequest<Bytes>,
    /// Under way.
    streams: AtomicUsize,
    /// No more of them may begin.
    has_ended: AtomicBool,
    age: Option<Age>,
    /// For how many times of tending it has had none.
    idle: AtomicU32,
    /// Nobody's while one is awaited.
    ping: Mutex<Option<PingPong>>,
}

/// A place among the streams of a connection, given back when it is dropped.
pub(super) struct Place(Arc<Carrier>);

impl Default for Streams {
    fn default() -> Self {
        Self { list: ArcSwap::default(), changing: Mutex::new(()), making: tokio::sync::Mutex::default() }
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("connections", &self.list.load().len()).finish_non_exhaustive()
    }
}

impl Streams {
    /// A place on a connection that was made with this state of the TLS files.
    pub(super) fn place(&self, age: Option<Age>) -> Option<Place> {
        self.list.load().iter().filter(|carrier| carrier.age == age).find_map(Carrier::place)
    }

    /// Speaks HTTP/2 over a new connection, and takes the first place on it.
    ///
    /// # Errors
    /// If the server does not.
    pub(super) async fn begin(&self, connection: Box<Connection>, age: Option<Age>) -> Result<Place, h2::Error> {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(MOST_STREAMS)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .data_frame_budget(FRAME_BUDGET)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(HEAD);
        let (sender, mut connection) = builder.handshake(connection).await?;
        let ping = connection.ping_pong();
        let carrier = Arc::new(Carrier {
            sender,
            streams: AtomicUsize::new(1),
            has_ended: false.into(),
            age,
            idle: AtomicU32::new(0),
            ping: Mutex::new(None),
        });
        let driven = Arc::downgrade(&carrier);
        tokio::spawn(async move {
            // Its streams are told of an error.
            let _ = connection.await;
            if let Some(carrier) = driven.upgrade() {
                carrier.has_ended.store(true, Ordering::Release);
            }
        });
        let place = Place(carrier);
        if let Some(mut ping) = ping {
            ping.ping(Ping::opaque()).await?;
            *place.0.ping.lock() = Some(ping);
        }
        let _changing = self.changing.lock();
        let mut list: Vec<_> = self.list.load().iter().filter(|carrier| !carrier.is_over()).cloned().collect();
        list.push(Arc::clone(&place.0));
        self.list.store(Arc::new(list));
        Ok(place)
    }

    /// To be called every second: lets connections go that have ended, that nobody has used for so many
    /// times, or that are idle beyond the most that are kept.
    pub(in crate::gateway) fn tend(&self, kept: u32, most: usize) {
        if self.list.load().is_empty() {
            return;
        }
        let _changing = self.changing.lock();
        let mut idle = 0;
        let stays = |carrier: &&Arc<Carrier>| {
            let is_idle = carrier.streams.load(Ordering::Acquire) == 0;
            let waited = if is_idle { carrier.idle.fetch_add(1, Ordering::Relaxed) } else { 0 };
            idle += usize::from(is_idle);
            !carrier.is_over() && (!is_idle || waited < kept && idle <= most)
        };
        let list: Vec<_> = self.list.load().iter().filter(stays).cloned().collect();
        self.list.store(Arc::new(list));
    }
}

impl Carrier {
    fn place(self: &Arc<Self>) -> Option<Place> {
        if self.has_ended.load(Ordering::Acquire) {
            return None;
        }
        let place = Place(Arc::clone(self));
        let most = MOST_STREAMS.min(self.sender.current_max_send_streams());
        if self.streams.fetch_add(1, Ordering::AcqRel) >= most {
            return None;
        }
        self.idle.store(0, Ordering::Relaxed);
        Some(place)
    }

    fn is_over(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

impl Place {
    /// What sends a request over it.
    pub(super) fn sender(&self) -> ReadySendRequest<Bytes> {
        self.0.sender.clone().ready()
    }

    /// No more streams are to begin over its connection.
    pub(super) fn retire(&self) {
        self.0.has_ended.store(true, Ordering::Release);
    }

    /// That the server was too slow: where it does not even answer a PING, the connection is used no more.
    pub(super) fn doubt(&self) {
        let Some(mut ping) = self.0.ping.lock().take() else { return };
        let carrier = Arc::clone(&self.0);
        tokio::spawn(async move {
            match timeout(PONG, ping.ping(Ping::opaque())).await {
                Ok(Ok(_)) => *carrier.ping.lock() = Some(ping),
                Ok(Err(_)) | Err(_) => carrier.has_ended.store(true, Ordering::Release),
            }
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}
