//! The registry over HTTP: what people see and change, who may, and what becomes of the file.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use ::harness::registry::POLICY;

use crate::harness::{Gateway, Response, Signer, now, wait_for};

/// Somebody with a token of the registry.
pub(crate) struct Person<'g> {
    pub(crate) gateway: &'g Gateway,
    pub(crate) token: String,
}

impl<'g> Person<'g> {
    pub(crate) fn manager(gateway: &'g Gateway) -> Self {
        Self::with(gateway, "scopegate:manage")
    }

    pub(crate) fn with(gateway: &'g Gateway, scope: &str) -> Self {
        Self { gateway, token: Signer::shared().token(json!({ "scope": scope, "sub": "ops", "client_id": "console" })) }
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        let authorization = format!("Bearer {}", self.token);
        self.gateway.ask_admin("GET", &format!("/api/v1{path}"), &[("Authorization", &authorization)], b"")
    }

    #[track_caller]
    pub(crate) fn see(&self, path: &str) -> Value {
        let seen = self.get(path);
        assert_eq!(seen.status, 200, "{path}: {seen:?}");
        seen.json()
    }

    pub(crate) fn etag(&self) -> String {
        self.get("/registry").header("etag").unwrap().to_owned()
    }

    /// A change to what is there now.
    pub(crate) fn change(&self, method: &str, path: &str, body: &Value) -> Response {
        self.send(method, path, &self.etag(), body.to_string().as_bytes())
    }

    pub(crate) fn send(&self, method: &str, path: &str, etag: &str, body: &[u8]) -> Response {
        let authorization = format!("Bearer {}", self.token);
        let headers = [("Authorization", &*authorization), ("If-Match", etag), ("Content-Type", "application/json")];
        self.gateway.ask_admin(method, &format!("/api/v1{path}"), &headers, body)
    }
}

fn fields(response: &Response) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let errors = response.json()["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| (text(&error["field"]), text(&error["message"]))).collect()
}

