//! How many retries there may be, beside how many requests there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::Retries;

/// What a retry costs; a request brings as many hundredths of it as the file says.
const RETRY: u32 = 100;
/// What may be saved for later.
const MOST: u32 = 10 * RETRY;

/// What retries are paid of, so that an upstream that fails does not get its load many times over.
#[derive(Debug)]
pub(super) struct Budget {
    retries: Retries,
    /// Of the upstream, whichever generation pays.
    saved: Arc<AtomicU32>,
}

impl Budget {
    /// One that allows a few retries at once, or what is left of the one `before`.
    pub(super) fn new(retries: Retries, before: Option<&Self>) -> Self {
        let saved = before.map_or_else(|| Arc::new(AtomicU32::new(MOST)), |before| Arc::clone(&before.saved));
        Self { retries, saved }
    }

    /// One more request.
    pub(super) fn deposit(&self) {
        let brought = u32::from(self.retries.budget_percent);
        let saved = self.saved.load(Ordering::Relaxed);
        // Requests that come at once may save some less than they bring, and never more.
        if saved < MOST {
            let more = (saved + brought).min(MOST);
            let _ = self.saved.compare_exchange(saved, more, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Whether a request that was sent again so often may be once more, if that can be paid.
    pub(super) fn allows(&self, times: u8) -> bool {
        times < self.retries.attempts
    }

    /// Pays for a retry; whether it could.
    pub(super) fn withdraw(&self) -> bool {
        let pay = |saved: u32| saved.checked_sub(RETRY);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_the_requests_beyond_a_few_at_once() {
        for percent in [1, 20, 100] {
            let budget = Budget::new(Retries { attempts: 1, budget_percent: percent }, None);
            let at_once = (0..1_000).filter(|_| budget.withdraw()).count();
            assert_eq!(at_once, 10);
            let paid = (0..1_000).filter(|_| {
                budget.deposit();
                budget.withdraw()
            });
            assert_eq!(paid.count(), 10 * usize::from(percent));
        }
    }

    #[test]
    fn a_request_is_sent_again_as_often_as_it_may() {
        let budget = Budget::new(Retries { attempts: 2, budget_percent: 20 }, None);
        assert_eq!([0, 1, 2, 3].map(|times| budget.allows(times)), [true, true, false, false]);
    }
}
