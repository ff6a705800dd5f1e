//! The paths of one shape, taken apart by others: a sample path for each class that some of them tell
//! from the rest, and a set of classes written as few shapes as possible.

use std::collections::BTreeSet;

use super::TooLarge;
use super::shape::{Part, Piece, Region, Sample, Shape, decoded};
use crate::policy::Target;

/// More classes than any comparison that a person could read.
const MOST_CLASSES: usize = 20_000;

/// The classes of a shape's paths.
#[derive(Debug)]
pub(super) struct Classes<'s> {
    domain: &'s Shape,
    shapes: Vec<&'s Shape>,
    pub(super) samples: Vec<Sample>,
}

impl<'s> Classes<'s> {
    /// Takes `domain` apart by `shapes`. Of several `places` that must name the same, a text that is
    /// told apart at one is so at each.
    pub(super) fn new(domain: &'s Shape, shapes: Vec<&'s Shape>, places: &[usize]) -> Result<Self, TooLarge> {
        let all = || std::iter::once(domain).chain(shapes.iter().copied());
        let fresh = fresh(&named(all().flat_map(|shape| &shape.parts)));
        let at_places = all().flat_map(|shape| places.iter().filter_map(|place| shape.parts.get(*place)));
        let pool = if places.len() > 1 { spellings(&named(at_places)) } else { BTreeSet::new() };
        let mut samples = Vec::new();
        let mut walk = Walk { domain, pool, places, fresh, samples: &mut samples };
        walk.from(&mut Vec::new(), &shapes)?;
        Ok(Self { domain, shapes, samples })
    }

    /// The classes of these numbers as shapes without others, few and large ones.
    pub(super) fn describe(&self, wanted: &BTreeSet<usize>) -> Vec<Region> {
        let taken = |shape: &Shape| -> BTreeSet<usize> {
            self.samples.iter().enumerate().filter(|(_, sample)| shape.takes(sample)).map(|(at, _)| at).collect()
        };
        let mut candidates: Vec<(Shape, BTreeSet<usize>)> = Vec::new();
        for shape in std::iter::once(self.domain).chain(self.shapes.iter().copied()) {
            if let Some(shape) = shape.meet(self.domain)
                && !candidates.iter().any(|(known, _)| *known == shape)
            {
                let classes = taken(&shape);
                candidates.push((shape, classes));
            }
        }
        // Stable, so that of equally large ones the first named comes first.
        candidates.sort_by_key(|(_, classes)| std::cmp::Reverse(classes.len()));
        let mut left = wanted.clone();
        let mut regions = Vec::new();
        for (shape, classes) in &candidates {
            if left.is_disjoint(classes) {
                continue;
            }
            let holes: BTreeSet<usize> = classes.difference(wanted).copied().collect();
            if let Some(except) = cover(shape, &holes, wanted, &candidates) {
                left = left.difference(classes).copied().collect();
                regions.push(Region { shape: shape.clone(), except });
            }
        }
        while let Some(first) = left.pop_first() {
            let Some(region) = self.samples.get(first).map(|sample| self.finest(sample)) else { continue };
            let alike = |at: &usize| {
                let sample = self.samples.get(*at);
                sample.is_some_and(|sample| {
                    region.shape.takes(sample) && !region.except.iter().any(|shape| shape.takes(sample))
                })
            };
            left.retain(|at| !alike(at));
            regions.push(region);
        }
        regions
    }

    /// The paths that the very same shapes take.
    fn finest(&self, sample: &Sample) -> Region {
        let (taking, others): (Vec<&Shape>, Vec<&Shape>) = self.shapes.iter().partition(|shape| shape.takes(sample));
        let met = taking.into_iter().try_fold(self.domain.clone(), |met, shape| met.meet(shape));
        // INVARIANT: they share the sample.
        let shape = met.unwrap_or_else(|| self.domain.clone());
        let mut except: Vec<Shape> = others.into_iter().filter_map(|other| other.meet(&shape)).collect();
        except.sort();
        except.dedup();
        Region { shape, except }
    }
}

/// A few of the candidates that take all of `holes` and nothing that is wanted.
fn cover(
    shape: &Shape,
    holes: &BTreeSet<usize>,
    wanted: &BTreeSet<usize>,
    candidates: &[(Shape, BTreeSet<usize>)],
) -> Option<Vec<Shape>> {
    let mut left = holes.clone();
    let mut except = Vec::new();
    for (other, classes) in candidates {
        if left.is_empty() {
            break;
        }
        if !left.is_disjoint(classes) && wanted.is_disjoint(classes) {
            left = left.difference(classes).copied().collect();
            except.push(other.meet(shape).unwrap_or_else(|| other.clone()));
        }
    }
    left.is_empty().then_some(except)
}

/// What a path can have as it is, encoded or not (RFC 3986 section 3.3).
const RESERVED: &[u8] = b"!$&'()*+,=:@";

