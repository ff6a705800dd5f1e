//! The shared state in other hands: a server that comes back with less than it had, one that is a replica now, and
//! another one in its place.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::{connect, wait_for};
use serde_json::json;

use super::redis::Redis;
use super::{get, is_connected, policy, revoke, start, token, until_refused};

/// Asks a server for something that has one line for an answer.
fn tell(server: SocketAddr, command: &str) -> String {
    let mut stream = connect(server);
    stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[test]
fn a_server_that_comes_back_with_less_than_it_had_hides_nothing() {
    let mut redis = Redis::start();
    let fleet: Vec<_> = (0..2).map(|_| start(&policy(&redis.url(), "local", ""))).collect();
    let tokens: Vec<_> = (0..5).map(|number| token(&json!({ "jti": format!("t-{number}") }))).collect();
    revoke(&fleet[0], &tokens[0]);
    until_refused(&fleet[1], &tokens[0]);
    assert!(tell(redis.address, "SAVE").starts_with("+OK"));
    // These are lost.
    for token in &tokens[1..4] {
        revoke(&fleet[0], token);
        until_refused(&fleet[1], token);
    }
    redis.end();
    // One is told of another meanwhile, and is the first to be back.
    revoke(&fleet[1], &tokens[4]);
    fleet[0].signal("STOP");
    redis.begin();
    wait_for("what was lost to be brought back", || {
        let last = tell(redis.address, "ZCARD scopegate:revoked");
        (last.trim().trim_start_matches(':').parse::<u64>() == Ok(5)).then_some(())
    });
    fleet[0].signal("CONT");
    wait_for("the other to connect", || is_connected(&fleet[0]).then_some(()));
    let took = until_refused(&fleet[0], &tokens[4]);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn what_was_heard_of_others_is_known_though_the_shared_state_is_another() {
    let mut redis = Redis::start();
    let fleet: Vec<_> = (0..2).map(|_| start(&policy(&redis.url(), "local", ""))).collect();
    let token = token(&json!({ "jti": "t" }));
    assert_eq!(get(&fleet[1], &token).status, 200);
    revoke(&fleet[0], &token);
    until_refused(&fleet[1], &token);
    redis.end();
    fleet[1].rewrite(&policy(&redis.url(), "local", ", timeout: 300ms"));
    fleet[1].wait_for_policy("the next generation", |policy| policy["generation"] == 2);
    assert_eq!(get(&fleet[1], &token).reason(), "token_revoked");
}

/// An address whose connections go on to the port that is there at their time.
fn address_of(port: &Arc<AtomicU16>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, port) = (listener.local_addr().unwrap(), Arc::clone(port));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port.load(Ordering::SeqCst))) else { continue };
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    address
}

/// An address whose connections stay open whichever of two servers is behind it: each of them has one to both, and
/// what comes goes on to the one that is there at its time.
fn switch_before(servers: [SocketAddr; 2], second: &Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, second) = (listener.local_addr().unwrap(), Arc::clone(second));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let mut behind = servers.map(connect);
            for mut from in behind.each_ref().map(|server| server.try_clone().unwrap()) {
                let mut to = client.try_clone().unwrap();
                thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
            let (mut client, second) = (client, Arc::clone(&second));
            thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                while let Ok(length @ 1..) = client.read(&mut buffer) {
                    let server = &mut behind[usize::from(second.load(Ordering::SeqCst))];
                    if server.write_all(&buffer[..length]).is_err() {
                        return;
                    }
                }
                for server in &behind {
                    drop(server.shutdown(std::net::Shutdown::Both));
                }
            });
        }
    });
    address
}

/// How many revoked tokens a server knows.
fn known_by(server: SocketAddr) -> Option<u64> {
    tell(server, "ZCARD scopegate:revoked").trim().trim_start_matches(':').parse().ok()
}

