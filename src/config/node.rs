//! The tree of a file's values, as serde makes it of whatever comes.
//!
//! It keeps repeated keys, so that every one of them can be reported; what belongs where is
//! `reading`'s.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::finding::Quoted;

/// A value of the file.
#[derive(Debug, PartialEq)]
pub(super) enum Node {
    /// `null`, or nothing.
    Null,
    Bool(bool),
    /// A number that is neither negative nor a fraction.
    Whole(u64),
    /// Any other number.
    Number(Box<str>),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file, repeated keys included.
    Mapping(Vec<(Node, Node)>),
    /// A value with a tag of the file's own, `!name value`.
    Tagged(Box<str>),
    /// No value of the file: what a key has that was reported already. Only `mapping` makes it.
    Reported,
}

/// What a value is, as messages say it.
pub(super) struct Found<'a>(pub(super) &'a Node);

/// Makes a [`Node`] of whatever comes, as long as there are not too many.
#[derive(Clone, Copy)]
pub(super) struct Seed<'a> {
    /// How many more there may be.
    pub(super) left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let left = self.left.get().saturating_sub(1);
        self.left.set(left);
        if left == 0 {
            return Err(Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(u64::try_from(value).map_or_else(|_| Node::Number(value.to_string().into()), Node::Whole))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Number(value.to_string().into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Number(value.to_string().into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string().into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element_seed(self)? {
            entries.push(entry);
        }
        Ok(Node::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry_seed(self, self)? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        let (tag, value) = tagged.variant::<String>()?;
        value.newtype_variant_seed(self)?;
        Ok(Node::Tagged(tag.into()))
    }
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Node::Null => f.write_str("nothing"),
            Node::Bool(value) => write!(f, "`{value}`"),
            Node::Whole(value) => write!(f, "the number `{value}`"),
            Node::Number(value) => write!(f, "the number `{value}`"),
            Node::Text(text) => write!(f, "the text {}", Quoted(text)),
            Node::List(_) => f.write_str("a list"),
            Node::Mapping(_) => f.write_str("a mapping"),
            Node::Tagged(tag) => write!(f, "a value with the tag {}", Quoted(tag)),
            Node::Reported => f.write_str("something else"),
        }
    }
}
