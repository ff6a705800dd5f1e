//! Timings of what a policy costs: compiled once, asked often, small and large.

#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a bench that cannot be set up must stop; its macros document nothing"
)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use scopegate::policy::{Policy, Target};

mod fixture;

const SIZES: [usize; 4] = [10, 1_000, 10_000, 100_000];

fn decide(criterion: &mut Criterion) {
    let headers = fixture::headers();
    let mut group = criterion.benchmark_group("decide");
    for size in SIZES {
        let policy = Policy::compile(fixture::spec(size)).expect("a policy");
        let standing = policy.standing(&fixture::caller());
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                let target = Target::parse(black_box(fixture::TARGET)).expect("a target");
                fixture::decide(&policy, &standing, &target, &headers).api()
            });
        });
    }
    group.finish();
}

fn compile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    for size in SIZES {
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_with_setup(|| fixture::spec(size), |spec| Policy::compile(spec).expect("a policy"));
        });
    }
    group.finish();
}

fn target(criterion: &mut Criterion) {
    criterion.bench_function("target", |bencher| bencher.iter(|| Target::parse(black_box(fixture::TARGET))));
}

criterion_group!(benches, decide, compile, target);
criterion_main!(benches);
