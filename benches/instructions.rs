//! Instruction counts of the pure part of a request, under valgrind: the same on a busy machine.

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use http::HeaderMap;
use scopegate::policy::{ApiId, Policy, Standing, Target};

mod fixture;

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

/// Parsing the target, finding the route and deciding, for a caller that is known.
#[library_benchmark(setup = ready, teardown = drop)]
#[bench::of_10_services(10)]
#[bench::of_100_000_services(100_000)]
fn decide(ready: Ready) -> (ApiId, Ready) {
    let api = {
        let target = Target::parse(black_box(fixture::TARGET)).expect("a target");
        fixture::decide(&ready.policy, &ready.standing, &target, &ready.headers).api()
    };
    black_box((api, ready))
}

library_benchmark_group!(name = request, benchmarks = decide);
main!(library_benchmark_groups = request);
