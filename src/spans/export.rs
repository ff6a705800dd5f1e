//! The thread that takes spans out of their queue and has them sent, batch after batch.
//!
//! What the collector does not take is tried again for a while, as OTLP has it, and then dropped and
//! counted. How it is asked is `collector`'s.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use opentelemetry_otlp::{Protocol, RetryPolicy, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::watch;

use super::collector::Collector;
use crate::config::Tracing;
use crate::record::SpanSeries;

/// How long spans may wait for others to go with.
const PAUSE: Duration = Duration::from_millis(200);
/// How many go at once.
const BATCH: usize = 512;
/// How long a batch may take at the end, and then what waits.
const END: Duration = Duration::from_secs(1);
/// How often a batch is tried again, and the first and longest pause before: some 15 seconds in all.
const RETRIES: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// No batch is tried for longer.
const TRYING: Duration = Duration::from_secs(60);

pub(super) struct Export {
    queue: Arc<ArrayQueue<SpanData>>,
    series: SpanSeries,
    end: watch::Receiver<bool>,
    collector: Arc<Collector>,
    resource: Resource,
    /// Whether the last batch was lost, so that it is said once.
    fails: bool,
}

impl Export {
    pub(super) fn new(
        settings: &Tracing,
        queue: Arc<ArrayQueue<SpanData>>,
        series: SpanSeries,
        end: watch::Receiver<bool>,
    ) -> Self {
        let resource = Resource::builder_empty()
            .with_service_name(settings.service_name.to_string())
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(opentelemetry::KeyValue::new("telemetry.sdk.language", "rust"))
            .with_attribute(opentelemetry::KeyValue::new("telemetry.sdk.name", "opentelemetry"))
            .build();
        Self { queue, series, end, collector: Arc::new(Collector::new(settings)), resource, fails: false }
    }

    /// Sends until the end, and what waits then.
    pub(super) async fn run(mut self) {
        let mut end = self.end.clone();
        // An error is the end too: nobody is left to put anything in.
        let told = async move { end.wait_for(|ends| *ends).await.map(|_| ()).unwrap_or_default() };
        let mut told = std::pin::pin!(told);
        loop {
            let ends = {
                let mut sending = std::pin::pin!(self.send_all());
                tokio::select! {
                    biased;
                    () = &mut sending => false,
                    () = &mut told => {
                        // What does not go in time is lost.
                        let _ = tokio::time::timeout(END, sending).await;
                        true
                    }
                }
            };
            if ends {
                break;
            }
            tokio::select! {
                () = &mut told => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        let _ = tokio::time::timeout(END, self.send_all()).await;
        let mut left = 0;
        while self.queue.pop().is_some() {
            left += 1;
        }
        self.series.dropped(left);
    }

    async fn send_all(&mut self) {
        loop {
            let batch: Vec<_> = std::iter::from_fn(|| self.queue.pop()).take(BATCH).collect();
            if batch.is_empty() {
                return;
            }
            self.send(batch).await;
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let mut pending = Pending { spans: u64::try_from(batch.len()).unwrap_or(u64::MAX), series: &self.series };
        let sent = self.collector.clone();
        let taken = match exporter(&self.collector, &self.resource) {
            Ok(exporter) => exporter.export(batch).await.map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match taken {
            Ok(()) => {
                pending.settle(sent.rejected());
                if std::mem::take(&mut self.fails) {
                    tracing::info!("the collector of traces takes spans again");
                }
            }
            Err(error) => {
                drop(pending);
                if !std::mem::replace(&mut self.fails, true) {
                    let why = sent.fault().unwrap_or(error);
                    tracing::warn!(why, "the collector of traces takes no spans; they are dropped and counted");
                }
            }
        }
    }
}

/// Spans on their way, which are lost unless the collector takes them.
struct Pending<'a> {
    spans: u64,
    series: &'a SpanSeries,
}

impl Pending<'_> {
    /// The collector took all but so many.
    fn settle(&mut self, rejected: u64) {
        let rejected = rejected.min(self.spans);
        self.series.exported(self.spans - rejected);
        self.spans = rejected;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.series.dropped(self.spans);
    }
}

/// All of it is said here, so that no variable of the environment is asked.
fn exporter(collector: &Arc<Collector>, resource: &Resource) -> Result<opentelemetry_otlp::SpanExporter, String> {
    let retries = RetryPolicy::disabled()
        .with_max_retries(RETRIES)
        .with_initial_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_max_jitter(FIRST_PAUSE);
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_shared_http_client(Arc::<Collector>::clone(collector))
        .with_endpoint(collector.url())
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(TRYING)
        .with_retry_policy(retries)
        .build();
    let mut exporter = exporter.map_err(|error| error.to_string())?;
    exporter.set_resource(resource);
    Ok(exporter)
}
