//! The tree to the document: serde's deserializer over it, which reports every key and value that is
//! not of its shape, each at its place, in one run.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::document::Document;
use super::entry::{Entry, ONE_OR_MANY, WORD_OR};
use super::finding::{At, Finding, Findings};
use super::mapping;
use super::node::{Found, Node};
use super::suggest;

/// The document that the tree is; entries that are not of their shape are reported and left out.
pub(super) fn document(node: Node, findings: &mut Findings) -> Option<Document> {
    if node == Node::Null {
        findings.add(Finding::new(At::ROOT, "the file is empty").help("begin it with `version: 1`"));
        return None;
    }
    match shape(node, findings) {
        Entry::Given(document) => Some(document),
        Entry::Absent | Entry::Empty | Entry::Faulty => None,
    }
}

/// The tree as a value of some shape; entries that are not of theirs are reported and left out.
pub(super) fn shape<'de, T: Deserialize<'de>>(node: Node, findings: &mut Findings) -> Entry<T> {
    let shared = RefCell::new(std::mem::take(findings));
    let reading = Reading { node, at: At::ROOT, findings: &shared, expected: None };
    // INVARIANT: `Entry` does not fail, so this error cannot be.
    let value = Entry::deserialize(reading).unwrap_or(Entry::Faulty);
    *findings = shared.into_inner();
    value
}

/// A value at its place.
struct Reading<'a> {
    node: Node,
    at: At<'a>,
    findings: &'a RefCell<Findings>,
    /// What is said to be expected where it is a text with a meaning of its own.
    expected: Option<&'static str>,
}

/// That a fault was met; the findings have it, unless it is from elsewhere than here.
#[derive(Debug)]
enum Fault {
    Reported,
    FromElsewhere,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not what belongs here")
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::FromElsewhere
    }
}

impl<'a> Reading<'a> {
    fn report(&self, finding: Finding) -> Fault {
        self.findings.borrow_mut().add(finding);
        Fault::Reported
    }

    /// What the visitor made of the value, reported if it refused it.
    fn settle<T>(at: At<'_>, findings: &RefCell<Findings>, result: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault @ Fault::FromElsewhere) = &result {
            findings.borrow_mut().add(Finding::new(at, fault.to_string()));
            return Err(Fault::Reported);
        }
        result
    }

    fn unexpected(&self, expected: &str, help: Option<&str>) -> Fault {
        let message = format!("expected {expected}, found {}", Found(&self.node));
        let help = if matches!(self.node, Node::Tagged(_)) { Some("remove the tag") } else { help };
        self.report(Finding::new(self.at, message).maybe_help(help.map(str::to_owned)))
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Node::List(entries) = self.node else {
            return Err(self.unexpected("a list", Some("write `[a, b]`, or each entry on its own line after `- `")));
        };
        let entries = Entries { rest: entries.into_iter().enumerate(), at: self.at, findings: self.findings };
        Self::settle(self.at, self.findings, visitor.visit_seq(entries))
    }

    /// The entries whose keys are text, each key once, and known where `known` says which are.
    fn mapping(self, known: Option<&'static [&'static str]>) -> Result<Fields<'a>, Fault> {
        let Node::Mapping(entries) = self.node else {
            return Err(self.unexpected("a mapping", Some("write `key: value`, each key on its own line")));
        };
        let admitted = mapping::admit(entries, known, self.at, &mut self.findings.borrow_mut());
        Ok(Fields { rest: admitted.into_iter(), value: None, at: self.at, findings: self.findings })
    }
}

