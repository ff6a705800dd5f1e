//! Buckets under many keys and many threads, against what each would be if it were alone.

use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::thread;

use hashbrown::HashMap;
use proptest::prelude::*;

use super::super::key::{KeyPart, Seed};
use super::*;

const SECOND: u64 = 1_000_000_000;

/// Three at once, and one a second.
const SLOW: Pace = Pace { interval: SECOND, whole: 3 * SECOND };

fn key(number: u64) -> Key {
    Seed::new(&[b"limit"]).key([KeyPart::Account(&number.to_be_bytes())].into_iter())
}

fn passed(table: &Table, key: Key, pace: Pace, now: u64, tries: usize) -> usize {
    (0..tries).filter(|_| table.take(key, pace, now).is_ok()).count()
}

#[test]
fn a_bucket_is_its_keys_alone() {
    let table = Table::new(1024, false);
    let now = table.now();
    for number in 0..100 {
        assert_eq!(table.look(key(number), SLOW, now), Ok(3));
        assert_eq!(passed(&table, key(number), SLOW, now, 5), 3);
        assert_eq!(table.look(key(number), SLOW, now), Err(SECOND));
        assert_eq!(table.take(key(number), SLOW, now), Err(SECOND));
    }
    assert_eq!((table.take(key(7), SLOW, now + SECOND), table.forgotten()), (Ok(0), 0));
}

proptest! {
    #[test]
    fn each_key_gets_what_its_own_bucket_gives(
        asked in prop::collection::vec((0_u64..12, prop_oneof![Just(0), 0..2 * SECOND]), 1..300),
    ) {
        let table = Table::new(1024, false);
        let mut alone: HashMap<u64, u64> = HashMap::new();
        let mut now = table.now();
        for (number, gap) in asked {
            now += gap;
            let full_at = alone.entry(number).or_default();
            let expected = SLOW.take(*full_at, now);
            prop_assert_eq!(table.look(key(number), SLOW, now).is_ok(), expected.is_ok());
            let taken = table.take(key(number), SLOW, now);
            prop_assert_eq!(taken, expected.map(|next| SLOW.left(next, now)));
            *full_at = expected.unwrap_or(*full_at);
        }
    }
}

#[test]
fn a_bucket_that_is_never_full_again_holds_nobody_up() {
    let endless = Pace { interval: u64::MAX / 4, whole: u64::MAX };
    let (done, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let table = Table::new(8, false);
        let taken = passed(&table, key(1), endless, table.now(), 8);
        let _ = done.send(taken);
    });
    assert_eq!(told.recv_timeout(std::time::Duration::from_secs(20)), Ok(8));
}

