//! The console's pages that show and change scopes: who sees what, what a bad form comes to, and that
//! nothing is written which nobody has seen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::harness::{Gateway, Response, Signer};
use crate::visitor::{Visitor, text};
use ::harness::registry::POLICY;

/// What a page's field has.
fn value<'p>(page: &'p str, begin: &str, end: &str) -> &'p str {
    let (_, rest) = page.split_once(begin).unwrap_or_else(|| panic!("no {begin} in {page}"));
    rest.split(end).next().unwrap()
}

fn based_on(page: &str) -> &str {
    value(page, "name=\"based_on\" value=\"", "\"")
}

fn csrf(page: &str) -> &str {
    value(page, "name=\"csrf\" value=\"", "\"")
}

/// Sends a form that rests on what its page shows, with these fields.
fn send(visitor: &mut Visitor<'_>, path: &str, fields: &[(&str, &str)]) -> Response {
    let page = visitor.see(path);
    let hidden = [("csrf", csrf(&page)), ("based_on", based_on(&page))];
    visitor.post(path, &[&hidden, fields].concat())
}

fn file(gateway: &Gateway) -> String {
    fs::read_to_string(gateway.file()).unwrap()
}

const NEW: &str = "/console/apis/data/new";
const EDIT: &str = "/console/scopes/data-read/edit";

#[test]
fn whoever_may_look_sees_every_page_and_whoever_may_change_things_the_forms() {
    let gateway = Gateway::start(POLICY);
    let (mut viewer, mut manager) = (Visitor::viewer(&gateway), Visitor::manager(&gateway));
    for path in [
        "/console/apis",
        "/console/apis/data",
        "/console/apis/data?done=nonsense",
        "/console/scopes/data-read",
        "/console/scopes/DATA-READ",
        "/console/scopes/data-admin%3Apurge",
        "/console/search",
        "/console/search?q=data",
    ] {
        let (looks, changes) = (viewer.see(path), manager.see(path));
        assert!(!looks.contains("/edit\"") && !looks.contains("/delete\"") && !looks.contains("/new\""), "{path}");
        assert!(looks.contains("<main") && changes.contains("<main"), "{path}");
    }
    let table = manager.see("/console/apis/data");
    for part in ["Name", "Display Name", "Description", "Required", "Actions"] {
        assert!(table.contains(&format!("<th scope=\"col\">{part}</th>")), "{part}: {table}");
    }
    assert!(table.contains("href=\"/console/scopes/data-read/edit\""), "{table}");
    for path in [NEW, EDIT, "/console/scopes/data-read/delete"] {
        manager.see(path);
        let refused = viewer.get(path);
        assert_eq!(refused.status, 403, "{path}");
        assert!(text(&refused).contains("scopegate:manage"), "{path}");
    }
    for path in ["/console/apis/x", "/console/scopes/x", "/console/apis/x/new", "/console/scopes/x/edit"] {
        assert_eq!(manager.get(path).status, 404, "{path}");
    }
}

#[test]
fn what_the_file_says_is_never_markup() {
    let nasty = r#""\"><script>alert(1)</script><!-- {{ name }} &amp; '""#;
    let texts = format!("display_name: {nasty}\n        description: {nasty}");
    let policy = POLICY.replace("display_name: Read data", &texts).replace("\"Data\"", nasty);
    let gateway = Gateway::start(&policy);
    let mut manager = Visitor::manager(&gateway);
    for path in [
        "/console/apis",
        "/console/apis/data",
        "/console/scopes/data-read",
        EDIT,
        NEW,
        "/console/scopes/data-read/delete",
        "/console/search?q=script",
        "/console/search?q=%22%3E%3Cscript%3Ealert(1)",
    ] {
        let page = manager.see(path);
        assert!(!page.contains("<script>alert") && !page.contains("<!-- {"), "{path}: {page}");
        assert!(!page.contains("\"\">") && !page.contains("value=\"\"&"), "{path}: {page}");
    }
    // It comes back as it is.
    let page = manager.see(EDIT);
    assert!(page.contains("&#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;"), "{page}");
}