/// The text as a segment of a path that can be judged; `None` if there is none.
pub(super) fn as_segment(text: &str) -> Option<Box<str>> {
    let segment = written(text, |byte| is_unreserved(byte) || RESERVED.contains(&byte));
    Target::parse(format!("/{segment}").as_bytes()).ok()?;
    (!text.is_empty()).then(|| segment.into())
}

/// The text as a value in a query.
pub(super) fn as_query(text: &str) -> String {
    written(text, is_unreserved)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The text with all bytes encoded that are not plain.
fn written(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
    text.bytes().fold(String::new(), |mut written, byte| {
        if is_plain(byte) {
            written.push(char::from(byte));
        } else {
            written.push_str(&format!("%{byte:02X}"));
        }
        written
    })
}

/// The text with the letters of its encodings in lower case.
fn lower_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        format!("{text}%{}{rest}", digits.to_ascii_lowercase())
    })
}

/// The texts, and those that say the same in other letters.
fn spellings(named: &BTreeSet<&str>) -> BTreeSet<Box<str>> {
    let mut spellings = BTreeSet::new();
    for text in named {
        let decoded = decoded(text);
        let encoded = written(&decoded, is_unreserved);
        let plain = written(&decoded, |byte| is_unreserved(byte) || RESERVED.contains(&byte));
        spellings.extend([plain.into(), lower_escapes(&encoded).into(), encoded.into()]);
    }
    spellings
}

/// Every text that is named.
fn named<'s>(parts: impl Iterator<Item = &'s Part>) -> BTreeSet<&'s str> {
    let texts = parts.filter_map(|part| match part {
        Part::Literal(text) | Part::Spelled(text) => Some(&**text),
        Part::Any => None,
    });
    texts.collect()
}

/// The beginning of texts that no shape names.
fn fresh(named: &BTreeSet<&str>) -> String {
    let mut fresh = "any".to_owned();
    while named.iter().any(|text| text.starts_with(&fresh)) {
        fresh.push('-');
    }
    fresh
}

/// The way through the segments' places.
struct Walk<'w> {
    domain: &'w Shape,
    /// Told apart at each of the places.
    pool: BTreeSet<Box<str>>,
    places: &'w [usize],
    fresh: String,
    samples: &'w mut Vec<Sample>,
}

impl<'w> Walk<'w> {
    /// `alive` are the shapes that take some path that begins like this.
    fn from(&mut self, path: &mut Vec<Piece>, alive: &[&'w Shape]) -> Result<(), TooLarge> {
        let depth = path.len();
        if self.domain.parts.len() == depth || self.domain.rest && self.domain.parts.len() < depth {
            if self.samples.len() == MOST_CLASSES {
                return Err(TooLarge);
            }
            self.samples.push(Sample { segments: path.iter().cloned().collect() });
        }
        let goes_on = self.domain.parts.len() > depth || self.domain.rest;
        let domain = self.domain;
        // Where all that are left take any rest, longer paths are of the class of this one.
        let is_told_apart = |shape: &&Shape| shape.parts.len() > depth || !shape.rest;
        if !goes_on || !std::iter::once(&domain).chain(alive).any(is_told_apart) {
            return Ok(());
        }
        for piece in self.pieces(depth, alive) {
            let takes = |shape: &&&Shape| match shape.parts.get(depth) {
                Some(Part::Literal(text)) => *text == piece.text,
                Some(Part::Spelled(read)) => *read == piece.read,
                Some(Part::Any) => true,
                None => shape.rest,
            };
            let next: Vec<&Shape> = alive.iter().filter(takes).copied().collect();
            path.push(piece.clone());
            let walked = self.from(path, &next);
            path.pop();
            walked?;
        }
        Ok(())
    }

    /// A segment for each way in which the shapes tell this place's apart.
    fn pieces(&self, depth: usize, alive: &[&Shape]) -> Vec<Piece> {
        if let Some(Part::Literal(text)) = self.domain.parts.get(depth) {
            return vec![Piece::new(text, false)];
        }
        let mut texts = if self.places.contains(&depth) { self.pool.clone() } else { BTreeSet::new() };
        let mut readings: BTreeSet<&str> = BTreeSet::new();
        for shape in alive {
            match shape.parts.get(depth) {
                Some(Part::Literal(text)) => {
                    texts.insert(text.clone());
                }
                Some(Part::Spelled(text)) => {
                    readings.insert(text);
                }
                Some(Part::Any) | None => {}
            }
        }
        for reading in readings {
            texts.insert(another_spelling(reading, &texts));
        }
        // The one that nothing names first: it makes the plainest examples.
        let mut pieces = vec![Piece::new(&format!("{}{depth}", self.fresh), true)];
        pieces.extend(texts.iter().map(|text| Piece::new(text, false)));
        pieces
    }
}

/// A spelling that is not among the texts, of what is read as `reading`.
fn another_spelling(reading: &str, texts: &BTreeSet<Box<str>>) -> Box<str> {
    let mut spelling = written(reading, |byte| is_unreserved(byte) || RESERVED.contains(&byte));
    while texts.contains(spelling.as_str()) {
        spelling.push('.');
    }
    spelling.into()
}
