//! Whose turn it is among the servers of an upstream: shares, accounts, ejection, retries.

use std::time::Duration;

use super::*;
use crate::config::{Balance, Ejection, Retries, ServerAddress, Transport};
use crate::gateway::load::Loads;

fn server(host: &str, port: u16, weight: u16) -> UpstreamServer {
    UpstreamServer { address: ServerAddress { host: host.into(), port }, weight }
}

/// Of servers `a`, `b` and so on at the ports 1, 2 and so on.
fn weighted(weights: &[u16], balance: Balance) -> Upstream {
    let servers = (1..).zip(weights).map(|(port, weight)| server("127.0.0.1", port, *weight)).collect();
    Upstream { servers, balance, ..upstream(&[]) }
}

fn name(server: &Server) -> char {
    char::from(b'`' + u8::try_from(server.address.port()).unwrap())
}

/// Who gets one request after another, of which none fails.
#[track_caller]
fn check_weights(weights: &[u16], expected: &str) {
    let pool = pool_of(&weighted(weights, Balance::RoundRobin), None);
    let turns: String = expected.chars().map(|_| name(&pool.turn(None).next().unwrap())).collect();
    assert_eq!(turns, expected);
}

fn upstream(servers: &[(&str, u16)]) -> Upstream {
    Upstream {
        name: "u".into(),
        servers: servers.iter().map(|(host, port)| server(host, *port, 1)).collect(),
        balance: Balance::RoundRobin,
        health: None,
        ejection: None,
        retries: None,
        transport: Transport {
            connect_timeout: Duration::from_millis(1),
            read_timeout: Duration::from_millis(2),
            write_timeout: Duration::from_millis(3),
            ..Transport::default()
        },
        max_requests: 2,
    }
}

fn pool_of(upstream: &Upstream, before: Option<&Pool>) -> Pool {
    let metrics = crate::record::Metrics::new().unwrap();
    let load = Loads::default().adopt(std::slice::from_ref(upstream), &metrics).remove(0);
    let pool = Pool::new(upstream, load, None, before);
    pool.unknown().into_iter().for_each(|place| pool.renew(place));
    pool
}

fn pool(servers: &[(&str, u16)]) -> Pool {
    pool_of(&upstream(servers), None)
}

fn port(turn: &mut Turn) -> u16 {
    turn.next().unwrap().address.port()
}

#[test]
fn servers_take_turns() {
    let pool = pool(&[("127.0.0.1", 1), ("::1", 2), ("127.0.0.1", 3)]);
    let ports: Vec<_> = (0..6).map(|_| port(&mut pool.turn(None))).collect();
    assert_eq!(ports, [1, 2, 3, 1, 2, 3]);
}

#[test]
fn a_request_tries_each_server_once() {
    let pool = pool(&[("127.0.0.1", 1), ("127.0.0.1", 2)]);
    let mut turn = pool.turn(None);
    assert_eq!(port(&mut turn), 1);
    assert!(turn.has_more());
    assert_eq!(port(&mut turn), 2);
    assert!(!turn.has_more() && turn.next().is_none());
}

#[test]
fn a_server_is_tried_again_where_its_connection_was_old() {
    let pool = pool(&[("127.0.0.1", 1), ("127.0.0.1", 2)]);
    let mut turn = pool.turn(None);
    assert_eq!(port(&mut turn), 1);
    turn.again();
    assert_eq!((port(&mut turn), port(&mut turn)), (1, 2));
}

#[test]
fn no_more_than_four_servers_are_tried() {
    let servers: Vec<_> = (1..=9).map(|port| ("127.0.0.1", port)).collect();
    let mut turn = pool(&servers).turn(None);
    assert_eq!(std::iter::from_fn(|| turn.next()).count(), 4);
}

#[test]
fn turns_go_on_where_counting_starts_anew() {
    let pool = pool(&[("127.0.0.1", 1), ("127.0.0.1", 2)]);
    pool.next.store(usize::MAX, Ordering::Relaxed);
    let mut turn = pool.turn(None);
    assert!(turn.next().is_some() && turn.next().is_some());
}