#[test]
fn a_fail_over_behind_connections_that_stay_open_is_noticed_within_three_seconds() {
    let (first, second) = (Redis::start(), Redis::start());
    assert!(tell(second.address, &format!("REPLICAOF 127.0.0.1 {}", first.address.port())).starts_with("+OK"));
    let over = Arc::new(AtomicBool::new(false));
    let url = format!("redis://{}", switch_before([first.address, second.address], &over));
    let fleet: Vec<_> = (0..2).map(|_| start(&policy(&url, "local", ""))).collect();
    let tokens: Vec<_> = (0..5).map(|number| token(&json!({ "jti": format!("t-{number}") }))).collect();
    revoke(&fleet[0], &tokens[0]);
    until_refused(&fleet[1], &tokens[0]);
    wait_for("the replica to have it", || (known_by(second.address) == Some(1)).then_some(()));
    // From here on the replica lags behind. What others tell it has the numbers of what it lacks.
    assert!(tell(second.address, "REPLICAOF NO ONE").starts_with("+OK"));
    let other = start(&policy(&second.url(), "local", ""));
    for (here, there) in [(&tokens[1], &tokens[3]), (&tokens[2], &tokens[4])] {
        revoke(&fleet[0], here);
        until_refused(&fleet[1], here);
        revoke(&other, there);
    }
    wait_for("both to have as many", || {
        ([first.address, second.address].map(known_by) == [Some(3), Some(3)]).then_some(())
    });
    let began = Instant::now();
    over.store(true, Ordering::SeqCst);
    wait_for("what was lost to be brought back", || (known_by(second.address) == Some(5)).then_some(()));
    for gateway in &fleet {
        for token in &tokens {
            until_refused(gateway, token);
        }
    }
    let took = began.elapsed();
    println!("a fail-over behind open connections: all was known again after {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(known_by(first.address), Some(3), "nobody asks the one before");
}

#[test]
fn a_server_whose_user_may_not_ask_what_it_is_serves_all_the_same() {
    let redis = Redis::start();
    assert!(tell(redis.address, "ACL SETUSER default -info").starts_with("+OK"));
    let fleet: Vec<_> = (0..2).map(|_| start(&policy(&redis.url(), "deny", ""))).collect();
    let token = token(&json!({ "jti": "t" }));
    wait_for("both to serve", || fleet.iter().all(|one| get(one, &token).status == 200).then_some(()));
    thread::sleep(Duration::from_millis(2500));
    assert!(fleet.iter().all(is_connected));
    revoke(&fleet[0], &token);
    assert!(until_refused(&fleet[1], &token) < Duration::from_secs(1));
    let log = fleet[0].log();
    assert_eq!(log.matches("the connection to the shared state is lost").count(), 0, "{log}");
    assert_eq!(log.matches("may not ask").count(), 1, "{log}");
}

#[test]
fn a_reload_of_how_it_is_asked_refuses_nobody() {
    let redis = Redis::start();
    let gateway = start(&policy(&redis.url(), "deny", ""));
    let token = token(&json!({ "jti": "t" }));
    wait_for("it to serve", || (get(&gateway, &token).status == 200).then_some(()));
    for generation in 2..8 {
        gateway.rewrite(&policy(&redis.url(), "deny", &format!(", timeout: {}ms", 250 + generation)));
        let shown = || gateway.admin("/policy").json()["generation"].as_u64();
        wait_for("the next generation", || {
            assert_eq!(get(&gateway, &token).status, 200);
            (shown() == Some(generation)).then_some(())
        });
        let end = Instant::now() + Duration::from_millis(200);
        while Instant::now() < end {
            assert_eq!(get(&gateway, &token).status, 200, "generation {generation}");
        }
    }
}

#[test]
fn a_server_that_is_a_replica_now_is_left_for_the_one_in_its_place() {
    let (first, second) = (Redis::start(), Redis::start());
    let port = Arc::new(AtomicU16::new(first.address.port()));
    let url = format!("redis://{}", address_of(&port));
    let gateway = start(&policy(&url, "deny", ""));
    let token = token(&json!({ "jti": "t" }));
    assert_eq!(get(&gateway, &token).status, 200);
    port.store(second.address.port(), Ordering::SeqCst);
    let follow = format!("REPLICAOF 127.0.0.1 {}", second.address.port());
    assert!(tell(first.address, &follow).starts_with("+OK"));
    let began = Instant::now();
    wait_for("the other to be asked", || {
        tell(second.address, "EXISTS scopegate:revoked:state").contains(":1").then_some(())
    });
    wait_for("it to serve", || (get(&gateway, &token).status == 200).then_some(()));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
