//! JSON as tokens and keys are to be read: strictly.
//!
//! `serde_json::Value` keeps the last of two members of one name, where another reader may keep the
//! first; here that is an error, at any depth (RFC 8725 section 2.4, RFC 8259 section 4).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use crate::policy::TokenFault;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// The members of an object, each name once.
pub(super) type Object = BTreeMap<Box<str>, Json>;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// A number without fraction or exponent that fits 64 bits.
    Whole(i128),
    /// Any other number; always finite.
    Fraction(f64),
    String(Box<str>),
    Array(Vec<Json>),
    Object(Object),
}

/// Why bytes are no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonFault {
    /// Not JSON in UTF-8.
    NotJson,
    /// Something comes after it.
    Followed,
    NotAnObject,
    MemberTwice,
    TooDeep,
}

/// The most objects and arrays that may be inside each other.
const DEEPEST: u8 = 32;

/// The object that these bytes are, with nothing after it.
///
/// The caller bounds their length.
pub(super) fn object(bytes: &[u8]) -> Result<Object, JsonFault> {
    let fault = Cell::new(JsonFault::NotJson);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Value { depth: 0, fault: &fault }.deserialize(&mut deserializer).map_err(|_| fault.get())?;
    deserializer.end().map_err(|_| JsonFault::Followed)?;
    if let Json::Object(object) = value { Ok(object) } else { Err(JsonFault::NotAnObject) }
}

impl JsonFault {
    /// What is wrong, without quoting it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NotJson => "it is not JSON",
            Self::Followed => "its JSON is followed by something else",
            Self::NotAnObject => "its JSON is not an object",
            Self::MemberTwice => "its JSON has a member twice",
            Self::TooDeep => "its JSON is nested too deeply",
        }
    }
}

impl From<JsonFault> for TokenFault {
    fn from(fault: JsonFault) -> Self {
        Self::Malformed(fault.text())
    }
}

/// Reads one value; the `fault` is set where serde's error would not tell which one it was.
#[derive(Clone, Copy)]
struct Value<'f> {
    depth: u8,
    fault: &'f Cell<JsonFault>,
}

impl Value<'_> {
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEEPEST {
            return Err(self.stop(JsonFault::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn stop<E: serde::de::Error>(self, fault: JsonFault) -> E {
        self.fault.set(fault);
        E::custom(fault.text())
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        if value.is_finite() { Ok(Json::Fraction(value)) } else { Err(E::custom("not finite")) }
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let inside = self.inside()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(inside)? {
            array.push(element);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let inside = self.inside()?;
        let mut object = Object::new();
        while let Some(name) = members.next_key::<Box<str>>()? {
            if object.contains_key(&name) {
                return Err(self.stop(JsonFault::MemberTwice));
            }
            object.insert(name, members.next_value_seed(inside)?);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), JsonFault>) {
        assert_eq!(object(text.as_bytes()).map(drop), expected, "{text}");
    }

    fn nested(depth: usize) -> String {
        format!("{{\"a\":{}1{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1))
    }

    #[test]
    fn an_object_is_read_as_it_is() {
        let read = object(br#" {"a":[null,true,-1,1.5,"\u00e9"],"b":{},"":18446744073709551615} "#).unwrap();
        let expected = Object::from([
            (
                "a".into(),
                Json::Array(vec![
                    Json::Null,
                    Json::Bool(true),
                    Json::Whole(-1),
                    Json::Fraction(1.5),
                    Json::String("é".into()),
                ]),
            ),
            ("b".into(), Json::Object(Object::new())),
            ("".into(), Json::Whole(u64::MAX.into())),
        ]);
        assert_eq!(read, expected);
    }

    #[test]
    fn a_member_twice_is_an_error_at_any_depth_and_however_it_is_written() {
        check(r#"{"a":1,"a":1}"#, Err(JsonFault::MemberTwice));
        check(r#"{"a":1,"\u0061":2}"#, Err(JsonFault::MemberTwice));
        check(r#"{"b":[{"c":{"a":1,"a":2}}]}"#, Err(JsonFault::MemberTwice));
        check(r#"{"a":1,"A":1,"b":{"a":1}}"#, Ok(()));
    }

    #[test]
    fn nesting_is_bounded() {
        check(&nested(32), Ok(()));
        check(&nested(33), Err(JsonFault::TooDeep));
        check(&nested(100_000), Err(JsonFault::TooDeep));
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for text in ["[]", "null", "1", "\"a\""] {
            check(text, Err(JsonFault::NotAnObject));
        }
        for text in ["{} {}", "{}x", "{},"] {
            check(text, Err(JsonFault::Followed));
        }
        for text in [
            "",
            "{",
            "{'a':1}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{\"a\":1e400}",
            "{\"a\":-1e400}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\n\"}",
            "{\"a\":1 /* b */}",
            "\u{feff}{}",
        ] {
            check(text, Err(JsonFault::NotJson));
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err());
        assert!(object(b"{\"\xc0\xaf\":1}").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = object(&bytes);
        }
    }
}
