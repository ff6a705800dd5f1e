//! Spans of requests, for a collector of traces: one for each sampled request, with the decision as its
//! attributes, sent by OTLP from a thread of its own.
//!
//! A request never waits for it: what finds no room is dropped and counted. Which requests are sampled,
//! and what goes on to upstreams, is `gateway`'s; metrics and audit lines are `record`'s.

mod collector;
mod export;
mod span;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::watch;

use self::export::Export;
pub use self::span::Place;
use self::span::span;
use crate::config::{Sampling, Tracing};
use crate::record::{Outcome, SpanSeries};

/// How many spans may wait, at about a kilobyte each.
const QUEUE: usize = 4096;

/// Takes the spans of one configuration; those that wait are sent when it is dropped.
pub struct Spans {
    settings: Tracing,
    queue: Arc<ArrayQueue<SpanData>>,
    series: SpanSeries,
    /// The exporting thread ends when this is dropped, or says so.
    end: watch::Sender<bool>,
    /// Closed by the thread's end.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// The spans of this process: one configuration's at a time, kept as long as the next says the same.
#[derive(Debug, Default)]
pub struct Exports(Mutex<Option<Arc<Spans>>>);

impl Exports {
    /// What takes the spans of this configuration, started if it is not there; `None` without one, or where
    /// there can be no thread.
    pub fn adopt(&self, settings: Option<&Tracing>, series: &SpanSeries) -> Option<Arc<Spans>> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_deref().map(|spans| &spans.settings) != settings {
            *current = settings.and_then(|settings| match Spans::start(settings.clone(), series.clone()) {
                Ok(spans) => Some(Arc::new(spans)),
                Err(error) => {
                    tracing::error!(%error, "there is no thread for spans; requests go on without them");
                    None
                }
            });
        }
        current.clone()
    }

    /// Has all that wait sent, and takes no more. It blocks until that is done, or `patience` is over.
    pub fn end(&self, patience: Duration) {
        let current = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(spans) = current {
            spans.end.send_replace(true);
            // An error either way: the thread has ended, or has not in time.
            let _ = spans.ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(patience);
        }
    }
}

impl Spans {
    fn start(settings: Tracing, series: SpanSeries) -> io::Result<Self> {
        let queue = Arc::new(ArrayQueue::new(QUEUE));
        let (end, told) = watch::channel(false);
        let (alive, ended) = mpsc::channel();
        let export = Export::new(&settings, Arc::clone(&queue), series.clone(), told);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("spans".into()).spawn(move || {
            runtime.block_on(export.run());
            drop(alive);
        })?;
        Ok(Self { settings, queue, series, end, ended: Mutex::new(ended) })
    }

    /// Which requests are sampled.
    pub fn sampling(&self) -> Sampling {
        self.settings.sampling
    }

    /// Takes the span of a sampled request, if there is room.
    pub fn record(&self, outcome: &Outcome<'_>, place: &Place<'_>) {
        if self.queue.push(span(outcome, place)).is_err() {
            self.series.dropped(1);
        }
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").field("settings", &self.settings).finish_non_exhaustive()
    }
}
