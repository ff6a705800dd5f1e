//! Text to a tree, by `serde_yaml`, or the first thing that keeps it from being YAML.

use std::cell::Cell;

use saphyr_parser::{Event, Parser};
use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny};

use super::finding::{Finding, Place};
use super::node::{Node, Seed};

/// Brackets opened and not closed: beyond it the parser's time grows with the square of them. No
/// file that is meant comes near, even with stray brackets in its comments.
const MOST_OPEN_BRACKETS: usize = 10_000;

/// How many values aliases may add to those that are written out.
const MOST_REPEATED: usize = 100_000;

/// Reads the one document of `text`.
pub(super) fn parse(text: &str) -> Result<Node, Finding> {
    check_characters(text)?;
    check_brackets(text)?;
    // A value takes a byte at least, but for one that is left out beside its key.
    let left = Cell::new(text.len().saturating_mul(2).saturating_add(MOST_REPEATED));
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let Some(document) = documents.next() else { return Ok(Node::Null) };
    let node = match (Seed { left: &left }).deserialize(document) {
        Ok(node) => node,
        Err(_) if left.get() == 0 => {
            let finding = Finding::placed(Place::Byte(0), "aliases repeat more than a file of this size may");
            return Err(finding.help("write out what the aliases stand for"));
        }
        Err(error) => return Err(unreadable(&error, text)),
    };
    match documents.next().map(IgnoredAny::deserialize) {
        None => Ok(node),
        Some(Err(error)) => Err(unreadable(&error, text)),
        Some(Ok(IgnoredAny)) => {
            let finding = Finding::placed(Place::Byte(second_document(text)), "a second document begins here");
            Err(finding.help("keep one document: remove this `---` or what is before it"))
        }
    }
}

/// YAML 1.2 section 5.1: the characters that a file may have.
fn check_characters(text: &str) -> Result<(), Finding> {
    let is_printable = |character: char| matches!(character, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..);
    match text.char_indices().find(|(_, character)| !is_printable(*character)) {
        None => Ok(()),
        Some((place, character)) => {
            let message = format!("the character {} cannot stand in a YAML file", character.escape_unicode());
            let help = format!("remove it, or write it as `\"\\x{:02X}\"` in double quotes", u32::from(character));
            Err(Finding::placed(Place::Byte(place), message).help(help))
        }
    }
}

fn check_brackets(text: &str) -> Result<(), Finding> {
    let mut open: usize = 0;
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MOST_OPEN_BRACKETS {
            let message = format!("more than {MOST_OPEN_BRACKETS} brackets are open here");
            return Err(Finding::placed(Place::Byte(place), message).help("close them"));
        }
    }
    Ok(())
}

fn unreadable(error: &serde_yaml::Error, text: &str) -> Finding {
    let place = error.location().map_or(0, |location| location.index());
    let said = error.to_string();
    // The parser says where in its text as well, which is shown better than said.
    let parts = said.split(", ").map(|part| part.split_once(" at line ").map_or(part, |(what, _)| what));
    let message = format!("this is not YAML: {}", parts.collect::<Vec<_>>().join(", "));
    Finding::placed(Place::Byte(place), message).maybe_help(remedy(text, place))
}

/// What is most often behind an error at this byte.
fn remedy(text: &str, place: usize) -> Option<String> {
    let (before, after) = text.split_at_checked(place)?;
    let nearby = [after.chars().next(), before.chars().next_back()];
    if nearby.contains(&Some('\t')) {
        return Some("indent with spaces: YAML takes no tabs there".to_owned());
    }
    if nearby == [Some(':'), Some('[')] {
        return Some("put an IPv6 address in quotes".to_owned());
    }
    if let Some(bracket @ ('{' | '}')) = nearby[0] {
        return Some(format!("put a text that has `{bracket}` in quotes when it stands within brackets"));
    }
    let is_special = |character: &char| matches!(character, '*' | '&' | '!' | '%' | '@' | '`');
    let character = nearby.into_iter().flatten().find(is_special)?;
    Some(format!("put a text that begins with `{character}` in quotes"))
}

