//! What the registry refuses: people who may not, texts that are no good, files that are not what they
//! were. Nothing is written.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::harness::{Gateway, Signer, encode, now};
use crate::registry::Person;
use ::harness::registry::POLICY;

#[test]
fn only_a_token_of_the_named_issuer_with_the_right_scope_opens_it() {
    let gateway = Gateway::start(POLICY);
    let first = fs::read_to_string(gateway.file()).unwrap();
    let token = |claims: Value| Signer::shared().token(claims);
    let manage = "scopegate:manage";
    let good = token(json!({ "scope": manage }));
    let other = token(json!({ "scope": manage, "iss": "https://other.example" }));
    let expired = token(json!({ "scope": manage, "exp": 1 }));
    let view = token(json!({ "scope": "scopegate:view" }));
    let nothing = token(json!({ "scope": "data-admin" }));
    let etag = Person::manager(&gateway).etag();
    let body = json!({ "name": "x", "services": ["/open/x"] }).to_string();
    for (who, authorization, see, change, reason) in [
        ("nobody", None, 401, 401, "token_missing"),
        ("no token", Some("Bearer x".to_owned()), 401, 401, "token_malformed"),
        ("basic", Some("Basic eDp5".to_owned()), 401, 401, "token_missing"),
        ("another issuer", Some(format!("Bearer {other}")), 401, 401, "issuer_unknown"),
        ("expired", Some(format!("Bearer {expired}")), 401, 401, "token_expired"),
        ("other scopes", Some(format!("Bearer {nothing}")), 403, 403, "scope_insufficient"),
        ("a viewer", Some(format!("Bearer {view}")), 200, 403, "scope_insufficient"),
        ("a manager", Some(format!("Bearer {good}")), 200, 201, ""),
    ] {
        let mut headers = vec![("If-Match", &*etag), ("Content-Type", "application/json")];
        headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
        for path in ["/api/v1/apis", "/api/v1/denials", "/api/v1/registry", "/api/v1/who?path=/open/x"] {
            let seen = gateway.ask_admin("GET", path, &headers, b"");
            assert_eq!(seen.status, see, "{who}: {seen:?}");
            assert_eq!(seen.header("www-authenticate").is_some(), see != 200, "{who}");
        }
        assert!(who == "a manager" || fs::read_to_string(gateway.file()).unwrap() == first);
        let changed = gateway.ask_admin("POST", "/api/v1/apis/open/scopes", &headers, body.as_bytes());
        assert_eq!(changed.status, change, "{who}: {changed:?}");
        assert!(change == 201 || changed.reason() == reason, "{who}: {changed:?}");
    }
    for path in ["/healthz", "/readyz", "/metrics", "/policy", "/api/v1/openapi.json"] {
        assert_eq!(gateway.admin(path).status, 200, "{path}");
    }
}

#[test]
fn a_token_that_is_bound_to_a_key_comes_with_one_proof_of_it() {
    let gateway = Gateway::start(POLICY);
    let signer = Signer::shared();
    let key = signer.jwks()["keys"][1].clone();
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": key["x"], "y": key["y"] });
    // Its members are in the order of RFC 7638 already.
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, key["x"], key["y"]);
    let hash = |text: &str| encode(digest(&SHA256, text.as_bytes()).as_ref());
    let token = signer.token(json!({ "scope": "scopegate:view", "cnf": { "jkt": hash(&canonical) } }));
    let proof = |id: &str| {
        let htu = format!("http://{}/api/v1/apis", gateway.admin);
        let payload = json!({ "jti": id, "htm": "GET", "htu": htu, "iat": now(), "ath": hash(&token) });
        signer.sign(&json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": jwk }), &payload)
    };
    let authorization = format!("DPoP {token}");
    let ask = |proofs: &[&str]| {
        let mut headers = vec![("Authorization", &*authorization)];
        headers.extend(proofs.iter().map(|proof| ("DPoP", *proof)));
        gateway.ask_admin("GET", "/api/v1/apis", &headers, b"").status
    };
    let (one, other) = (proof("one"), proof("other"));
    assert_eq!(ask(&[&one, "x"]), 401);
    assert_eq!(ask(&[&one, &other]), 401);
    assert_eq!((ask(&[&one]), ask(&[&one]), ask(&[])), (200, 401, 401));
}

