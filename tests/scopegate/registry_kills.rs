//! A gateway that is killed in the middle of a write leaves the old file or the new one, whole.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::Gateway;
use crate::registry::{POLICY, Person};

#[test]
fn sigkill_at_random_points_of_two_hundred_writes_leaves_a_whole_file() {
    const WRITES: usize = 200;
    let mut gateway = Gateway::start(POLICY);
    let first = fs::read_to_string(gateway.file()).unwrap();
    let with = |number: usize| match number {
        0 => first.clone(),
        number => first.replace(
            "        display_name: Read data\n",
            &format!("        display_name: Read data\n        description: It is number {number}\n"),
        ),
    };
    let (mut number, mut kills, mut half_way) = (0, 0, 0);
    while number < WRITES {
        let ops = Person::manager(&gateway);
        let after = Duration::from_micros(fastrand::u64(0..600_000));
        let acknowledged = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(after);
                gateway.kill();
            });
            let mut acknowledged = number;
            let authorization = format!("Bearer {}", ops.token);
            loop {
                let auth = ("Authorization", &*authorization);
                let seen = gateway.try_ask_admin("GET", "/api/v1/registry", &[auth], b"");
                let Some(etag) = seen.and_then(|seen| seen.header("etag").map(ToOwned::to_owned)) else { break };
                let body = json!({ "description": format!("It is number {}", acknowledged + 1) }).to_string();
                let headers = [auth, ("If-Match", &*etag), ("Content-Type", "application/json")];
                match gateway.try_ask_admin("PATCH", "/api/v1/scopes/data-read", &headers, body.as_bytes()) {
                    Some(answer) => assert_eq!(answer.status, 200, "{answer:?}"),
                    None => break,
                }
                acknowledged += 1;
            }
            acknowledged
        });
        kills += 1;
        let text = fs::read_to_string(gateway.file()).unwrap();
        // What was said to be done is done, and what was not said may be.
        assert!(text == with(acknowledged) || text == with(acknowledged + 1), "after {acknowledged}:\n{text}");
        number = if text == with(acknowledged) { acknowledged } else { acknowledged + 1 };
        let names = fs::read_dir(gateway.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        half_way += names.filter(|name| name.to_string_lossy().contains(".scopegate-")).count();
        gateway.restart();
        assert_eq!(gateway.admin("/policy").json()["last_error"], json!(null));
    }
    assert!(kills > 1, "it was never killed in between");
    // One write more clears up what any of them left.
    let ops = Person::manager(&gateway);
    assert_eq!(ops.change("PATCH", "/scopes/data-read", &json!({ "description": null })).status, 200);
    let names = fs::read_dir(gateway.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().contains(".scopegate-")).count(), 0, "{half_way} before");
    assert_eq!(fs::read_to_string(gateway.file()).unwrap(), first);
}
