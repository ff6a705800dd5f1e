//! Where each value of a text is, in bytes, and how it is written.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::{Step, Unchangeable};

/// A text's values and their places.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) root: Node,
}

/// A value: from its first to behind its last byte. Of a block collection that is the end of its last
/// entry, without what comes after.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) shape: Shape,
}

#[derive(Debug)]
pub(super) enum Shape {
    /// `block` if it is a literal or folded one.
    Scalar { block: bool },
    /// `flow` if it is in brackets.
    List { flow: bool, items: Vec<Node> },
    /// `flow` if it is in braces.
    Mapping { flow: bool, entries: Vec<Pair> },
    /// An alias.
    Other,
}

#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    /// Behind its colon.
    pub(super) colon: usize,
    pub(super) value: Node,
}

/// Deeper than any file that is meant.
const DEEPEST: usize = 64;

impl Layout {
    pub(super) fn of(text: &str) -> Result<Self, Unchangeable> {
        let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let body = text.get(mark..).unwrap_or_default();
        let mut reader = Reader { text, events: Vec::new(), next: 0 };
        let bytes = Bytes::of(body, mark);
        for event in Parser::new_from_str(body) {
            let (event, span) = event.map_err(|_| Unchangeable::Layout)?;
            match event {
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
                Event::DocumentEnd => break,
                Event::Alias(_) => reader.events.push((Kind::Alias, bytes.range(span))),
                Event::Scalar(text, style, ..) => {
                    reader.events.push((Kind::Scalar(text.into_owned(), style), bytes.range(span)));
                }
                Event::SequenceStart(..) => reader.events.push((Kind::ListStart, bytes.range(span))),
                Event::MappingStart(..) => reader.events.push((Kind::MappingStart, bytes.range(span))),
                Event::SequenceEnd | Event::MappingEnd => reader.events.push((Kind::End, bytes.range(span))),
            }
        }
        Ok(Self { root: reader.node(0, 0)? })
    }

    pub(super) fn find(&self, path: &[Step]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, step| node.child(step))
    }
}

impl Node {
    pub(super) fn child(&self, step: &Step) -> Option<&Self> {
        match (&self.shape, step) {
            (Shape::Mapping { entries, .. }, Step::Key(key)) => {
                entries.iter().find(|pair| pair.key == *key).map(|pair| &pair.value)
            }
            (Shape::List { items, .. }, Step::Nth(place)) => items.get(*place),
            (Shape::Scalar { .. } | Shape::Other | Shape::Mapping { .. } | Shape::List { .. }, _) => None,
        }
    }
}

/// From places in characters, as the parser counts, to bytes.
enum Bytes {
    Ascii(usize),
    Counted(Vec<usize>, usize),
}

impl Bytes {
    /// `mark`: how many bytes of the text the parser did not see.
    fn of(body: &str, mark: usize) -> Self {
        if body.is_ascii() {
            return Self::Ascii(mark);
        }
        Self::Counted(body.char_indices().map(|(byte, _)| byte + mark).collect(), body.len() + mark)
    }

    fn range(&self, span: Span) -> Range<usize> {
        let byte = |index: usize| match self {
            Self::Ascii(mark) => index + mark,
            Self::Counted(places, end) => places.get(index).copied().unwrap_or(*end),
        };
        byte(span.start.index())..byte(span.end.index())
    }
}

enum Kind {
    Alias,
    Scalar(String, ScalarStyle),
    ListStart,
    MappingStart,
    End,
}

struct Reader<'t> {
    text: &'t str,
    events: Vec<(Kind, Range<usize>)>,
    next: usize,
}

