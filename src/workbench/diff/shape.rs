//! Sets of paths as services and exceptions write them, and what is left of one without others.
//!
//! A service's literal is one spelling; an exception's is every spelling that some server reads as it.

use std::cmp::Ordering;
use std::fmt;

use smallvec::SmallVec;

use crate::policy::{Pattern, Segment, Target};

/// The paths that a service or an exception takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    pub(super) parts: Box<[Part]>,
    pub(super) rest: bool,
}

/// What a segment of a path must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Part {
    /// This, letter by letter.
    Literal(Box<str>),
    /// Whatever is read as this.
    Spelled(Box<str>),
    /// Anything.
    Any,
}

/// A shape without some of its paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    /// Which paths.
    pub shape: Shape,
    /// But not these.
    pub except: Vec<Shape>,
}

/// A path that stands for all that the same shapes take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) segments: SmallVec<[Piece; 6]>,
}

/// A segment of such a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: Box<str>,
    /// What the least exact of servers reads in it.
    pub(super) read: Box<str>,
    /// Whether any other text that no shape names would do as well.
    pub(super) free: bool,
}

impl Shape {
    /// Of a service: its literals are one spelling.
    pub(super) fn of(pattern: &Pattern) -> Self {
        let part = |segment: &Segment| match segment {
            Segment::Literal(text) => Part::Literal(text.clone()),
            Segment::Any | Segment::Capture(_) => Part::Any,
        };
        Self { parts: pattern.segments().iter().map(part).collect(), rest: pattern.any_rest() }
    }

    /// Of an exception: it is compared by what is read.
    pub(super) fn of_exception(pattern: &Pattern) -> Self {
        let read = Self::of(&pattern.readings());
        let part = |part: Part| match part {
            Part::Literal(text) => Part::Spelled(text),
            Part::Spelled(_) | Part::Any => part,
        };
        Self { parts: read.parts.into_iter().map(part).collect(), rest: read.rest }
    }

    pub(super) fn takes(&self, sample: &Sample) -> bool {
        let (own, path) = (self.parts.len(), sample.segments.len());
        (own == path || self.rest && own < path)
            && self.parts.iter().zip(&sample.segments).all(|(part, piece)| match part {
                Part::Literal(text) => *text == piece.text,
                Part::Spelled(read) => *read == piece.read,
                Part::Any => true,
            })
    }

    /// Whether it takes every path that `other` does, as can be told part by part.
    pub(super) fn contains(&self, other: &Self) -> bool {
        let (own, others) = (self.parts.len(), other.parts.len());
        (own == others && (self.rest || !other.rest) || own < others && self.rest)
            && self.parts.iter().zip(&other.parts).all(|(own, other)| match (own, other) {
                (Part::Any, _) => true,
                (Part::Literal(own), Part::Literal(other)) | (Part::Spelled(own), Part::Spelled(other)) => own == other,
                (Part::Spelled(own), Part::Literal(other)) => *own == read(other),
                (Part::Literal(_), Part::Spelled(_) | Part::Any) | (Part::Spelled(_), Part::Any) => false,
            })
    }

    /// Whether some path is taken by both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let agree = self.parts.iter().zip(&other.parts).all(|(own, other)| match (own, other) {
            (Part::Any, _) | (_, Part::Any) => true,
            (Part::Literal(own), Part::Literal(other)) | (Part::Spelled(own), Part::Spelled(other)) => own == other,
            (Part::Literal(text), Part::Spelled(spelled)) | (Part::Spelled(spelled), Part::Literal(text)) => {
                read(text) == *spelled
            }
        });
        agree
            && match self.parts.len().cmp(&other.parts.len()) {
                Ordering::Equal => true,
                Ordering::Less => self.rest,
                Ordering::Greater => other.rest,
            }
    }

    /// The paths of both; `None` if there are none.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let (short, long) = if self.parts.len() <= other.parts.len() { (self, other) } else { (other, self) };
        if short.parts.len() < long.parts.len() && !short.rest {
            return None;
        }
        let mut parts = Vec::with_capacity(long.parts.len());
        for (place, part) in long.parts.iter().enumerate() {
            parts.push(match short.parts.get(place) {
                Some(other) => part.meet(other)?,
                None => part.clone(),
            });
        }
        let rest = short.rest && long.rest;
        Some(Self { parts: parts.into(), rest })
    }
}

impl Part {
    fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, part) | (part, Self::Any) => Some(part.clone()),
            (Self::Literal(one), Self::Literal(two)) => (one == two).then(|| self.clone()),
            (Self::Spelled(one), Self::Spelled(two)) => (one == two).then(|| self.clone()),
            (Self::Literal(text), Self::Spelled(spelled)) | (Self::Spelled(spelled), Self::Literal(text)) => {
                (read(text) == *spelled).then(|| Self::Literal(text.clone()))
            }
        }
    }
}

