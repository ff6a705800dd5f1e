//! The JSON Schema (draft 2020-12) of `gateway.yaml` and of its tests, for editors that complete and
//! check them.
//!
//! It is made of the documents' own definitions, and so has exactly their keys. It refuses nothing that
//! `compile` takes, but for keys without a value; what one value has to do with another is `compile`'s.

#[cfg(test)]
mod tests;
pub(super) mod texts;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::document::Document;
use super::entry::{Entry, Named, OneOrMany, WordOr};
use super::test_document::Tests;

/// The schema of `gateway.yaml`.
#[must_use]
pub fn policy_schema() -> Value {
    schema::<Document>("gateway.yaml of Scopegate")
}

/// The schema of `gateway.tests.yaml`.
#[must_use]
pub fn tests_schema() -> Value {
    schema::<Tests>("gateway.tests.yaml of Scopegate")
}

fn schema<T: JsonSchema>(title: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(WithoutFormats);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

/// How wide a number is in memory is no business of who writes it.
#[derive(Debug, Clone)]
struct WithoutFormats;

impl Transform for WithoutFormats {
    fn transform(&mut self, schema: &mut Schema) {
        schema.remove("format");
        transform_subschemas(self, schema);
    }
}

/// `oneOf` or `anyOf` these keys.
pub(super) fn keys(keys: &[&str]) -> Value {
    keys.iter().map(|key| json!({ "required": [key] })).collect()
}

/// The first of each pair needs the second.
pub(super) fn needs(pairs: &[(&str, &str)]) -> Value {
    let needed: Map<_, _> = pairs.iter().map(|(key, needed)| ((*key).to_owned(), json!([needed]))).collect();
    needed.into()
}

/// What names of apis and upstreams are made of.
pub(super) fn names() -> Value {
    json!({ "pattern": texts::NAME })
}

/// What names of privileges are made of.
pub(super) fn privilege_names() -> Value {
    json!({ "pattern": texts::PRIVILEGE })
}

// A key that has no value is taken as one that is not there, or reported; here it has its value.
impl<T: JsonSchema> JsonSchema for Entry<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

impl<W: JsonSchema, T: JsonSchema> JsonSchema for WordOr<W, T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}Or{}", W::schema_name(), T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<W>(), generator.subschema_for::<T>()] })
    }
}