#[test]
fn a_name_that_does_not_resolve_leaves_the_others() {
    let pool = pool(&[("no-such-host.invalid", 1), ("127.0.0.1", 2)]);
    assert_eq!(port(&mut pool.turn(None)), 2);
    assert!(self::pool(&[("no-such-host.invalid", 1)]).turn(None).next().is_none());
}

#[test]
fn a_name_that_is_known_is_not_asked_for_while_a_policy_is_taken_into_use() {
    let before = pool(&[("localhost", 1)]);
    let known: Vec<_> = ["192.0.2.1:1".parse().unwrap()].into();
    before.resolved.lock().unwrap()[0].addresses.clone_from(&known);
    let after = pool_of(&upstream(&[("localhost", 1), ("127.0.0.1", 2)]), Some(&before));
    let addresses = |pool: &Pool| pool.servers.load().list.iter().map(|server| server.address).collect::<Vec<_>>();
    assert_eq!(addresses(&after), [known[0], "127.0.0.1:2".parse().unwrap()]);
    let after = Arc::new(after);
    after.tend();
    let begun = Instant::now();
    while addresses(&after).contains(&known[0]) {
        assert!(begun.elapsed() < Duration::from_secs(20), "now and then it is");
        std::thread::yield_now();
    }
}

#[test]
fn as_many_requests_are_under_way_as_may_be() {
    let pool = pool(&[("127.0.0.1", 1)]);
    let carried = [pool.carry().unwrap(), pool.carry().unwrap()];
    assert!(pool.carry().is_none() && pool.carry().is_none());
    drop(carried);
    assert!(pool.carry().is_some());
}

#[test]
fn weights_are_shares_and_turns_are_spread() {
    check_weights(&[1, 1, 1], "abcabc");
    check_weights(&[3, 1], "aabaaaba");
    check_weights(&[2, 4], "babbabba");
}

/// How many of 1,000 requests each gets.
fn shares(pool: &Pool, account: impl Fn(usize) -> Option<String>) -> Vec<usize> {
    let mut shares = vec![0; pool.servers.load().list.len()];
    for nth in 0..1_000 {
        let mut turn = pool.turn(account(nth).as_deref().map(str::as_bytes));
        shares[usize::from(port(&mut turn)) - 1] += 1;
    }
    shares
}

#[test]
fn an_account_keeps_its_server_and_loses_it_only_with_it() {
    let account = |nth| Some(format!("account-{nth}"));
    let place = |pool: &Pool, nth: usize| port(&mut pool.turn(account(nth).as_deref().map(str::as_bytes)));
    let all = pool_of(&weighted(&[1, 1, 1, 1], Balance::Account), None);
    let fewer = pool_of(&weighted(&[1, 1, 1], Balance::Account), None);
    for nth in 0..1_000 {
        let before = place(&all, nth);
        assert_eq!(before, place(&all, nth));
        assert!(before == 4 || before == place(&fewer, nth), "only those of the fourth may move");
    }
    let even = shares(&all, account);
    assert!(even.iter().all(|share| (150..350).contains(share)), "{even:?}");
    let weighted = shares(&pool_of(&weighted(&[3, 1], Balance::Account), None), account);
    assert!((650..850).contains(&weighted[0]), "{weighted:?}");
    let unnamed = shares(&all, |_| None);
    assert!(unnamed.iter().all(|share| (150..350).contains(share)), "{unnamed:?}");
}

#[test]
fn of_two_the_one_with_fewer_requests_under_way_is_chosen() {
    let pool = pool_of(&weighted(&[1, 1], Balance::LeastRequests), None);
    // Whoever draws one of each gives it to the idler, so that the difference stays small.
    let mut under_way = [0_i32; 2];
    let take = |_| {
        let mut turn = pool.turn(None);
        under_way[usize::from(port(&mut turn)) - 1] += 1;
        turn
    };
    let turns: Vec<_> = (0..400).map(take).collect();
    assert!((under_way[0] - under_way[1]).abs() <= 20, "{under_way:?}");
    drop(turns);
    assert!(pool.servers.load().list.iter().all(|server| server.condition.under_way() == 0));
}