/// As a service would be written; `~` is before what counts in every spelling.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(text) => write!(f, "/{text}")?,
                Part::Spelled(text) => write!(f, "/~{text}")?,
                Part::Any => f.write_str("/*")?,
            }
        }
        match (self.rest, self.parts.is_empty()) {
            (true, _) => f.write_str("/**"),
            (false, true) => f.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shape.fmt(f)?;
        for (place, shape) in self.except.iter().enumerate() {
            write!(f, "{}{shape}", if place == 0 { " but " } else { ", " })?;
        }
        Ok(())
    }
}

impl Region {
    /// Whether a request's path is in it.
    #[must_use]
    pub fn takes(&self, target: &Target<'_>) -> bool {
        let sample = Sample::of(target);
        self.shape.takes(&sample) && !self.except.iter().any(|shape| shape.takes(&sample))
    }
}

impl Piece {
    pub(super) fn new(text: &str, free: bool) -> Self {
        Self { text: text.into(), read: read(text), free }
    }
}

impl Sample {
    pub(super) fn of(target: &Target<'_>) -> Self {
        let piece = |place: usize| {
            Some(Piece { text: target.segment(place)?.into(), read: target.reading(place)?.into(), free: false })
        };
        Self { segments: (0..).map_while(piece).collect() }
    }

    /// The path as a request has it.
    pub(super) fn path(&self) -> String {
        if self.segments.is_empty() {
            return "/".to_owned();
        }
        self.segments.iter().fold(String::new(), |path, piece| path + "/" + &piece.text)
    }
}

/// What the least exact of servers reads in a segment.
pub(super) fn read(segment: &str) -> Box<str> {
    let path = format!("/{segment}");
    let target = Target::parse(path.as_bytes()).ok();
    // INVARIANT: segments of patterns and of samples can be judged.
    target.and_then(|target| target.reading(0).map(Into::into)).unwrap_or_else(|| segment.into())
}

/// The segment with its encodings decoded, as accounts are compared.
pub(super) fn decoded(segment: &str) -> String {
    let mut parts = segment.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        // INVARIANT: judged paths encode nothing but ASCII.
        let byte = u8::from_str_radix(digits, 16).unwrap_or(b'%');
        format!("{text}{}{rest}", char::from(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        match text.strip_prefix('!') {
            Some(text) => Shape::of_exception(&Pattern::parse(text).unwrap()),
            None => Shape::of(&Pattern::parse(text).unwrap()),
        }
    }

    #[track_caller]
    fn check(one: &str, other: &str, expected: Option<&str>) {
        for (one, other) in [(one, other), (other, one)] {
            let (one_shape, other_shape) = (shape(one), shape(other));
            let met = one_shape.meet(&other_shape);
            assert_eq!(met.as_ref().map(ToString::to_string).as_deref(), expected, "{one} {other}");
            assert_eq!(one_shape.meets(&other_shape), expected.is_some(), "{one} {other}");
            assert_eq!(one_shape.contains(&other_shape), met.as_ref() == Some(&other_shape), "{one} {other}");
        }
    }

    #[test]
    fn what_two_shapes_share_is_a_shape() {
        check("/a/*", "/*/b", Some("/a/b"));
        check("/a/**", "/a/b/**", Some("/a/b/**"));
        check("/a/**", "/*/b", Some("/a/b"));
        check("/**", "/", Some("/"));
        check("/a/**", "/a", Some("/a"));
        check("/a/**", "/*/**", Some("/a/**"));
        check("/a", "/a/b", None);
        check("/a", "/b", None);
        check("!/a:b/*", "/a%3Ab/c", Some("/a%3Ab/c"));
        check("!/a/**", "!/*/b", Some("/~a/~b"));
        check("!/a", "/b", None);
    }

    #[test]
    fn exceptions_take_every_spelling_and_services_one() {
        let sample = |path: &str| Sample::of(&Target::parse(path.as_bytes()).unwrap());
        for (path, service, exception) in
            [("/admin", true, true), ("/admin.", false, true), ("/Admin", false, false), ("/admin/", true, true)]
        {
            assert_eq!(shape("/admin").takes(&sample(path)), service, "{path}");
            assert_eq!(shape("!/admin").takes(&sample(path)), exception, "{path}");
        }
        assert!(shape("/**").takes(&sample("/")) && !shape("/*").takes(&sample("/")));
    }
}
