//! The shapes that values of the file come in, so that one bad value spoils nothing but itself.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The value of a key, or an entry of a list.
#[derive(Debug, Default)]
pub(super) enum Entry<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// Nothing, or `null`, is there.
    Empty,
    /// What is there is not of its shape, which has been reported.
    Faulty,
    /// It is there.
    Given(T),
}

/// A list.
pub(super) type List<T> = Entry<Vec<Entry<T>>>;

/// A mapping from names of the user's choice, in the order of the file.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) Vec<(Box<str>, Entry<T>)>);

/// One value, or a list of them.
#[derive(Debug)]
pub(super) enum OneOrMany<T> {
    /// Without a list around it.
    One(T),
    /// A list.
    Many(Vec<Entry<T>>),
}

/// A word that stands for itself, or a value of another shape.
#[derive(Debug)]
pub(super) enum WordOr<W, T> {
    /// A text: the word.
    Word(W),
    /// Anything else.
    Other(T),
}

/// The name under which [`WordOr`] asks its deserializer for either.
pub(super) const WORD_OR: &str = "a word or another value";

/// The name under which [`OneOrMany`] asks its deserializer for either.
pub(super) const ONE_OR_MANY: &str = "a value or a list of them";

impl<T> Entry<T> {
    /// Whether the key has a value, of its shape or not.
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Absent | Self::Empty => false,
            Self::Faulty | Self::Given(_) => true,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // INVARIANT: the only deserializer that gets here is `reading`'s, which reports a fault where
        // it arises; so nothing is lost when its error ends here.
        Ok(match Option::deserialize(deserializer) {
            Ok(Some(value)) => Self::Given(value),
            Ok(None) => Self::Empty,
            Err(_) => Self::Faulty,
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(ONE_OR_MANY, OneOrManyVisitor(PhantomData))
    }
}

impl<'de, W: Deserialize<'de>, T: Deserialize<'de>> Deserialize<'de> for WordOr<W, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(WORD_OR, WordOrVisitor(PhantomData))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            entries.push((name.into(), map.next_value()?));
        }
        Ok(Named(entries))
    }
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ONE_OR_MANY)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        T::deserialize(deserializer).map(OneOrMany::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            entries.push(entry);
        }
        Ok(OneOrMany::Many(entries))
    }
}

struct WordOrVisitor<W, T>(PhantomData<(W, T)>);

impl<'de, W: Deserialize<'de>, T: Deserialize<'de>> Visitor<'de> for WordOrVisitor<W, T> {
    type Value = WordOr<W, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WORD_OR)
    }

    /// Of a text.
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        W::deserialize(deserializer).map(WordOr::Word)
    }

    /// Of anything else.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        T::deserialize(deserializer).map(WordOr::Other)
    }
}
