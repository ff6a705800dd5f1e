//! The `OpenAPI` 3.1 description of the registry, made from the table of its routes.

use serde_json::{Map, Value, json};

use super::{Endpoint, ROUTES, Route};

pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        let item = paths.entry(route.path).or_insert_with(|| json!({ "parameters": path_parameters(route.path) }));
        if let Some(item) = item.as_object_mut() {
            item.insert(route.method.to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Scopegate registry",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Apis, scopes, privileges and clients of gateway.yaml: looked up, and changed one at a time. \
                A change is judged as a whole, written into the file and in force when the call returns.",
        },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
            "responses": responses(),
        },
    })
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })).collect()
}

fn operation(route: &Route) -> Value {
    let mut responses = Map::new();
    let success = if route.method == "POST" { "201" } else { "200" };
    let schema = if route.is_change() {
        json!({ "$ref": "#/components/schemas/Changed" })
    } else if route.endpoint == Endpoint::Explain {
        json!({ "$ref": "#/components/schemas/Explained" })
    } else {
        json!({ "type": "object" })
    };
    responses.insert(success.to_owned(), json!({ "description": route.summary, "content": content(route, &schema) }));
    let problems: &[&str] = if route.is_change() {
        &["400", "401", "403", "404", "409", "412", "413", "415", "422", "428", "503"]
    } else {
        &["401", "403", "404", "422", "503"]
    };
    for status in problems {
        responses.insert((*status).to_owned(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    let mut operation = json!({
        "operationId": format!("{:?}", route.endpoint),
        "summary": route.summary,
        "responses": responses,
        "parameters": parameters(route),
    });
    if let (Some(schema), Some(operation)) = (body_schema(route), operation.as_object_mut()) {
        let content = json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } });
        operation.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    operation
}

/// An explanation is there as text too.
fn content(route: &Route, schema: &Value) -> Value {
    let mut content = json!({ "application/json": { "schema": schema } });
    if let (Endpoint::Explain, Some(content)) = (route.endpoint, content.as_object_mut()) {
        content.insert("text/plain".to_owned(), json!({ "schema": { "type": "string" } }));
    }
    content
}

fn body_schema(route: &Route) -> Option<&'static str> {
    let takes_body = matches!(route.method, "POST" | "PUT" | "PATCH");
    let kind = match route.path {
        path if path.contains("scopes") => "Scope",
        path if path.contains("clients") => "Client",
        _ => "Api",
    };
    takes_body.then_some(kind)
}

fn parameters(route: &Route) -> Vec<Value> {
    let query = |name: &str, kind: &str, required: bool, description: &str| json!({ "name": name, "in": "query", "required": required, "schema": { "type": kind }, "description": description });
    if route.is_change() {
        return vec![
            json!({ "name": "If-Match", "in": "header", "required": true, "schema": { "type": "string" },
                "description": "The ETag of the text that the change rests on." }),
            query("dry_run", "boolean", false, "Say what the change would do, and change nothing."),
        ];
    }
    match route.path {
        "/api/v1/scopes" => vec![
            query("q", "string", false, "A part of a name, display name, description, service or api."),
            query("api", "string", false, "An api's name."),
            query("service", "string", false, "A part of a service."),
            query("offset", "integer", false, "How many to pass over."),
            query("limit", "integer", false, "How many to show, 1000 if left out."),
        ],
        "/api/v1/who" => vec![
            query("method", "string", false, "GET if left out."),
            query("path", "string", true, "The path, with a query if that names the account."),
            query("host", "string", false, "The Host, for apis that are for some only."),
        ],
        "/api/v1/denials" => vec![query("after", "integer", false, "Only those with a greater number.")],
        _ => Vec::new(),
    }
}

fn schemas() -> Value {
    let text = || json!({ "type": "string", "maxLength": 2000 });
    let texts = || json!({ "type": "array", "items": text() });
    let yes_no = || json!({ "type": "boolean" });
    let reach = || json!({ "enum": ["own", "any"] });
    let object =
        |properties: Value| json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let privilege = object(json!({ "services": texts(), "accounts": reach() }));
    json!({
        "Scope": object(json!({
            "name": text(), "display_name": text(), "description": text(), "accounts": reach(), "required": yes_no(),
            "emphasize": yes_no(), "show_in_discovery": yes_no(), "deprecated": yes_no(), "confidential_only": yes_no(),
            "services": texts(), "except": texts(),
            "privileges": { "type": "object", "additionalProperties": privilege },
        })),
        "Client": object(json!({
            "id": text(), "account": text(), "scopes": texts(), "type": { "enum": ["confidential", "public"] },
            "certificate": object(json!({ "sha256": text(), "subject": text(), "san_dns": text() })),
        })),
        "Api": object(json!({
            "name": text(), "display_name": text(), "base_path": text(), "hosts": texts(), "upstream": text(),
            "mode": { "enum": ["enforce", "report_only"] }, "account": {}, "account_when_absent": { "enum": ["deny", "inject"] },
            "insufficient_scope_status": { "enum": [401, 403] }, "forward_authorization": yes_no(), "public": texts(),
            "token_endpoint": { "type": "object" },
            "scopes": { "type": "array", "items": { "$ref": "#/components/schemas/Scope" } },
        })),
        "Changed": {
            "type": "object",
            "properties": {
                "dry_run": yes_no(), "generation": { "type": "integer" }, "sha256": text(), "kind": text(), "name": text(),
                "before": {}, "after": {}, "diff": { "type": "string" }, "advice": texts(), "listed_by": texts(),
                "lacked_by": texts(),
            },
        },
        "Explained": explained(),
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail", "reason"],
            "properties": {
                "type": text(), "title": text(), "status": { "type": "integer" }, "detail": { "type": "string" },
                "reason": text(), "patch": { "type": "string" }, "clients": texts(), "carried": { "type": "array" },
                "errors": { "type": "array", "items": object(json!({ "field": text(), "message": { "type": "string" } })) },
            },
        },
    })
}

/// What a decision that was made comes to.
fn explained() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "description": "`recorded` is the audit line; `explanation` what `scopegate explain --format json` prints.",
        "required": ["request_id", "earlier_with_this_id", "recorded", "generation_in_force", "in_force"],
        "properties": {
            "request_id": text, "earlier_with_this_id": { "type": "integer" }, "recorded": { "type": "object" },
            "generation_in_force": { "type": "integer" }, "in_force": { "type": "boolean" },
            "decides_the_same": { "type": ["boolean", "null"] }, "untold": { "type": ["string", "null"] },
            "explanation": { "type": ["object", "null"] },
        },
    })
}

fn responses() -> Value {
    let content = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    json!({ "Problem": { "description": "Why not (RFC 9457)", "content": content } })
}
