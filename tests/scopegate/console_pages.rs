//! The pages of the console that show: what they say, to whom, and that nothing in them is taken for
//! markup.

use serde_json::json;

use crate::harness::{Gateway, Signer, wait_for};
use crate::registry::Person;
use crate::visitor::{Visitor, form, text};
use ::harness::registry::POLICY;

/// Every page that only shows.
const PAGES: [&str; 13] = [
    "/console/apis",
    "/console/apis/data",
    "/console/scopes/data-read",
    "/console/search?q=data",
    "/console/who",
    "/console/who?method=GET&path=/data/acme/x",
    "/console/clients",
    "/console/clients/acme",
    "/console/matrix",
    "/console/matrix?api=open",
    "/console/usage",
    "/console/denials",
    "/console/policy",
];

/// The rows of a page's tables, without their markup.
fn rows(page: &str) -> Vec<String> {
    let rows = page.split("<tr").skip(1).map(|row| row.split("</tr>").next().unwrap());
    rows.map(|row| words(row.split_once('>').map_or("", |(_, rest)| rest))).collect()
}

fn words(markup: &str) -> String {
    let mut text = String::new();
    for (place, part) in markup.split('<').enumerate() {
        text += " ";
        text += if place == 0 { part } else { part.split_once('>').map_or("", |(_, rest)| rest) };
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check_row(page: &str, begin: &str, parts: &[&str]) {
    let rows = rows(page);
    let row = rows.iter().find(|row| row.starts_with(begin)).unwrap_or_else(|| panic!("no row {begin}: {rows:#?}"));
    for part in parts {
        assert!(row.contains(part), "{part}: {row}");
    }
}

#[test]
fn whoever_may_look_sees_every_page_and_no_page_has_a_script_or_style_in_it() {
    let gateway = Gateway::start(POLICY);
    let mut viewer = Visitor::viewer(&gateway);
    for path in PAGES {
        let page = viewer.see(path);
        assert!(page.starts_with("<!doctype html>") && page.contains("<html lang=\"en\">"), "{path}");
        assert!(page.contains("<h1") && page.contains("<main id=\"main\""), "{path}: {page}");
        assert_eq!(page.matches("<script").count(), 1, "{path}");
        assert!(page.contains("<script src=\"/console/assets/console.js\" defer></script>"), "{path}");
        for banned in ["<style", " style=", " onclick=", " onload=", "javascript:", "src=\"http", "href=\"http", "url("]
        {
            assert!(!page.contains(banned), "{path}: {banned}");
        }
    }
    for path in ["/console/clients/nobody", "/console/apis/nothing", "/console/scopes/nothing"] {
        assert_eq!(viewer.get(path).status, 404, "{path}");
    }
}

#[test]
fn clients_are_shown_with_what_each_can_reach() {
    let gateway = Gateway::start(POLICY);
    let mut viewer = Visitor::viewer(&gateway);
    let page = viewer.see("/console/clients");
    check_row(&page, "acme", &["acme acme 1 scope 1 0 0 never"]);
    check_row(&page, "app", &["its token’s", "what its token says"]);
    assert!(page.contains("No other gets through"), "{page}");
    let page = words(&viewer.see("/console/clients/acme"));
    assert!(page.contains("data-read own account GET /data/ {account} / **"), "{page}");
    assert!(!page.contains("data-admin"), "{page}");
    let page = words(&viewer.see("/console/clients/app"));
    assert!(page.contains("data-admin any account") && page.contains("data-admin:purge"), "{page}");
}

#[test]
fn a_method_and_a_path_are_answered_with_who_can_and_why_not() {
    let gateway = Gateway::start(POLICY);
    let mut viewer = Visitor::viewer(&gateway);
    let page = viewer.see("/console/who?method=GET&path=/data/acme/x");
    check_row(&page, "acme account acme", &["yes", "by data-read"]);
    check_row(&page, "app", &["yes"]);
    check_row(&page, "GET /data/ {account} / **", &["data-read", "data, own account", "takes it"]);
    let page = viewer.see("/console/who?method=DELETE&path=/data/acme");
    check_row(
        &page,
        "acme account acme",
        &["no", "No scope that is held grants it", "scope_insufficient", "data-admin"],
    );
    assert!(words(&page).contains("1 of 2 can"), "{page}");
    let page = viewer.see("/console/who?method=GET&path=/data/globex/x");
    check_row(&page, "acme account acme", &["no", "The account is another’s"]);
    let page = viewer.see("/console/who?method=GET&path=/nowhere");
    assert!(page.contains("The gateway answers 404, whoever asks"), "{page}");
    for (path, why) in [("/data/../etc", "no such request is judged"), ("/data/%00", "no such request is judged")] {
        let refused = viewer.get(&format!("/console/who?{}", form(&[("method", "GET"), ("path", path)])));
        assert_eq!(refused.status, 422, "{path}");
        assert!(text(&refused).contains(why), "{}", text(&refused));
    }
    let refused = viewer.get(&format!("/console/who?{}", form(&[("method", "a b"), ("path", "/data/x")])));
    assert_eq!(refused.status, 422);
}

#[test]
fn use_and_denials_are_shown_as_they_happen() {
    let gateway = Gateway::start(POLICY);
    let mut viewer = Visitor::viewer(&gateway);
    assert!(viewer.see("/console/denials").contains("Nothing was refused"));
    let token = Signer::shared().token(json!({ "scope": "data-read", "client_id": "acme", "sub": "robot" }));
    assert_eq!(gateway.get("/data/acme/x", &token).status, 200);
    assert_eq!(gateway.get("/data/globex/x?secret=1", &token).status, 403);
    // What a request was is recorded after its answer.
    wait_for("a refusal", || viewer.see("/console/denials").contains("data-number=\"1\"").then_some(()));
    assert_eq!(gateway.ask("POST", "/data/acme/y", &[("Authorization", &format!("Bearer {token}"))]).status, 403);
    let page = wait_for("two refusals", || {
        let page = viewer.see("/console/denials");
        (page.matches("data-number=").count() == 2).then_some(page)
    });
    let seen = rows(&page);
    assert!(seen[1].contains("POST /data/acme/y") && seen[1].contains("would do: data-admin"), "{seen:#?}");
    assert!(seen[1].contains("403 scope_insufficient") && seen[1].contains("acme · robot"), "{seen:#?}");
    assert!(seen[2].contains("GET /data/globex/x") && seen[2].contains("account globex"), "{seen:#?}");
    assert!(!page.contains("secret=1"), "{page}");
    // What a script asks for: those after the newest that it has.
    let newer = viewer.see("/console/denials?after=1");
    assert_eq!((newer.matches("data-number=").count(), newer.contains("data-number=\"2\"")), (1, true), "{newer}");

    let page = viewer.see("/console/usage");
    check_row(&page, "data-read", &["data-read 1 0 20", "UTC", "live"]);
    check_row(&page, "data-admin", &["data-admin 0 1 never never"]);
    check_row(&page, "acme", &["acme 1 2 20"]);
    let page = viewer.see("/console/clients");
    check_row(&page, "acme", &["1 scope 1 1 2 20"]);
}

#[test]
fn the_matrix_says_which_scope_grants_which_endpoint() {
    let gateway = Gateway::start(POLICY);
    let mut viewer = Visitor::viewer(&gateway);
    let page = viewer.see("/console/matrix?api=data");
    check_row(&page, "Endpoint", &["data-read data-admin data-admin:purge"]);
    check_row(&page, "GET /data/ {account} / **", &["● own account ■ any account ○ by the scope that it includes"]);
    check_row(&page, "DELETE /data/ *", &["· no ■ any account ■ any account"]);
    let page = viewer.see("/console/matrix?api=open");
    check_row(&page, "every /open/ **", &["■ any account"]);
    // One that is not there shows the first.
    assert!(viewer.see("/console/matrix?api=%3Cb%3E").contains("/console/apis/data"));
}

#[test]
fn the_policy_page_tells_what_became_of_each_text() {
    let gateway = Gateway::start(POLICY);
    let mut ops = Visitor::manager(&gateway);
    check_row(&ops.see("/console/policy"), "20", &["in force as generation 1 now"]);
    let text_of_file = std::fs::read_to_string(gateway.file()).unwrap();
    gateway.replace_file(&text_of_file.replace("base_path: /open", "base_path: <b>open</b>"));
    let page = wait_for("the refusal", || {
        let page = ops.see("/console/policy");
        page.contains(">refused<").then_some(page)
    });
    assert!(page.contains("&#60;b&#62;open") && !page.contains("<b>open"), "{page}");
    assert!(words(&page).contains("The file is not in force"), "{page}");
    gateway.replace_file(&text_of_file);
    wait_for("the file in force", || (!ops.see("/console/policy").contains("The file is not in force")).then_some(()));
    let changed = Person::manager(&gateway).change("PATCH", "/scopes/data-read", &json!({ "description": "Reads." }));
    assert_eq!(changed.status, 200, "{changed:?}");
    let seen = rows(&ops.see("/console/policy"));
    assert!(seen[1].contains("in force as generation 2 now"), "{seen:#?}");
    assert!(seen[2].contains("refused") && seen[3].contains("in force as generation 1"), "{seen:#?}");
}

#[test]
fn what_the_file_and_requests_say_is_never_markup() {
    let evil = "\\\"'><img src=x onerror=alert(1)>";
    let policy = POLICY
        .replace("display_name: \"Data\"", &format!("display_name: \"{evil}\""))
        .replace("display_name: Read data", &format!("display_name: \"{evil}\"\n        description: \"{evil}\""))
        .replace("account: acme", &format!("account: \"{evil}\""));
    let gateway = Gateway::start(&policy);
    let token = Signer::shared().token(json!({ "scope": "data-read", "client_id": "acme", "sub": "<img src=x>" }));
    gateway.ask("GET", "/data/globex/<img>", &[("Authorization", &format!("Bearer {token}"))]);
    assert_eq!(gateway.get("/data/globex/y", &token).status, 403);
    let person = Signer::shared().token(json!({ "scope": "scopegate:view", "sub": "<img src=x onerror=alert(1)>" }));
    let mut viewer = Visitor::new(&gateway);
    assert_eq!(viewer.sign_in(&person).status, 303);
    let asked = form(&[("method", "GET"), ("path", "/data/\"><img src=x>"), ("host", "\"><img src=x>")]);
    let found = form(&[("q", "\"><img src=x>")]);
    let more = [format!("/console/who?{asked}"), format!("/console/search?{found}")];
    wait_for("a refusal", || viewer.see("/console/denials").contains("data-number=").then_some(()));
    for path in PAGES.iter().copied().chain(more.iter().map(String::as_str)) {
        let page = text(&viewer.get(path));
        assert!(page.contains("</html>"), "{path}: {page}");
        assert!(!page.contains("<img") && !page.contains("onerror=alert(1)>"), "{path}: {page}");
    }
}
