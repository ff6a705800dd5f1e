//! Documents and the policies that they become.

use std::path::Path;

use serde_json::{Value, json};

use super::{Imported, NotOpenApi, import_openapi};
use crate::config::{Source, compile};
use crate::policy::{Policy, Role};
use crate::workbench::ScopeMap;

fn document(security: &Value, paths: &Value) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Orders & more" },
        "servers": [{ "url": "https://api.example.com/{version}/", "variables": { "version": { "default": "v2" } } }],
        "security": security,
        "components": { "securitySchemes": {
            "o": { "type": "oauth2", "flows": { "clientCredentials": { "scopes": { "read": "Reads: \"all\" of it #1", "write": "" } } } },
            "oidc": { "type": "openIdConnect", "openIdConnectUrl": "https://login.example.com/a/.well-known/openid-configuration" },
            "jwt": { "type": "http", "scheme": "bearer" },
            "key": { "type": "apiKey", "in": "header", "name": "X-Key" },
        } },
        "paths": paths,
    })
}

fn policy(imported: &Imported) -> Policy {
    let source = Source { shown: "f", directory: Path::new("."), text: &imported.text };
    compile(&source).unwrap_or_else(|problems| panic!("{problems}\n{}", imported.text)).policy
}

/// `endpoint: scope, scope …` for each endpoint, required scopes before them.
fn shown(policy: &Policy) -> Vec<String> {
    let name = |id| policy.scope(id).unwrap().name.as_str();
    let required = policy.apis()[0].required.iter().map(|id| format!("every token: {}", name(*id)));
    let map = ScopeMap::new(policy);
    let endpoints = map.apis[0].endpoints.iter().map(|endpoint| {
        let access = endpoint.access.iter().map(|access| match access.through.role {
            Role::Grant { scope, .. } => name(scope),
            Role::Public | Role::TokenEndpoint(_) => "public",
        });
        format!("{} {}: {}", endpoint.methods.listed(), endpoint.pattern, access.collect::<Vec<_>>().join(", "))
    });
    required.chain(endpoints).collect()
}

/// The policy is `expected`, and `remarks` is all that is remarks: of what, and how it begins.
#[track_caller]
fn check(document: &Value, expected: &[&str], remarks: &[(&str, &str)]) {
    let imported = import_openapi(document, None).unwrap();
    assert_eq!(shown(&policy(&imported)), expected, "{}", imported.text);
    let notes: Vec<_> =
        imported.notes.iter().flat_map(|note| note.about.iter().map(|about| (&**about, &*note.text))).collect();
    let is_noted =
        |(about, text): &(&str, &str)| notes.iter().any(|(own, said)| own == about && said.starts_with(text));
    // Of every document here.
    let all = [remarks, &[("key", "not carried over: `apiKey` is no bearer token")]].concat();
    assert!(all.iter().all(is_noted) && notes.len() == all.len(), "{notes:#?}");
}

#[test]
fn operations_become_services_of_the_scopes_that_they_ask_for() {
    check(
        &document(
            &json!([{ "o": ["read"] }]),
            &json!({
                "/orders": { "get": {}, "head": {}, "post": { "security": [{ "o": ["write"] }] } },
                "/orders/{order id}/items/{item}": { "get": {}, "delete": { "security": [{ "o": ["write"] }, { "oidc": ["admin"] }] } },
                "/": { "get": {} },
            }),
        ),
        &[
            "GET /v2: read",
            "GET,HEAD /v2/orders: read",
            "POST /v2/orders: write",
            "GET /v2/orders/{order_id}/items/{item}: read",
            "DELETE /v2/orders/{order_id}/items/{item}: admin, write",
        ],
        &[],
    );
}

#[test]
fn what_asks_for_nothing_is_public_and_what_does_not_say_is_not() {
    let paths = json!({
        "/health": { "get": { "security": [] } },
        "/maybe": { "get": { "security": [{ "o": ["read"] }, {}] } },
        "/any": { "get": { "security": [{ "jwt": [] }] } },
        "/orders": { "get": { "security": [{ "o": ["read"] }] } },
        "/unsaid": { "get": {} },
    });
    check(
        &document(&Value::Null, &paths),
        &[
            "GET /v2/any: orders-more-access",
            "GET /v2/health: public",
            "GET /v2/maybe: public",
            "GET /v2/orders: read",
            "GET /v2/unsaid: orders-more-access",
        ],
        &[
            ("GET /maybe", "public: its security is optional"),
            ("GET /any", "any good token would do"),
            ("GET /unsaid", "the document does not say what it asks for"),
        ],
    );
}

#[test]
fn an_alternative_without_scopes_does_not_widen_those_that_have_some() {
    let paths = json!({
        "/a": { "get": { "security": [{ "jwt": [] }, { "o": ["read"] }] } },
        "/b": { "get": { "security": [{ "o": ["read"] }, { "o": [] }, { "oidc": ["admin"] }] } },
        "/c": { "get": { "security": [{ "jwt": [] }, { "o": [] }] } },
    });
    check(
        &document(&Value::Null, &paths),
        &["GET /v2/a: read", "GET /v2/b: admin, read", "GET /v2/c: orders-more-access"],
        &[
            ("GET /a", "left out: of what it asks for, an alternative without scopes"),
            ("GET /b", "left out: of what it asks for, an alternative without scopes"),
            ("GET /c", "any good token would do"),
        ],
    );
}

