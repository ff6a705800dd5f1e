//! Where findings are in the text: by the index of its places as far as that goes, and beyond it by
//! asking the parser.

use std::cell::{Cell, OnceCell};

use super::finding::{Path, Place};
use super::places::{Places, Spot};
use super::probe;
use super::source::LARGEST;

/// A text in which places are looked for.
pub(super) struct Text<'t> {
    lines: Lines<'t>,
    places: OnceCell<Places>,
    /// How many times the parser may still be asked.
    questions: Cell<usize>,
}

/// What being asked may cost, in bytes gone through.
const MOST_PROBED: usize = LARGEST;

impl<'t> Text<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let questions = Cell::new(MOST_PROBED / text.len().max(1));
        Self { lines: Lines::of(text), places: OnceCell::new(), questions }
    }

    /// The line with that number, from 1, without its break.
    pub(super) fn line(&self, number: usize) -> &'t str {
        self.lines.line(number)
    }

    /// Where that is; the nearest that holds it where it is not in the text.
    pub(super) fn spot(&self, place: &Place) -> Spot {
        let (path, wants_key) = match place {
            Place::Byte(byte) => return self.lines.byte(*byte),
            Place::Value(path) => (path, false),
            Place::Key(path) => (path, true),
        };
        let places = self.places.get_or_init(|| Places::find(self.lines.text));
        match places.spot(path, wants_key) {
            Some(spot) if spot.line <= self.lines.starts.len() => spot,
            // What is left out at the very end is on the line after it.
            Some(_) => self.lines.byte(self.lines.text.len()),
            None => self.lines.byte(self.probed(path, wants_key).unwrap_or_default()),
        }
    }

    fn probed(&self, path: &Path, wants_key: bool) -> Option<usize> {
        if path.0.is_empty() {
            return None;
        }
        // One path may take as many questions as it has steps.
        self.questions.set(self.questions.get().checked_sub(path.0.len() + 1)?);
        probe::byte(self.lines.text, path, wants_key)
    }
}

/// A text by its lines, as YAML 1.2 section 5.4 breaks them.
struct Lines<'t> {
    text: &'t str,
    /// The byte at which each begins.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let mut starts = vec![0];
        let mut bytes = text.bytes().enumerate().peekable();
        while let Some((place, byte)) = bytes.next() {
            let breaks = byte == b'\n' || byte == b'\r' && bytes.peek().is_none_or(|(_, next)| *next != b'\n');
            if breaks {
                starts.push(place + 1);
            }
        }
        Self { text, starts }
    }

    /// The line, from 1, without its break.
    fn line(&self, number: usize) -> &'t str {
        let start = number.checked_sub(1).and_then(|place| self.starts.get(place));
        let line = start.and_then(|start| match self.starts.get(number) {
            Some(end) => self.text.get(*start..*end),
            None => self.text.get(*start..),
        });
        line.unwrap_or_default().trim_end_matches(['\n', '\r'])
    }

    /// Where a byte is; beyond the text, where its last line ends.
    fn byte(&self, byte: usize) -> Spot {
        let end = byte.min(self.text.trim_end().len());
        let byte = (0..=end).rev().find(|byte| self.text.is_char_boundary(*byte)).unwrap_or_default();
        let line = self.starts.partition_point(|start| *start <= byte);
        let before = line.checked_sub(1).and_then(|place| self.text.get(*self.starts.get(place)?..byte));
        let start = before.map_or(0, |before| before.chars().count());
        Spot { line, start, end: start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::finding::PathStep;

    #[track_caller]
    fn check(text: &str, place: &Place, expected: (usize, usize)) {
        let spot = Text::new(text).spot(place);
        assert_eq!((spot.line, spot.start), expected, "{text:?} {place:?}");
    }

    #[test]
    fn a_byte_is_on_its_line_and_beyond_the_text_at_its_end() {
        let text = "é: x\r\ny\rz\n\n";
        for (byte, expected) in [(0, (1, 0)), (1, (1, 0)), (2, (1, 1)), (7, (2, 0)), (9, (3, 0)), (99, (3, 1))] {
            check(text, &Place::Byte(byte), expected);
        }
        check("", &Place::Byte(0), (1, 0));
    }

    #[test]
    fn what_the_index_does_not_reach_is_still_found() {
        let path = |steps: &[&str]| Path(steps.iter().map(|key| PathStep::Key((*key).into())).collect());
        let text = "a:\t1\nb: {\nc: 2,\nd: 3 }\n";
        check(text, &Place::Value(path(&["b", "d"])), (4, 3));
        check(text, &Place::Key(path(&["b", "none"])), (2, 3));
        check(text, &Place::Value(path(&["none"])), (1, 0));
    }
}
