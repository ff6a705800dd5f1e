//! What a request whose caller is known may allocate: nothing.

use scopegate::policy::{Policy, Target};

use crate::fixture;

#[test]
fn parsing_finding_and_deciding_allocate_nothing() {
    for services in [10, 1_000] {
        let policy = Policy::compile(fixture::spec(services)).unwrap();
        let standing = policy.standing(&fixture::caller());
        let headers = fixture::headers();
        let decide = || {
            let target = Target::parse(fixture::TARGET).unwrap();
            let permit = fixture::decide(&policy, &standing, &target, &headers);
            assert!(permit.account().is_some());
        };
        decide();
        let counted = allocation_counter::measure(decide);
        assert_eq!(counted.count_total, 0, "of {services} services");
    }
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8])));
    assert_eq!(counted.count_total, 1);
}
