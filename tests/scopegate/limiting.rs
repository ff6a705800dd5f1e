//! Rate limits: what passes, what is answered then, and what is told of it, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Connection, Gateway, Response, Signer, Upstream, scopegate, wait_for};

/// Limits in the place of `$LIMITS`.
const POLICY: &str = r"
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    public: [GET /data/open]
    $MODE
    rate_limits: [$LIMITS]
    scopes:
      - { name: read, accounts: any, services: ['GET,POST /data/{account}/**'] }
      - { name: write, accounts: any, services: ['PUT /data/{account}/**'] }
  - { name: free, base_path: /free, upstream: backend, public: [/free] }
";

fn policy(limits: &str) -> String {
    POLICY.replace("$LIMITS", limits).replace("$MODE", "")
}

fn token(client: &str) -> String {
    Signer::shared().token(json!({ "scope": "read write", "client_id": client }))
}

#[track_caller]
fn check_limited(response: &Response, limit: &str, least: u64) -> u64 {
    assert_eq!((response.status, response.reason().as_str()), (429, "rate_limited"), "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let problem = response.json();
    assert_eq!((&problem["type"], &problem["status"]), (&json!("urn:scopegate:rate_limited"), &json!(429)));
    assert!(problem["detail"].as_str().unwrap().contains(limit), "{problem}");
    let seconds = response.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= least, "{seconds}");
    let expected = format!("\"{limit}\";r=0;t={seconds}");
    assert!(response.header("ratelimit").unwrap().contains(&expected), "{response:?}");
    seconds
}

#[test]
fn what_is_beyond_a_limit_is_429_and_says_which_and_for_how_long() {
    let gateway =
        Gateway::start(&policy("{ by: client, requests: 3, per: 1h }, { by: account, requests: 2, per: 1h }"));
    let (acme, beta) = (token("acme"), token("beta"));
    let first = gateway.get("/data/a/x", &acme);
    assert_eq!(first.status, 200);
    let policies = Some("\"client-1h\";q=3;w=3600, \"account-1h\";q=2;w=3600");
    assert_eq!(first.header("ratelimit-policy"), policies);
    assert_eq!(first.header("ratelimit"), Some("\"client-1h\";r=2;t=2400, \"account-1h\";r=1;t=1800"));
    // Another client's requests count for the account, and only one's own for the client.
    assert_eq!(gateway.get("/data/a/x", &beta).status, 200);
    let refused = gateway.get("/data/a/x", &acme);
    let seconds = check_limited(&refused, "account-1h", 1700);
    assert!(seconds <= 1800 && refused.header("ratelimit-policy") == policies, "{refused:?}");
    // What was refused was not counted for the client either.
    assert_eq!(gateway.get("/data/b/x", &acme).status, 200);
    assert_eq!(gateway.get("/data/c/x", &acme).status, 200);
    check_limited(&gateway.get("/data/d/x", &acme), "client-1h", 1100);
    assert_eq!(gateway.upstream.count(), 4);
    // What is refused for something else is not counted, and tells nothing of limits.
    let other = gateway.ask("PUT", "/data/x", &[("Authorization", &format!("Bearer {}", token("gamma")))]);
    assert!(other.status == 200 && other.header("ratelimit").is_some());
    let none = gateway.ask("DELETE", "/data/e/x", &[]);
    assert_eq!((none.status, none.header("ratelimit")), (401, None));
    let free = gateway.ask("GET", "/free", &[]);
    assert_eq!((free.status, free.header("ratelimit")), (200, None));
    let lines = gateway.audit(9);
    let limited: Vec<_> = lines.iter().filter(|line| line["reason"] == "rate_limited").collect();
    let told: Vec<_> = limited.iter().map(|line| (&line["decision"], &line["status"], &line["rate_limit"])).collect();
    let expected = |limit: &str| (json!("deny"), json!(429), json!(limit));
    let (account, client) = (expected("account-1h"), expected("client-1h"));
    assert_eq!(told, [(&account.0, &account.1, &account.2), (&client.0, &client.1, &client.2)]);
    let counted =
        |limit: &str| gateway.metric(&format!("scopegate_rate_limited_total{{api=\"data\",limit=\"{limit}\"}}"));
    assert_eq!((counted("account-1h"), counted("client-1h")), (Some(1.0), Some(1.0)));
}