#[test]
fn a_bad_form_comes_back_with_what_was_written_and_nothing_is_written_to_the_file() {
    let gateway = Gateway::start(POLICY);
    let mut manager = Visitor::manager(&gateway);
    let before = file(&gateway);
    let long = "n".repeat(3000);
    for (fields, parts) in [
        (&[][..], &["One thing is wrong", "href=\"#name\"", "it is empty"][..]),
        (&[("name", "a b")], &["href=\"#name\"", "visible ASCII"]),
        (&[("name", &long)], &["href=\"#name\"", "256 are the most"]),
        (&[("name", "DATA-READ")], &["whatever the letter case"]),
        (&[("name", "a"), ("description", "x\u{1b}[2Jy")], &["href=\"#description\"", "\\u{1b}"]),
        (&[("name", "a"), ("display_name", "x\u{202e}y")], &["href=\"#display_name\"", "nobody can see"]),
        (&[("name", "a"), ("description", "<img src=x onerror=alert(1)>")], &["plain text", "&#60;img src=x"]),
        (&[("name", "a"), ("description", &long)], &["3000 characters"]),
        (&[("name", "a"), ("accounts", "all")], &["href=\"#accounts\""]),
        (&[("name", "a"), ("services", "GETT /data\r\nGET /elsewhere/{account}")], &["line 1", "GETT", "line 2"]),
        (&[("name", "a"), ("except", "/data/**/x")], &["href=\"#except\"", "last segment"]),
        (&[("name", "a"), ("privilege_name", "p q"), ("privilege_services", "GET /data/{account}")], &["#privilege-0"]),
        (&[("name", "a"), ("colour", "red")], &["no field <code>colour</code>"]),
        (
            &[("name", ""), ("description", "x\u{7}"), ("services", "GET")],
            &["3 things are wrong", "#name", "#services"],
        ),
        (&[("name", "a"), ("step", "destroy")], &["no field <code>step</code>"]),
    ] {
        for step in ["review", "save"] {
            let fields = [&[("step", step)], fields].concat();
            let refused = send(&mut manager, NEW, &fields);
            let page = text(&refused);
            assert_eq!(refused.status, 422, "{fields:?}: {page}");
            for part in parts {
                assert!(page.contains(part), "{fields:?}: no {part} in {page}");
            }
            assert!(page.contains("role=\"alert\"") && page.contains("Nothing was written"), "{fields:?}");
            assert!(!page.contains("<img"), "{fields:?}");
            assert_eq!(file(&gateway), before, "{fields:?}");
        }
    }
    let csrf = manager.csrf();
    let huge = "n".repeat(10 * 1024 * 1024);
    let refused = manager.post(NEW, &[("csrf", &csrf), ("name", &huge)]);
    assert_eq!((refused.status, file(&gateway) == before), (413, true), "{}", text(&refused));
    // A name is set once.
    let refused = send(&mut manager, EDIT, &[("name", "other"), ("step", "save")]);
    assert!(refused.status == 422 && text(&refused).contains("a name is set once"), "{}", text(&refused));
    assert_eq!(file(&gateway), before);
}

#[test]
fn a_change_is_shown_before_it_is_made_with_what_it_costs() {
    let gateway = Gateway::start(POLICY);
    let mut manager = Visitor::manager(&gateway);
    let before = file(&gateway);
    let fields = [("name", "Use-Data"), ("required", "true"), ("show_in_discovery", "true"), ("accounts", "own")];
    let review = send(&mut manager, NEW, &fields);
    let page = text(&review);
    assert_eq!((review.status, file(&gateway) == before), (200, true), "{page}");
    for part in ["+      - name: Use-Data", "would be shut out", ">acme</a>", ">app</a>", "lower case"] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    // What it has hidden is the whole form.
    let saved = send(&mut manager, NEW, &[&fields[..], &[("step", "save")]].concat());
    assert_eq!(saved.header("location"), Some("/console/scopes/Use-Data?done=added"), "{}", text(&saved));
    assert!(manager.see("/console/scopes/Use-Data?done=added").contains("The scope was added"));
    assert_eq!(file(&gateway).replacen("      - name: Use-Data\n        required: true\n", "", 1), before);
}

