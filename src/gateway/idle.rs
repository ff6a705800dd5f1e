//! Connections to one server that wait for their next request.
//!
//! They are taken and given back without a lock. A server that has closed one, or has said something
//! that nobody asked for, is found out when it is taken.

use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_queue::ArrayQueue;

use super::connection::Connection;
use super::onward::Age;

/// Connections to one server that wait.
#[derive(Debug)]
pub(super) struct Idle {
    waiting: ArrayQueue<Waiting>,
    /// How often it was tended: a clock that nobody has to ask the system for.
    tended: AtomicU32,
    /// For how many times of tending a connection is kept.
    kept: u32,
}

#[derive(Debug)]
struct Waiting {
    connection: Box<Connection>,
    since: u32,
}

impl Idle {
    /// For the most that are kept, and for how many times of tending.
    pub(super) fn new(most: usize, kept: u32) -> Self {
        // A queue for none there is not.
        let waiting = ArrayQueue::new(most.max(1));
        Self { waiting, tended: AtomicU32::new(0), kept: if most == 0 { 0 } else { kept } }
    }

    /// The one that waits longest and is still good, made with that state of the server's TLS files.
    pub(super) fn take(&self, age: Option<Age>) -> Option<Box<Connection>> {
        while let Some(mut waiting) = self.waiting.pop() {
            if waiting.connection.age() == age && self.is_good(&mut waiting) {
                return Some(waiting.connection);
            }
        }
        None
    }

    /// Keeps one whose last answer was read to its end, and nothing beyond.
    pub(super) fn give(&self, connection: Box<Connection>) {
        // What is left would be taken for the next answer.
        if self.kept == 0 || connection.has_unread() {
            return;
        }
        let since = self.tended.load(Ordering::Relaxed);
        // One that finds no room is closed.
        let _ = self.waiting.push(Waiting { connection, since });
    }

    /// To be called every second: closes those that have waited long or that the server has closed.
    pub(super) fn tend(&self) {
        self.tended.fetch_add(1, Ordering::Relaxed);
        for _ in 0..self.waiting.len() {
            let Some(mut waiting) = self.waiting.pop() else { return };
            if self.is_good(&mut waiting) {
                let _ = self.waiting.push(waiting);
            }
        }
    }

    fn is_good(&self, waiting: &mut Waiting) -> bool {
        let waited = self.tended.load(Ordering::Relaxed).wrapping_sub(waiting.since);
        waited <= self.kept && waiting.connection.is_silent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    fn idle() -> Idle {
        Idle::new(512, 3)
    }

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
        let idle = idle();
        let ((first, _a), (second, _b)) = (pair().await, pair().await);
        let ports = [&first, &second].map(|one| one.socket().unwrap().local_addr().unwrap().port());
        idle.give(first);
        idle.give(second);
        for port in ports {
            assert_eq!(idle.take(None).unwrap().socket().unwrap().local_addr().unwrap().port(), port);
        }
        assert!(idle.take(None).is_none());
    }

    #[tokio::test]
    async fn one_that_the_server_closed_or_spoke_on_is_not_used_again() {
        let idle = idle();
        let (closed, theirs) = pair().await;
        drop(theirs);
        until_announced(&idle, closed).await;
        let (spoken, mut theirs) = pair().await;
        theirs.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        until_announced(&idle, spoken).await;
        assert!(idle.take(None).is_none());
    }

    #[tokio::test]
    async fn one_with_something_left_in_it_is_not_kept() {
        let idle = idle();
        let (mut connection, _theirs) = pair().await;
        connection.unread("HTTP/1.1 200 OK\r\n\r\n".into());
        idle.give(connection);
        assert!(idle.take(None).is_none());
    }

    #[tokio::test]
    async fn no_more_are_kept_than_may_be() {
        let ((first, _a), (second, _b)) = (pair().await, pair().await);
        let idle = Idle::new(1, 3);
        idle.give(first);
        idle.give(second);
        assert!(idle.take(None).is_some() && idle.take(None).is_none());
        let none = Idle::new(0, 3);
        none.give(pair().await.0);
        assert!(none.take(None).is_none());
    }

    #[tokio::test]
    async fn one_that_has_waited_long_is_closed() {
        let idle = idle();
        let (connection, theirs) = pair().await;
        idle.give(connection);
        for _ in 0..3 {
            idle.tend();
        }
        idle.give(idle.take(None).unwrap());
        for _ in 0..=3 {
            idle.tend();
        }
        // It was closed by tending, not by taking.
        assert!(idle.waiting.is_empty());
        let closed = tokio::time::timeout(Duration::from_secs(20), theirs.readable());
        closed.await.unwrap().unwrap();
        assert_eq!(theirs.try_read(&mut [0]).unwrap(), 0);
    }
}
