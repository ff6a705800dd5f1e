//! Where in the text each key and entry is: one pass of YAML events, made only where something is
//! wrong with the file.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, Span};

use super::finding::{Path, PathStep};

/// A range within one line, by characters from 0; the line counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) line: usize,
    pub(super) start: usize,
    /// Exclusive; `usize::MAX` where it goes on to the end of the line.
    pub(super) end: usize,
}

/// The places of a document.
#[derive(Debug, Default)]
pub(super) struct Places {
    nodes: Vec<PlacedNode>,
    /// Whether the text could be gone through to its end.
    complete: bool,
}

type NodeId = usize;

#[derive(Debug)]
struct PlacedNode {
    spot: Spot,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Scalar,
    /// A list or mapping; `flow` if in brackets or braces.
    Collection {
        flow: bool,
        children: Vec<Child>,
    },
    /// It stands for the value with that anchor.
    Alias(usize),
}

#[derive(Debug)]
struct Child {
    /// `None` in a list.
    key: Option<Key>,
    value: NodeId,
}

#[derive(Debug)]
struct Key {
    /// `None` if it is not a scalar.
    text: Option<Box<str>>,
    spot: Spot,
}

impl Places {
    /// Finds the places; of a text that cannot be gone through to its end, those before that.
    pub(super) fn find(text: &str) -> Self {
        let mut builder = Builder::default();
        let mut complete = false;
        for event in Parser::new_from_str(text) {
            match event {
                Ok((Event::DocumentEnd, _)) => complete = true,
                Ok((event, span)) => builder.take(event, span),
                Err(_) => break,
            }
        }
        Self { nodes: builder.nodes, complete }
    }

    /// Where the value is, or its key; the nearest that holds it where it is not in the text. `None`
    /// where that cannot be told, since the text could not be gone through to its end.
    pub(super) fn spot(&self, path: &Path, wants_key: bool) -> Option<Spot> {
        let mut node = self.nodes.first()?;
        let mut key = None;
        let mut is_whole = true;
        for step in &path.0 {
            let Some((child, child_key)) = self.child(node, step) else {
                is_whole = false;
                break;
            };
            (node, key) = (child, child_key);
        }
        if !is_whole && !self.complete {
            return None;
        }
        Some(match key {
            Some(key) if wants_key && is_whole => key.spot,
            key => self.shown(node, key),
        })
    }

    fn child<'p>(&'p self, node: &'p PlacedNode, step: &PathStep) -> Option<(&'p PlacedNode, Option<&'p Key>)> {
        let Shape::Collection { children, .. } = &self.aliased(node)?.shape else { return None };
        let child = match step {
            PathStep::Nth(place) => children.get(*place),
            PathStep::Key(wanted) => {
                children.iter().find(|child| child.key.as_ref().and_then(|key| key.text.as_deref()) == Some(&**wanted))
            }
        }?;
        Some((self.nodes.get(child.value)?, child.key.as_ref()))
    }

    /// The value that an alias stands for. Aliases of aliases do not exist, but for cycles.
    fn aliased<'n>(&'n self, node: &'n PlacedNode) -> Option<&'n PlacedNode> {
        match node.shape {
            Shape::Alias(target) => self.nodes.get(target),
            Shape::Scalar | Shape::Collection { .. } => Some(node),
        }
    }

    /// What to underline for a value: itself if it is on one line, else its key, else how it begins.
    fn shown(&self, node: &PlacedNode, key: Option<&Key>) -> Spot {
        match (&node.shape, key) {
            (Shape::Scalar | Shape::Alias(_), Some(key)) if node.spot.start == node.spot.end => key.spot,
            (Shape::Collection { flow: false, .. }, Some(key)) => key.spot,
            (Shape::Collection { flow: false, children }, None) => match children.first() {
                Some(Child { key: Some(key), .. }) => key.spot,
                Some(Child { key: None, value }) => self.nodes.get(*value).map_or(node.spot, |first| first.spot),
                None => node.spot,
            },
            (Shape::Scalar | Shape::Alias(_) | Shape::Collection { flow: true, .. }, _) => node.spot,
        }
    }
}

/// What is open while the events go by.
#[derive(Debug, Default)]
struct Builder {
    nodes: Vec<PlacedNode>,
    open: Vec<Open>,
    anchors: HashMap<usize, NodeId>,
}