#[test]
fn the_tester_says_which_known_endpoints_a_pattern_takes_in() {
    let gateway = Gateway::start(POLICY);
    let mut manager = Visitor::manager(&gateway);
    let stranger = Signer::shared().token(json!({ "scope": "open-all", "account_id": "acme", "client_id": "app" }));
    assert_eq!(gateway.get("/data/acme/seen-once", &stranger).status, 403);
    let fields = [("services", "GET /data/{account}/**\nnonsense nonsense"), ("except", "/data/{account}/seen-once")];
    for step in ["effects", "test"] {
        let tested = send(&mut manager, NEW, &[&fields[..], &[("step", step)]].concat());
        let page = text(&tested);
        assert_eq!((tested.status, page.contains("<html")), (200, step == "test"), "{page}");
        assert!(page.contains("of 4 known endpoints") && page.contains("1 excepted"), "{page}");
        let (_, excepted) = page.split_once("how excepted").expect("an exception");
        assert!(excepted.split("</li>").next().unwrap().contains("/data/acme/seen-once"), "{page}");
    }
}

#[test]
fn a_file_that_is_not_in_force_or_not_for_writing_is_left_as_it_is() {
    let gateway = Gateway::start(POLICY);
    let mut manager = Visitor::manager(&gateway);
    let before = file(&gateway);
    let page = manager.see(NEW);
    let fields =
        [("csrf", csrf(&page)), ("based_on", based_on(&page)), ("name", "kept"), ("services", "GET /data/{account}")];
    let steps = [("step", "review"), ("step", "save")];

    let mut writable = fs::metadata(gateway.file()).unwrap().permissions();
    let mut read_only = writable.clone();
    read_only.set_mode(0o444);
    fs::set_permissions(gateway.file(), read_only).unwrap();
    let review = manager.post(NEW, &[&fields[..], &steps[..1]].concat());
    let page = text(&review);
    assert!(
        page.contains("read-only") && page.contains("+      - name: kept") && !page.contains(">Add scope<"),
        "{page}"
    );
    let refused = manager.post(NEW, &[&fields[..], &steps[1..]].concat());
    assert!(refused.status == 409 && text(&refused).contains("+      - name: kept"), "{}", text(&refused));
    writable.set_mode(0o644);
    fs::set_permissions(gateway.file(), writable).unwrap();
    assert_eq!(file(&gateway), before);

    // Somebody makes a mistake in it.
    let broken = format!("{before}\nnonsense: true\n");
    gateway.replace_file(&broken);
    for step in steps {
        let refused = manager.post(NEW, &[&fields[..], &[step]].concat());
        let page = text(&refused);
        assert_eq!(refused.status, 409, "{page}");
        assert!(
            page.contains("not in force") && page.contains("nonsense") && page.contains("value=\"kept\""),
            "{page}"
        );
        assert_eq!(file(&gateway), broken);
    }
}

#[test]
fn a_form_that_rests_on_an_older_text_is_412_and_says_what_differs() {
    let gateway = Gateway::start(POLICY);
    let mut manager = Visitor::manager(&gateway);
    let page = manager.see(EDIT);
    let old = [("csrf", csrf(&page)), ("based_on", based_on(&page)), ("name", "data-read")];
    let first =
        [("display_name", "First"), ("services", "GET /data/{account}/**"), ("accounts", "own"), ("step", "save")];
    assert_eq!(manager.post(EDIT, &[&old[..], &first].concat()).status, 303);
    let after = file(&gateway);
    let second = [("display_name", "Second"), ("services", "GET /data/{account}/**"), ("accounts", "own")];
    for step in [("step", "review"), ("step", "save")] {
        let refused = manager.post(EDIT, &[&old[..], &second, &[step]].concat());
        let page = text(&refused);
        assert_eq!((refused.status, file(&gateway) == after), (412, true), "{page}");
        assert!(page.contains("Somebody changed the file meanwhile") && page.contains(">First</pre>"), "{page}");
        assert!(page.contains("value=\"Second\"") && based_on(&page) != old[1].1, "{page}");
    }
    for path in ["/console/scopes/data-read/delete", "/console/scopes/data-read/deprecate"] {
        let refused = manager.post(path, &old[..2]);
        assert_eq!((refused.status, file(&gateway) == after), (412, true), "{}", text(&refused));
    }
    for nonsense in ["", "*", "zz"] {
        let fields = [&[old[0], ("based_on", nonsense), old[2]], &second[..], &[("step", "save")]].concat();
        assert_eq!(manager.post(EDIT, &fields).status, 412, "{nonsense}");
    }
    // Who edits what somebody has deleted is told so.
    let refused = manager.post("/console/scopes/gone/edit", &[&old[..], &second].concat());
    assert!(refused.status == 412 && text(&refused).contains("deleted it meanwhile"), "{}", text(&refused));
}

