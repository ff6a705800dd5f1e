//! One question at a time about each thing: who asks the same meanwhile gets the same answer.
//!
//! The question is a task of its own, so that it goes on when the request that asked it first is
//! given up by its client.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// The SHA-256 of what is asked about.
pub(super) type Subject = [u8; 32];

/// The questions that are open, each with an answer to come.
pub(super) struct Flights<A> {
    open: Arc<Open<A>>,
    runtime: Handle,
    most: usize,
    /// How long a finished question waits for those who asked it to drop their [`Waiting`].
    linger: Duration,
}

/// A place among those who wait for an answer. As long as one is kept, those who come late get the
/// same answer too.
pub(super) struct Waiting<A>(watch::Receiver<Option<A>>);

type Open<A> = Mutex<HashMap<Subject, Arc<watch::Sender<Option<A>>>>>;

/// A question that is open; it is no longer when this is dropped, whatever became of it.
struct Flight<A> {
    subject: Subject,
    answer: Arc<watch::Sender<Option<A>>>,
    open: Arc<Open<A>>,
}

impl<A: Clone + Send + Sync + 'static> Flights<A> {
    /// Of which at most `most` are open at once.
    pub(super) fn new(runtime: Handle, most: usize, linger: Duration) -> Self {
        Self { open: Arc::default(), runtime, most, linger }
    }

    /// Joins the open question about `subject`, unless its answer is there and `is_old`, or asks it;
    /// `None` if too many are open.
    pub(super) fn join<Q>(
        &self,
        subject: Subject,
        is_old: impl FnOnce(&A) -> bool,
        question: impl FnOnce() -> Q,
    ) -> Option<Waiting<A>>
    where
        Q: Future<Output = A> + Send + 'static,
    {
        let mut open = lock(&self.open);
        if let Some(answer) = open.get(&subject)
            && !answer.borrow().as_ref().is_some_and(is_old)
        {
            return Some(Waiting(answer.subscribe()));
        }
        if open.len() >= self.most {
            return None;
        }
        let (answer, waiting) = watch::channel(None);
        let answer = Arc::new(answer);
        open.insert(subject, Arc::clone(&answer));
        drop(open);
        let flight = Flight { subject, answer, open: Arc::clone(&self.open) };
        self.runtime.spawn(flight.land(question(), self.linger));
        Some(Waiting(waiting))
    }
}

impl<A: Clone> Waiting<A> {
    /// The answer; `None` if there will be none.
    pub(super) async fn answer(&mut self) -> Option<A> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<A> Flight<A> {
    async fn land(self, question: impl Future<Output = A>, linger: Duration) {
        let answer = question.await;
        self.answer.send_replace(Some(answer));
        // Not for ever: under load there might always be somebody, and the answer would never age.
        let _ = tokio::time::timeout(linger, self.answer.closed()).await;
    }
}

impl<A> Drop for Flight<A> {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        if open.get(&self.subject).is_some_and(|answer| Arc::ptr_eq(answer, &self.answer)) {
            open.remove(&self.subject);
        }
    }
}

fn lock<A>(open: &Open<A>) -> MutexGuard<'_, HashMap<Subject, Arc<watch::Sender<Option<A>>>>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    /// Long enough never to matter.
    const LONG: Duration = Duration::from_secs(3600);

    fn flights(most: usize) -> Flights<usize> {
        Flights::new(Handle::current(), most, LONG)
    }

    #[tokio::test]
    async fn all_who_ask_meanwhile_get_one_answer_though_the_first_gives_up() {
        let (flights, asked, go) = (flights(10), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let join = || {
            let (asked, go) = (Arc::clone(&asked), Arc::clone(&go));
            let question = || async move {
                go.notified().await;
                asked.fetch_add(1, Ordering::SeqCst) + 1
            };
            flights.join([1; 32], |_| false, question).unwrap()
        };
        drop(join());
        let mut waiting: Vec<_> = (0..100).map(|_| join()).collect();
        go.notify_one();
        for waiting in &mut waiting {
            assert_eq!(waiting.answer().await, Some(1));
        }
        // Who comes late gets it too, as long as somebody still holds it.
        assert_eq!(join().answer().await, Some(1));
        drop(waiting);
        while !lock(&flights.open).is_empty() {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        assert_eq!(join().answer().await, Some(2));
    }

    #[tokio::test]
    async fn an_old_answer_is_asked_for_again() {
        let flights = flights(10);
        let mut first = flights.join([1; 32], |_| false, || async { 1 }).unwrap();
        assert_eq!(first.answer().await, Some(1));
        let mut second = flights.join([1; 32], |answer| *answer == 1, || async { 2 }).unwrap();
        assert_eq!(second.answer().await, Some(2));
        drop(first);
        tokio::task::yield_now().await;
        assert_eq!(lock(&flights.open).len(), 1);
    }

    #[tokio::test]
    async fn open_questions_are_bounded_and_a_panic_closes_one() {
        let flights = flights(2);
        let mut lost = flights.join([1; 32], |_| false, || async { panic!("on purpose") }).unwrap();
        let _open = flights.join([2; 32], |_| false, std::future::pending).unwrap();
        assert!(flights.join([3; 32], |_| false, std::future::pending).is_none());
        assert_eq!(lost.answer().await, None);
        assert!(flights.join([3; 32], |_| false, std::future::pending).is_some());
    }
}
