//! A gateway that is killed in the middle of a write leaves the old file or the new one, whole.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::Gateway;
use crate::registry::Person;
use ::harness::registry::POLICY;

/// How often it is killed, where `SCOPEGATE_KILLS` does not say.
const KILLS: usize = 20;

#[test]
fn sigkill_at_random_points_of_writes_leaves_a_whole_file() {
    let kills = std::env::var("SCOPEGATE_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut gateway = Gateway::start(POLICY);
    let first = fs::read_to_string(gateway.file()).unwrap();
    let with = |number: usize| match number {
        0 => first.clone(),
        number => first.replace(
            "        display_name: Read data\n",
            &format!("        display_name: Read data\n        description: It is number {number}\n"),
        ),
    };
    let (mut number, mut half_way) = (0, 0);
    for kill in 1..=kills {
        let acknowledged = write_until_killed(&gateway, number);
        let text = fs::read_to_string(gateway.file()).unwrap();
        // What was said to be done is done, and what was not said may be.
        assert!(text == with(acknowledged) || text == with(acknowledged + 1), "after {acknowledged}:\n{text}");
        number = if text == with(acknowledged) { acknowledged } else { acknowledged + 1 };
        half_way += left_over(&gateway);
        gateway.restart();
        assert_eq!(gateway.admin("/policy").json()["last_error"], json!(null), "kill {kill}");
    }
    println!("{kills} kills, {number} writes, {half_way} of the kills while a file was written");
    // One write more clears up what any of them left.
    let ops = Person::manager(&gateway);
    assert_eq!(ops.change("PATCH", "/scopes/data-read", &json!({ "description": null })).status, 200);
    assert_eq!(left_over(&gateway), 0);
    assert_eq!(fs::read_to_string(gateway.file()).unwrap(), first);
}

/// Writes the next numbers, and kills the gateway at a random point of them; the last number that it
/// said to have written.
fn write_until_killed(gateway: &Gateway, last: usize) -> usize {
    let authorization = format!("Bearer {}", Person::manager(gateway).token);
    let auth = ("Authorization", &*authorization);
    let write = |number: usize| {
        let etag = gateway.try_ask_admin("GET", "/api/v1/registry", &[auth], b"")?.header("etag")?.to_owned();
        let body = json!({ "description": format!("It is number {number}") }).to_string();
        let headers = [auth, ("If-Match", &*etag), ("Content-Type", "application/json")];
        gateway.try_ask_admin("PATCH", "/api/v1/scopes/data-read", &headers, body.as_bytes())
    };
    let check = |answer: crate::harness::Response| assert_eq!(answer.status, 200, "{answer:?}");
    let started = Instant::now();
    check(write(last + 1).expect("an answer of a gateway that lives"));
    // As long as two writes take.
    let most = u64::try_from(2 * started.elapsed().as_micros()).unwrap();
    let after = Duration::from_micros(fastrand::u64(0..most));
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(after);
            gateway.kill();
        });
        let mut acknowledged = last + 1;
        while let Some(answer) = write(acknowledged + 1) {
            check(answer);
            acknowledged += 1;
        }
        acknowledged
    })
}

/// How many files are there that no write has finished.
fn left_over(gateway: &Gateway) -> usize {
    let names = fs::read_dir(gateway.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains(".scopegate-")).count()
}