impl Reader<'_> {
    /// The next value, which begins no earlier than `from`.
    fn node(&mut self, from: usize, depth: usize) -> Result<Node, Unchangeable> {
        if depth > DEEPEST {
            return Err(Unchangeable::Layout);
        }
        let (kind, span) = self.events.get(self.next).ok_or(Unchangeable::Layout)?;
        let span = span.clone();
        self.next += 1;
        match kind {
            Kind::Alias => Ok(Node { span, shape: Shape::Other }),
            Kind::Scalar(value, style) => {
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let is_nothing = value.is_empty() && *style == ScalarStyle::Plain;
                let span = if is_nothing { from..from } else { self.trimmed(span) };
                Ok(Node { span, shape: Shape::Scalar { block } })
            }
            Kind::ListStart => self.list(span, from, depth),
            Kind::MappingStart => self.mapping(span, from, depth),
            Kind::End => Err(Unchangeable::Layout),
        }
    }

    fn list(&mut self, start: Range<usize>, from: usize, depth: usize) -> Result<Node, Unchangeable> {
        let flow = self.text.get(start.start..).is_some_and(|rest| rest.starts_with('['));
        let mut items: Vec<Node> = Vec::new();
        loop {
            if self.is_end() {
                let empty = if flow { start.start + 1 } else { from };
                let span = start.start..self.close(flow, items.last().map_or(empty, |item| item.span.end), ']')?;
                return Ok(Node { span, shape: Shape::List { flow, items } });
            }
            let from = items.last().map_or(if flow { start.start + 1 } else { from }, |item| item.span.end);
            items.push(self.node(from, depth + 1)?);
        }
    }

    fn mapping(&mut self, start: Range<usize>, from: usize, depth: usize) -> Result<Node, Unchangeable> {
        let flow = self.text.get(start.start..).is_some_and(|rest| rest.starts_with('{'));
        let mut entries: Vec<Pair> = Vec::new();
        loop {
            if self.is_end() {
                let empty = if flow { start.start + 1 } else { from };
                let last = entries.last().map_or(empty, |pair| pair.value.span.end);
                let first = entries.first().map_or(start.start, |pair| pair.key_span.start);
                let span = if flow { start.start } else { first }..self.close(flow, last, '}')?;
                return Ok(Node { span, shape: Shape::Mapping { flow, entries } });
            }
            let (kind, span) = self.events.get(self.next).ok_or(Unchangeable::Layout)?;
            let Kind::Scalar(key, _) = kind else { return Err(Unchangeable::Layout) };
            let (key, key_span) = (key.clone(), self.trimmed(span.clone()));
            self.next += 1;
            // A key in a flow mapping may stand alone.
            let colon = self.colon(key_span.end);
            let value = self.node(colon, depth + 1)?;
            entries.push(Pair { key, key_span, colon, value });
        }
    }

    /// Whether the collection that is open ends here.
    fn is_end(&mut self) -> bool {
        let is_end = self.events.get(self.next).is_some_and(|(kind, _)| matches!(kind, Kind::End));
        self.next += usize::from(is_end);
        is_end
    }

    /// Where a collection ends: with its last entry, or behind its bracket, which follows the last
    /// entry after nothing but blanks, a comma and comments. The parser's own mark is not always there.
    fn close(&self, flow: bool, last: usize, bracket: char) -> Result<usize, Unchangeable> {
        if !flow {
            return Ok(last);
        }
        let rest = self.text.get(last..).ok_or(Unchangeable::Layout)?;
        let mut in_comment = false;
        for (place, character) in rest.char_indices() {
            match character {
                '\n' => in_comment = false,
                _ if in_comment => {}
                '#' => in_comment = true,
                ' ' | '\t' | '\r' | ',' => {}
                _ if character == bracket => return Ok(last + place + 1),
                _ => return Err(Unchangeable::Layout),
            }
        }
        Err(Unchangeable::Layout)
    }

    fn colon(&self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let blank = rest.len() - rest.trim_start().len();
        if rest.trim_start().starts_with(':') { from + blank + 1 } else { from }
    }

    fn trimmed(&self, span: Range<usize>) -> Range<usize> {
        let length = self.text.get(span.clone()).map_or(0, |text| text.trim_end().len());
        span.start..span.start + length
    }
}