#[test]
fn a_scope_that_all_ask_for_is_required_and_other_combinations_are_left_out() {
    let paths = json!({
        "/a": { "get": {} },
        "/b": { "get": { "security": [{ "o": ["base", "write"] }] } },
        "/c": { "get": { "security": [{ "o": ["base"] }] } },
        "/d": { "get": { "security": [{ "o": ["base", "read", "write"] }] } },
    });
    check(
        &document(&json!([{ "o": ["base", "read"] }]), &paths),
        &["every token: base", "GET /v2/a: read", "GET /v2/b: write", "GET /v2/c: base"],
        &[("GET /d", "left out: it asks for several scopes at once")],
    );
    let paths = json!({ "/a": { "get": {} }, "/b": { "get": { "security": [{ "o": ["read", "write"] }, { "o": ["admin"] }] } } });
    check(&document(&json!([{ "o": ["read"] }]), &paths), &["GET /v2/a: read", "GET /v2/b: admin"], &[]);
}

#[test]
fn what_no_policy_can_say_is_listed() {
    let paths = json!({
        "/compare/{base}...{head}": { "get": {} },
        "/{id}/{id}": { "get": {} },
        "/x?y=1": { "get": {} },
        "/m;v=1": { "get": {} },
        "/key": { "get": { "security": [{ "key": [] }] } },
        "/both": { "get": { "security": [{ "key": [], "o": ["read"] }] } },
        "/none": { "get": { "security": [{ "nothing": [] }] } },
        "/space": { "get": { "security": [{ "o": ["a b"] }] } },
        "/trace": { "trace": {} },
        "/other": { "$ref": "other.yaml" },
        "/ref": { "$ref": "#/components/pathItems/r" },
        "/servers": { "get": { "servers": [{ "url": "https://other.example" }] } },
        "/twin": { "get": { "security": [{ "o": ["READ"] }] } },
    });
    let mut document = document(&json!([{ "o": ["read"] }]), &paths);
    document["components"]["pathItems"] = json!({ "r": { "put": {} } });
    document["servers"].as_array_mut().unwrap().push(json!({ "url": "https://b.example/v3" }));
    document["webhooks"] = json!({ "created": {} });
    check(
        &document,
        &[
            "GET /v2/both: read",
            "GET /v2/compare/*: read",
            "PUT /v2/ref: read",
            "GET /v2/servers: read",
            "GET /v2/x: read",
            "GET /v2/{id}/*: read",
        ],
        &[
            ("/compare/{base}...{head}", "widened: a part of a segment"),
            ("/x?y=1", "widened: what follows the path was cut off"),
            ("/m;v=1", "left out: no policy can have this path"),
            ("GET /key", "left out: nothing that it asks for is a bearer token"),
            ("GET /none", "left out: it asks for the security scheme `nothing`"),
            ("GET /none", "left out: nothing that it asks for"),
            ("GET /space", "left out: \"a b\" is no scope"),
            ("GET /space", "left out: nothing that it asks for"),
            ("/trace", "left out: TRACE"),
            ("/other", "left out: it is a reference to another file"),
            ("GET /servers", "has servers of its own"),
            ("https://b.example/v3", "not carried over: a server with the base path `/v3`"),
            ("webhooks", "not carried over: webhooks"),
            ("READ", "left out: another scope differs from it"),
        ],
    );
}

#[test]
fn names_descriptions_and_the_issuer_come_along() {
    let imported =
        import_openapi(&document(&json!([{ "o": ["read"] }]), &json!({ "/a": { "get": {} } })), Some("shop")).unwrap();
    let policy = policy(&imported);
    let api = &policy.apis()[0];
    assert_eq!((api.name.as_str(), api.display_name.as_deref()), ("shop", Some("Orders & more")));
    assert_eq!(policy.scopes()[0].description.as_deref(), Some("Reads: \"all\" of it #1"));
    assert!(imported.text.contains("  - issuer: \"https://login.example.com/a\"\n"), "{}", imported.text);
    assert_eq!(imported.operations, 1);
}

#[test]
fn what_is_no_document_of_these_versions_is_refused() {
    for (document, expected) in [
        (json!(null), "this is no OpenAPI document"),
        (json!({ "openapi": 3 }), "this is no OpenAPI document"),
        (json!({ "swagger": "2.0" }), "this is Swagger 2.0; convert it"),
        (json!({ "openapi": "4.0.0" }), "this is OpenAPI 4.0.0"),
        (json!({ "openapi": "3.0.3" }), "no operation of this document could be carried over"),
        (
            json!({ "openapi": "3.0.3", "paths": { "/a;b": { "get": {} } } }),
            "no operation of this document could be carried over: left out",
        ),
    ] {
        let refused: NotOpenApi = import_openapi(&document, None).unwrap_err();
        assert!(refused.to_string().starts_with(expected), "{refused}");
    }
}
