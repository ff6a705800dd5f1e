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

/// The pod of each Deployment that has the gateway in it; `make test-kubernetes` looks at all the rest.
#[test]
fn a_pod_has_no_privilege_and_time_to_end() {
    for file in ["kubernetes/standalone/deployment.yaml", "kubernetes/components/sidecar/patch.yaml"] {
        let document: Value = serde_yaml::from_str(&read(file)).unwrap();
        let pod = &document["spec"]["template"]["spec"];
        let container =
            pod["containers"].as_array().unwrap().iter().find(|container| container["name"] == "scopegate").unwrap();
        let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        let grace = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().unwrap() - pause);
        assert!(grace > END, "{file}: {grace:?}");
        for shared in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[shared].is_null(), "{file}: {shared}");
        }
        let mut security = container["securityContext"].clone();
        for (name, value) in pod["securityContext"].as_object().into_iter().flatten() {
            security[name] = value.clone();
        }
        assert_eq!(
            security,
            json!({
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "readOnlyRootFilesystem": true,
                "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
                "seccompProfile": { "type": "RuntimeDefault" },
            }),
            "{file}"
        );
        for mount in container["volumeMounts"].as_array().unwrap() {
            assert_eq!(mount["readOnly"], true, "{file}: {mount}");
        }
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
    // Cargo builds nothing of a workspace that lacks a member.
    assert!(text.lines().any(|line| line == "COPY tests/harness tests/harness"));
}

#[test]
fn a_container_is_built_of_all_that_the_manifest_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = read("Containerfile");
    let stage = text.split("\nFROM ").nth(1).unwrap();
    let copies = stage.lines().filter_map(|line| line.strip_prefix("COPY "));
    let copied: Vec<_> = copies.flat_map(|line| line.rsplit_once(' ').unwrap().0.split(' ')).collect();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let mut named = vec!["Cargo.lock".to_owned(), "build.rs".to_owned()];
    let members = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    named.extend(members.split(", ").map(|member| member.trim_matches('"').to_owned()));
    for (kind, folder) in [("bin", "src"), ("test", "tests"), ("bench", "benches"), ("example", "examples")] {
        for target in manifest.split(&format!("\n[[{kind}]]\n")).skip(1) {
            let says = |key: &str| target.split("\n\n").next()?.split(&format!("{key} = \"")).nth(1)?.split('"').next();
            let usual = || format!("{folder}/{}.rs", says("name").unwrap());
            named.push(says("path").map_or_else(usual, str::to_owned));
        }
    }
    assert!(named.len() > 8, "{named:?}");
    for path in &named {
        assert!(root.join(path).exists(), "{path}");
        assert!(copied.iter().any(|copied| Path::new(path).starts_with(copied)), "{path} is not among {copied:?}");
    }
}
