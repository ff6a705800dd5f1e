//! Colours, for terminals that take them, and texts that stay within a line.

use std::fmt::{self, Display};

/// How many characters a line should have at most.
pub const WIDTH: usize = 80;

/// Whether what is printed has colours.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    /// It has.
    pub styled: bool,
}

/// A text in a style.
pub struct Painted<T> {
    text: T,
    code: Option<&'static str>,
}

impl Paint {
    /// Of titles.
    pub fn bold<T: Display>(self, text: T) -> Painted<T> {
        self.with("1", text)
    }

    /// Of what matters less.
    pub fn dim<T: Display>(self, text: T) -> Painted<T> {
        self.with("2", text)
    }

    /// Of what is well.
    pub fn good<T: Display>(self, text: T) -> Painted<T> {
        self.with("32", text)
    }

    /// Of what is not.
    pub fn bad<T: Display>(self, text: T) -> Painted<T> {
        self.with("31", text)
    }

    fn with<T: Display>(self, code: &'static str, text: T) -> Painted<T> {
        Painted { text, code: self.styled.then_some(code) }
    }
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "\x1b[{code}m{}\x1b[0m", self.text),
            None => self.text.fmt(f),
        }
    }
}

/// A text from a file or a token as a terminal may show it: without control characters.
pub fn plain(text: &str) -> String {
    let shown = |character: char| {
        let is_plain = matches!(character, '\'' | '"' | '\\') || character.escape_debug().len() == 1;
        if is_plain { character.to_string() } else { character.escape_debug().to_string() }
    };
    text.chars().map(shown).collect()
}

/// The text broken at spaces into lines of at most [`WIDTH`] characters: the first after `indent`
/// spaces, the others after `hanging`.
pub fn wrapped(text: &str, indent: usize, hanging: usize) -> String {
    let mut lines = " ".repeat(indent);
    let mut length = indent;
    for (place, word) in text.split(' ').enumerate() {
        let word_length = word.chars().count();
        if place > 0 && length + 1 + word_length > WIDTH {
            lines.truncate(lines.trim_end_matches(' ').len());
            lines.push('\n');
            lines.push_str(&" ".repeat(hanging));
            length = hanging;
        } else if place > 0 {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += word_length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_stand_alone() {
        let (long, word) = ("x".repeat(76), "y".repeat(90));
        assert_eq!(wrapped(&format!("a {long} b c"), 2, 4), format!("  a {long}\n    b c"));
        assert_eq!(wrapped(&format!("a {word} b"), 0, 1), format!("a\n {word}\n b"));
        assert_eq!(wrapped("", 2, 8), "  ");
        assert_eq!(wrapped(&format!("{long}  bcd"), 0, 2), format!("{long}\n  bcd"));
    }

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(plain("a \"b\" é\u{1b}[31m\n"), "a \"b\" é\\u{1b}[31m\\n");
    }

    #[test]
    fn colours_are_there_only_where_they_are_wanted() {
        assert_eq!(Paint { styled: true }.good("ok").to_string(), "\x1b[32mok\x1b[0m");
        assert_eq!(Paint { styled: false }.bad("no").to_string(), "no");
    }
}
