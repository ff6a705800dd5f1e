//! The schemas against what `compile` says, on the complete file, on each change of it and on its mistakes.

use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{policy_schema, tests_schema};
use crate::config::finding::Findings;
use crate::config::{Configuration, Problems, Source, compile, reading, yaml};

const COMPLETE: &str = include_str!("../testdata/complete.yaml");
const BAD: &str = include_str!("../testdata/bad.txt");

static POLICY: LazyLock<Validator> = LazyLock::new(|| jsonschema::validator_for(&policy_schema()).unwrap());
static TESTS: LazyLock<Validator> = LazyLock::new(|| jsonschema::validator_for(&tests_schema()).unwrap());

fn value(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap()
}

fn complete() -> Value {
    value(COMPLETE)
}

fn compiled(file: &Value) -> Result<Configuration, Problems> {
    // JSON is YAML.
    let text = file.to_string();
    compile::compile(&Source { shown: "gateway.yaml", directory: Path::new("/etc/scopegate"), text: &text })
}

#[track_caller]
fn check_good(validator: &Validator, yaml: &str) {
    let wrong: Vec<_> =
        validator.iter_errors(&value(yaml)).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(wrong, Vec::<String>::new(), "{yaml}");
}

#[test]
fn what_the_repository_has_is_valid() {
    check_good(&POLICY, COMPLETE);
    check_good(&POLICY, include_str!("../../../gateway.yaml"));
    check_good(&TESTS, include_str!("../../../gateway.tests.yaml"));
}

