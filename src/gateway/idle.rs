//! Connections to one server that wait for their next request.
//!
//! They are taken and given back without a lock. A server that has closed one, or has said something
//! that nobody asked for, is found out when it is taken.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_queue::ArrayQueue;

use super::connection::Connection;

/// How many connections are kept.
const MOST: usize = 512;
/// For how many times of tending one is kept; most servers keep theirs for a minute or more.
const KEPT: u32 = 6;

/// Connections to one server that wait.
#[derive(Debug)]
pub(super) struct Idle {
    waiting: ArrayQueue<Waiting>,
    /// How often it was tended: a clock that nobody has to ask the system for.
    tended: AtomicU32,
}

#[derive(Debug)]
struct Waiting {
    connection: Box<Connection>,
    since: u32,
}

impl Default for Idle {
    fn default() -> Self {
        Self { waiting: ArrayQueue::new(MOST), tended: AtomicU32::new(0) }
    }
}

impl Idle {
    /// The one that waits longest and is still good.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        while let Some(waiting) = self.waiting.pop() {
            if self.is_good(&waiting) {
                return Some(waiting.connection);
            }
        }
        None
    }

    /// Keeps one whose last answer was read to its end, and nothing beyond.
    pub(super) fn give(&self, connection: Box<Connection>) {
        // What is left would be taken for the next answer.
        if connection.has_unread() {
            return;
        }
        let since = self.tended.load(Ordering::Relaxed);
        // One that finds no room is closed.
        let _ = self.waiting.push(Waiting { connection, since });
    }

    /// To be called every ten seconds: closes those that have waited long or that the server has closed.
    pub(super) fn tend(&self) {
        self.tended.fetch_add(1, Ordering::Relaxed);
        for _ in 0..self.waiting.len() {
            let Some(waiting) = self.waiting.pop() else { return };
            if self.is_good(&waiting) {
                let _ = self.waiting.push(waiting);
            }
        }
    }

    fn is_good(&self, waiting: &Waiting) -> bool {
        let waited = self.tended.load(Ordering::Relaxed).wrapping_sub(waiting.since);
        // The system is asked only where it has announced something.
        let says = waiting.connection.socket().map(|socket| socket.try_read(&mut [0]));
        waited <= KEPT && says.is_some_and(|says| says.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (Box<Connection>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Box::new(Connection::plain(ours.unwrap(), address).unwrap()), theirs.unwrap().0)
    }

    async fn until_announced(idle: &Idle, connection: Box<Connection>) {
        connection.socket().unwrap().readable().await.unwrap();
        idle.give(connection);
    }

    #[tokio::test]
    async fn what_was_given_is_taken_in_turn_and_once() {
        let idle = Idle::default();
        let ((first, _a), (second, _b)) = (pair().await, pair().await);
        let ports = [&first, &second].map(|one| one.socket().unwrap().local_addr().unwrap().port());
        idle.give(first);
        idle.give(second);
        for port in ports {
            assert_eq!(idle.take().unwrap().socket().unwrap().local_addr().unwrap().port(), port);
        }
        assert!(idle.take().is_none());
    }

    #[tokio::test]
    async fn one_that_the_server_closed_or_spoke_on_is_not_used_again() {
        let idle = Idle::default();
        let (closed, theirs) = pair().await;
        drop(theirs);
        until_announced(&idle, closed).await;
        let (spoken, mut theirs) = pair().await;
        theirs.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        until_announced(&idle, spoken).await;
        assert!(idle.take().is_none());
    }

    #[tokio::test]
    async fn one_with_something_left_in_it_is_not_kept() {
        let idle = Idle::default();
        let (mut connection, _theirs) = pair().await;
        connection.unread("HTTP/1.1 200 OK\r\n\r\n".into());
        idle.give(connection);
        assert!(idle.take().is_none());
    }

    #[tokio::test]
    async fn one_that_has_waited_long_is_closed() {
        let idle = Idle::default();
        let (connection, theirs) = pair().await;
        idle.give(connection);
        for _ in 0..KEPT {
            idle.tend();
        }
        idle.give(idle.take().unwrap());
        for _ in 0..=KEPT {
            idle.tend();
        }
        // It was closed by tending, not by taking.
        assert!(idle.waiting.is_empty());
        let closed = tokio::time::timeout(Duration::from_secs(20), theirs.readable());
        closed.await.unwrap().unwrap();
        assert_eq!(theirs.try_read(&mut [0]).unwrap(), 0);
    }
}