#[test]
fn without_access_it_is_off_and_says_how_to_switch_it_on() {
    let gateway = Gateway::start(&POLICY.replace("  access:", "  # access:"));
    let good = Signer::shared().token(json!({ "scope": "scopegate:manage" }));
    let authorization = format!("Bearer {good}");
    for path in ["/api/v1/apis", "/api/v1/openapi.json", "/api/v1/nothing"] {
        let seen = gateway.ask_admin("GET", path, &[("Authorization", &authorization)], b"");
        assert_eq!((seen.status, seen.reason()), (404, "registry_off".to_owned()), "{path}");
        assert!(seen.json()["detail"].as_str().unwrap().contains("access: { issuer"));
    }
    // As any other key, it is live without a restart.
    gateway.rewrite(POLICY);
    gateway.wait_for_policy("the access", |policy| policy["generation"] == 2);
    assert_eq!(Person::manager(&gateway).get("/apis").status, 200);
}

#[test]
fn bad_input_gets_a_message_for_each_field_and_writes_nothing() {
    let gateway = Gateway::start(POLICY);
    let ops = Person::manager(&gateway);
    let first = fs::read_to_string(gateway.file()).unwrap();
    let etag = ops.etag();
    let long = "x".repeat(300);
    let cases: [(&str, &str, Value, u16, &[(&str, &str)]); 25] = [
        ("POST", "/apis/open/scopes", json!({}), 422, &[("name", "`name` is missing")]),
        ("POST", "/apis/open/scopes", json!({ "name": "" }), 422, &[("name", "it is empty")]),
        ("POST", "/apis/open/scopes", json!({ "name": "a b" }), 422, &[("name", "' '")]),
        ("POST", "/apis/open/scopes", json!({ "name": long }), 422, &[("name", "300 bytes long")]),
        ("POST", "/apis/open/scopes", json!({ "name": "data-read" }), 422, &[("name", "already")]),
        ("POST", "/apis/open/scopes", json!({ "name": "Data-READ" }), 422, &[("name", "whatever the letter case")]),
        (
            "POST",
            "/apis/open/scopes",
            json!({ "name": 5, "services": 7 }),
            422,
            &[("name", "a text"), ("services", "a list")],
        ),
        ("POST", "/apis/open/scopes", json!({ "name": "x", "colour": 1 }), 422, &[("colour", "no such field")]),
        (
            "POST",
            "/apis/open/scopes",
            json!({ "name": "x\u{7}", "description": "<script>alert(1)</script>", "display_name": "a\u{202e}b" }),
            422,
            &[("name", "\\u{7}"), ("display_name", "\\u{202e}"), ("description", "markup")],
        ),
        (
            "POST",
            "/apis/data/scopes",
            json!({ "name": "x", "services": ["GET /open/{account}", "GTE /data/{account}", "GET /data/x", "/data/../x"] }),
            422,
            &[
                ("services[0]", "outside the api's base path"),
                ("services[1]", "perhaps `GET` is meant"),
                ("services[2]", "does not name the account"),
                ("services[3]", "dot"),
            ],
        ),
        ("POST", "/apis/open/scopes", json!({ "name": "x", "accounts": "own" }), 422, &[("accounts", "own accounts")]),
        (
            "POST",
            "/apis/open/scopes",
            json!({ "name": "x", "accounts": "all" }),
            422,
            &[("accounts", "`own` or `any`")],
        ),
        (
            "POST",
            "/apis/open/scopes",
            json!({ "name": "x", "privileges": { "a:b": { "services": [] } } }),
            422,
            &[("privileges.a:b", "not a privilege's name")],
        ),
        ("POST", "/apis/nothing/scopes", json!({ "name": "x" }), 404, &[]),
        ("PUT", "/scopes/nothing", json!({ "name": "x" }), 404, &[]),
        ("PATCH", "/scopes/data-read", json!({ "name": "other" }), 422, &[("name", "set once")]),
        (
            "PATCH",
            "/scopes/data-read",
            json!({ "required": "yes", "name": "x" }),
            422,
            &[("name", "set once"), ("required", "`true`")],
        ),
        ("PATCH", "/apis/open", json!({ "scopes": [] }), 422, &[("scopes", "one by one")]),
        (
            "PATCH",
            "/apis/data",
            json!({ "base_path": "/other" }),
            422,
            &[
                ("scopes[0].services[0]", "outside"),
                ("scopes[1].services[0]", "outside"),
                ("scopes[1].privileges.purge.services[0]", "outside"),
            ],
        ),
        ("DELETE", "/scopes/open-all", Value::Null, 422, &[("", "neither `scopes` nor `public`")]),
        ("DELETE", "/scopes/data-read", Value::Null, 409, &[]),
        ("DELETE", "/apis/data", Value::Null, 409, &[]),
        ("POST", "/clients", json!({ "id": "x", "scopes": ["nothing"] }), 422, &[("scopes[0]", "no api defines")]),
        ("POST", "/clients", json!({ "id": "acme" }), 422, &[("id", "already")]),
        ("DELETE", "/clients/nobody", Value::Null, 404, &[]),
    ];
    for (method, path, body, status, expected) in &cases {
        let refused = ops.send(method, path, &etag, body.to_string().as_bytes());
        assert_eq!(refused.status, *status, "{method} {path} {body}: {refused:?}");
        let errors = refused.json()["errors"].as_array().cloned().unwrap_or_default();
        assert_eq!(errors.len(), expected.len(), "{method} {path} {body}: {refused:?}");
        for (error, (field, message)) in errors.iter().zip(*expected) {
            assert_eq!(error["field"], *field, "{body}: {error}");
            assert!(error["message"].as_str().unwrap().contains(message), "{body}: {error}");
        }
        assert_eq!(fs::read_to_string(gateway.file()).unwrap(), first, "{body}");
    }
    for (body, status) in [
        (format!("{{\"name\": \"{}\"}}", "x".repeat(10 << 20)), 413),
        (format!("{{\"name\": \"x\", \"services\": {}1{}}}", "[".repeat(1000), "]".repeat(1000)), 400),
        ("[]".to_owned(), 400),
        ("{".to_owned(), 400),
        (String::new(), 400),
        ("\u{0}".to_owned(), 400),
    ] {
        let refused = gateway_refuses(&ops, &etag, body.as_bytes());
        assert_eq!(refused, Some(status), "{}", &body[..body.len().min(40)]);
    }
    let authorization = format!("Bearer {}", ops.token);
    let form = [("Authorization", &*authorization), ("If-Match", &etag), ("Content-Type", "text/plain")];
    assert_eq!(gateway.ask_admin("POST", "/api/v1/apis/open/scopes", &form, b"{}").status, 415);
    assert_eq!(fs::read_to_string(gateway.file()).unwrap(), first);
    assert_eq!(gateway.admin("/policy").json()["generation"], 1);
}

