//! Services as the file writes them: methods and a path pattern.
//!
//! A pattern's segments are literal, `*` or `{name}`, and a final `**`. Finding the services of a
//! request is `route`'s.

use std::fmt;

use thiserror::Error;

use super::percent::reading;
use super::{MethodSet, PathFault, Target};

/// A method set and a path pattern, e.g. `GET /integration/default-data/{account}/**`.
#[derive(Clone, PartialEq, Eq)]
pub struct Service {
    methods: MethodSet,
    pattern: Pattern,
    text: Box<str>,
}

/// A path pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    segments: Box<[Segment]>,
    any_rest: bool,
}

/// A segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// Exactly this, with unreserved characters decoded.
    Literal(Box<str>),
    /// `*`: one segment, not empty.
    Any,
    /// `{name}`: one segment, not empty, under a name.
    Capture(Box<str>),
}

/// The literal path under which every service of an api lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct BasePath(Box<[Box<str>]>);

/// Why a text is no service, pattern or base path. It says what would be right where one thing would.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidPattern {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// A method and nothing else.
    #[error("`{0}` is a method without a path")]
    NoPath(Box<str>),
    /// More segments than any path that is meant.
    #[error("it has {0} segments, and 64 are the most")]
    TooDeep(usize),
    /// A method that no service can list.
    #[error("`{0}` is not a method that a service can list")]
    Method(Box<str>),
    /// `CONNECT` or `TRACE`.
    #[error("`{0}` is never forwarded")]
    NeverForwarded(Box<str>),
    /// `**` before the end.
    #[error("`**` can only be the last segment")]
    RestNotLast,
    /// A `*` or brace within a segment.
    #[error("`{0}` is neither literal nor `*` nor `{{name}}` as a whole")]
    PartialWildcard(Box<str>),
    /// `{}` or a name with something other than letters, digits, `_` and `-`.
    #[error("`{0}` has no name of letters, digits, `_` and `-`")]
    CaptureName(Box<str>),
    /// One name for two segments.
    #[error("`{{{0}}}` stands twice")]
    CaptureTwice(Box<str>),
    /// A wildcard where only literal segments can be.
    #[error("`{0}` is not literal")]
    NotLiteral(Box<str>),
    /// A query or fragment.
    #[error("a pattern has no `{0}`")]
    NotPath(char),
    /// No request with such a path is ever judged.
    #[error("no such request is ever judged: {0}")]
    NeverJudged(PathFault),
}

const DEEPEST: usize = 64;

/// What may stand between methods and path: a service is shown as it is written, on one line.
const BLANKS: [char; 2] = [' ', '\t'];

impl Service {
    /// Reads `GET,POST /x`, `* /x` or `/x`; the path as [`Pattern::parse`] does.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let text = text.trim_matches(BLANKS);
        let (methods, path) = match text.split_once(BLANKS) {
            Some((methods, path)) => (parse_methods(methods)?, path.trim_start_matches(BLANKS)),
            None if MethodSet::known(text).is_some() => return Err(InvalidPattern::NoPath(text.into())),
            None => (MethodSet::ALL, text),
        };
        Ok(Self { methods, pattern: Pattern::parse(path)?, text: text.into() })
    }

    /// The methods it takes.
    #[must_use]
    pub fn methods(&self) -> MethodSet {
        self.methods
    }

    /// The paths it takes.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// As the file writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Pattern {
    /// Reads `/a/{b}/*/**`. The leading `/` may be missing, a trailing one is dropped, and of an
    /// absolute URL the path counts.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        if let Some(character) = text.chars().find(|c| matches!(c, '?' | '#')) {
            return Err(InvalidPattern::NotPath(character));
        }
        let mut texts: Vec<&str> = segments_of(path_of(text)).collect();
        if texts.len() > DEEPEST {
            return Err(InvalidPattern::TooDeep(texts.len()));
        }
        let any_rest = texts.last() == Some(&"**");
        if any_rest {
            texts.pop();
        }
        let segments = texts.into_iter().map(Segment::parse).collect::<Result<Box<[_]>, _>>()?;
        for (place, segment) in segments.iter().enumerate() {
            if let Segment::Capture(name) = segment
                && segments.iter().take(place).any(|earlier| earlier == segment)
            {
                return Err(InvalidPattern::CaptureTwice(name.clone()));
            }
        }
        Ok(Self { segments, any_rest })
    }

    /// All but a final `**`.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether a final `**` takes any rest, none too.
    #[must_use]
    pub fn any_rest(&self) -> bool {
        self.any_rest
    }

    /// The place of the segment that `{name}` captures.
    #[must_use]
    pub fn capture(&self, name: &str) -> Option<usize> {
        self.segments.iter().position(|segment| matches!(segment, Segment::Capture(captured) if **captured == *name))
    }

    /// The pattern of every path that some server would take for one of its own.
    #[must_use]
    pub fn readings(&self) -> Self {
        let read = |segment: &Segment| match segment {
            Segment::Literal(text) => Segment::Literal(reading(text).into()),
            Segment::Any | Segment::Capture(_) => Segment::Any,
        };
        Self { segments: self.segments.iter().map(read).collect(), any_rest: self.any_rest }
    }

    /// Whether every path that it takes lies under `base`.
    #[must_use]
    pub fn is_under(&self, base: &BasePath) -> bool {
        base.0.len() <= self.segments.len()
            && base
                .0
                .iter()
                .zip(&self.segments)
                .all(|(base, segment)| matches!(segment, Segment::Literal(text) if text == base))
    }
}