#[test]
fn a_scope_lives_from_a_refused_form_to_its_deletion_and_the_file_keeps_all_else() {
    let gateway = Gateway::start(POLICY);
    let ops = Person::manager(&gateway);
    let first = fs::read_to_string(gateway.file()).unwrap();

    // Refused, with what is wrong.
    let refused = ops.change("POST", "/apis/data/scopes", &json!({}));
    assert_eq!((refused.status, refused.reason()), (422, "fields_rejected".to_owned()));
    assert!(refused.json()["errors"][0]["message"].as_str().unwrap().contains("`name` is missing"), "{refused:?}");
    let caller = |expires_in: u64| {
        let claims =
            json!({ "scope": "data-write", "client_id": "app", "account_id": "acme", "exp": now() + expires_in });
        Signer::shared().token(claims)
    };
    let write = |token: &str| gateway.ask("POST", "/data/acme/x", &[("Authorization", &format!("Bearer {token}"))]);
    let token = caller(12);
    assert_eq!(write(&token).reason(), "scope_insufficient");

    // Created, and live on the next request.
    let new = json!({ "name": "data-write", "display_name": "Write data", "description": "Changes the caller's own data.",
        "services": ["POST /data/{account}/**"], "required": false, "accounts": "own" });
    let preview = ops.change("POST", "/apis/data/scopes?dry_run=true", &new);
    assert_eq!((preview.status, fs::read_to_string(gateway.file()).unwrap() == first), (200, true), "{preview:?}");
    assert!(preview.json()["diff"].as_str().unwrap().contains("+      - name: data-write\n"), "{preview:?}");
    let created = ops.change("POST", "/apis/data/scopes", &new);
    assert_eq!((created.status, created.header("location")), (201, Some("/api/v1/scopes/data-write")), "{created:?}");
    assert_eq!(write(&token).status, 200);
    let text = fs::read_to_string(gateway.file()).unwrap();
    let added = "      - name: data-write\n        display_name: Write data\n        description: Changes the caller's own data.\n        services:\n          - POST /data/{account}/**\n";
    assert_eq!(text.replacen(added, "", 1), first);
    // What a request was is recorded after its answer.
    wait_for("the record", || (ops.see("/scopes/data-write")["usage"]["allowed"] == 1).then_some(()));

    // Edited; what was sent back as it was seen changes nothing else.
    let mut scope = ops.see("/scopes/data-write")["scope"].clone();
    scope["services"].as_array_mut().unwrap().push(json!("PUT /data/{account}/*"));
    let edited = ops.change("PUT", "/scopes/data-write", &scope);
    assert_eq!(edited.status, 200, "{edited:?}");
    let changed = fs::read_to_string(gateway.file()).unwrap();
    assert_eq!(changed.replacen("          - PUT /data/{account}/*\n", "", 1), text);

    // Not deleted while its token lives: the same text as a file would be refused with.
    let refused = ops.change("DELETE", "/scopes/data-write", &Value::Null);
    assert_eq!((refused.status, refused.reason()), (409, "in_use".to_owned()), "{refused:?}");
    let carried = refused.json();
    assert_eq!(
        (&carried["carried"][0]["scope"], &carried["carried"][0]["clients"][0]),
        (&json!("data-write"), &json!("app"))
    );
    gateway.replace_file(&first);
    let shown = gateway.wait_for_policy("the guard of the file", |policy| !policy["last_error"].is_null());
    assert_eq!(shown["last_error"], carried["detail"]);
    let while_so = ops.change("PATCH", "/scopes/data-read", &json!({ "emphasize": true }));
    assert_eq!((while_so.status, while_so.reason()), (409, "file_changed".to_owned()));
    assert!(while_so.json()["detail"].as_str().unwrap().contains(shown["last_error"].as_str().unwrap()));
    gateway.replace_file(&changed);
    gateway.wait_for_policy("the file again", |policy| policy["last_error"].is_null());

    // Deprecated: honoured, marked, counted, warned about.
    let deprecated = ops.change("PATCH", "/scopes/data-write", &json!({ "deprecated": true }));
    assert_eq!(deprecated.status, 200, "{deprecated:?}");
    assert!(deprecated.json()["advice"][0].as_str().unwrap().contains("discovery"), "{deprecated:?}");
    let token = caller(6);
    assert_eq!(write(&token).status, 200);
    assert_eq!(ops.see("/scopes/data-write")["scope"]["deprecated"], true);
    let uses = r#"scopegate_deprecated_scope_uses_total{scope="data-write"}"#;
    wait_for("the metric", || (gateway.metric(uses) == Some(1.0)).then_some(()));
    gateway.wait_for_log("a deprecated scope is in use");

    // Deleted, once nobody holds it.
    let deleted = wait_for("the token's end", || {
        let answer = ops.change("DELETE", "/scopes/data-write", &Value::Null);
        assert!(matches!(answer.status, 200 | 409), "{answer:?}");
        (answer.status == 200).then_some(answer)
    });
    assert!(deleted.json()["after"].is_null());
    assert_eq!(fs::read_to_string(gateway.file()).unwrap(), first);
    assert_eq!(ops.get("/scopes/data-write").status, 404);
    assert_eq!(write(&token).status, 401);

    // Who, what, before and after.
    let lines = wait_for("the audit", || {
        let text = fs::read_to_string(gateway.folder.path().join("audit.jsonl")).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let changes: Vec<_> = lines.into_iter().filter(|line| line["event"] == "registry_changed").collect();
        (changes.len() == 4).then_some(changes)
    });
    for (line, change) in lines.iter().zip(["create", "edit", "edit", "delete"]) {
        assert_eq!(
            (&line["change"], &line["name"], &line["subject"]),
            (&json!(change), &json!("data-write"), &json!("ops"))
        );
    }
    assert_eq!((&lines[0]["before"], &lines[3]["after"]), (&Value::Null, &Value::Null));
    assert_eq!(lines[1]["after"]["services"][1], "PUT /data/{account}/*");
    assert_eq!(lines[2]["before"], lines[1]["after"]);
    assert!(lines[3]["generation"].as_u64() > lines[2]["generation"].as_u64());
}

