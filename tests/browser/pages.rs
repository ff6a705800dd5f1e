//! Every page for everybody: names for controls, an order for Tab, contrast, no scrolling sideways, on a
//! desk and on a phone, by day and by night.

use std::fs;
use std::path::PathBuf;

use harness::registry::POLICY;
use harness::{Gateway, Signer, now};
use serde_json::json;

use super::access::{LOOKS, faults, tab_faults};
use super::driver::{Browser, Look};
use super::life::signed_in;

/// Scopes with everything that a scope can have, and texts that are long or odd.
const MORE: &str = r#"
      - name: data-use
        display_name: Use the data
        description: Every request must hold it. It grants nothing by itself.
        required: true
      - name: data_export_with_a_name_that_is_longer_than_a_phone_is_wide_by_a_good_deal
        display_name: Export <b>everything</b> & "more"
        description: A description of what this permits that goes on for long enough to need several lines wherever it is shown, even on a wide screen.
        accounts: any
        emphasize: true
        deprecated: true
        show_in_discovery: false
        confidential_only: true
        services:
          - GET,HEAD,POST,PUT,PATCH,DELETE /data/{account}/exports/{export}/parts/{part}/with-a-long-name/**
          - /data/**
        except:
          - "* /data/{account}/exports/secret/**"
        privileges:
          approve: { services: [POST /data/exports/approve] }
          purge: { accounts: own, services: ["DELETE /data/{account}/exports/*"] }
  - name: empty
    display_name: Nothing yet
    base_path: /empty
    upstream: backend
    public: [GET /empty/hello]
"#;

/// A picture of the page, if the environment says where to put it.
fn shoot(browser: &Browser, page: &str, look: Look) {
    if let Some(folder) = std::env::var_os("SCOPEGATE_SHOTS").map(PathBuf::from) {
        fs::create_dir_all(&folder).unwrap();
        browser.shoot(&folder.join(format!("{page}-{}.png", look.name)), look);
    }
}

/// All that is wrong with the page that the browser shows, in any look.
fn see(browser: &Browser, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for look in LOOKS {
        browser.look(look);
        found.extend(faults(browser, page, look));
        shoot(browser, page, look);
    }
    browser.look(LOOKS[0]);
    found.extend(tab_faults(browser, page));
    found
}

#[test]
fn every_page_can_be_used_by_everybody() {
    let open = "\n  - name: open\n";
    let gateway = Gateway::start(&POLICY.replace(open, &format!("{}{open}", MORE.trim_end())));
    let token = Signer::shared().token(
        json!({ "scope": "data-read data-use", "client_id": "acme", "account_id": "acme", "exp": now() + 3600 }),
    );
    for (path, status) in [("/data/acme/x", 200), ("/data/other/x", 403), ("/data", 403)] {
        assert_eq!(gateway.get(path, &token).status, status, "{path}");
    }
    let browser = signed_in(&gateway, "scopegate:manage");
    let mut wrong = Vec::new();
    let long = "data_export_with_a_name_that_is_longer_than_a_phone_is_wide_by_a_good_deal";
    for (page, path) in [
        ("apis", "apis".to_owned()),
        ("api", "apis/data".to_owned()),
        ("api-empty", "apis/empty".to_owned()),
        ("scope", "scopes/data-read".to_owned()),
        ("scope-long", format!("scopes/{long}")),
        ("form-new", "apis/data/new".to_owned()),
        ("form-edit", format!("scopes/{long}/edit")),
        ("delete", format!("scopes/{long}/delete")),
        ("delete-refused", "scopes/data-read/delete".to_owned()),
        ("search", "search".to_owned()),
        ("search-found", "search?q=data".to_owned()),
        ("search-nothing", "search?q=zebra".to_owned()),
        ("missing", "scopes/zebra".to_owned()),
        ("clients", "clients".to_owned()),
        ("client", "clients/acme".to_owned()),
        ("who", "who".to_owned()),
        ("who-can", "who?method=GET&path=/data/acme/x".to_owned()),
        ("matrix", "matrix".to_owned()),
        ("usage", "usage".to_owned()),
        ("denials", "denials".to_owned()),
        ("policy", "policy".to_owned()),
    ] {
        browser.go(&format!("http://{}/console/{path}", gateway.admin));
        wrong.extend(see(&browser, page));
    }

    // With the menu of a phone open.
    browser.look(LOOKS[2]);
    browser.go(&format!("http://{}/console/apis", gateway.admin));
    browser.click(".menu summary");
    wrong.extend(see(&browser, "menu"));

    // What forms come to.
    browser.go(&format!("http://{}/console/apis/data/new", gateway.admin));
    browser.fill("#services", "GETT /data\n/elsewhere\nGET /data/**");
    browser.press("Add a privilege");
    browser.wait_for_text("legend", "New privilege");
    browser.fill("[name=privilege_services]", "GET /data/x");
    browser.press("Review");
    browser.wait_for_text("#refusal h2", "things are wrong");
    wrong.extend(see(&browser, "form-refused"));

    browser.go(&format!("http://{}/console/apis/data/new", gateway.admin));
    browser.fill("#name", "Data-New");
    browser.fill("#services", "GET,POST /data/{account}/**");
    browser.click("#required");
    browser.wait_for_text("#live", "would be shut out");
    shoot(&browser, "form-live", LOOKS[0]);
    browser.press("Review");
    browser.wait_for_text("h1", "Add Data-New?");
    wrong.extend(see(&browser, "review"));

    // Somebody else changes the file meanwhile.
    browser.go(&format!("http://{}/console/scopes/data-read/edit", gateway.admin));
    browser.fill("#description", "Mine.");
    let text = fs::read_to_string(gateway.file()).unwrap();
    gateway.replace_file(&text.replace("display_name: Read data\n", "display_name: Read all data\n"));
    gateway.wait_for_policy("the new text", |policy| policy["generation"] == 2);
    browser.press("Review");
    browser.wait_for_text("#refusal h2", "Somebody changed the file meanwhile");
    wrong.extend(see(&browser, "form-outdated"));

    // The file has a text that is no good.
    gateway.replace_file(&format!("{text}\nnonsense: true\n"));
    gateway.wait_for_policy("the mistake", |policy| !policy["last_error"].is_null());
    browser.press("Review");
    browser.wait_for_text("#refusal h2", "not in force");
    wrong.extend(see(&browser, "form-file-changed"));
    browser.press("Sign out");
    browser.wait_for_text("h1", "Sign in");
    wrong.extend(see(&browser, "sign-in"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