/// The places of a value and of all that is in it, as JSON pointers.
fn places(value: &Value, at: &str, places: &mut Vec<String>) {
    let inner: Vec<_> = match value {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(entries) => entries.iter().enumerate().map(|(place, value)| (place.to_string(), value)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    };
    for (key, value) in inner {
        let here = format!("{at}/{key}");
        places.push(here.clone());
        self::places(value, &here, places);
    }
}

/// The complete file with each value in turn removed, or replaced by each of several others.
fn changed() -> Vec<(String, Value)> {
    let complete = complete();
    let mut all = Vec::new();
    places(&complete, "", &mut all);
    let others = [json!(true), json!(7.5), json!(""), json!("a b"), json!([]), json!(["x"]), json!({ "x": 1 })];
    let mut changed = Vec::new();
    for place in all {
        for other in &others {
            let mut file = complete.clone();
            *file.pointer_mut(&place).unwrap() = other.clone();
            changed.push((format!("{place} is {other}"), file));
        }
        let (parent, key) = place.rsplit_once('/').unwrap();
        let mut file = complete.clone();
        if let Value::Object(members) = file.pointer_mut(parent).unwrap() {
            members.remove(&key.replace("~1", "/").replace("~0", "~"));
            changed.push((format!("{place} is removed"), file));
        }
    }
    changed
}

/// What compilation says of keys and kinds of values, which the schema must know too.
fn is_of_shape(said: &str) -> bool {
    // Only with another key is it missing.
    let depends = ["`url` is missing", "`issuer` is missing, and there are several"];
    !depends.iter().any(|said_too| said.contains(said_too))
        && ["expected ", "unknown key ", "` is missing;", "` has no entry;", " exactly one of `"]
            .iter()
            .any(|shape| said.contains(shape))
}

#[test]
fn the_schema_takes_all_that_compiles_and_nothing_of_another_shape() {
    let mut refused = 0;
    for (change, file) in changed() {
        let valid = POLICY.is_valid(&file);
        match compiled(&file) {
            Ok(_) => assert!(
                valid,
                "{change}: it compiles: {:?}",
                POLICY.iter_errors(&file).map(|error| error.to_string()).collect::<Vec<_>>()
            ),
            Err(problems) => {
                let of_shape: Vec<_> =
                    problems.list().iter().map(ToString::to_string).filter(|said| is_of_shape(said)).collect();
                assert!(of_shape.is_empty() || !valid, "{change}: {of_shape:?}");
            }
        }
        refused += usize::from(!valid);
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn mistakes_in_keys_and_kinds_of_values_are_refused() {
    let mut refused = 0;
    for case in BAD.split("\n\n") {
        let (text, said) = crate::config::tests::mistake(case);
        // What a schema has to do with are values: no tags, no repeated keys, no other YAML.
        let Ok(file) = serde_yaml::from_str::<Value>(&text) else { continue };
        let is_yaml = said.iter().any(|said| said.contains(" tag ") || said.contains("is repeated"));
        if !is_yaml && said.iter().any(|said| is_of_shape(said)) {
            assert!(!POLICY.is_valid(&file), "{case}");
            refused += 1;
        }
    }
    assert!(refused > 40, "{refused}");
}

#[test]
fn texts_of_another_kind_are_refused() {
    for (place, bad) in [
        ("/listeners/0/address", "localhost:8080"),
        ("/upstreams/plain/servers/0", "http://host:1"),
        ("/upstreams/plain/read_timeout", "30 sconds"),
        ("/issuers/0/algorithms/0", "none"),
        ("/issuers/0/keys/url", "ftp://host/jwks"),
        ("/issuers/0/token_type", "prefered"),
        ("/clients/0/certificate/sha256", "00:11"),
        ("/apis/0/name", "default data"),
        ("/apis/0/public/0", "GTE /integration/default-data/health"),
        ("/apis/0/public/0", "get /integration/default-data/health"),
        ("/apis/0/public/0", "GET, POST /integration/default-data/health"),
        ("/apis/0/scopes/0/name", "default data"),
        ("/apis/0/scopes/0/accounts", "all"),
        ("/apis/0/scopes/0/services/0", "GET /integration/default-data/x?y=1"),
        ("/apis/0/account/2/header", "X Account"),
        ("/trusted_proxies/0", "everyone"),
    ] {
        let mut file = complete();
        // Where the file has no such key, it is added.
        let (parent, key) = place.rsplit_once('/').unwrap();
        let parent = file.pointer_mut(parent).unwrap();
        if parent.is_array() {
            parent[key.parse::<usize>().unwrap()] = bad.into();
        } else {
            parent[key] = bad.into();
        }
        assert!(!POLICY.is_valid(&file), "{place}: {bad}");
    }
}

#[test]
fn tests_of_another_shape_are_refused() {
    let good = json!({ "request": "GET /x", "as": { "client": "app", "scopes": ["a"] }, "expect": "allow" });
    assert!(TESTS.is_valid(&json!([good])));
    for (key, bad) in [
        ("request", json!("x")),
        ("as", json!("nobody")),
        ("as", json!({ "clint": "app" })),
        ("expect", json!("maybe")),
        ("reason", json!("token_expired")),
        ("reasons", json!("granted")),
        ("headers", json!({ "a b": "c" })),
    ] {
        let mut test = good.clone();
        test[key] = bad.clone();
        assert!(!TESTS.is_valid(&json!([test])), "{key}: {bad}");
    }
    for key in ["request", "as", "expect"] {
        let mut test = good.clone();
        test.as_object_mut().unwrap().remove(key);
        assert!(!TESTS.is_valid(&json!([test])), "{key}");
    }
}

/// Every schema of an object with keys of its own: its name and itself.
fn objects(root: &Value) -> Vec<(&str, &Value)> {
    let named = root["$defs"].as_object().unwrap().iter().map(|(name, schema)| (name.as_str(), schema));
    named.chain([("the file", root)]).filter(|(_, schema)| schema["properties"].is_object()).collect()
}

#[test]
fn every_key_says_what_it_is_for_and_no_other_key_is_taken() {
    for root in [policy_schema(), tests_schema()] {
        assert_eq!(root["$schema"], "https://json-schema.org/draft/2020-12/schema");
        for (name, schema) in objects(&root) {
            assert_eq!(schema["additionalProperties"], false, "{name}");
            for (key, property) in schema["properties"].as_object().unwrap() {
                let described = property["description"].as_str().is_some_and(|text| text.ends_with('.'));
                assert!(described, "`{key}` of {name} has no description");
            }
        }
    }
}

#[test]
fn a_key_that_is_left_out_is_as_its_default() {
    let root = policy_schema();
    let mut compared = 0;
    let mut all = Vec::new();
    places(&complete(), "", &mut all);
    for place in all {
        let file = complete();
        let Value::Object(members) = file.pointer(&place).unwrap() else { continue };
        for (name, schema) in objects(&root) {
            let known = schema["properties"].as_object().unwrap();
            // The places of no schema but theirs have all of these keys.
            if !members.keys().all(|key| known.contains_key(key)) || !is_of(name, &place) {
                continue;
            }
            for (key, property) in known {
                let Some(default) = property.get("default") else { continue };
                let (mut without, mut with) = (file.clone(), file.clone());
                without.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(key);
                with.pointer_mut(&place).unwrap()[key] = default.clone();
                if let (Some(without), Some(with)) = (meaning(&without), meaning(&with)) {
                    assert_eq!(without, with, "{place}/{key}: {default}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 30, "{compared}");
}

/// What the file means, if it is good.
fn meaning(file: &Value) -> Option<String> {
    let mut findings = Findings::default();
    let document = reading::document(yaml::parse(&file.to_string()).unwrap(), &mut findings)?;
    let meaning = compile::meaning(document, Path::new(""), &mut findings);
    findings.is_empty().then(|| format!("{meaning:?}"))
}

/// Whether the value at a place of the complete file is of the schema of this name.
fn is_of(name: &str, place: &str) -> bool {
    let words: Vec<_> = place.split('/').filter(|word| word.parse::<usize>().is_err()).skip(1).collect();
    let kind = match *words {
        [] => "the file",
        ["listeners"] => "Listener",
        ["limits"] => "Limits",
        ["limits", "http2"] => "Http2Limits",
        ["upstreams", _] => "Upstream",
        ["issuers"] => "Issuer",
        ["issuers", "claims"] => "Claims",
        ["issuers", "introspection"] => "Introspection",
        ["issuers", "dpop"] => "Dpop",
        ["clients"] => "Client",
        ["apis"] => "Api",
        ["apis", "token_endpoint"] => "TokenEndpoint",
        ["apis", "scopes"] => "Scope",
        ["audit"] => "Audit",
        _ => return false,
    };
    kind == name
}