/// As the file would write it: with a leading `/`, without a trailing one.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Any => f.write_str("/*")?,
                Segment::Capture(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match (self.any_rest, self.segments.is_empty()) {
            (true, _) => f.write_str("/**"),
            (false, true) => f.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, InvalidPattern> {
        match text {
            "*" => Ok(Self::Any),
            "**" => Err(InvalidPattern::RestNotLast),
            _ => match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) if is_capture_name(name) => Ok(Self::Capture(name.into())),
                Some(_) => Err(InvalidPattern::CaptureName(text.into())),
                None if text.contains(['*', '{', '}']) => Err(InvalidPattern::PartialWildcard(text.into())),
                None => literal(text).map(Self::Literal),
            },
        }
    }
}

impl BasePath {
    /// Reads `/integration/default-data`; `/` is the base of every path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let pattern = Pattern::parse(text)?;
        if pattern.any_rest {
            return Err(InvalidPattern::NotLiteral("**".into()));
        }
        let literals = pattern.segments.into_iter().map(|segment| match segment {
            Segment::Literal(text) => Ok(text),
            Segment::Any => Err(InvalidPattern::NotLiteral("*".into())),
            Segment::Capture(name) => Err(InvalidPattern::NotLiteral(format!("{{{name}}}").into())),
        });
        literals.collect::<Result<_, _>>().map(Self)
    }

    /// Its segments.
    #[must_use]
    pub fn segments(&self) -> &[Box<str>] {
        &self.0
    }

    /// It, then the bases under which it lies, the nearest first.
    pub(super) fn self_and_ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        (0..=self.0.len()).rev().filter_map(|length| Some(Self(self.0.get(..length)?.into())))
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

fn parse_methods(text: &str) -> Result<MethodSet, InvalidPattern> {
    if text == "*" {
        return Ok(MethodSet::ALL);
    }
    text.split(',').try_fold(MethodSet::NONE, |methods, method| match MethodSet::known(method) {
        Some(known) => Ok(methods.or(known)),
        None if matches!(method, "CONNECT" | "TRACE") => Err(InvalidPattern::NeverForwarded(method.into())),
        None => Err(InvalidPattern::Method(method.into())),
    })
}

/// The path of an absolute URL, which has a scheme and a host of visible ASCII, or all of what is a path already.
fn path_of(text: &str) -> &str {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    };
    let Some((scheme, rest)) = text.split_once("://") else { return text };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
    match (is_scheme(scheme) && is_host, path) {
        (true, "") => "/",
        (true, path) => path,
        (false, _) => text,
    }
}

fn segments_of(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    // `/` has no segments, where `split` would find an empty one; `//` has an empty one.
    let segments = path.strip_suffix('/').unwrap_or(path).split('/');
    segments.skip(usize::from(path.is_empty()))
}

fn is_capture_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// A literal segment in the form in which targets are judged.
fn literal(text: &str) -> Result<Box<str>, InvalidPattern> {
    if text.is_empty() {
        return Err(InvalidPattern::NeverJudged(PathFault::EmptySegment));
    }
    let path = format!("/{text}");
    let target = Target::parse(path.as_bytes()).map_err(InvalidPattern::NeverJudged)?;
    Ok(target.segment(0).unwrap_or_default().into())
}

#[cfg(test)]
mod tests;