/// The byte at which the second document begins.
fn second_document(text: &str) -> usize {
    let is_start = |event: &Event<'_>| matches!(event, Event::DocumentStart(_));
    let mut starts = Parser::new_from_str(text).map_while(Result::ok).filter(|(event, _)| is_start(event));
    let second = starts.nth(1).and_then(|(_, span)| text.char_indices().nth(span.start.index()));
    second.map_or(0, |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Result<Node, (usize, &str, Option<&str>)>) {
        let seen = parse(text);
        let seen = seen.as_ref().map_err(|finding| {
            let Place::Byte(place) = finding.place else { panic!("{finding:?}") };
            (place, &*finding.message, finding.help.as_deref())
        });
        assert_eq!(seen, expected.as_ref().map_err(|expected| *expected), "{text:?}");
    }

    fn text(text: &str) -> Node {
        Node::Text(text.to_owned())
    }

    #[test]
    fn values_are_what_yaml_says_they_are() {
        check("", &Ok(Node::Null));
        check("# nothing\n", &Ok(Node::Null));
        check("~", &Ok(Node::Null));
        check("true", &Ok(Node::Bool(true)));
        check("yes", &Ok(text("yes")));
        check("'5'", &Ok(text("5")));
        check("5", &Ok(Node::Whole(5)));
        check("-5", &Ok(Node::Number("-5".into())));
        check("0.5", &Ok(Node::Number("0.5".into())));
        check("36893488147419103232", &Ok(Node::Number("36893488147419103232".into())));
        check("!secret x", &Ok(Node::Tagged("secret".into())));
        check("--- a\n...\n", &Ok(text("a")));
        check("a\r\n", &Ok(text("a")));
        let repeated = vec![(text("a"), Node::Null), (text("a"), Node::List(vec![Node::Null, text("x")]))];
        check("a:\na: [~, x]\n", &Ok(Node::Mapping(repeated)));
        check("[&a x, *a]", &Ok(Node::List(vec![text("x"), text("x")])));
    }

    #[test]
    fn what_is_not_yaml_is_refused_at_its_place() {
        let quotes = Some("put a text that begins with `*` in quotes");
        check(
            "- * /x",
            &Err((
                3,
                "this is not YAML: did not find expected alphabetic or numeric character, while scanning an alias",
                quotes,
            )),
        );
        check("é: *x", &Err((4, "this is not YAML: unknown anchor", quotes)));
        let tabs = Some("indent with spaces: YAML takes no tabs there");
        check(
            "a:\r\n\t- b",
            &Err((
                4,
                "this is not YAML: found character that cannot start any token, while scanning for the next token",
                tabs,
            )),
        );
        check(
            "a: [",
            &Err((4, "this is not YAML: did not find expected node content, while parsing a flow node", None)),
        );
        check(
            "a: \u{1b}",
            &Err((
                3,
                "the character \\u{1b} cannot stand in a YAML file",
                Some("remove it, or write it as `\"\\x1B\"` in double quotes"),
            )),
        );
        let second = Some("keep one document: remove this `---` or what is before it");
        check("é: b\n---\nc: d", &Err((6, "a second document begins here", second)));
        let cycle = Some("put a text that begins with `&` in quotes");
        check("a: &a [*a]", &Err((3, "this is not YAML: recursion limit exceeded", cycle)));
    }

    #[test]
    fn deep_and_repeating_files_are_refused_soon() {
        for (deep, times) in [("[", 1_000_000), ("{a: ", 1_000_000), ("? ", 20_000), ("- ", 20_000)] {
            assert!(parse(&deep.repeat(times)).is_err(), "{deep}");
        }
        let laughs = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
            let below = format!("*a{}", n - 1);
            format!("{text}a{n}: &a{n} [{}]\n", vec![below; 9].join(", "))
        });
        check(
            &laughs,
            &Err((0, "aliases repeat more than a file of this size may", Some("write out what the aliases stand for"))),
        );
    }
}
