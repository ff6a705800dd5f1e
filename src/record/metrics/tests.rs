//! What the metrics show in the text format.

use super::*;
use crate::record::Labels;
use crate::record::outcome::tests::policy;
use crate::record::result::{FetchResult, IntrospectionResult};

#[test]
fn every_metric_has_its_name_and_labels() {
    let metrics = Metrics::new().unwrap();
    let policy = policy();
    let _labels = Labels::new(&metrics, &policy);
    metrics.issuer_keys_fetched("https://i", Instant::now());
    metrics.issuer_fetch("https://i", FetchResult::BadKeys);
    metrics.introspection("https://i", IntrospectionResult::NotAsked);
    metrics.token_cache(CacheResult::Stale);
    metrics.policy_generation(3, 0);
    metrics.policy_reload(ReloadResult::Refused);
    let scope = ScopeName::parse("orders.read").unwrap();
    metrics.token_seen([&scope].into_iter(), None, UnixTime(1_700_000_000));
    metrics.token_seen([&scope].into_iter(), Some("nobody"), UnixTime(1_600_000_000));
    metrics.token_seen([&ScopeName::parse("nobody.knows").unwrap()].into_iter(), None, UnixTime(1));
    let text = metrics.render().unwrap();
    for sample in [
        "scopegate_decisions_total{api=\"orders\",decision=\"deny\",reason=\"scope_insufficient\"} 0\n",
        "scopegate_decision_seconds_count 0\n",
        "scopegate_decision_seconds_bucket{le=\"0.000001\"} 0\n",
        "scopegate_request_seconds_count{api=\"orders\"} 0\n",
        "scopegate_policy_generation 3\n",
        "scopegate_policy_reloads_total{result=\"refused\"} 1\n",
        "scopegate_policy_reloads_total{result=\"accepted\"} 0\n",
        "scopegate_token_cache_total{result=\"stale\"} 1\n",
        "scopegate_token_cache_total{result=\"hit\"} 0\n",
        "scopegate_issuer_keys_age_seconds{issuer=\"https://i\"} 0",
        "scopegate_issuer_fetches_total{issuer=\"https://i\",result=\"bad_keys\"} 1\n",
        "scopegate_introspections_total{issuer=\"https://i\",result=\"not_asked\"} 1\n",
        "scopegate_scope_last_expiry_seconds{scope=\"orders.read\"} 1700000000\n",
        "scopegate_audit_dropped_total 0\n",
        concat!(
            "scopegate_build_info{commit=\"",
            env!("SCOPEGATE_BUILD_COMMIT"),
            "\",version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1\n"
        ),
    ] {
        assert!(text.contains(sample), "{sample} is not in\n{text}");
    }
    assert!(!text.contains("nobody.knows"));
}

#[test]
fn an_issuer_that_is_forgotten_leaves_no_series() {
    let metrics = Metrics::new().unwrap();
    metrics.issuer_keys_fetched("https://i", Instant::now());
    metrics.issuer_fetch("https://i", FetchResult::Good);
    metrics.introspection("https://i", IntrospectionResult::Active);
    assert_eq!(metrics.render().unwrap().matches("https://i").count(), 3);
    metrics.issuer_forgotten("https://i");
    assert!(!metrics.render().unwrap().contains("https://i"));
}