#[test]
fn what_an_api_says_that_is_no_field_of_the_registry_stays_whatever_is_changed() {
    let kept = "    body_bytes: 1000   # enough\n    cors: { origins: [https://app.example.com] }\n    \
                rate_limits: [{ by: api, requests: 1000, per: 1s }]\n";
    let base = "    base_path: /open\n";
    let gateway = Gateway::start(&POLICY.replace(base, &format!("{base}{kept}")));
    let ops = Person::manager(&gateway);
    let stays = || assert!(fs::read_to_string(gateway.file()).unwrap().contains(kept));
    let patched = ops.change("PATCH", "/apis/open", &json!({ "display_name": "Open" }));
    assert_eq!(patched.status, 200, "{patched:?}");
    stays();
    let put = ops.change("PUT", "/apis/open", &json!({ "base_path": "/open", "upstream": "backend" }));
    assert_eq!(put.status, 200, "{put:?}");
    stays();
    assert!(!fs::read_to_string(gateway.file()).unwrap().contains("display_name: Open"));
    let refused = ops.change("PATCH", "/apis/open", &json!({ "body_bytes": 1 }));
    assert_eq!((refused.status, refused.reason()), (422, "fields_rejected".to_owned()));
    stays();
}

#[test]
fn every_kind_of_entry_is_created_edited_and_deleted_and_the_file_comes_back() {
    let gateway = Gateway::start(POLICY);
    let ops = Person::manager(&gateway);
    let first = fs::read_to_string(gateway.file()).unwrap();
    let client =
        json!({ "id": "new one", "type": "public", "scopes": ["open-all"], "certificate": { "san_dns": "a.example" } });
    let api = json!({ "name": "more", "base_path": "/more", "upstream": "backend", "account": { "header": "X-Account" },
        "scopes": [{ "name": "more-read", "services": ["GET /more/**"] }] });
    let privileged =
        json!({ "privileges": { "purge": null, "keep": { "services": ["POST /data/keep"], "accounts": "any" } } });
    for (method, path, body, status) in [
        ("POST", "/clients", &client, 201),
        ("PATCH", "/clients/new%20one", &json!({ "scopes": ["open-all", "data-read"], "type": null }), 200),
        ("POST", "/apis", &api, 201),
        ("PATCH", "/apis/more", &json!({ "display_name": "More of it", "insufficient_scope_status": 401 }), 200),
        ("PATCH", "/scopes/data-admin", &privileged, 200),
        ("PATCH", "/scopes/DATA-admin", &json!({ "description": "All of it: everything" }), 200),
        ("PATCH", "/scopes/data-admin", &json!({ "description": null }), 200),
        (
            "PATCH",
            "/scopes/data-admin",
            &json!({ "privileges": { "keep": null, "purge": { "services": ["DELETE /data/*"] } } }),
            200,
        ),
    ] {
        let changed = ops.change(method, path, body);
        assert_eq!(changed.status, status, "{method} {path}: {changed:?}");
    }
    // A name may be asked for in any case; it is the file's that is told.
    let preview = ops.change("PATCH", "/scopes/DATA-admin?dry_run=true", &json!({ "required": true })).json();
    assert_eq!((&preview["name"], &preview["lacked_by"]), (&json!("data-admin"), &json!(["acme", "app", "new one"])));
    let seen = ops.see("/clients/new%20one");
    assert_eq!((&seen["client"]["scopes"][1], &seen["type"]), (&json!("data-read"), &json!("confidential")));
    assert_eq!(ops.see("/apis/more")["api"]["display_name"], "More of it");
    // A scope that is listed stays; an api's own scopes go with it.
    let refused = ops.change("DELETE", "/scopes/open-all", &Value::Null);
    assert_eq!((refused.status, &refused.json()["clients"]), (409, &json!(["new one"])), "{refused:?}");
    for path in ["/clients/new%20one", "/apis/more"] {
        assert_eq!(ops.change("DELETE", path, &Value::Null).status, 200);
    }
    assert_eq!(fs::read_to_string(gateway.file()).unwrap(), first);
}