#[derive(Debug)]
struct Open {
    node: NodeId,
    is_mapping: bool,
    /// The key whose value is awaited.
    key: Option<Key>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) {
        match event {
            Event::Scalar(text, _, anchor, _) => {
                self.put(PlacedNode { spot: spot(span), shape: Shape::Scalar }, anchor, Some(text));
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).copied().unwrap_or(usize::MAX);
                self.put(PlacedNode { spot: spot(span), shape: Shape::Alias(target) }, 0, None);
            }
            Event::SequenceStart(anchor, _) => self.open(span, anchor, false),
            Event::MappingStart(anchor, _) => self.open(span, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.close(span.end),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
    }

    /// Adds a value to what is open, or makes it the key of the next.
    fn put(&mut self, node: PlacedNode, anchor: usize, text: Option<Cow<'_, str>>) -> NodeId {
        let id = self.nodes.len();
        let spot = node.spot;
        self.nodes.push(node);
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        let Some(open) = self.open.last_mut() else { return id };
        let key = match open.key.take() {
            None if open.is_mapping => {
                open.key = Some(Key { text: text.map(Into::into), spot });
                return id;
            }
            key => key,
        };
        if let Some(PlacedNode { shape: Shape::Collection { children, .. }, .. }) = self.nodes.get_mut(open.node) {
            children.push(Child { key, value: id });
        }
        id
    }

    fn open(&mut self, span: Span, anchor: usize, is_mapping: bool) {
        // A block collection begins with its first entry, a flow one with a bracket of its own.
        let flow = span.start.line() == span.end.line() && span.start.col() < span.end.col();
        let shape = Shape::Collection { flow, children: Vec::new() };
        let node = self.put(PlacedNode { spot: spot(span), shape }, anchor, None);
        self.open.push(Open { node, is_mapping, key: None });
    }

    fn close(&mut self, end: Marker) {
        let Some(open) = self.open.pop() else { return };
        if let Some(node) = self.nodes.get_mut(open.node)
            && matches!(node.shape, Shape::Collection { flow: true, .. })
        {
            node.spot.end = if end.line() == node.spot.line { end.col() } else { usize::MAX };
        }
    }
}

fn spot(span: Span) -> Spot {
    let end = if span.end.line() == span.start.line() { span.end.col() } else { usize::MAX };
    Spot { line: span.start.line(), start: span.start.col(), end }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
a: x
list:
  - name: é
    more: [1, 2]
  - {name: \"y\", n: ~}
  -
  - |
    block
    text
b: &anchor
  c: d
e: *anchor
? [k]
: v
a: again
";

    #[track_caller]
    fn check(path: &[&str], wants_key: bool, expected: (usize, usize, usize)) {
        let steps = path.iter().map(|step| match step.parse() {
            Ok(place) => PathStep::Nth(place),
            Err(_) => PathStep::Key((*step).into()),
        });
        let path = Path(steps.collect());
        let spot = Places::find(TEXT).spot(&path, wants_key).unwrap();
        assert_eq!((spot.line, spot.start, spot.end), expected, "{path:?}");
    }

    #[test]
    fn values_are_found_at_themselves() {
        check(&["a"], false, (1, 3, 4));
        check(&["list", "0", "name"], false, (3, 10, 11));
        check(&["list", "0", "more"], false, (4, 10, 16));
        check(&["list", "0", "more", "1"], false, (4, 14, 15));
        check(&["list", "1"], false, (5, 4, 21));
        check(&["list", "1", "name"], false, (5, 11, 14));
        check(&["list", "3"], false, (8, 4, usize::MAX));
        check(&["e"], false, (12, 3, 10));
        check(&["e", "c"], false, (11, 5, 6));
        check(&["5"], false, (15, 3, 8));
    }

    #[test]
    fn keys_stand_for_what_is_long_or_empty() {
        check(&["a"], true, (1, 0, 1));
        check(&["list"], false, (2, 0, 4));
        check(&["b"], false, (10, 0, 1));
        check(&["list", "1", "n"], true, (5, 16, 17));
        check(&["4"], true, (13, 2, 3));
        check(&["5"], true, (15, 0, 1));
    }

    #[test]
    fn what_is_not_there_is_found_at_what_should_hold_it() {
        check(&["missing"], false, (1, 0, 1));
        check(&["list", "0", "missing"], false, (3, 4, 8));
        check(&["list", "1", "missing", "deeper"], true, (5, 4, 21));
        check(&["list", "9"], false, (2, 0, 4));
        check(&["list", "2"], false, (6, 3, 3));
    }

    #[test]
    fn a_text_that_ends_early_has_the_places_before() {
        let places = Places::find("a: b\nc: [d, \n  - {");
        let path = |key: &str| Path([PathStep::Key(key.into())].into());
        assert_eq!(places.spot(&path("a"), false), Some(Spot { line: 1, start: 3, end: 4 }));
        assert_eq!(places.spot(&path("e"), false), None);
        assert_eq!(Places::find("").spot(&Path::default(), false), None);
    }
}
