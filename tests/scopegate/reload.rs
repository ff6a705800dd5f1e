//! A policy changes under load: whole or not at all, and live within a second.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Connection, EndOnDrop, Gateway, Signer};

fn policy(scope: &str) -> String {
    format!(
        "
apis:
  - name: data
    base_path: /data
    upstream: backend
    scopes:
      - name: {scope}
        services: [\"GET /data/**\"]
"
    )
}

#[test]
fn ten_thousand_requests_during_fifty_flips_are_each_answered_by_one_of_the_two_policies() {
    const REQUESTS: usize = 10_000;
    const FLIPS: usize = 50;
    const CONNECTIONS: usize = 8;
    let gateway = Gateway::start(&policy("first"));
    let token = Signer::shared().token(json!({ "scope": "first" }));
    let request = format!("GET /data/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    let (answered, allowed, denied) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let flipped = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Connection::open(gateway.address);
                // On until both are done: the requests and the flips.
                while answered.fetch_add(1, Ordering::Relaxed) < REQUESTS || !flipped.load(Ordering::Relaxed) {
                    connection.write(request.as_bytes());
                    let response = connection.read_response().expect("an answer");
                    match response.status {
                        200 => allowed.fetch_add(1, Ordering::Relaxed),
                        403 if response.reason() == "scope_insufficient" => denied.fetch_add(1, Ordering::Relaxed),
                        _ => panic!("neither policy's answer: {response:?}"),
                    };
                }
            });
        }
        let _ends = EndOnDrop(&flipped);
        for flip in 0..FLIPS {
            gateway.rewrite(&policy(if flip % 2 == 0 { "second" } else { "first" }));
            let generation = u64::try_from(flip).unwrap() + 2;
            gateway.wait_for_policy("the next generation", |policy| policy["generation"] == generation);
        }
    });
    let (allowed, denied) = (allowed.into_inner(), denied.into_inner());
    assert!(allowed + denied >= REQUESTS, "{allowed} and {denied}");
    assert!(allowed > 0 && denied > 0, "{allowed} and {denied}");
}

#[test]
fn a_change_is_live_within_a_second_whichever_way_the_file_changes() {
    let gateway = Gateway::start(&policy("first"));
    let token = Signer::shared().token(json!({ "scope": "first" }));
    let text = fs::read_to_string(gateway.file()).unwrap();
    let second = text.replace("first", "second");
    let folder = gateway.folder.path();
    let ways: [(&str, &dyn Fn(&str)); 3] = [
        ("written in place", &|text| fs::write(gateway.file(), text).unwrap()),
        ("renamed over", &|text| gateway.replace_file(text)),
        ("behind a swapped link", &|text| swap_link(folder, text)),
    ];
    for (way, change) in ways {
        for (text, status) in [(&second, 403), (&text, 200)] {
            let changed = Instant::now();
            change(text);
            while gateway.get("/data/x", &token).status != status {
                assert!(changed.elapsed() < Duration::from_secs(5), "{way}: not live");
            }
            assert!(changed.elapsed() < Duration::from_secs(1), "{way}: live after {:?}", changed.elapsed());
        }
    }
}

/// As Kubernetes updates a mounted `ConfigMap`: the file is a link through `..data`, a link that is replaced.
fn swap_link(folder: &std::path::Path, text: &str) {
    use std::os::unix::fs::symlink;
    let version = folder.join(format!("..version-{}", text.len()));
    fs::create_dir_all(&version).unwrap();
    fs::write(version.join("gateway.yaml"), text).unwrap();
    let (data, temporary) = (folder.join("..data"), folder.join("..data_tmp"));
    symlink(&version, &temporary).unwrap();
    fs::rename(&temporary, &data).unwrap();
    let file = folder.join("gateway.yaml");
    if !file.is_symlink() {
        let link = folder.join("link");
        symlink("..data/gateway.yaml", &link).unwrap();
        fs::rename(link, file).unwrap();
    }
}

#[test]
fn a_broken_file_leaves_the_old_policy_and_is_counted_logged_once_and_shown() {
    let gateway = Gateway::start(&policy("first"));
    let token = Signer::shared().token(json!({ "scope": "first" }));
    let good = fs::read_to_string(gateway.file()).unwrap();
    gateway.replace_file(&good.replace("upstream: backend", "upstream: bakend"));
    let shown = gateway.wait_for_policy("the refusal", |policy| !policy["last_error"].is_null());
    assert_eq!(shown["generation"], 1);
    assert!(shown["last_error"].as_str().unwrap().contains("`bakend`"), "{shown}");
    assert_eq!(gateway.get("/data/x", &token).status, 200);
    assert_eq!(gateway.metric(r#"scopegate_policy_reloads_total{result="refused"}"#), Some(1.0));
    // A signal asks for the file again; what is still wrong is not said again.
    gateway.signal("HUP");
    gateway.replace_file(&good.replace("first", "second"));
    let shown = gateway.wait_for_policy("the mended file", |policy| policy["generation"] == 2);
    assert!(shown["last_error"].is_null(), "{shown}");
    assert_eq!(gateway.log().matches("bakend").count(), 1, "{}", gateway.log());
    assert_eq!(gateway.get("/data/x", &token).status, 403);
}

#[test]
fn what_cannot_change_live_is_refused_with_the_advice_to_restart() {
    let gateway = Gateway::start(&policy("first"));
    let good = fs::read_to_string(gateway.file()).unwrap();
    for (key, changed) in [
        ("threads", good.replace("threads: 2", "threads: 3")),
        ("listeners", good.replace(&gateway.address.to_string(), &crate::harness::free_address().to_string())),
        ("admin", good.replace(&gateway.admin.to_string(), &crate::harness::free_address().to_string())),
        ("audit", good.replace("audit.jsonl", "other.jsonl")),
    ] {
        gateway.replace_file(&changed);
        let shown =
            gateway.wait_for_policy(key, |policy| policy["last_error"].as_str().is_some_and(|e| e.contains(key)));
        let error = shown["last_error"].as_str().unwrap();
        assert!(error.contains("restart"), "{error}");
        assert_eq!(shown["generation"], 1);
    }
    gateway.replace_file(&good);
    gateway.wait_for_policy("the good file again", |policy| policy["last_error"].is_null());
}
