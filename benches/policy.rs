//! Timings of what a policy costs: loaded and compiled once, asked often, small and large.

#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a bench that cannot be set up must stop; its macros document nothing"
)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use scopegate::config::{self, Source};
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

fn find(criterion: &mut Criterion) {
    let headers = fixture::headers();
    let mut group = criterion.benchmark_group("find");
    for size in SIZES {
        let policy = Policy::compile(fixture::spec(size)).expect("a policy");
        let target = Target::parse(fixture::TARGET).expect("a target");
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| policy.find(black_box(fixture::request(&target, &headers))).is_ok());
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

/// What a reload does before the policy changes hands: the file's text to a configuration.
fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    for size in SIZES {
        let text = document(size);
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            let source = Source { shown: "gateway.yaml", directory: ".".as_ref(), text: &text };
            bencher.iter(|| config::compile(black_box(&source)).expect("a good file"));
        });
    }
    group.finish();
}

/// A file of as many services: a tenth as many scopes, a hundredth as many apis.
fn document(services: usize) -> String {
    let mut lines = vec![
        "version: 1".to_owned(),
        r#"listeners: [{ address: "127.0.0.1:8080" }]"#.to_owned(),
        r#"upstreams: { one: { servers: ["127.0.0.1:9000"] } }"#.to_owned(),
        "issuers: [{ issuer: https://i.example, audiences: [api], keys: { url: https://i.example/jwks } }]".to_owned(),
        "apis:".to_owned(),
    ];
    let scopes = (services / 10).max(1);
    for first in (0..scopes).step_by(10) {
        let base = format!("/integration/api-{first}");
        lines.push(format!("  - name: api-{first}\n    base_path: {base}\n    upstream: one"));
        lines.push("    account: { path: account }\n    scopes:".to_owned());
        for number in first..(first + 10).min(scopes) {
            lines.push(format!("      - name: scope-{number}\n        services:"));
            let service = |kind| format!("          - \"GET,POST {base}/{{account}}/kind-{number}-{kind}/**\"");
            lines.extend((0..10).map(service));
        }
    }
    lines.join("\n")
}

fn target(criterion: &mut Criterion) {
    criterion.bench_function("target", |bencher| bencher.iter(|| Target::parse(black_box(fixture::TARGET))));
}

criterion_group!(benches, target, find, decide, compile, load);
criterion_main!(benches);
