//! How connections come to know that the gateway ends: the next answer is the last, and then those that
//! wait for a request are let go.
//!
//! When that is, is `server`'s; what a connection does then, `client`'s.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Each has a lock of its own, which the connections that wait by it take in turn.
const SHARDS: usize = 16;

/// Whether the gateway ends, and how far that has come.
#[derive(Debug, Default)]
pub(super) struct Ending {
    has_begun: AtomicBool,
    lets_go: AtomicBool,
    waiting: [Notify; SHARDS],
}

impl Ending {
    /// From now on a connection has one more request at most.
    pub(super) fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
    }

    /// Whether the next answer of a connection is its last.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// From now on no connection waits for a request.
    pub(super) fn let_go(&self) {
        self.lets_go.store(true, Ordering::Release);
        self.waiting.iter().for_each(Notify::notify_waiters);
    }

    /// Waits until no connection waits for a request. `connection` is a number by which those that wait are spread, and
    /// need not be its own.
    pub(super) async fn lets_go(&self, connection: usize) {
        let Some(waiting) = self.waiting.get(connection % SHARDS) else { return };
        // INVARIANT: it is woken by what is told from here on, and what was told before is seen below.
        let told = waiting.notified();
        if !self.lets_go.load(Ordering::Acquire) {
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    #[tokio::test]
    async fn who_waits_is_told_and_who_comes_later_does_not_wait() {
        let ending = Ending::default();
        let mut waiting: Vec<_> = (0..2 * SHARDS).map(|number| Box::pin(ending.lets_go(number))).collect();
        let mut all_wait = || {
            let mut context = Context::from_waker(Waker::noop());
            waiting.iter_mut().map(Pin::as_mut).all(|one| one.poll(&mut context).is_pending())
        };
        assert!(!ending.has_begun() && all_wait());
        ending.begin();
        assert!(ending.has_begun() && all_wait());
        ending.let_go();
        for connection in waiting {
            connection.await;
        }
        ending.lets_go(0).await;
    }
}
