//! What becomes of the text of a file by a change.

use serde_json::json;

use super::*;

/// With every layout that people have written so far.
const FILE: &str = include_str!("../../../gateway.yaml");

fn sent(value: &Json) -> Map<String, Json> {
    value.as_object().cloned().unwrap()
}

fn scopes() -> Vec<String> {
    let file = yaml::value_of(FILE).unwrap();
    let apis = file["apis"].as_sequence().unwrap();
    let scopes = apis.iter().flat_map(|api| api["scopes"].as_sequence().unwrap());
    scopes.map(|scope| scope["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_done_to_a_scope_of_the_file_can_be_undone_to_the_byte() {
    for name in scopes() {
        let target = Target::Scope(name);
        let new = json!({ "deprecated": true, "privileges": { "more": { "services": ["GET /x"] } } });
        let done = Change::Patch(target.clone(), sent(&new)).plan(FILE).unwrap();
        assert!(done.text.lines().count() > FILE.lines().count());
        let before = serde_json::to_value(done.before.unwrap()).unwrap();
        let undone = Change::Put(target.clone(), sent(&before)).plan(&done.text).unwrap();
        assert_eq!(undone.text, FILE, "{target:?}");
    }
}

#[test]
fn a_scope_that_is_deleted_takes_its_own_lines_with_it_and_no_others() {
    for name in scopes() {
        let deleted = Change::Delete(Target::Scope(name.clone())).plan(FILE).unwrap();
        let mut left = FILE.lines();
        // An only scope leaves an empty list.
        let mut lines = deleted.text.lines().filter(|line| *line != "    scopes: []");
        assert!(lines.all(|line| left.any(|own| own == line)), "{name}");
        let comments = |text: &str| text.lines().filter(|line| line.trim_start().starts_with('#')).count();
        assert_eq!(comments(&deleted.text), comments(FILE), "{name}");
    }
}

#[test]
fn what_was_seen_and_is_sent_back_changes_nothing() {
    let whole = json!({ "name": "read_user_data", "display_name": "Read User Data", "required": false, "emphasize": false,
        "description": "Allows reading basic user information.", "accounts": "any", "show_in_discovery": true,
        "deprecated": false, "confidential_only": false, "services": ["GET /directory/users/**"], "except": [],
        "privileges": {} });
    let planned = Change::Put(Target::Scope("READ_user_data".to_owned()), sent(&whole)).plan(FILE);
    let errors = [FieldError { field: "name".to_owned(), message: String::new() }];
    // The name in the address may be in any case; the one in the body is the file's.
    let same = |planned: Planned| planned.text == FILE && planned.target.parts() == ("scope", "read_user_data");
    assert_eq!(planned.map(same).map_err(|_| errors), Ok(true));
}

#[test]
fn clients_and_apis_change_as_scopes_do() {
    let acme = Target::Client("acme-integration".to_owned());
    let patch = sent(&json!({ "scopes": ["wk-dgs-core-read"], "account": null }));
    let planned = Change::Patch(acme, patch).plan(FILE).unwrap();
    let expected = FILE.replacen(
        "    account: acme\n    scopes: [wk-ezcfg-pkg-pkt-read, wk-ezcfg-def-data-read, wk-dgs-core-read]",
        "    scopes: [wk-dgs-core-read]",
        1,
    );
    assert_eq!(planned.text, expected);
    let api = Target::Api("wirewheel".to_owned());
    let planned = Change::Patch(api, sent(&json!({ "insufficient_scope_status": null }))).plan(FILE).unwrap();
    assert_eq!(planned.text, FILE.replacen("    insufficient_scope_status: 401\n", "", 1));
    let none = Change::CreateClient(sent(&json!({ "id": "x" }))).plan("version: 1\napis: []\n");
    assert_eq!(none, Err(NotPlanned::NoClients));
}