#[test]
fn twenty_editors_at_once_lose_no_update() {
    const EDITORS: usize = 20;
    let gateway = Gateway::start(POLICY);
    let first = fs::read_to_string(gateway.file()).unwrap();
    let refusals = AtomicUsize::new(0);
    thread::scope(|scope| {
        for editor in 0..EDITORS {
            let (gateway, refusals) = (&gateway, &refusals);
            scope.spawn(move || {
                let ops = Person::manager(gateway);
                for round in 0..2 {
                    let new = json!({ "name": format!("made-{editor}-{round}"), "services": [format!("/open/{editor}/{round}")] });
                    loop {
                        let answer = ops.change("POST", "/apis/open/scopes", &new);
                        match answer.status {
                            201 => break,
                            409 | 412 => refusals.fetch_add(1, Ordering::Relaxed),
                            _ => panic!("{answer:?}"),
                        };
                    }
                }
            });
        }
    });
    let ops = Person::manager(&gateway);
    let seen = ops.see("/apis/open/scopes");
    let names: BTreeSet<_> =
        seen["scopes"].as_array().unwrap().iter().map(|scope| scope["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 1 + 2 * EDITORS, "{names:?}");
    assert!(refusals.into_inner() > 0, "they were never at it at the same time");
    let text = fs::read_to_string(gateway.file()).unwrap();
    let (before, _) = first.split_once("    scopes: [{ name: open-all").unwrap();
    assert!(text.starts_with(before));
    assert_eq!(gateway.admin("/policy").json()["generation"], 1 + 2 * EDITORS);
}

#[test]
fn what_is_asked_is_answered_from_what_is_in_force() {
    let gateway = Gateway::start(POLICY);
    let ops = Person::with(&gateway, "scopegate:view");
    let names = |query: &str| {
        let seen = ops.see(&format!("/scopes{query}"));
        let names = seen["scopes"].as_array().unwrap().iter().map(|scope| scope["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["data-read", "data-admin", "open-all"]);
    assert_eq!(names("?q=READ"), ["data-read"]);
    assert_eq!(names("?service=/open"), ["open-all"]);
    assert_eq!(names("?api=data&q=purge"), ["data-admin"]);
    assert_eq!(names("?offset=1&limit=1"), ["data-admin"]);

    let who = ops.see("/who?method=GET&path=/data/acme/x");
    let of =
        |client: &str| who["clients"].as_array().unwrap().iter().find(|one| one["client"] == client).cloned().unwrap();
    assert_eq!((&of("acme")["allowed"], &of("acme")["scope"]), (&json!(true), &json!("data-read")));
    assert_eq!(who["services"][0]["service"], "GET /data/{account}/**");
    let who = ops.see("/who?method=GET&path=/data/globex/x");
    let acme = who["clients"].as_array().unwrap().iter().find(|one| one["client"] == "acme").cloned().unwrap();
    assert_eq!((&acme["allowed"], &acme["reason"]), (&json!(false), &json!("account_forbidden")));
    let who = ops.see("/who?method=DELETE&path=/data/x");
    assert_eq!(who["clients"][0]["wanted"], json!(["data-admin", "data-admin:purge"]));
    assert_eq!(ops.get("/who?path=/a//b").status, 422);
    assert_eq!(ops.get("/who").status, 422);

    let token = Signer::shared().token(json!({ "scope": "data-read", "client_id": "acme", "account_id": "acme" }));
    for (target, status) in [("/data/acme/x", 200), ("/data/globex/x", 403), ("/open/x", 403)] {
        assert_eq!(gateway.get(target, &token).status, status, "{target}");
        // What a request was is recorded after its answer.
        let denials = || ops.see("/denials")["denials"].as_array().unwrap().len();
        wait_for("the refusal", || {
            (denials() == usize::from(target == "/data/globex/x") || target == "/open/x").then_some(())
        });
    }
    let usage = wait_for("the record", || {
        let usage = ops.see("/usage");
        (usage["clients"][0]["usage"]["denied"] == 2).then_some(usage)
    });
    let scopes = usage["scopes"].as_array().unwrap();
    let of = |name: &str| scopes.iter().find(|one| one["scope"] == name).unwrap()["usage"].clone();
    assert_eq!((&of("data-read")["allowed"], &of("data-read")["live"]), (&json!(1), &json!(true)));
    assert_eq!((&of("open-all")["denied"], &of("open-all")["allowed"]), (&json!(1), &json!(0)));
    assert_eq!((&usage["clients"][0]["client"], &usage["clients"][0]["usage"]["allowed"]), (&json!("acme"), &json!(1)));
    let denials = ops.see("/denials");
    let reasons: Vec<_> =
        denials["denials"].as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["scope_insufficient", "account_forbidden"]);
    assert_eq!(denials["denials"][0]["wanted"], json!(["open-all"]));
    assert_eq!(ops.see("/denials?after=1")["denials"].as_array().unwrap().len(), 1);

    let seen = ops.see("/clients/acme");
    assert_eq!((&seen["account"], &seen["reaches"][0]["scope"]), (&json!("acme"), &json!("data-read")));
    assert_eq!(ops.see("/clients")["others"], "refused");
    assert_eq!(ops.see("/registry")["you"]["manages"], false);
    assert_eq!(ops.see("/apis")["apis"][1]["name"], "open");
}

#[test]
fn a_required_scope_says_whom_it_would_shut_out() {
    let gateway = Gateway::start(POLICY);
    let ops = Person::manager(&gateway);
    let preview = ops.change("PATCH", "/scopes/data-admin?dry_run=true", &json!({ "required": true })).json();
    assert_eq!(preview["lacked_by"], json!(["acme", "app"]), "{preview}");
    assert!(preview["advice"].as_array().unwrap().iter().any(|text| text.as_str().unwrap().contains("acme, app")));
    let token = Signer::shared().token(json!({ "scope": "data-admin", "client_id": "app" }));
    assert_eq!(gateway.get("/data/x", &token).status, 200);
    let preview = ops.change("PATCH", "/scopes/data-admin?dry_run=true", &json!({ "required": true })).json();
    assert_eq!(preview["lacked_by"], json!(["acme"]), "{preview}");
    assert!(fields(&ops.change("PATCH", "/scopes/data-admin?dry_run=maybe", &json!({}))).is_empty());
}

#[test]
fn discovery_tells_consent_screens_what_scopes_are() {
    let more = "resource_metadata: { resource: https://api.example.com }\n";
    let gateway = Gateway::start(&format!("{POLICY}{more}"));
    let ops = Person::manager(&gateway);
    let text = json!({ "description": "What is said on consent.", "emphasize": true });
    assert_eq!(ops.change("PATCH", "/scopes/data-read", &text).status, 200);
    assert_eq!(ops.change("PATCH", "/scopes/data-admin", &json!({ "show_in_discovery": false })).status, 200);
    let read = |path: &str| gateway.ask("GET", &format!("/.well-known/oauth-protected-resource{path}"), &[]);
    let whole = read("").json();
    assert_eq!(whole["scopes_supported"], json!(["data-read", "open-all"]));
    assert_eq!(whole["resource"], "https://api.example.com");
    let data = read("/data").json();
    assert_eq!((&data["resource"], &data["resource_name"]), (&json!("https://api.example.com/data"), &json!("Data")));
    let shown = json!([{ "name": "data-read", "display_name": "Read data", "description": "What is said on consent.",
        "required": false, "emphasize": true, "deprecated": false }]);
    assert_eq!((&data["scopes_supported"], &data["scopegate_scopes"]), (&json!(["data-read"]), &shown));
    assert_eq!(data["authorization_servers"], json!(["https://issuer.example", "https://other.example"]));
    assert_eq!(read("/dat").status, 401);
}
