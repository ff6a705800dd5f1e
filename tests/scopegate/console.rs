//! The console: who is let in, what every answer says, and what is refused.

use std::fs;

use serde_json::json;

use crate::harness::{Gateway, Response, Signer, now, wait_for};
use crate::visitor::{FORM, Visitor, form, set_cookies, text, token};
use ::harness::registry::POLICY;

const MANAGE: &str = "scopegate:manage";

/// What every answer of the console has.
#[track_caller]
fn check_headers(response: &Response) {
    let policy = response.header("content-security-policy").expect("a policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(rule), "{rule}: {response:?}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}: {response:?}");
    }
    let is_asset = response.header("etag").is_some();
    assert_eq!(response.header("cache-control"), Some(if is_asset { "no-cache" } else { "no-store" }));
    assert_eq!(
        response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-security-policy")).count(),
        1
    );
}

#[test]
fn without_a_session_a_page_leads_to_the_sign_in_and_anything_else_is_401() {
    let gateway = Gateway::start(POLICY);
    let mut nobody = Visitor::new(&gateway);
    let led = nobody.get("/console/policy?a=b&c=%22");
    assert_eq!(led.header("location"), Some("/console/sign-in?next=/console/policy%3Fa%3Db%26c%3D%2522"), "{led:?}");
    assert_eq!(led.status, 303);
    check_headers(&led);
    let script = [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin")];
    let refused = nobody.ask("GET", "/console/policy", &script, "");
    assert_eq!(refused.status, 401);
    check_headers(&refused);
    let refused = nobody.post("/console/sign-out", &[("csrf", "x")]);
    assert_eq!(refused.status, 401);
    check_headers(&refused);
    // The API takes no session.
    let mut ops = Visitor::manager(&gateway);
    assert_eq!(ops.ask("GET", "/api/v1/apis", &[], "").status, 401);
}

#[test]
fn people_are_led_to_the_console_and_programs_are_not() {
    let gateway = Gateway::start(POLICY);
    let mut nobody = Visitor::new(&gateway);
    let led = nobody.ask("GET", "/", &[("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")], "");
    assert_eq!((led.status, led.header("location")), (303, Some("/console")));
    assert_eq!(nobody.ask("GET", "/", &[("Accept", "*/*")], "").status, 404);
    assert_eq!(nobody.ask("GET", "/healthz", &[("Accept", "text/html")], "").status, 200);
}

#[test]
fn without_access_the_console_says_how_to_switch_it_on() {
    let gateway = Gateway::start("apis: [{ name: a, base_path: /, upstream: backend, public: [GET /x] }]\n");
    let mut nobody = Visitor::new(&gateway);
    for path in ["/console", "/console/policy", "/console/sign-in", "/console/assets/console.css", "/console/x/y"] {
        let off = nobody.get(path);
        assert_eq!(off.status, 404, "{path}: {off:?}");
        assert!(text(&off).contains("access: { issuer: … }"), "{path}: {}", text(&off));
        check_headers(&off);
    }
    assert_eq!(nobody.post("/console/sign-in/token", &[("token", &token(MANAGE))]).status, 404);
    assert!(nobody.cookies.is_empty());
}

#[test]
fn a_pasted_token_opens_a_session_and_signing_out_ends_it() {
    let gateway = Gateway::start(POLICY);
    let mut ops = Visitor::new(&gateway);
    let page = ops.see("/console/sign-in?next=/console/policy");
    assert!(page.contains("name=\"next\" value=\"/console/policy\""), "{page}");
    let signed_in = ops.post("/console/sign-in/token", &[("token", &token(MANAGE)), ("next", "/console/policy")]);
    assert_eq!((signed_in.status, signed_in.header("location")), (303, Some("/console/policy")), "{signed_in:?}");
    check_headers(&signed_in);
    let [cookie] = set_cookies(&signed_in)[..] else { panic!("{signed_in:?}") };
    let (name, rest) = cookie.split_once('=').unwrap();
    assert_eq!(name, format!("scopegate-session-{}", gateway.admin.port()));
    let (id, attributes) = rest.split_once("; ").unwrap();
    assert_eq!((id.len(), attributes), (43, "Path=/; HttpOnly; SameSite=Strict"));
    let page = ops.see("/console/policy");
    assert!(page.contains("ops") && !page.contains(&token(MANAGE)) && !page.contains(id), "{page}");

    // Who is signed in need not do it again.
    let led = ops.get("/console/sign-in?next=/console/policy");
    assert_eq!((led.status, led.header("location")), (303, Some("/console/policy")));
    let (csrf, old) = (ops.csrf(), ops.cookies.clone());
    let out = ops.post("/console/sign-out", &[("csrf", &csrf)]);
    assert_eq!((out.status, out.header("location")), (303, Some("/console/sign-in")), "{out:?}");
    check_headers(&out);
    assert!(ops.cookies.is_empty());
    ops.cookies = old;
    let led = ops.get("/console/policy");
    assert_eq!(led.header("location"), Some("/console/sign-in?next=/console/policy&ended=1"), "{led:?}");
    assert!(ops.see("/console/sign-in?next=/console/policy&ended=1").contains("Your session has ended"));
}

#[test]
fn a_token_that_is_no_good_opens_nothing_and_says_why() {
    let gateway = Gateway::start(POLICY);
    let signer = Signer::shared();
    let mut nobody = Visitor::new(&gateway);
    let other = signer.token(json!({ "iss": "https://other.example", "scope": MANAGE }));
    let bound =
        signer.token(json!({ "scope": MANAGE, "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }));
    for (token, words) in [
        (token("data-read"), "does not carry the scope scopegate:view"),
        (signer.token(json!({ "scope": MANAGE, "exp": now() - 10 })), "expired"),
        (other, "not of the issuer"),
        (bound, "not accepted"),
        (token(MANAGE).replace('.', ","), "not accepted"),
        ("<b>x</b>".to_owned(), "not accepted"),
        (String::new(), "not accepted"),
        ("a".repeat(100_000), "not accepted"),
    ] {
        let refused = nobody.sign_in(&token);
        assert_eq!(refused.status, 403, "{words}: {}", text(&refused));
        assert!(text(&refused).contains(words), "{words}: {}", text(&refused));
        assert!(!text(&refused).contains("<b>"));
        check_headers(&refused);
    }
    assert!(nobody.cookies.is_empty());
    assert_eq!(nobody.sign_in(&"a".repeat(300_000)).status, 413);
}

#[test]
fn a_cookie_that_somebody_chose_is_never_a_session() {
    let gateway = Gateway::start(POLICY);
    let name = format!("scopegate-session-{}", gateway.admin.port());
    let chosen = "A".repeat(43);
    let mut ops = Visitor::new(&gateway);
    ops.cookies.insert(name.clone(), chosen.clone());
    assert_eq!(ops.get("/console/policy").status, 303);
    ops.sign_in(&token(MANAGE));
    assert_ne!(ops.cookies[&name], chosen);
    let mut other = Visitor::new(&gateway);
    other.cookies.insert(name.clone(), chosen);
    assert_eq!(other.get("/console/policy").status, 303);
    // A new sign-in has a new id, and ends the session before it.
    let first = ops.cookies[&name].clone();
    ops.sign_in(&token(MANAGE));
    assert_ne!(ops.cookies[&name], first);
    other.cookies.insert(name.clone(), first);
    assert_eq!(other.get("/console/policy").status, 303);
    // Two of the name are none.
    other.cookies.insert(name.clone(), format!("{}; {name}={}", ops.cookies[&name], ops.cookies[&name]));
    assert_eq!(other.get("/console/policy").status, 303);
}

#[test]
fn a_session_ends_when_its_token_expires_or_is_revoked() {
    let policy = format!("{POLICY}revocations: {{ file: revoked.jsonl }}\n");
    let gateway = Gateway::start_in(&policy, |folder| fs::write(folder.join("revoked.jsonl"), "").unwrap());
    let signer = Signer::shared();
    let short = signer.token(json!({ "scope": MANAGE, "exp": now() + 3 }));
    let revoked = signer.token(json!({ "scope": MANAGE, "jti": "stolen" }));
    let (mut one, mut two) = (Visitor::new(&gateway), Visitor::new(&gateway));
    one.sign_in(&short);
    two.sign_in(&revoked);
    assert_eq!((one.get("/console/policy").status, two.get("/console/policy").status), (200, 200));
    let line = json!({ "jti": "stolen", "iss": "https://issuer.example" }).to_string() + "\n";
    fs::write(gateway.folder.path().join("revoked.jsonl"), line).unwrap();
    for visitor in [&mut one, &mut two] {
        wait_for("the end of the session", || (visitor.get("/console/policy").status == 303).then_some(()));
    }
    // It is over for good.
    fs::write(gateway.folder.path().join("revoked.jsonl"), "").unwrap();
    let again = Visitor::with(&gateway, MANAGE);
    drop(again);
    assert_eq!(two.get("/console/policy").status, 303);
}

#[test]
fn a_form_is_taken_from_the_consoles_own_pages_alone() {
    let gateway = Gateway::start(POLICY);
    let mut ops = Visitor::manager(&gateway);
    let (csrf, own) = (ops.csrf(), ops.origin());
    let body = form(&[("csrf", &csrf)]);
    for headers in [
        &[][..],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Origin", "http://localhost:1")],
        &[("Origin", &*own), ("Sec-Fetch-Site", "cross-site")],
        &[("Origin", &*own), ("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", &*own), ("Origin", "https://evil.example")],
    ] {
        let headers: Vec<_> = headers.iter().copied().chain([FORM]).collect();
        for path in ["/console/sign-out", "/console/sign-in/token"] {
            let refused = ops.ask("POST", path, &headers, &body);
            assert_eq!(refused.status, 403, "{path} {headers:?}: {}", text(&refused));
            assert!(text(&refused).contains("Another site sent this"), "{}", text(&refused));
            check_headers(&refused);
        }
    }
    // Still signed in; and another session's token is not this one's.
    let mut other = Visitor::manager(&gateway);
    let others = other.csrf();
    for fields in [
        &[("csrf", &*others)][..],
        &[("csrf", "")],
        &[],
        &[("csrf", &*csrf), ("csrf", &*csrf)],
        &[("csrf", &csrf[1..])],
    ] {
        let refused = ops.post("/console/sign-out", fields);
        assert_eq!(refused.status, 403, "{fields:?}");
        assert!(text(&refused).contains("out of date"), "{}", text(&refused));
        check_headers(&refused);
    }
    let json = [("Origin", &*own), ("Content-Type", "application/json")];
    assert_eq!(ops.ask("POST", "/console/sign-out", &json, "{}").status, 415);
    let large = format!("csrf={csrf}&x={}", "a".repeat(300_000));
    assert_eq!(ops.ask("POST", "/console/sign-out", &[("Origin", &*own), FORM], &large).status, 413);
    assert_eq!(ops.post("/console/sign-out", &[("csrf", &csrf)]).status, 303);
}

#[test]
fn a_name_that_leads_here_by_chance_or_malice_is_refused() {
    let gateway = Gateway::start(POLICY);
    let mut ops = Visitor::manager(&gateway);
    let port = gateway.admin.port();
    for host in ["evil.example", &format!("evil.example:{port}"), "admin", "", "127.0.0.1.evil.example"] {
        for path in ["/console", "/console/policy", "/console/sign-in", "/console/assets/console.css"] {
            let refused = ops.ask_as(host, "GET", path, &[], "");
            assert_eq!(refused.status, 421, "{host} {path}: {refused:?}");
            check_headers(&refused);
        }
    }
    let origin = format!("http://evil.example:{port}");
    let headers = [("Origin", &*origin), ("Sec-Fetch-Site", "same-origin"), FORM];
    let body = form(&[("token", &token(MANAGE))]);
    assert_eq!(
        ops.ask_as(&format!("evil.example:{port}"), "POST", "/console/sign-in/token", &headers, &body).status,
        421
    );
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")] {
        assert_eq!(ops.ask_as(&host, "GET", "/console/policy", &[], "").status, 200, "{host}");
    }
    // Health and metrics are for whoever finds them.
    assert_eq!(ops.ask_as("gateway.internal", "GET", "/healthz", &[], "").status, 200);
}

#[test]
fn behind_tls_the_cookie_is_for_that_host_and_tls_alone() {
    let policy = POLICY.replace("# by its tokens", "").replace(
        "access: { issuer: \"https://issuer.example\" }",
        "access: { issuer: \"https://issuer.example\", url: \"https://Console.example.com/\" }",
    );
    let gateway = Gateway::start(&policy);
    let mut ops = Visitor::new(&gateway);
    let headers = |origin: &'static str| [("Origin", origin), FORM];
    let body = form(&[("token", &token(MANAGE)), ("next", "/console/policy")]);
    for host in ["console.example.com", "CONSOLE.example.com"] {
        let signed_in =
            ops.ask_as(host, "POST", "/console/sign-in/token", &headers("https://console.example.com"), &body);
        assert_eq!((signed_in.status, signed_in.header("location")), (303, Some("/console/policy")), "{signed_in:?}");
        let [cookie] = set_cookies(&signed_in)[..] else { panic!("{signed_in:?}") };
        let (name, attributes) = cookie.split_once('=').unwrap();
        assert_eq!(name, "__Host-scopegate-session");
        assert!(attributes.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    }
    assert_eq!(ops.ask_as("console.example.com", "GET", "/console/policy", &[], "").status, 200);
    for (host, origin) in [("console.example.com", "http://console.example.com"), ("127.0.0.1", "http://127.0.0.1")] {
        let refused = ops.ask_as(host, "POST", "/console/sign-in/token", &headers(origin), &body);
        assert_eq!(refused.status, 403, "{host} {origin}");
    }
}

#[test]
fn no_page_is_a_way_out_of_the_console() {
    let gateway = Gateway::start(POLICY);
    let token = token(MANAGE);
    for next in [
        "https://evil.example/",
        "//evil.example/console",
        "/\\evil.example",
        "/console\\..\\evil",
        "javascript:alert(1)",
        "/console/\r\nLocation: https://evil.example",
        "/consoles",
        "\"><script>alert(1)</script>",
        "/console/sign-out",
    ] {
        let mut ops = Visitor::new(&gateway);
        let page = ops.see(&format!("/console/sign-in?{}", form(&[("next", next)])));
        assert!(page.contains("name=\"next\" value=\"/console\""), "{next}: {page}");
        let signed_in = ops.post("/console/sign-in/token", &[("token", &token), ("next", next)]);
        assert_eq!((signed_in.status, signed_in.header("location")), (303, Some("/console")), "{next}");
        let led = ops.get(&format!("/console/sign-in?{}", form(&[("next", next)])));
        assert_eq!((led.status, led.header("location")), (303, Some("/console")), "{next}");
    }
}

#[test]
fn so_many_may_try_to_sign_in_and_are_told_when_to_come_again() {
    let gateway = Gateway::start(POLICY);
    let mut somebody = Visitor::new(&gateway);
    let statuses: Vec<_> = (0..40).map(|_| somebody.sign_in("guess")).collect();
    assert_eq!(statuses[0].status, 403);
    let refused = statuses.iter().find(|answer| answer.status == 429).expect("too many");
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&after), "{after}");
    assert!(text(refused).contains("Slow down"), "{}", text(refused));
    check_headers(refused);
    assert_eq!(somebody.sign_in(&token(MANAGE)).status, 429);
    assert!(somebody.cookies.is_empty());
}

#[test]
fn every_answer_has_the_headers_errors_included() {
    let gateway = Gateway::start(POLICY);
    let mut ops = Visitor::manager(&gateway);
    for (method, path, status) in [
        ("GET", "/console/nowhere", 404),
        ("GET", "/console/", 404),
        ("GET", "/console/policy", 200),
        ("POST", "/console/policy", 405),
        ("PUT", "/console/sign-in", 405),
        ("DELETE", "/console/nowhere", 404),
        ("GET", "/console/sign-in/begin", 404),
        ("GET", "/console/sign-in/finish", 403),
        ("GET", "/console/sign-in/back?code=a&code=b", 400),
        ("GET", "/console/sign-in?next=%FF%00", 303),
    ] {
        let answer = ops.ask(method, path, &[], "");
        assert_eq!(answer.status, status, "{method} {path}: {}", text(&answer));
        check_headers(&answer);
    }
    let long = ops.ask("GET", &format!("/console/policy?{}", "a".repeat(20_000)), &[], "");
    assert_eq!(long.status, 414);
    check_headers(&long);
}