#[test]
fn a_scope_in_use_is_not_deleted_and_can_be_deprecated() {
    let gateway = Gateway::start(POLICY);
    let mut manager = Visitor::manager(&gateway);
    let before = file(&gateway);
    let path = "/console/scopes/data-read/delete";
    let page = manager.see(path);
    assert!(page.contains("acme") && page.contains("lists it") && !page.contains("/delete\" class"), "{page}");
    let fields = [("csrf", csrf(&page)), ("based_on", based_on(&page))];
    let refused = manager.post(path, &fields);
    assert_eq!((refused.status, file(&gateway) == before), (409, true), "{}", text(&refused));
    let deprecated = manager.post("/console/scopes/data-read/deprecate", &fields);
    assert_eq!(deprecated.header("location"), Some("/console/scopes/data-read?done=deprecated"), "{deprecated:?}");
    assert_eq!(file(&gateway).replacen("        deprecated: true\n", "", 1), before);
    assert!(manager.see("/console/apis/data").contains("badge deprecated"));
    // An api's last scope cannot go; the file would be no good.
    let page = manager.see("/console/scopes/open-all/delete");
    assert!(page.contains("The file would be no good then"), "{page}");
}

#[test]
fn search_finds_scopes_by_any_of_their_texts_apis_and_clients() {
    let gateway = Gateway::start(POLICY);
    let mut viewer = Visitor::viewer(&gateway);
    for (query, address) in [
        ("DATA-READ", "/console/scopes/data-read"),
        ("read+data", "/console/scopes/data-read"),
        ("%7Baccount%7D%2F**", "/console/scopes/data-read"),
        ("purge", "/console/scopes/data-admin"),
        ("%2Fopen", "/console/apis/open"),
        ("acm", "/console/clients/acme"),
    ] {
        let page = viewer.see(&format!("/console/search?q={query}"));
        assert!(
            page.contains(&format!("href=\"{address}\"><mark>")) || page.contains(&format!("href=\"{address}\">")),
            "{query}"
        );
        assert!(page.contains("<mark>"), "{query}: {page}");
    }
    assert!(viewer.see("/console/search?q=zebra").contains("Nothing has “zebra”"));
}

#[test]
fn twenty_editors_at_once_lose_nothing_and_are_refused_by_412_or_409() {
    let gateway = Gateway::start(POLICY);
    let manager = Visitor::manager(&gateway);
    let (refusals, cookies) = (AtomicUsize::new(0), &manager.cookies);
    thread::scope(|threads| {
        for number in 0..20 {
            let (gateway, refusals) = (&gateway, &refusals);
            threads.spawn(move || {
                let mut editor = Visitor { gateway, cookies: cookies.clone() };
                // A scope of one's own, then a line in one that all of them edit.
                let name = format!("own-{number}");
                let fields =
                    [("name", &*name), ("services", "GET /data/{account}"), ("accounts", "own"), ("step", "save")];
                keep(refusals, || send(&mut editor, NEW, &fields));
                keep(refusals, || {
                    let page = editor.see(EDIT);
                    let services = value(value(&page, "id=\"services\"", "</textarea>"), ">", "<");
                    let services = format!("{services}\nPUT /data/{{account}}/{number}");
                    let hidden = [("csrf", csrf(&page)), ("based_on", based_on(&page))];
                    let fields =
                        [("name", "data-read"), ("services", &services), ("accounts", "own"), ("step", "save")];
                    editor.post(EDIT, &[&hidden[..], &fields].concat())
                });
            });
        }
    });
    let text = file(&gateway);
    for number in 0..20 {
        assert!(text.contains(&format!("- name: own-{number}\n")), "{text}");
        assert!(text.contains(&format!("- PUT /data/{{account}}/{number}\n")), "{text}");
    }
    assert!(text.contains("# The end of the scopes.") && text.contains("# the usual one"), "{text}");
    assert!(refusals.into_inner() > 0, "nobody was in anybody's way");
    assert_eq!(gateway.admin("/policy").json()["generation"], 41);
}

/// Tries until it is saved; whatever refuses is a 412 or a 409.
fn keep(refusals: &AtomicUsize, mut send: impl FnMut() -> Response) {
    loop {
        let answer = send();
        match answer.status {
            303 => return,
            412 | 409 => refusals.fetch_add(1, Ordering::Relaxed),
            _ => panic!("{}", text(&answer)),
        };
    }
}
