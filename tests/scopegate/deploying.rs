//! What `deploy/` asks for: no privilege, and more time to end than the gateway takes.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// `limits.drain_timeout` where the file does not say, and what the last bytes and tasks may take after it.
const END: Duration = Duration::from_secs(10 + 3);

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)).unwrap()
}

#[test]
fn a_pod_has_no_privilege_and_time_to_end() {
    let documents: Vec<Value> =
        read("kubernetes/sidecar.yaml").split("\n---\n").map(|text| serde_yaml::from_str(text).unwrap()).collect();
    let pod =
        documents.iter().find(|document| document["kind"] == "Deployment").unwrap()["spec"]["template"]["spec"].clone();
    assert!(Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().unwrap()) > END);
    assert_eq!(pod["automountServiceAccountToken"], false);
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[shared].is_null(), "{shared}");
    }
    let container =
        pod["containers"].as_array().unwrap().iter().find(|container| container["name"] == "scopegate").unwrap();
    assert_eq!(
        container["securityContext"],
        json!({
            "runAsNonRoot": true, "runAsUser": 65532, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
        })
    );
    for mount in container["volumeMounts"].as_array().unwrap() {
        assert_eq!(mount["readOnly"], true, "{mount}");
    }
    // The admin address is for whoever watches, and for nobody else.
    let network = documents.iter().find(|document| document["kind"] == "NetworkPolicy").unwrap();
    for rule in network["spec"]["ingress"].as_array().unwrap() {
        let has_admin = rule["ports"].as_array().unwrap().contains(&json!({ "port": "admin" }));
        assert_eq!(has_admin, !rule["from"].is_null(), "{rule}");
    }
}

#[test]
fn a_unit_has_no_privilege_and_time_to_end() {
    let text = read("systemd/scopegate.service");
    let settings: HashMap<_, _> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    assert!(Duration::from_secs(settings["TimeoutStopSec"].parse().unwrap()) > END);
    for (name, value) in [
        ("DynamicUser", "yes"),
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateDevices", "yes"),
        ("PrivateUsers", "yes"),
        ("RestrictNamespaces", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("SystemCallArchitectures", "native"),
        ("UMask", "0077"),
    ] {
        assert_eq!(settings.get(name), Some(&value), "{name}");
    }
    let filters: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")).collect();
    assert_eq!(filters, ["@system-service", "~@privileged @resources"]);
}

#[test]
fn an_image_is_run_by_nobody() {
    let text = read("Containerfile");
    let users: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("USER ")).collect();
    assert_eq!(users, ["65532:65532"]);
    assert!(text.lines().any(|line| line.starts_with("FROM gcr.io/distroless/") && line.ends_with(":nonroot")));
}