#[test]
fn a_bucket_is_filled_again_as_time_passes() {
    let gateway = Gateway::start(&policy("{ by: api, requests: 4, per: 1s, burst: 1 }"));
    let started = Instant::now();
    let mut passed = 0;
    let mut limited = 0;
    while passed < 6 {
        match gateway.ask("GET", "/data/open", &[]).status {
            200 => passed += 1,
            429 => limited += 1,
            other => panic!("{other}"),
        }
    }
    let least = Duration::from_millis(1250);
    assert!(started.elapsed() >= least && limited > 0, "{:?} {limited}", started.elapsed());
}

#[test]
fn requests_that_come_at_once_do_not_pass_beyond_the_limit() {
    let gateway = Gateway::start(&policy("{ by: client, requests: 100, per: 24h }"));
    let passed = [const { AtomicUsize::new(0) }; 2];
    let tokens = [token("acme"), token("beta")];
    thread::scope(|scope| {
        for number in 0..16 {
            let (gateway, passed, token) = (&gateway, &passed[number % 2], &tokens[number % 2]);
            scope.spawn(move || {
                let mut connection = Connection::open(gateway.address);
                for _ in 0..30 {
                    let head = format!("GET /data/a/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
                    connection.write(head.as_bytes());
                    let response = connection.read_response().unwrap();
                    assert!(matches!(response.status, 200 | 429), "{response:?}");
                    passed.fetch_add(usize::from(response.status == 200), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(passed.map(AtomicUsize::into_inner), [100, 100]);
    assert_eq!(gateway.upstream.count(), 200);
}

#[test]
fn a_reload_keeps_what_was_taken_of_limits_that_stay_as_they_were() {
    let kept = "{ by: client, requests: 2, per: 1h }";
    let gateway = Gateway::start(&policy(kept));
    let acme = token("acme");
    assert_eq!(gateway.get("/data/a/x", &acme).status, 200);
    for (generation, limits) in [(2, format!("{kept}, {{ by: api, requests: 1000, per: 1s }}")), (3, kept.to_owned())] {
        gateway.rewrite(&policy(&limits));
        gateway.wait_for_policy("the other limits", |policy| policy["generation"] == generation);
    }
    gateway.rewrite(&format!("\nlimits: {{ rate_limit_keys: 4096 }}{}", policy(kept)));
    gateway.wait_for_policy("another size", |policy| policy["generation"] == 4);
    assert_eq!(gateway.get("/data/a/x", &acme).status, 200);
    check_limited(&gateway.get("/data/a/x", &acme), "client-1h", 1700);
    let series = "scopegate_rate_limited_total{api=\"data\",limit=\"client-1h\"}";
    assert_eq!(gateway.metric(series), Some(1.0));
    gateway.rewrite(&policy("{ by: client, requests: 5, per: 1h }"));
    gateway.wait_for_policy("the larger limit", |policy| policy["generation"] == 5);
    let left = gateway.get("/data/a/x", &acme);
    assert_eq!(left.header("ratelimit"), Some("\"client-1h\";r=4;t=2880"));
    gateway.rewrite(&policy(""));
    gateway.wait_for_policy("no limits", |policy| policy["generation"] == 6);
    let answered = gateway.get("/data/a/x", &acme);
    assert_eq!((answered.status, answered.header("ratelimit-policy")), (200, None));
    // The generation before may still be with a request that has just ended.
    wait_for("the series to go", || gateway.metric(series).is_none().then_some(()));
}

#[test]
fn an_api_that_only_reports_lets_through_what_is_beyond_its_limits_and_says_so() {
    let policy =
        POLICY.replace("$LIMITS", "{ by: client, requests: 1, per: 1h }").replace("$MODE", "mode: report_only");
    let gateway = Gateway::start(&policy);
    let acme = token("acme");
    let statuses: Vec<_> = (0..3).map(|_| gateway.get("/data/a/x", &acme).status).collect();
    assert_eq!((statuses, gateway.upstream.count()), (vec![200, 200, 200], 3));
    let lines = gateway.audit(3);
    let reported: Vec<_> = lines.iter().filter(|line| line["reported"] == "rate_limited").collect();
    assert_eq!(reported.len(), 2);
    assert!(reported.iter().all(|line| line["reason"] == "reported" && line["rate_limit"] == "client-1h"));
    let series = "scopegate_report_only_total{api=\"data\",reason=\"rate_limited\"}";
    assert_eq!(gateway.metric(series), Some(2.0));
}

#[test]
fn the_upstreams_own_fields_go_on_beside_the_gateways() {
    let upstream = Upstream::answering(|_| {
        b"HTTP/1.1 200 OK\r\nRateLimit: \"own\";r=1;t=1\r\nContent-Length: 2\r\n\r\nhi".to_vec()
    });
    let gateway = Gateway::start_with(&policy("{ by: api, requests: 10, per: 10s }"), upstream, |_| {});
    let response = gateway.ask("GET", "/data/open", &[]);
    let told: Vec<_> =
        response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("ratelimit")).map(|(_, v)| &**v).collect();
    assert_eq!(told, ["\"own\";r=1;t=1", "\"api-10s\";r=9;t=9"]);
}

#[test]
fn explain_names_the_limits_and_counts_nothing_and_a_difference_names_those_that_changed() {
    let folder = tempfile::tempdir().unwrap();
    let head = "version: 1\nlisteners: [{ address: \"127.0.0.1:1\" }]\nupstreams: { backend: { servers: [\"127.0.0.1:2\"] } }\n\
                issuers: [{ issuer: \"https://i\", audiences: [a], keys: { file: k } }]\n";
    let write = |name: &str, limits: &str| {
        std::fs::write(folder.path().join(name), format!("{head}{}", policy(limits).trim_start())).unwrap();
    };
    write("old.yaml", "{ by: client, requests: 3, per: 1h }, { name: gone, by: api, requests: 9, per: 1s }");
    write(
        "new.yaml",
        "{ by: client, requests: 5, per: 1h }, { by: [client, service], requests: 1, per: 1m, scopes: [write] }",
    );
    let run = |arguments: &[&str]| {
        let output = scopegate(arguments).current_dir(folder.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let claims = r#"{"iss":"https://i","sub":"s","client_id":"c","scope":"read write"}"#;
    let explain = |method: &str, format: &str| {
        run(&[
            "explain",
            "--config",
            "new.yaml",
            "--method",
            method,
            "--path",
            "/data/a/x",
            "--claims",
            claims,
            "--format",
            format,
        ])
    };
    for _ in 0..2 {
        let told = explain("PUT", "text");
        assert!(told.contains("client-1h: 5 in 1h by client"), "{told}");
        assert!(told.contains("client-service-1m: 1 in 1m by client and service"), "{told}");
    }
    let told: Value = serde_json::from_str(&explain("GET", "json")).unwrap();
    let limits = json!([{ "name": "client-1h", "by": ["client"], "requests": 5, "per_seconds": 3600, "burst": 5 }]);
    assert_eq!(told["rate_limits"], limits, "{told}");
    let diff = run(&["diff", "old.yaml", "new.yaml"]);
    for changed in ["rate_limits client-1h", "3 in 1h by client", "rate_limits gone", "rate_limits client-service-1m"] {
        assert!(diff.contains(changed), "{changed}: {diff}");
    }
}

#[test]
fn what_is_refused_as_overloaded_is_counted_by_no_limit() {
    let slow = Upstream::answering(|request| {
        if request.line.contains("/slow ") {
            thread::sleep(Duration::from_secs(1));
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let upstream = format!("\nupstreams: {{ backend: {{ servers: [\"{}\"], max_requests: 1 }} }}\n", slow.address);
    let gateway = Gateway::start(&(upstream + &policy("{ by: client, requests: 3, per: 1h }")));
    let acme = token("acme");
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(gateway.get("/data/a/slow", &acme).status, 200));
        wait_for("the slow one", || (slow.count() == 1).then_some(()));
        for _ in 0..5 {
            assert_eq!(gateway.get("/data/a/x", &acme).reason(), "overloaded");
        }
    });
    for _ in 0..2 {
        assert_eq!(gateway.get("/data/a/x", &acme).status, 200);
    }
    check_limited(&gateway.get("/data/a/x", &acme), "client-1h", 1);
}
