//! Fetches one after another, numbered, so that a request can ask for one and wait for its end.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

/// The fetches of one issuer's keys. One task makes them, so that no two run at once.
pub(super) struct Attempts {
    begun: AtomicU64,
    asked: AtomicU64,
    wake: Notify,
    ended: watch::Sender<Ended>,
}

/// The last fetch that ended; number 0 stands for none.
#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    number: u64,
    good: bool,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            wake: Notify::new(),
            ended: watch::Sender::new(Ended::default()),
        }
    }

    /// Asks for a fetch that begins from now on; its number.
    pub(super) fn ask(&self) -> u64 {
        let number = self.begun.load(Ordering::SeqCst).saturating_add(1);
        self.asked.fetch_max(number, Ordering::SeqCst);
        self.wake.notify_one();
        number
    }

    /// Returns when somebody has asked for a fetch that has not begun.
    pub(super) async fn asked(&self) {
        while self.asked.load(Ordering::SeqCst) <= self.begun.load(Ordering::SeqCst) {
            self.wake.notified().await;
        }
    }

    /// A fetch begins.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// The fetch that began last has ended.
    pub(super) fn end(&self, good: bool) {
        self.ended.send_replace(Ended { number: self.begun.load(Ordering::SeqCst), good });
    }

    /// Waits for the end of the fetch of that number, or of a later one; whether it was good.
    pub(super) async fn end_of(&self, number: u64) -> bool {
        let mut ended = self.ended.subscribe();
        ended.wait_for(|ended| ended.number >= number).await.is_ok_and(|ended| ended.good)
    }

    /// Whether the last fetch that ended was good.
    pub(super) fn last_was_good(&self) -> bool {
        self.ended.borrow().good
    }

    /// Whether that fetch has ended.
    pub(super) fn has_ended(&self, number: u64) -> bool {
        self.ended.borrow().number >= number
    }
}
