//! Whatever is changed, the text says just that afterwards, and every line outside is as it was.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_yaml::{Mapping, Value};

use super::*;

fn key(key: &str) -> Step {
    Step::Key(key.to_owned())
}

fn value(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

#[track_caller]
fn check(text: &str, path: &[Step], wanted: &str, expected: &str) {
    let changed = set(text, path, &value(wanted));
    assert_eq!(changed.as_deref(), Ok(expected), "{text}");
}

#[test]
fn a_list_of_lines_changes_line_by_line() {
    let text = "a:\n  # first\n  - x # why\n\n  # second\n  - y\n  # end\nb: 1\n";
    let a = [key("a")];
    check(text, &a, "[x, y, z]", "a:\n  # first\n  - x # why\n\n  # second\n  - y\n  - z\n  # end\nb: 1\n");
    check(text, &a, "[w, x, y]", "a:\n  # first\n  - w\n  - x # why\n\n  # second\n  - y\n  # end\nb: 1\n");
    check(text, &a, "[x]", "a:\n  # first\n  - x # why\n\n  # second\n  # end\nb: 1\n");
    check(text, &a, "[y]", "a:\n  # first\n\n  # second\n  - y\n  # end\nb: 1\n");
    check(text, &a, "[z, y]", "a:\n  # first\n  - z # why\n\n  # second\n  - y\n  # end\nb: 1\n");
    check(text, &a, "[]", "a: []\n  # first\n  # end\nb: 1\n");
}

#[test]
fn of_two_entries_that_are_alike_one_goes_and_what_stands_between_stays() {
    check("a:\n  - x\n  - y # why\n  - x\nb: 1\n", &[key("a")], "[y, x]", "a:\n  - y # why\n  - x\nb: 1\n");
}

#[test]
fn a_list_in_brackets_stays_on_its_line() {
    let text = "a: [x, \"y\"]   # why\nb: {c: 1, d: [2]}\n";
    check(text, &[key("a")], "[x, \"y\", z]", "a: [x, \"y\", z]   # why\nb: {c: 1, d: [2]}\n");
    check(text, &[key("a")], "[y]", "a: [\"y\"]   # why\nb: {c: 1, d: [2]}\n");
    check(text, &[key("a")], "[]", "a: []   # why\nb: {c: 1, d: [2]}\n");
    check(text, &[key("b")], "{d: [2], e: \"a, b\"}", "a: [x, \"y\"]   # why\nb: {d: [2], e: \"a, b\"}\n");
    check("a: { b: 1,  }\nc: [x, y , ] # z\n", &[key("c")], "[x, y, w]", "a: { b: 1,  }\nc: [x, y, w , ] # z\n");
    check("a: { b: 1, # c\n }\n", &[key("a")], "{b: 1, d: 2}", "a: { b: 1, d: 2, # c\n }\n");
    check(text, &[key("b"), key("d")], "[2, 3]", "a: [x, \"y\"]   # why\nb: {c: 1, d: [2, 3]}\n");
}

#[test]
fn keys_come_where_they_are_looked_for() {
    let text = "- name: x   # one\n  services:\n    - GET /x\n- name: y";
    let first = [Step::Nth(0)];
    let wanted = "{name: x, description: 'It reads: all', services: [GET /x, /y], privileges: {p: {services: [/z]}}}";
    check(
        text,
        &first,
        wanted,
        "- name: x   # one\n  description: \"It reads: all\"\n  services:\n    - GET /x\n    - /y\n  privileges:\n    p:\n      \
         services:\n        - /z\n- name: y",
    );
    check(text, &first, "{name: x}", "- name: x   # one\n- name: y");
    check(
        text,
        &[Step::Nth(1)],
        "{name: y, required: true}",
        "- name: x   # one\n  services:\n    - GET /x\n- name: y\n  required: true",
    );
    check(text, &[], "[{name: x, services: [GET /x]}]", "- name: x   # one\n  services:\n    - GET /x");
}

#[test]
fn what_is_empty_is_filled_and_what_is_full_emptied() {
    check("a: [] # c\nb: 1\n", &[key("a")], "[{n: 1}]", "a: # c\n  - n: 1\nb: 1\n");
    check("a:   # c\nb: 1\n", &[key("a")], "[{n: 1}]", "a:   # c\n  - n: 1\nb: 1\n");
    check("services:\nb: 1\n", &[key("services")], "[/x]", "services:\n  - /x\nb: 1\n");
    check("a: # c\n  - n: 1\nb: 1\n", &[key("a")], "[]", "a: [] # c\nb: 1\n");
    check("a: |\n  long\n  text\nb: 1\n", &[key("a")], "short", "a: short\nb: 1\n");
    check(
        "a: {}\n",
        &[key("a")],
        "{privileges: {p: {services: [/x]}}}",
        "a:\n  privileges:\n    p:\n      services:\n        - /x\n",
    );
}

#[test]
fn line_ends_and_marks_stay() {
    check("a:\r\n  - x\r\nb: 1\r\n", &[key("a")], "[x, y]", "a:\r\n  - x\r\n  - y\r\nb: 1\r\n");
    check("\u{feff}a: é # ü\nb: ö\n", &[key("b")], "ä", "\u{feff}a: é # ü\nb: ä\n");
}

#[test]
fn what_others_share_is_not_changed() {
    let text = "a: &x [1, 2]\nb: *x\n";
    for text in [text, "a: &x\n  - 1\n  - 2\nb: *x\n"] {
        assert!(set(text, &[key("a")], &value("[1, 2, 3]")).is_err());
    }
    assert_eq!(set("a: {", &[], &Value::Null), Err(Unchangeable::Layout));
}

#[test]
fn a_path_is_shown_as_people_write_it() {
    let path = [key("apis"), Step::Nth(1), key("scopes"), Step::Nth(0)];
    assert_eq!((shown(&path), shown(&[])), ("apis[1].scopes[0]".to_owned(), String::new()));
}

/// How a value is written.
#[derive(Debug, Clone, Copy)]
struct Style {
    flow: bool,
    quote: u8,
    comment: bool,
    blank: bool,
    indent: usize,
}

fn styles() -> impl Strategy<Value = Style> {
    (any::<bool>(), 0..3u8, any::<bool>(), any::<bool>(), prop_oneof![Just(0), Just(2), Just(4)])
        .prop_map(|(flow, quote, comment, blank, indent)| Style { flow, quote, comment, blank, indent })
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        "(GET )?/[a-z*{}]{1,5}",
        "[ -~é]{0,8}",
        Just("true".to_owned()),
        Just("12".to_owned()),
        Just("a: b # c".to_owned()),
        Just("- x".to_owned()),
    ]
}