impl<'de> Deserializer<'de> for Reading<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let (at, findings) = (self.at, self.findings);
        let result = match self.node {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(value),
            Node::Whole(value) => visitor.visit_u64(value),
            Node::Number(text) => visitor.visit_string(text.into()),
            Node::Text(text) => visitor.visit_string(text),
            Node::List(_) => return self.list(visitor),
            Node::Mapping(_) => return self.deserialize_map(visitor),
            Node::Tagged(_) => Err(self.unexpected("a value without a tag", None)),
            Node::Reported => Err(Fault::Reported),
        };
        Self::settle(at, findings, result)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let (at, findings) = (self.at, self.findings);
        if self.node == Node::Reported {
            return Err(Fault::Reported);
        }
        let result = if self.node == Node::Null { visitor.visit_none() } else { visitor.visit_some(self) };
        Self::settle(at, findings, result)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Node::Bool(value) = self.node else {
            let is_quoted = matches!(&self.node, Node::Text(text) if matches!(&**text, "true" | "false"));
            return Err(self.unexpected("`true` or `false`", is_quoted.then_some("write it without quotes")));
        };
        Self::settle(self.at, self.findings, visitor.visit_bool(value))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Node::Whole(value) = self.node else {
            return Err(self.unexpected("a whole number", Some("write digits only, without quotes")));
        };
        Self::settle(self.at, self.findings, visitor.visit_u64(value))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number = match &self.node {
            Node::Whole(value) => value.to_string().parse(),
            Node::Number(text) => text.parse(),
            Node::Null
            | Node::Bool(_)
            | Node::Text(_)
            | Node::List(_)
            | Node::Mapping(_)
            | Node::Tagged(_)
            | Node::Reported => return Err(self.unexpected("a number", None)),
        };
        let Ok(number) = number else { return Err(self.unexpected("a number", None)) };
        Self::settle(self.at, self.findings, visitor.visit_f64(number))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Node::Text(text) = self.node else {
            let is_scalar = matches!(self.node, Node::Bool(_) | Node::Whole(_) | Node::Number(_));
            let help = (is_scalar && self.expected.is_none()).then_some("in quotes it is text");
            return Err(self.unexpected(self.expected.unwrap_or("text"), help));
        };
        Self::settle(self.at, self.findings, visitor.visit_string(text))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let (at, findings) = (self.at, self.findings);
        let fields = self.mapping(None)?;
        Self::settle(at, findings, visitor.visit_map(fields))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (at, findings) = (self.at, self.findings);
        let fields = self.mapping(Some(known))?;
        Self::settle(at, findings, visitor.visit_map(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let expected = format!("`{}`", variants.join("` or `"));
        let Node::Text(text) = self.node else { return Err(self.unexpected(&expected, None)) };
        if !variants.contains(&&*text) {
            let help = suggest::nearest(&text, variants.iter().copied()).map(suggest::perhaps);
            return Err(Self { node: Node::Text(text), ..self }.unexpected(&expected, help.as_deref()));
        }
        Self::settle(self.at, self.findings, visitor.visit_enum(text.into_deserializer()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        let (at, findings) = (self.at, self.findings);
        let result = match (&self.node, name) {
            (Node::List(_), ONE_OR_MANY) => return self.list(visitor),
            (Node::Text(_), WORD_OR) => visitor.visit_some(self),
            (_, ONE_OR_MANY | WORD_OR) => visitor.visit_newtype_struct(self),
            _ => visitor.visit_newtype_struct(Self { expected: Some(name), ..self }),
        };
        Self::settle(at, findings, result)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 char str bytes byte_buf unit unit_struct tuple tuple_struct
        identifier
    }
}

/// The entries of a list, each at its place.
struct Entries<'a> {
    rest: std::iter::Enumerate<std::vec::IntoIter<Node>>,
    at: At<'a>,
    findings: &'a RefCell<Findings>,
}

impl<'de> SeqAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((place, node)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Reading { node, at: self.at.nth(place), findings: self.findings, expected: None }).map(Some)
    }
}

/// The entries of a mapping, each at its place.
struct Fields<'a> {
    rest: std::vec::IntoIter<(String, Node)>,
    value: Option<(String, Node)>,
    at: At<'a>,
    findings: &'a RefCell<Findings>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, node)) = self.rest.next() else { return Ok(None) };
        let deserializer: StringDeserializer<Fault> = key.clone().into_deserializer();
        self.value = Some((key, node));
        seed.deserialize(deserializer).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, node) = self.value.take().ok_or(Fault::FromElsewhere)?;
        seed.deserialize(Reading { node, at: self.at.key(&key), findings: self.findings, expected: None })
    }
}