/// The status; a body that is not read to its end may break the connection before the answer.
fn gateway_refuses(ops: &Person<'_>, etag: &str, body: &[u8]) -> Option<u16> {
    let authorization = format!("Bearer {}", ops.token);
    let headers = [("Authorization", &*authorization), ("If-Match", etag), ("Content-Type", "application/json")];
    let answer = ops.gateway.try_ask_admin("POST", "/api/v1/apis/open/scopes", &headers, body);
    answer.map(|answer| answer.status).or((body.len() > 1 << 20).then_some(413))
}

#[test]
fn a_change_rests_on_the_text_that_was_seen() {
    let gateway = Gateway::start(POLICY);
    let ops = Person::manager(&gateway);
    let patch = json!({ "emphasize": true });
    let authorization = format!("Bearer {}", ops.token);
    let kind = ("Content-Type", "application/json");
    let path = "/api/v1/scopes/data-read";
    let bare = [("Authorization", &*authorization), kind];
    let refused = gateway.ask_admin("PATCH", path, &bare, patch.to_string().as_bytes());
    assert_eq!((refused.status, refused.reason()), (428, "condition_missing".to_owned()));
    let seen = ops.etag();
    for (etag, status) in
        [("*", 428), ("\"abc\"", 412), (&*format!("W/{seen}"), 412), (&*format!("\"{:064}\"", 0), 412)]
    {
        assert_eq!(ops.send("PATCH", "/scopes/data-read", etag, patch.to_string().as_bytes()).status, status, "{etag}");
    }
    assert_eq!(ops.send("PATCH", "/scopes/data-read", &seen, patch.to_string().as_bytes()).status, 200);
    let again = ops.send("PATCH", "/scopes/data-read", &seen, patch.to_string().as_bytes());
    assert_eq!((again.status, again.reason()), (412, "changed_meanwhile".to_owned()));

    // Ops edit the file, and not well: it is not overwritten, and what is wrong with it is said.
    let etag = ops.etag();
    let broken = fs::read_to_string(gateway.file()).unwrap().replace("upstream: backend", "upstream: bakend");
    fs::write(gateway.file(), &broken).unwrap();
    let refused = ops.send("PATCH", "/scopes/data-read", &etag, json!({ "emphasize": null }).to_string().as_bytes());
    assert_eq!((refused.status, refused.reason()), (409, "file_changed".to_owned()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("perhaps `backend` is meant"), "{refused:?}");
    assert_eq!(fs::read_to_string(gateway.file()).unwrap(), broken);
}

#[test]
fn a_file_that_is_not_for_writing_makes_it_read_only_with_a_patch_to_copy() {
    let gateway = Gateway::start(POLICY);
    let ops = Person::manager(&gateway);
    let first = fs::read_to_string(gateway.file()).unwrap();
    assert_eq!(ops.see("/registry")["writable"], true);
    fs::set_permissions(gateway.file(), fs::Permissions::from_mode(0o444)).unwrap();
    let patch = json!({ "emphasize": true });
    let check = |why: &str| {
        let seen = ops.see("/registry");
        assert_eq!(seen["writable"], false);
        assert!(seen["read_only_because"].as_str().unwrap().contains(why), "{seen}");
        let refused = ops.change("PATCH", "/scopes/data-read", &patch);
        assert_eq!((refused.status, refused.reason()), (409, "read_only".to_owned()), "{refused:?}");
        let diff = refused.json()["patch"].as_str().unwrap().to_owned();
        assert!(diff.contains("\n+        emphasize: true\n") && diff.starts_with("--- a/gateway.yaml\n"), "{diff}");
        assert_eq!(fs::read_to_string(gateway.file()).unwrap(), first);
    };
    check("read-only");
    let folder = gateway.folder.path();
    fs::create_dir(folder.join("..2026_11")).unwrap();
    fs::write(folder.join("..2026_11/gateway.yaml"), &first).unwrap();
    symlink("..2026_11", folder.join("..data")).unwrap();
    symlink("..data/gateway.yaml", folder.join("link")).unwrap();
    fs::rename(folder.join("link"), gateway.file()).unwrap();
    check("ConfigMap");
}

#[test]
fn the_description_names_exactly_the_routes_that_there_are() {
    let gateway = Gateway::start(POLICY);
    let document = gateway.admin("/api/v1/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 13);
    for (path, item) in paths {
        let target = path.replace(['{', '}'], "");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let answer = gateway.ask_admin(method, &target, &[("Content-Type", "application/json")], b"{}");
            let expected = match item.get(method.to_ascii_lowercase()) {
                None => 405,
                Some(_) if path.ends_with("openapi.json") => 200,
                Some(_) => 401,
            };
            assert_eq!(answer.status, expected, "{method} {path}: {answer:?}");
        }
    }
    for path in ["/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/apis", "/api/v1/apis/a/b"] {
        assert_eq!(gateway.admin(path).status, 404, "{path}");
    }
}
