//! What is wrong with the file, and at which key or entry of it.
//!
//! On which line that is, `places` finds out, and only where something is wrong.

use std::fmt;

/// Beyond this many, findings are counted and not kept.
const MOST: usize = 1000;

/// A place in the document while it is gone through: a chain on the stack, so that going through a
/// good file allocates nothing for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    above: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Nth(usize),
}

/// A place in the document, from its root on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Path(pub(super) Box<[PathStep]>);

/// A step from a mapping or list to what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathStep {
    /// To the value of a key.
    Key(Box<str>),
    /// To an entry, counted from 0: of a list, or of a mapping whatever its key.
    Nth(usize),
}

/// Something that is wrong.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Where the thing is that this one repeats.
    pub(super) first: Option<Place>,
}

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// At the value there; where it is not, at what should hold it.
    Value(Path),
    /// At the key that leads there.
    Key(Path),
    /// At a byte of the text, counted from 0.
    Byte(usize),
}

/// `apis[1].name`; nothing for a byte.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Value(path) | Self::Key(path)) = self else { return Ok(()) };
        for (place, step) in path.0.iter().enumerate() {
            match step {
                PathStep::Key(key) => write!(f, "{}{key}", if place == 0 { "" } else { "." })?,
                PathStep::Nth(nth) => write!(f, "[{nth}]")?,
            }
        }
        Ok(())
    }
}

/// All that is wrong.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    beyond: usize,
}

/// Input as messages show it: in backticks, cut where it is long, without control characters.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl At<'static> {
    pub(super) const ROOT: Self = Self { above: None, step: Step::Root };
}

impl<'a> At<'a> {
    /// The value of a key of the mapping here.
    pub(super) fn key<'b>(&'b self, key: &'b str) -> At<'b>
    where
        'a: 'b,
    {
        At { above: Some(self), step: Step::Key(key) }
    }

    /// The entry with that number, from 0, of the list or mapping here.
    pub(super) fn nth<'b>(&'b self, place: usize) -> At<'b>
    where
        'a: 'b,
    {
        At { above: Some(self), step: Step::Nth(place) }
    }

    /// What messages call what is here: its key.
    pub(super) fn name(&self) -> &'a str {
        match self.step {
            Step::Key(key) => key,
            Step::Root | Step::Nth(_) => "this",
        }
    }

    pub(super) fn path(&self) -> Path {
        let mut steps = Vec::new();
        let mut at = Some(self);
        while let Some(here) = at {
            match here.step {
                Step::Root => {}
                Step::Key(key) => steps.push(PathStep::Key(key.into())),
                Step::Nth(place) => steps.push(PathStep::Nth(place)),
            }
            at = here.above;
        }
        steps.reverse();
        Path(steps.into())
    }
}

impl Finding {
    /// At the value here; where it is not, at what should hold it.
    pub(super) fn new(at: At<'_>, message: impl Into<String>) -> Self {
        Self::placed(Place::Value(at.path()), message)
    }

    /// At the key that leads here.
    pub(super) fn at_key(at: At<'_>, message: impl Into<String>) -> Self {
        Self::placed(Place::Key(at.path()), message)
    }

    pub(super) fn placed(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), help: None, first: None }
    }

    /// What would be right.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What would be right, where that is known.
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Where the thing is that this one repeats.
    pub(super) fn first(mut self, first: Place) -> Self {
        self.first = Some(first);
        self
    }
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        if self.kept.len() < MOST {
            self.kept.push(finding);
        } else {
            self.beyond += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.kept.len() + self.beyond
    }

    /// Those that were kept, and how many there are beyond.
    pub(super) fn into_parts(self) -> (Vec<Finding>, usize) {
        (self.kept, self.beyond)
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 80;
        if self.0.is_empty() {
            return f.write_str("`\"\"`");
        }
        f.write_str("`")?;
        for (place, character) in self.0.chars().enumerate() {
            if place == LONGEST {
                f.write_str("…")?;
                break;
            }
            if is_plain(character) {
                write!(f, "{character}")?;
            } else {
                write!(f, "{}", character.escape_debug())?;
            }
        }
        f.write_str("`")
    }
}

/// Whether a terminal shows the character as itself and nothing else happens.
fn is_plain(character: char) -> bool {
    matches!(character, '\'' | '"' | '\\') || character.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_input_is_cut_and_has_no_control_characters() {
        assert_eq!(Quoted("a \"b\" \\ é").to_string(), "`a \"b\" \\ é`");
        assert_eq!(Quoted("a\u{1b}[31m\nb\u{202e}").to_string(), "`a\\u{1b}[31m\\nb\\u{202e}`");
        assert_eq!(Quoted("").to_string(), "`\"\"`");
        assert_eq!(Quoted(&"x".repeat(100)).to_string(), format!("`{}…`", "x".repeat(80)));
    }

    #[test]
    fn a_path_reads_from_the_root() {
        let apis = At::ROOT.key("apis");
        let api = apis.nth(3);
        let name = api.key("name");
        let expected = [PathStep::Key("apis".into()), PathStep::Nth(3), PathStep::Key("name".into())];
        assert_eq!(*name.path().0, expected);
    }

    #[test]
    fn findings_beyond_the_most_are_counted() {
        let mut findings = Findings::default();
        (0..MOST + 5).for_each(|_| findings.add(Finding::new(At::ROOT, "wrong")));
        assert_eq!(findings.count(), MOST + 5);
        let (kept, beyond) = findings.into_parts();
        assert_eq!((kept.len(), beyond), (MOST, 5));
    }
}
