//! Whole files with mistakes in them, and what is said of those.

mod any_text;
mod many;

use std::path::Path;

use super::{Configuration, Problems, Source, compile};

/// A file with every key that there is.
const COMPLETE: &str = include_str!("testdata/complete.yaml");

/// Mistakes, each made in the complete file, and all that is then said; blank lines between them.
///
/// Lines that begin with `- ` are replaced by those that follow with `+ `, or removed; what is said
/// follows, with `%` lines for comments.
const BAD: &str = include_str!("testdata/bad.txt");

fn read(text: &str) -> Result<Configuration, Problems> {
    compile(&Source { shown: "gateway.yaml", directory: Path::new("/etc/scopegate"), text })
}

/// What is said of a file: `line:column: message; help` for each problem.
fn said_of(text: &str) -> Vec<String> {
    let Err(problems) = read(text) else { return vec!["nothing is wrong".to_owned()] };
    problems.list().iter().map(|problem| problem.to_string().replacen("gateway.yaml:", "", 1)).collect()
}

/// The complete file with one or more mistakes made in it, and what is expected to be said.
pub(super) fn mistake(case: &str) -> (String, Vec<&str>) {
    let mut text = COMPLETE.to_owned();
    let mut lines = case.lines().filter(|line| !line.starts_with('%')).peekable();
    while lines.peek().is_some_and(|line| line.starts_with("- ")) {
        let mut taken = |mark: &str| {
            let mut block = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with(mark)) {
                block.push(line[2..].to_owned());
            }
            block.join("\n")
        };
        let (from, to) = (taken("- "), taken("+ "));
        let from = if to.is_empty() { from + "\n" } else { from };
        assert_eq!(text.matches(&from).count(), 1, "{from}");
        text = text.replace(&from, &to);
    }
    (text, lines.collect())
}

#[test]
fn every_mistake_is_said_at_its_place_with_what_would_be_right() {
    for case in BAD.split("\n\n") {
        let (text, expected) = mistake(case);
        assert_eq!(said_of(&text), expected, "{case}");
    }
}

#[test]
fn what_is_said_has_one_style() {
    for case in BAD.split("\n\n") {
        for problem in read(&mistake(case).0).unwrap_err().list() {
            for said in [Some(&problem.message), problem.help.as_ref()].into_iter().flatten() {
                let is_lower = said.starts_with(|first: char| !first.is_uppercase());
                assert!(is_lower && !said.ends_with('.') && !said.contains("::Entry"), "{said}");
            }
        }
    }
}

#[test]
fn what_is_no_mapping_is_said_to_be_none() {
    for (text, expected) in [
        ("", "1:1: the file is empty; begin it with `version: 1`"),
        ("\n# nothing\n", "1:1: the file is empty; begin it with `version: 1`"),
        ("null", "1:1: the file is empty; begin it with `version: 1`"),
        ("a", "1:1: expected a mapping, found the text `a`; write `key: value`, each key on its own line"),
        ("\n  - a", "2:5: expected a mapping, found a list; write `key: value`, each key on its own line"),
        ("a: [", "1:5: this is not YAML: did not find expected node content, while parsing a flow node"),
        (
            "version: 1\n\tthreads: 2",
            "2:1: this is not YAML: found a tab character that violates indentation, while scanning a plain scalar; \
             indent with spaces: YAML takes no tabs there",
        ),
        (
            "a: b\n---\nc: d",
            "2:1: a second document begins here; keep one document: remove this `---` or what is before it",
        ),
    ] {
        assert_eq!(said_of(text), [expected], "{text:?}");
    }
}

#[test]
fn how_lines_end_and_a_byte_order_mark_change_nothing() {
    let (text, expected) = mistake(BAD.split("\n\n").next().unwrap());
    for same in [text.replace('\n', "\r\n"), text.replace('\n', "\r"), format!("\u{feff}{text}")] {
        assert_eq!(said_of(&same), expected, "{same:?}");
    }
    assert!(read(&format!("\u{feff}{}", COMPLETE.replace('\n', "\r\n"))).is_ok());
}

#[test]
fn a_file_beyond_the_limit_is_refused() {
    let text = format!("{COMPLETE}{}", " ".repeat(super::source::LARGEST));
    assert_eq!(said_of(&text), ["1:1: the file is larger than 64 MiB; make it smaller"]);
}

const SIX: &str = "\
version: 1
listeners:
  - address: :8080
upstreams:
  orders: { servers: [\"127.0.0.1:9000\"] }
issuers:
  - issuer: https://login.example.com
    audiences: [https://api.example.com]
    keys: { file: jwks.json }
apis:
  - name: orders
    base_path: /orders
    upstream: order
    account: { path: account }
    scopes:
      - name: orders-read
        services:
          - GET /orders/{tenant}/**
      - name: Orders-Read
        service: [\"GET /orders/{account}\"]
        accounts: any
clients:
  - id: shop
    scopes: [orders-raed]
";

#[test]
fn six_mistakes_are_six_problems_in_the_order_of_the_file() {
    let problems = read(SIX).unwrap_err();
    let places: Vec<_> = problems.list().iter().map(|problem| (problem.line, problem.column)).collect();
    assert_eq!(places, [(3, 14), (13, 15), (18, 13), (19, 15), (20, 9), (24, 14)]);
    assert!(problems.render(false).ends_with("\n\n6 problems in gateway.yaml\n"));
    assert!(problems.to_string().starts_with("gateway.yaml:3:14: `:8080` is not an address and port; write "));
}

#[test]
fn a_problem_is_shown_with_its_line_and_what_would_be_right() {
    let text = SIX.replace(":8080", "0.0.0.0:8080").replace("upstream: order", "upstream: orders");
    let text = text.replace("{tenant}", "{account}").replace("service:", "services:").replace("-raed", "-read");
    let problems = read(&text).unwrap_err();
    let expected = "\
error: the scope `Orders-Read` differs from `orders-read` in case only, first on line 16
  --> gateway.yaml:19:15
   |
19 |       - name: Orders-Read
   |               ^^^^^^^^^^^
   |
   = help: rename one of them: names are unique in the file, whatever their case

1 problem in gateway.yaml
";
    assert_eq!(problems.render(false), expected);
    let styled = problems.render(true);
    assert!(styled.contains("\u{1b}["));
    let codes = styled.split('\u{1b}').skip(1).map(|rest| rest.split_once('m').unwrap().1);
    assert_eq!(codes.collect::<String>(), expected);
}

#[test]
fn a_line_of_any_length_is_shown_around_its_problem() {
    for (length, shows_line) in [(1_000, true), (100_000, true), (2_000_000, false)] {
        let text = format!("{{\"version\": 2, \"#\": \"{}\"}}", "é ".repeat(length / 3));
        let rendered = read(&text).unwrap_err().render(false);
        assert!(rendered.contains("--> gateway.yaml:1:13"), "{length}");
        assert_eq!(rendered.contains("| {\"version\": 2, "), shows_line, "{length}");
        assert!(rendered.lines().all(|line| line.chars().count() < 500), "{length}");
    }
}
