//! Instruction counts of the pure part of a request, under valgrind: the same on a busy machine.

#![allow(
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a bench that cannot be set up must stop; its macros document nothing"
)]

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use http::HeaderMap;
use scopegate::policy::{ApiId, Policy, Standing, Target};

mod fixture;
mod known;

use known::Known;

struct Ready {
    policy: Policy,
    standing: Standing,
    headers: HeaderMap,
}

fn ready(services: usize) -> Ready {
    let policy = Policy::compile(fixture::spec(services)).expect("a policy");
    let standing = policy.standing(&fixture::caller());
    let ready = Ready { policy, standing, headers: fixture::headers() };
    // Once before it counts, so that what is lazily made is made.
    let target = Target::parse(fixture::TARGET).expect("a target");
    fixture::decide(&ready.policy, &ready.standing, &target, &ready.headers);
    ready
}

// The parts, so that a change shows where it is.
#[library_benchmark]
fn target() -> bool {
    Target::parse(black_box(fixture::TARGET)).is_ok()
}

#[library_benchmark(setup = ready)]
#[bench::of_10_services(args = (10), teardown = drop)]
fn find(ready: Ready) -> (bool, Ready) {
    let found = {
        let target = Target::parse(black_box(fixture::TARGET)).expect("a target");
        ready.policy.find(fixture::request(&target, &ready.headers)).is_ok()
    };
    black_box((found, ready))
}

// Parsing the target, finding the route and deciding, for a caller that is known.
#[library_benchmark(setup = ready)]
#[bench::of_10_services(args = (10), teardown = drop)]
#[bench::of_100_000_services(args = (100_000), teardown = drop)]
fn decide(ready: Ready) -> (ApiId, Ready) {
    let api = {
        let target = Target::parse(black_box(fixture::TARGET)).expect("a target");
        fixture::decide(&ready.policy, &ready.standing, &target, &ready.headers).api()
    };
    black_box((api, ready))
}

// Who is calling, for a token that was verified before.
#[library_benchmark]
#[bench::in_the_cache(setup = Known::new, teardown = drop)]
fn authenticate(known: Known) -> (bool, Known) {
    black_box((known.authenticate().is_ok(), known))
}

// The metrics and the audit line, up to the queue.
#[library_benchmark]
#[bench::allowed(setup = Known::new, teardown = drop)]
fn record(known: Known) -> Known {
    known.record();
    black_box(known)
}

library_benchmark_group!(name = request, benchmarks = [target, find, decide, authenticate, record]);
main!(library_benchmark_groups = request);
