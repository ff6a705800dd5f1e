//! One change to a text: which bytes of it become which.

use std::ops::Range;

use serde_yaml::Value;

use super::difference::Operation;
use super::layout::{Layout, Node, Pair, Shape};
use super::{Unchangeable, render};

/// Keys in the order in which they are written; a new one comes after the nearest before it.
const ORDER: [&str; 23] = [
    "id",
    "name",
    "display_name",
    "description",
    "base_path",
    "upstream",
    "mode",
    "account",
    "accounts",
    "required",
    "emphasize",
    "show_in_discovery",
    "deprecated",
    "confidential_only",
    "type",
    "certificate",
    "insufficient_scope_status",
    "public",
    "token_endpoint",
    "scopes",
    "services",
    "except",
    "privileges",
];

/// The text after the operation.
pub(super) fn apply(text: &str, layout: &Layout, operation: &Operation) -> Result<String, Unchangeable> {
    let found = |path| layout.find(path).ok_or(Unchangeable::Layout);
    let place = Place { text, newline: if text.contains("\r\n") { "\r\n" } else { "\n" } };
    let (range, with) = match operation {
        Operation::SetKey(path, key, value) => place.set_key(found(path)?, key, value),
        Operation::RemoveKey(path, key) => place.remove_key(found(path)?, key),
        Operation::Insert(path, at, value) => place.insert(found(path)?, *at, value),
        Operation::Remove(path, at) => place.remove(found(path)?, *at),
        Operation::Replace(path, at, value) => replace(found(path)?, *at, value),
    }
    .ok_or(Unchangeable::Layout)?;
    let (before, after) = (text.get(..range.start), text.get(range.end..));
    Ok([before.ok_or(Unchangeable::Layout)?, &with, after.ok_or(Unchangeable::Layout)?].concat())
}

/// What takes the place of which bytes.
type Splice = (Range<usize>, String);

struct Place<'t> {
    text: &'t str,
    newline: &'t str,
}