fn entries() -> impl Strategy<Value = Value> {
    let privileges = option::of(vec(("[a-z]{1,3}", vec(texts(), 0..2)), 0..3));
    (texts(), option::of(texts()), option::of(any::<bool>()), option::of(vec(texts(), 0..4)), privileges).prop_map(
        |(name, description, required, services, privileges)| {
            let mut entry = Mapping::new();
            entry.insert("name".into(), name.into());
            if let Some(text) = description {
                entry.insert("description".into(), text.into());
            }
            if let Some(mark) = required {
                entry.insert("required".into(), mark.into());
            }
            if let Some(list) = services {
                entry.insert("services".into(), list.into());
            }
            if let Some(privileges) = privileges {
                let of =
                    |services: Vec<String>| Value::from(Mapping::from_iter([("services".into(), services.into())]));
                let privileges = privileges.into_iter().map(|(name, services)| (name.into(), of(services)));
                entry.insert("privileges".into(), privileges.collect::<Mapping>().into());
            }
            entry.into()
        },
    )
}

fn scalar(text: &str, style: Style) -> String {
    match style.quote {
        0 => render::inline(&text.into(), true),
        1 if !text.is_empty() => format!("'{}'", text.replace('\'', "''")),
        _ => serde_json::to_string(text).unwrap(),
    }
}

