//! Whatever the text is, it is read to the end, and nothing in it is passed over.

use proptest::prelude::*;
use serde_yaml::Value;

use super::{COMPLETE, read};
use crate::fuzzing::policies::check_problems;

/// Texts that mean something to YAML, to the file or to terminals.
const SNIPPETS: &[&str] = &[
    "",
    " ",
    "\n",
    "\r",
    "\t",
    "  ",
    ":",
    ": ",
    "- ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "!t ",
    "!!int ",
    "|\n",
    ">",
    "'",
    "\"",
    "#",
    "%",
    "---\n",
    "...\n",
    "<<: ",
    "null",
    "~",
    "true",
    "-1",
    "1e9",
    "0x1F",
    "[::1]:1",
    "{a}",
    "/**",
    "*",
    "é",
    "\u{feff}",
    "\u{2028}",
    "\u{202e}",
    "\u{1b}[31m",
    "\0",
    "💥",
    "own",
    "name: ",
    "services: ",
    "\n  - ",
    "\n    x: y",
];

/// A change of the text, by places counted in thousandths of it.
#[derive(Debug, Clone)]
enum Change {
    Insert(usize, &'static str),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let place = || 0_usize..1000;
    prop_oneof![
        (place(), proptest::sample::select(SNIPPETS)).prop_map(|(at, snippet)| Change::Insert(at, snippet)),
        (place(), 1_usize..50).prop_map(|(at, length)| Change::Remove(at, length)),
        (place(), 1_usize..50).prop_map(|(at, length)| Change::Repeat(at, length)),
    ]
}

fn changed(text: &str, change: &Change) -> String {
    let place = |thousandths: usize| {
        let place = text.len() * thousandths / 1000;
        (0..=place).rev().find(|place| text.is_char_boundary(*place)).unwrap()
    };
    match change {
        Change::Insert(at, snippet) => {
            let (before, after) = text.split_at(place(*at));
            format!("{before}{snippet}{after}")
        }
        Change::Remove(at, length) => {
            let (before, after) = text.split_at(place(*at));
            format!("{before}{}", after.chars().skip(*length).collect::<String>())
        }
        Change::Repeat(at, length) => {
            let (before, after) = text.split_at(place(*at));
            format!("{before}{}{after}", after.chars().take(*length).collect::<String>())
        }
    }
}

/// Every problem is in the text and can be shown.
#[track_caller]
fn check(text: &str) {
    if let Err(problems) = read(text) {
        check_problems(text, &problems);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_good_file_makes_it_panic(changes in proptest::collection::vec(change(), 1..6)) {
        check(&changes.iter().fold(COMPLETE.to_owned(), |text, change| changed(&text, change)));
    }

    #[test]
    fn no_text_makes_it_panic(snippets in proptest::collection::vec(proptest::sample::select(SNIPPETS), 0..30)) {
        check(&snippets.concat());
    }
}

#[test]
fn a_value_that_is_not_of_its_shape_is_never_passed_over() {
    let nonsense: Value = serde_yaml::from_str("{ nonsense: [1] }").unwrap();
    let good: Value = serde_yaml::from_str(COMPLETE).unwrap();
    let mut tried = 0;
    each_replaced(&good, &nonsense, &mut |changed| {
        let text = serde_yaml::to_string(&changed).unwrap();
        assert!(read(&text).is_err(), "{text}");
        tried += 1;
    });
    assert!(tried > 150, "{tried}");
}

/// Shows `found` the value with each that it holds replaced, one at a time.
fn each_replaced(value: &Value, by: &Value, found: &mut dyn FnMut(Value)) {
    match value {
        Value::Sequence(entries) => {
            for (place, entry) in entries.iter().enumerate() {
                let mut replace = |new: Value| {
                    let mut entries = entries.clone();
                    entries[place] = new;
                    found(Value::Sequence(entries));
                };
                replace(by.clone());
                each_replaced(entry, by, &mut replace);
            }
        }
        Value::Mapping(entries) => {
            for (key, entry) in entries {
                let mut replace = |new: Value| {
                    let mut entries = entries.clone();
                    entries.insert(key.clone(), new);
                    found(Value::Mapping(entries));
                };
                replace(by.clone());
                each_replaced(entry, by, &mut replace);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => {}
    }
}
