//! The whole life of a scope, by hand: what a person does in the console, and what becomes of the file
//! and of requests.

use std::fs;

use harness::registry::POLICY;
use harness::{Gateway, Response, Signer, now, wait_for};
use serde_json::json;

use super::access::{LOOKS, faults};
use super::driver::Browser;

/// A browser whose user has signed in by a token with this scope.
pub(crate) fn signed_in(gateway: &Gateway, scope: &str) -> Browser {
    let browser = Browser::open();
    let token = Signer::shared().token(json!({ "scope": scope, "sub": "ada", "client_id": "console" }));
    browser.go(&format!("http://{}/console/sign-in", gateway.admin));
    browser.fill("[name=token]", &token);
    browser.press("Sign in with this token");
    browser.wait_for_text("h1", "APIs");
    browser
}

fn send(gateway: &Gateway, method: &str, token: &str) -> Response {
    gateway.ask(method, "/data/acme/x", &[("Authorization", &format!("Bearer {token}"))])
}

#[test]
fn a_scope_lives_from_an_empty_form_to_its_deletion_with_and_without_scripts() {
    for scripts in [true, false] {
        live(scripts);
    }
}

fn live(scripts: bool) {
    let gateway = Gateway::start(POLICY);
    let text = || fs::read_to_string(gateway.file()).unwrap();
    let first = text();
    let browser = signed_in(&gateway, "scopegate:manage");
    browser.scripts(scripts);

    // An empty form is refused, with what is wrong above it and at the field, and nothing is written.
    browser.press("Data");
    browser.press("Add scope");
    browser.press("Review");
    browser.wait_for_text("#refusal h2", "One thing is wrong");
    assert_eq!(browser.place(), "/console/apis/data/new");
    assert!(browser.text("#refusal li").starts_with("Name: it is empty"));
    assert!(browser.text("#name-error").contains("it is empty"));
    assert_eq!(browser.run("return document.getElementById('name').ariaInvalid", &[]), "true");
    if scripts {
        assert_eq!(browser.run("return document.activeElement.id", &[]), "refusal");
    }
    assert_eq!(faults(&browser, "the refused form", LOOKS[0]), Vec::<String>::new());
    browser.press("Name");
    assert_eq!(browser.run("return document.activeElement.id", &[]), "name");
    assert_eq!(text(), first);

    // The tester shows what a pattern takes in.
    browser.fill("#name", "data-write");
    browser.fill("#display_name", "Write data");
    browser.fill("#description", "Changes the data of the caller's own account.");
    browser.fill("#services", "GET,POST /data/{account}/**");
    if !scripts {
        browser.press("Test the patterns");
    }
    browser.wait_for_text("#live .taken", "takes in");
    browser.wait_for_text("#live", "both reading and changing");
    browser.fill("#services", "POST /data/{account}/**");

    // What would change is shown first.
    browser.press("Review");
    browser.wait_for_text("h1", "Add data-write?");
    browser.wait_for_text(".diff .more", "- name: data-write");
    assert_eq!(text(), first);
    // Each is used at once, however slow the browser is.
    let fresh = || {
        let claims = json!({ "scope": "data-write", "client_id": "app", "account_id": "acme", "exp": now() + 30 });
        Signer::shared().token(claims)
    };
    assert_eq!(send(&gateway, "POST", &fresh()).reason(), "scope_insufficient");

    // Added, and live with the next request.
    browser.press("Add scope");
    browser.wait_for_text("[role=status]", "The scope was added");
    assert_eq!(send(&gateway, "POST", &fresh()).status, 200);
    let added = "      - name: data-write\n        display_name: Write data\n        description: Changes the data of the caller's own account.\n        services:\n          - POST /data/{account}/**\n";
    assert_eq!(text().replacen(added, "", 1), first);

    // Edited: the name is not.
    browser.press("Edit");
    assert_eq!(browser.run("return document.getElementById('name').readOnly", &[]), true);
    browser.fill("#services", "POST /data/{account}/**\nPUT /data/{account}/*");
    browser.press("Review");
    browser.wait_for_text("h1", "Change data-write?");
    browser.press("Save");
    browser.wait_for_text("[role=status]", "The change was saved");
    assert_eq!(send(&gateway, "PUT", &fresh()).status, 200);
    let edited = format!("{added}          - PUT /data/{{account}}/*\n");
    assert_eq!(text().replacen(&edited, "", 1), first);

    // A token carries it: it cannot go, and is deprecated instead.
    browser.press("Delete");
    browser.wait_for_text("h1", "cannot be deleted now");
    assert!(
        browser.text("#refusal").contains("Unexpired tokens carry data-write until"),
        "{}",
        browser.text("#refusal")
    );
    assert!(browser.text("#refusal li").starts_with("app has a token"), "{}", browser.text("#refusal"));
    assert_eq!(browser.all("form[action$='/delete']"), Vec::<String>::new());
    browser.press("Deprecate");
    browser.wait_for_text("[role=status]", "The scope is deprecated now");
    browser.wait_for_text(".badge.deprecated", "deprecated");
    let (token, expires) = (fresh(), now() + 30);
    assert_eq!(send(&gateway, "POST", &token).status, 200);
    let lines = text();
    assert!(lines.contains("\n        deprecated: true\n"), "{lines}");
    let ours = |line: &&str| edited.contains(*line) || line.trim() == "deprecated: true";
    let others = lines.lines().filter(|line| !ours(line)).collect::<Vec<_>>();
    assert_eq!(others, first.lines().filter(|line| !ours(line)).collect::<Vec<_>>());

    // One that a client lists cannot go either, whoever has a token.
    browser.go(&format!("http://{}/console/scopes/data-read/delete", gateway.admin));
    browser.wait_for_text("#refusal li", "acme lists it");

    // Deleted once the token has expired, and the file is what it was.
    wait_for("the token to be old", || (now() + 15 > expires).then_some(()));
    wait_for("the token to expire", || (send(&gateway, "POST", &token).reason() == "token_expired").then_some(()));
    browser.go(&format!("http://{}/console/scopes/data-write/delete", gateway.admin));
    browser.wait_for_text("h1", "Delete this scope?");
    browser.press("Delete scope");
    browser.wait_for_text("[role=status]", "The scope was deleted");
    assert_eq!(browser.place(), "/console/apis/data?done=deleted");
    assert_eq!(text(), first);
}