impl Place<'_> {
    fn set_key(&self, mapping: &Node, key: &str, value: &Value) -> Option<Splice> {
        let Shape::Mapping { flow, entries } = &mapping.shape else { return None };
        if let Some(pair) = entries.iter().find(|pair| pair.key == key) {
            return self.set_value(*flow, pair, value);
        }
        let rank = |key: &str| ORDER.iter().position(|own| *own == key);
        let before = entries.iter().rposition(|pair| rank(key).is_some() && rank(&pair.key) < rank(key));
        let before = before.map_or(entries.last(), |place| entries.get(place));
        if *flow {
            let new = render::flow_pair(key, value);
            return Some(match before {
                Some(pair) => (nothing_at(pair.value.span.end.max(pair.key_span.end)), format!(", {new}")),
                None => (mapping.span.start + 1..mapping.span.end - 1, format!(" {new} ")),
            });
        }
        let indent = self.column(entries.first()?.key_span.start)?;
        let new = render::pair(key, value, indent, self.newline);
        Some(self.lines_after(before?.value.span.end, &new))
    }

    /// Another value for a key that is there.
    fn set_value(&self, flow: bool, pair: &Pair, value: &Value) -> Option<Splice> {
        let old = &pair.value;
        let line_end = self.line_end(pair.colon);
        let is_block = match &old.shape {
            Shape::Scalar { block } => *block,
            Shape::List { flow, .. } | Shape::Mapping { flow, .. } => !flow,
            Shape::Other => false,
        };
        let is_collection = value.is_mapping() || value.is_sequence();
        let was_full = match &old.shape {
            Shape::List { items, .. } => !items.is_empty(),
            Shape::Mapping { entries, .. } => !entries.is_empty(),
            Shape::Scalar { .. } | Shape::Other => false,
        };
        let stays_inline = flow || render::is_inline(&pair.key, value) || !is_block && was_full && is_collection;
        if stays_inline {
            let new = render::inline(value, flow);
            return Some(match &old.shape {
                // The comment behind the key stays.
                Shape::List { .. } | Shape::Mapping { .. } if is_block => {
                    let behind = self.text.get(pair.colon..line_end)?.trim_end();
                    let above_first = self.above_first(old, line_end);
                    (pair.colon..old.span.end, format!(" {new}{behind}{above_first}"))
                }
                Shape::Scalar { .. } | Shape::List { .. } | Shape::Mapping { .. } | Shape::Other
                    if is_block || old.span.is_empty() =>
                {
                    (pair.colon..old.span.end.max(pair.colon), format!(" {new}"))
                }
                Shape::Scalar { .. } | Shape::List { .. } | Shape::Mapping { .. } | Shape::Other => {
                    (old.span.clone(), new)
                }
            });
        }
        let indent = self.column(pair.key_span.start)? + 2;
        let lines = render::below(value, indent, self.newline);
        if is_block {
            let is_scalar = matches!(old.shape, Shape::Scalar { .. });
            let from = if is_scalar { pair.colon } else { line_end };
            return Some((from..old.span.end, format!("{}{lines}", self.newline)));
        }
        let behind = self.text.get(old.span.end..line_end)?.trim_end();
        Some((pair.colon..line_end, format!("{behind}{}{lines}", self.newline)))
    }

    /// The lines between a key and the first entry of its block list: comments.
    fn above_first(&self, list: &Node, line_end: usize) -> &str {
        let Shape::List { items, .. } = &list.shape else { return "" };
        let dash = items.first().and_then(|first| self.dash(list.span.start, first));
        let lines = dash.and_then(|dash| self.text.get(line_end..self.line_start(dash)));
        lines.unwrap_or_default().trim_end()
    }

    fn remove_key(&self, mapping: &Node, key: &str) -> Option<Splice> {
        let Shape::Mapping { flow, entries } = &mapping.shape else { return None };
        let place = entries.iter().position(|pair| pair.key == key)?;
        let spans: Vec<_> =
            entries.iter().map(|pair| pair.key_span.start..pair.value.span.end.max(pair.key_span.end)).collect();
        if *flow {
            return self.remove_of_flow(mapping, &spans, place);
        }
        let own = spans.get(place)?;
        if self.is_first_on_line(own.start) {
            return Some(self.without_lines(own.clone()));
        }
        // Behind the dash of a list's entry: the next key takes its place.
        Some((own.start..spans.get(place + 1)?.start, String::new()))
    }

    fn insert(&self, list: &Node, at: usize, value: &Value) -> Option<Splice> {
        let Shape::List { flow, items } = &list.shape else { return None };
        if *flow {
            let new = render::inline(value, true);
            return Some(match at.checked_sub(1).and_then(|before| items.get(before)) {
                Some(before) => (nothing_at(before.span.end), format!(", {new}")),
                None => (nothing_at(items.first()?.span.start), format!("{new}, ")),
            });
        }
        let first = items.first()?;
        let indent = self.column(self.dash(list.span.start, first)?)?;
        let new = render::entry(value, indent, self.newline);
        if let Some(before) = at.checked_sub(1).and_then(|before| items.get(before)) {
            return Some(self.lines_after(before.span.end, &new));
        }
        let line = self.line_start(self.dash(list.span.start, first)?);
        Some((nothing_at(line), format!("{new}{}", self.newline)))
    }

    fn remove(&self, list: &Node, at: usize) -> Option<Splice> {
        let Shape::List { flow, items } = &list.shape else { return None };
        let item = items.get(at)?;
        if *flow {
            let spans: Vec<_> = items.iter().map(|item| item.span.clone()).collect();
            return self.remove_of_flow(list, &spans, at);
        }
        let from = at.checked_sub(1).and_then(|before| items.get(before)).map_or(list.span.start, |item| item.span.end);
        let dash = self.dash(from, item)?;
        Some(self.without_lines(dash..item.span.end))
    }

    /// Without the entry and one of the commas beside it.
    fn remove_of_flow(&self, whole: &Node, spans: &[Range<usize>], place: usize) -> Option<Splice> {
        let own = spans.get(place)?.clone();
        let range = match (place.checked_sub(1).and_then(|before| spans.get(before)), spans.get(place + 1)) {
            (None, None) => whole.span.start + 1..whole.span.end - 1,
            (None, Some(next)) => own.start..next.start,
            (Some(before), _) => before.end..own.end,
        };
        let has_comment = self.text.get(range.start..own.start).is_some_and(|text| text.contains('#'))
            || self.text.get(own.end..range.end).is_some_and(|text| text.contains('#'));
        (!has_comment).then_some((range, String::new()))
    }

    /// New lines after the line on which something ends.
    fn lines_after(&self, end: usize, lines: &str) -> Splice {
        let end = self.line_end(end);
        (nothing_at(end), format!("{}{lines}", self.newline))
    }

    /// Without the lines from the one on which something begins to the one on which it ends.
    fn without_lines(&self, own: Range<usize>) -> Splice {
        let (start, end) = (self.line_start(own.start), self.line_end(own.end));
        let after = self.text.get(end..).unwrap_or_default();
        let line_break = if after.starts_with("\r\n") { 2 } else { usize::from(!after.is_empty()) };
        if line_break == 0 {
            // The last line of a text that ends without a line end.
            let start = self.text.get(..start).map_or(start, |before| before.trim_end_matches(['\r', '\n']).len());
            return (start..end, String::new());
        }
        (start..end + line_break, String::new())
    }

    /// The dash of an entry, which stands somewhere behind `from`.
    fn dash(&self, from: usize, item: &Node) -> Option<usize> {
        let from = self.line_start(from);
        let region = self.text.get(from..item.span.start)?;
        let mut found = None;
        let mut start = from;
        for line in region.split_inclusive('\n') {
            let trimmed = line.trim_start_matches(' ');
            if trimmed.strip_prefix('-').is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\r', '\n'])) {
                found = Some(start + line.len() - trimmed.len());
            }
            start += line.len();
        }
        found
    }

    fn line_start(&self, at: usize) -> usize {
        self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
    }

    /// Where the line's text ends.
    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        at + line.strip_suffix('\r').unwrap_or(line).len()
    }

    fn column(&self, at: usize) -> Option<usize> {
        Some(self.text.get(self.line_start(at)..at)?.trim_start_matches('\u{feff}').chars().count())
    }

    fn is_first_on_line(&self, at: usize) -> bool {
        self.text.get(self.line_start(at)..at).is_some_and(|before| before.chars().all(|c| c == ' '))
    }
}

fn replace(list: &Node, at: usize, value: &Value) -> Option<Splice> {
    let Shape::List { flow, items } = &list.shape else { return None };
    let item = items.get(at)?;
    let is_whole = matches!(item.shape, Shape::Scalar { block: false });
    is_whole.then(|| (item.span.clone(), render::inline(value, *flow)))
}

fn nothing_at(at: usize) -> Range<usize> {
    at..at
}