#[test]
fn a_request_that_goes_on_to_another_server_is_counted_there_alone() {
    let pool = pool_of(&weighted(&[1, 1], Balance::LeastRequests), None);
    let mut turn = pool.turn(None);
    let (first, second) = (turn.next().unwrap(), turn.next().unwrap());
    assert_eq!((first.condition.under_way(), second.condition.under_way()), (0, 1));
}

#[test]
fn a_server_that_fails_requests_gets_none_until_its_time_is_over_and_half_always_stay() {
    let ejection = Some(Ejection { failures: 2, time: Duration::from_secs(60) });
    let pool = pool_of(&Upstream { ejection, ..weighted(&[1, 1, 1], Balance::RoundRobin) }, None);
    let states = || pool.servers.load().list.iter().map(|server| server.condition.state()).collect::<Vec<_>>();
    let fail = |times| {
        for _ in 0..times {
            let mut turn = pool.turn(None);
            turn.next().unwrap();
            turn.failed();
        }
    };
    fail(3);
    assert_eq!(states(), [State::Usable; 3]);
    fail(30);
    assert_eq!(states(), [State::Ejected, State::Usable, State::Usable], "of three, two stay");
    let ports: Vec<_> = (0..4).map(|_| port(&mut pool.turn(None))).collect();
    assert!(!ports.contains(&1), "{ports:?}");
    pool.watch(Instant::now() + Duration::from_secs(61));
    assert_eq!(states(), [State::Usable; 3]);
}

#[test]
fn where_all_others_were_tried_an_ejected_server_is_and_an_unhealthy_one_is_not() {
    let ejection = Some(Ejection { failures: 1, time: Duration::from_secs(60) });
    let pool = pool_of(&Upstream { ejection, ..weighted(&[1, 1, 1], Balance::RoundRobin) }, None);
    let servers = pool.servers.load_full();
    servers.list[0].condition.eject(Instant::now() + Duration::from_secs(60));
    let check = crate::config::HealthCheck {
        path: None,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        healthy_after: 1,
        unhealthy_after: 1,
    };
    assert!(servers.list[1].condition.checked(false, &check));
    let mut turn = pool.turn(None);
    let tried: String = std::iter::from_fn(|| turn.next()).map(|server| name(&server)).collect();
    assert_eq!(tried, "ca");
}

#[test]
fn a_request_is_sent_again_to_another_server_and_to_the_same_where_there_is_none() {
    let retries = Some(Retries { attempts: 3, budget_percent: 20 });
    let two = pool_of(&Upstream { retries, ..weighted(&[1, 1], Balance::RoundRobin) }, None);
    let mut turn = two.turn(None);
    let mut tried = vec![port(&mut turn)];
    for times in 0..3 {
        assert!(two.may_retry(times));
        turn.retry();
        tried.push(port(&mut turn));
    }
    assert_eq!(tried, [1, 2, 1, 2]);
    assert!(!two.may_retry(3));
}

#[test]
fn what_is_left_of_the_budget_for_retries_outlives_a_policy() {
    let with = |budget_percent| Upstream {
        retries: Some(Retries { attempts: 1, budget_percent }),
        ..upstream(&[("127.0.0.1", 1)])
    };
    let first = pool_of(&with(20), None);
    assert_eq!((0..100).filter(|_| first.may_retry(0)).count(), 10);
    let second = pool_of(&with(30), Some(&first));
    assert!(!second.may_retry(0));
    for _ in 0..4 {
        second.turn(None);
    }
    // A request that began before pays of the same.
    assert!(first.may_retry(0) && !second.may_retry(0));
    assert!(pool_of(&with(20), None).may_retry(0));
}

#[test]
fn servers_outlive_a_policy_that_speaks_to_them_in_the_same_way() {
    let mut upstream = upstream(&[("127.0.0.1", 1)]);
    let first = pool_of(&upstream, None);
    upstream.servers.push(server("127.0.0.1", 2, 1));
    let second = pool_of(&upstream, Some(&first));
    upstream.transport.read_timeout = Duration::from_secs(1);
    let third = pool_of(&upstream, Some(&second));
    let [one, two, three] = [first, second, third].map(|pool| pool.turn(None).next().unwrap());
    assert!(Arc::ptr_eq(&one, &two) && !Arc::ptr_eq(&two, &three));
}