/// Has threads take from these keys as fast as they can; how many each key gave.
fn storm(table: &Table, keys: u64, pace: Pace, each: usize) -> Vec<usize> {
    const THREADS: u64 = 8;
    let given: Vec<_> = (0..keys).map(|_| AtomicUsize::new(0)).collect();
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    let now = table.now();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (given, barrier) = (&given, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for _ in 0..each {
                    for number in 0..keys {
                        let number = (number * 7 + thread) % keys;
                        if table.take(key(number), pace, now).is_ok() {
                            given[usize::try_from(number).unwrap()].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    given.into_iter().map(AtomicUsize::into_inner).collect()
}

#[test]
fn no_more_pass_than_may_when_all_come_at_once() {
    let pace = Pace { interval: SECOND, whole: 1000 * SECOND };
    for keys in [1, 3, 50] {
        let table = Table::new(1024, true);
        let each = if keys == 50 { 200 } else { 2000 };
        let most = 1000.min(each * 8);
        assert_eq!(storm(&table, keys, pace, each), vec![most; usize::try_from(keys).unwrap()]);
    }
}

#[test]
fn keys_that_come_at_once_for_too_few_places_get_no_second_bucket_while_theirs_is_there() {
    // Eight places for eight keys: all have room, however they come.
    let table = Table::new(8, false);
    assert_eq!(storm(&table, 8, SLOW, 500), vec![3; 8]);
    assert_eq!(table.forgotten(), 0);
}

#[test]
fn a_flood_of_keys_takes_no_more_memory_and_forgets_none_that_is_beyond_its_limit() {
    let table = Table::new(4096, false);
    let (now, sets) = (table.now(), table.sets.len());
    // Beyond their limit before the flood comes: half of the places.
    let beyond: Vec<_> = (0..2048).map(key).filter(|key| passed(&table, *key, SLOW, now, 4) == 3).collect();
    let crowded = table.forgotten();
    for number in 1..3_000_000_u64 {
        let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let _ = table.take(Key([scattered, scattered.rotate_right(32)]), SLOW, now);
    }
    assert_eq!(table.sets.len(), sets);
    assert!(table.forgotten() > 2_900_000, "{}", table.forgotten());
    let kept = beyond.iter().filter(|key| table.look(**key, SLOW, now).is_err()).count();
    // Where eight of them share their places, one has gone.
    let full = table.sets.iter().filter(|set| set.slots.iter().all(|slot| slot.fullness(now).0 > 0)).count();
    assert!(kept + full >= beyond.len() && kept > 1900, "{kept} of {}, {crowded} crowded out", beyond.len());
}

#[test]
fn what_lacks_nothing_any_more_makes_room_and_is_not_counted_as_forgotten() {
    let table = Table::new(8, false);
    let now = table.now();
    for round in 0..10 {
        let later = now + round * 10 * SECOND;
        assert!((0..8).all(|number| table.take(key(round * 8 + number), SLOW, later).is_ok()));
    }
    assert_eq!(table.forgotten(), 0);
}

#[test]
fn another_size_keeps_what_was_taken() {
    let table = Table::new(1024, false);
    let now = table.now();
    for number in 0..200 {
        passed(&table, key(number), SLOW, now, 5);
    }
    let larger = table.resized(4096, false);
    assert!((0..200).all(|number| larger.look(key(number), SLOW, now).is_err()));
    let smaller = larger.resized(64, false);
    assert!(smaller.is_of(64, false) && !smaller.is_of(4096, false) && !smaller.is_of(64, true));
    let kept = (0..200).filter(|number| smaller.look(key(*number), SLOW, now).is_err()).count();
    assert!((33..=64).contains(&kept), "{kept}");
    assert_eq!(smaller.forgotten(), 200 - kept as u64);
}

#[test]
fn two_tables_that_tell_each_other_give_together_what_one_does() {
    let (one, other) = (Table::new(64, true), Table::new(64, true));
    let pace = Pace { interval: 100 * SECOND, whole: 1000 * SECOND };
    // What a server in between keeps: the sum of what it is told.
    let mut lacking = 0;
    let mut given = 0;
    for _ in 0..10 {
        for table in [&one, &other] {
            given += passed(table, key(1), pace, table.now(), 1);
            for told in table.tell(10) {
                assert_eq!((told.key, told.whole), (key(1), pace.whole));
                lacking += told.taken;
                table.hear(told.key, lacking);
            }
        }
    }
    // Each may be one behind the other, and what was too much is paid back.
    assert!((10..=11).contains(&given), "{given}");
    let passed_after = [&one, &other].map(|table| passed(table, key(1), pace, table.now(), 1));
    assert_eq!((passed_after, one.tell(10), other.tell(10)), ([0, 0], vec![], vec![]));
}

#[test]
fn what_did_not_arrive_is_told_again_and_nothing_is_told_twice() {
    let table = Table::new(65_536 * 2, true);
    let now = table.now();
    passed(&table, key(1), SLOW, now, 2);
    let told = table.tell(10);
    assert!(told.len() == 1 && told[0].taken > SECOND && told[0].taken <= 2 * SECOND, "{told:?}");
    table.take_back(&told);
    let again = table.tell(10);
    assert!(again.len() == 1 && again[0].key == told[0].key && again[0].taken <= told[0].taken, "{again:?}");
    assert_eq!(table.tell(10), []);
    // More than the queue has room for are found all the same.
    let many = QUEUE as u64 + 1000;
    for number in 0..many {
        table.take(key(number + 10), SLOW, table.now()).unwrap();
    }
    let told: Vec<_> =
        std::iter::from_fn(|| Some(table.tell(5000)).filter(|told| !told.is_empty())).flatten().collect();
    let keys: hashbrown::HashSet<_> = told.iter().map(|told| told.key).collect();
    assert_eq!(keys.len(), told.len());
    // Where nine share eight places, one was forgotten.
    assert!(told.len() as u64 + table.forgotten() >= many, "{} of {many}", told.len());
}
