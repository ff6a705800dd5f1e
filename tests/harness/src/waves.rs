//! Good requests beside a steady flood of refused ones: how long the good ones take.
//!
//! The good ones are counted and the flood is paced, so that each side has as many samples, and a flood
//! that is refused slowly is not a smaller one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Connection, EndOnDrop};

/// How often each side has its turn.
pub const ROUNDS: usize = 4;
/// Good requests in one turn, one after the other: 2,000 in all.
const GOOD: usize = 500;
/// Refused ones in one turn, at least: 1,000 in all.
const REFUSED: usize = 250;

/// Who sends the flood, each so far apart: 2,000 requests a second together, if they are answered.
const SENDERS: u32 = 16;
const APART: Duration = Duration::from_millis(8);

/// What good requests are sent beside.
pub struct Side<'s> {
    /// What the flood is made of, as it is printed.
    pub name: &'s str,
    /// Makes the next request of the flood, and the reason it is refused for; `None` for no flood.
    pub flood: Option<(&'s Request<'s>, &'s str)>,
    /// What the good requests took.
    pub samples: Vec<Sample>,
    /// How many of the flood were refused.
    pub refused: usize,
}

/// Makes a request.
pub type Request<'r> = dyn Fn() -> Vec<u8> + Sync + 'r;

/// One good request.
#[derive(Clone, Copy)]
pub struct Sample {
    /// When it was sent.
    pub begun: Instant,
    /// How long its answer took.
    pub took: Duration,
}

impl<'s> Side<'s> {
    /// Nothing of it has been measured yet.
    pub fn new(name: &'s str, flood: Option<(&'s Request<'s>, &'s str)>) -> Self {
        Self { name, flood, samples: Vec::new(), refused: 0 }
    }

    /// The time within which so many of a hundred good requests of a turn were answered, in the turn that the rest
    /// of the machine disturbed least: what every good request waits for is in that one too.
    pub fn least_percentile(&self, percent: usize) -> Duration {
        self.samples.chunks(GOOD).map(|turn| percentile(turn, percent)).min().unwrap_or_default()
    }

    /// The time within which all of them were answered.
    pub fn longest(&self) -> Duration {
        percentile(&self.samples, 100)
    }
}

/// A `GET` with a bearer token, if there is one.
pub fn request(target: &str, token: Option<&str>) -> Vec<u8> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("GET {target} HTTP/1.1\r\nHost: api.example.com\r\n{authorization}\r\n").into_bytes()
}

/// Gives each side its turns, round after round, so that what else the machine does falls on all of
/// them; then prints what was measured.
#[expect(clippy::print_stdout, reason = "the figures are for whoever runs the test to see")]
pub fn measure(gateway: SocketAddr, good: &[u8], sides: &mut [Side<'_>]) {
    for _ in 0..ROUNDS {
        for side in &mut *sides {
            turn(gateway, good, side);
        }
    }
    for side in sides {
        println!("good tokens beside {} ({} refused): {}", side.name, side.refused, shown(&side.samples));
    }
}

/// Some percentiles, as they are printed.
pub fn shown(samples: &[Sample]) -> String {
    let [median, high, longest] = [50, 99, 100].map(|percent| percentile(samples, percent));
    format!("p50 {median:?}, p99 {high:?}, longest {longest:?} of {}", samples.len())
}

/// The time within which so many of a hundred were answered.
pub fn percentile(samples: &[Sample], percent: usize) -> Duration {
    let mut times: Vec<_> = samples.iter().map(|sample| sample.took).collect();
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn turn(gateway: SocketAddr, good: &[u8], side: &mut Side<'_>) {
    let (refused, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let senders: Vec<_> = side
            .flood
            .iter()
            .flat_map(|flood| (0..SENDERS).map(move |number| (number, *flood)))
            .map(|(number, (next, reason))| {
                let (refused, over) = (&refused, &over);
                scope.spawn(move || {
                    let mut connection = Connection::open(gateway);
                    thread::sleep(APART * number / SENDERS);
                    while !over.load(Ordering::Relaxed) || refused.load(Ordering::Relaxed) < REFUSED {
                        let due = Instant::now() + APART;
                        connection.write(&next());
                        let response = connection.read_response().expect("an answer");
                        assert_eq!((response.status, &*response.reason()), (401, reason));
                        refused.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                    }
                })
            })
            .collect();
        let ends = EndOnDrop(&over);
        let mut connection = Connection::open(gateway);
        for _ in 0..GOOD {
            let begun = Instant::now();
            connection.write(good);
            let answer = connection.read_response().expect("an answer");
            assert_eq!(answer.status, 200, "{answer:?}");
            side.samples.push(Sample { begun, took: begun.elapsed() });
        }
        drop(ends);
        let as_expected = senders.into_iter().all(|sender| sender.join().is_ok());
        assert!(as_expected, "a request beside {} was not refused as it should be", side.name);
    });
    side.refused += refused.into_inner();
}