fn write(entries: &[(Value, Style)], outer: Style, newline: &str) -> String {
    let mut lines = vec!["# head".to_owned(), "before: [1, {a: b}]   # kept".to_owned(), "list:  # entries".to_owned()];
    if entries.is_empty() {
        lines.pop();
        lines.push("list: []".to_owned());
    }
    if outer.flow {
        let entries: Vec<_> = entries.iter().map(|(entry, _)| render::inline(entry, true)).collect();
        *lines.last_mut().unwrap() = format!("list: [{}]", entries.join(" ,  "));
    } else {
        let pad = " ".repeat(outer.indent);
        for (entry, style) in entries {
            write_entry(entry, *style, &pad, &mut lines);
        }
        lines.push(format!("{pad}# after the last"));
    }
    lines.push("after: x".to_owned());
    lines.join(newline) + newline
}

fn write_entry(entry: &Value, style: Style, pad: &str, lines: &mut Vec<String>) {
    if style.blank {
        lines.push(String::new());
    }
    if style.comment {
        lines.push(format!("{pad}# before an entry"));
    }
    if style.flow {
        let end = if style.blank { ", }" } else { "}" };
        let braces = render::inline(entry, false).trim_end_matches('}').trim_end().to_owned();
        let braces = if entry.as_mapping().unwrap().len() == 1 {
            format!("{braces} {end}")
        } else {
            render::inline(entry, false)
        };
        lines.push(format!("{pad}-  {braces} # in braces"));
        return;
    }
    let mut dash = "- ";
    for (key, value) in entry.as_mapping().unwrap() {
        let key = key.as_str().unwrap();
        let start = format!("{pad}{dash}{key}: ");
        dash = "  ";
        match value {
            Value::String(text) => lines.push(format!("{start}{}   # text", scalar(text, style))),
            Value::Sequence(items) if !items.is_empty() && style.comment => {
                lines.push(start.trim_end().to_owned());
                for item in items {
                    lines.push(format!("{pad}    # item"));
                    lines.push(format!("{pad}    - {}", scalar(item.as_str().unwrap(), style)));
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Sequence(_)
            | Value::Mapping(_)
            | Value::Tagged(_) => lines.push(format!("{start}{}", render::inline(value, false))),
        }
    }
}

/// Whether `part` is what is left of `whole` without some of its lines.
fn is_within(part: &str, whole: &str) -> bool {
    let mut lines = whole.lines();
    part.lines().all(|line| lines.any(|own| own == line))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_change_says_what_is_wanted_and_touches_nothing_else(
        entries in vec((entries(), styles()), 0..5),
        outer in styles(),
        crlf in any::<bool>(),
        new in entries(),
        at in any::<prop::sample::Index>(),
        kind in 0..3,
    ) {
        let text = write(&entries, outer, if crlf { "\r\n" } else { "\n" });
        let mut wanted: Vec<_> = entries.iter().map(|(entry, _)| entry.clone()).collect();
        let written = value_of(&text).unwrap();
        prop_assert_eq!(written.get("list").unwrap(), &Value::from(wanted.clone()));
        let layout = Layout::of(&text).unwrap();
        let list = [key("list")];
        match kind {
            0 => {
                wanted.insert(at.index(wanted.len() + 1), new);
                let changed = set(&text, &list, &wanted.into()).unwrap();
                prop_assert!(outer.flow || entries.is_empty() || is_within(&text, &changed), "{}\n{}", text, changed);
            }
            1 if !entries.is_empty() => {
                wanted.remove(at.index(entries.len()));
                let changed = set(&text, &list, &wanted.into()).unwrap();
                prop_assert!(outer.flow || entries.len() == 1 || is_within(&changed, &text), "{}\n{}", text, changed);
            }
            2 if !entries.is_empty() => {
                let place = at.index(entries.len());
                let path = [key("list"), Step::Nth(place)];
                let changed = set(&text, &path, &new).unwrap();
                let span = layout.find(&path).unwrap().span.clone();
                let before = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
                let after = span.end + text[span.end..].find('\n').unwrap();
                prop_assert!(changed.starts_with(&text[..before]), "{}\n{}", text, changed);
                prop_assert!(changed.ends_with(&text[after..]), "{}\n{}", text, changed);
            }
            _ => {}
        }
    }
}
