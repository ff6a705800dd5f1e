//! Signing in to the console at the issuer: authorization code with PKCE, and every way to do it wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{Gateway, Recorded, Response, Signer, Upstream};
use crate::visitor::{Visitor, form, set_cookies, text};

/// An issuer that people sign in at. The test is the people.
struct Issuer {
    server: Upstream,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// The challenge and redirect URI of each code.
    codes: BTreeMap<String, (String, String, String)>,
    /// What its metadata says otherwise.
    metadata: Value,
    /// What its answer to a code says otherwise.
    answer: Value,
    /// What the token says otherwise.
    claims: Value,
}

/// What somebody was sent to the issuer with.
struct Sent(BTreeMap<String, String>);

impl Issuer {
    fn start() -> Self {
        let known = Arc::new(Mutex::new(Known {
            metadata: json!({}),
            answer: json!({}),
            claims: json!({}),
            ..Known::default()
        }));
        let own = Arc::clone(&known);
        let server = Upstream::answering(move |asked| answer(&own.lock().unwrap(), asked));
        Self { server, known }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    fn policy(&self, more: &str) -> String {
        format!(
            "\nadmin: {{ address: $ADMIN, access: {{ issuer: \"{url}\", {more} }} }}\n\
             issuers: [{{ issuer: \"{url}\", audiences: [https://api.example.com], keys: {{ file: jwks.json }} }}]\n\
             apis: [{{ name: a, base_path: /, upstream: backend, public: [GET /x] }}]\n",
            url = self.url()
        )
    }

    /// What comes with the browser when the issuer has let somebody in.
    fn let_in(&self, sent: &Sent) -> BTreeMap<&'static str, String> {
        let code = format!("code-{}", fastrand::u64(..));
        let one = |name: &str| sent.0[name].clone();
        self.known
            .lock()
            .unwrap()
            .codes
            .insert(code.clone(), (one("code_challenge"), one("redirect_uri"), one("scope")));
        BTreeMap::from([("code", code), ("state", one("state")), ("iss", self.url())])
    }
}

fn answer(known: &Known, asked: &Recorded) -> Vec<u8> {
    let host = asked.all("host")[0];
    let target = asked.line.split(' ').nth(1).unwrap();
    let (status, body) = match target {
        "/.well-known/openid-configuration" => {
            let mut document = json!({
                "issuer": format!("http://{host}"), "authorization_endpoint": format!("http://{host}/authorize?tenant=1"),
                "token_endpoint": format!("http://{host}/token"), "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
            });
            put(&mut document, &known.metadata);
            (200, document)
        }
        "/token" => token(known, asked, host),
        _ => (404, json!({})),
    };
    let body = body.to_string();
    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn token(known: &Known, asked: &Recorded, host: &str) -> (u16, Value) {
    let form = read(&String::from_utf8(asked.body.clone()).unwrap());
    let given = known.codes.get(&form["code"]);
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, form["code_verifier"].as_bytes()));
    let Some((expected, uri, scope)) = given else { return (400, json!({ "error": "invalid_grant" })) };
    if *expected != challenge || *uri != form["redirect_uri"] || form["grant_type"] != "authorization_code" {
        return (400, json!({ "error": "invalid_grant" }));
    }
    let mut claims = json!({ "iss": format!("http://{host}"), "scope": scope, "sub": "ada", "client_id": "console" });
    put(&mut claims, &known.claims);
    let mut answer =
        json!({ "access_token": Signer::shared().token(claims), "token_type": "Bearer", "expires_in": 3600 });
    put(&mut answer, &known.answer);
    (200, answer)
}

fn put(document: &mut Value, over: &Value) {
    for (name, value) in over.as_object().unwrap() {
        document[name] = value.clone();
    }
}

fn read(query: &str) -> BTreeMap<String, String> {
    let url = format!("http://x/?{query}").parse::<reqwest::Url>().unwrap();
    url.query_pairs().into_owned().collect()
}

/// Begins, and says with what somebody is sent to the issuer.
#[track_caller]
fn begin(visitor: &mut Visitor<'_>, issuer: &Issuer, query: &str) -> Sent {
    let led = visitor.get(&format!("/console/sign-in/begin?{query}"));
    assert_eq!(led.status, 303, "{}", text(&led));
    let to = led.header("location").unwrap();
    let query = to.strip_prefix(&format!("{}/authorize?tenant=1&", issuer.url())).expect("the issuer's endpoint");
    Sent(read(query))
}

/// Comes back from the issuer: what the landing page leads to.
#[track_caller]
fn come_back(visitor: &mut Visitor<'_>, brought: &BTreeMap<&'static str, String>) -> Response {
    let pairs: Vec<_> = brought.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // Another site sets this off: no browser sends a strict cookie along.
    let mut without = Visitor::new(visitor.gateway);
    let cross_site = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")];
    let landed = without.ask("GET", &format!("/console/sign-in/back?{}", form(&pairs)), &cross_site, "");
    assert_eq!((landed.status, set_cookies(&landed).len()), (200, 0), "{landed:?}");
    let page = text(&landed);
    let (_, rest) = page.split_once("http-equiv=\"refresh\" content=\"0;url=").expect("a page that goes on");
    let on = rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    visitor.get(&on)
}

#[test]
fn somebody_signs_in_at_the_issuer_with_a_code_and_a_proof_of_who_began() {
    let issuer = Issuer::start();
    let gateway = Gateway::start(&issuer.policy("client_id: console"));
    let mut ada = Visitor::new(&gateway);
    let page = ada.see("/console/sign-in?next=/console/policy");
    assert!(page.contains("/console/sign-in/begin?as=manage") && page.contains("name=\"token\""), "{page}");
    let sent = begin(&mut ada, &issuer, "as=manage&next=/console/policy");
    let one = |name: &str| sent.0[name].as_str();
    let uri = format!("http://{}/console/sign-in/back", gateway.admin);
    assert_eq!((one("response_type"), one("client_id"), one("redirect_uri")), ("code", "console", &*uri));
    assert_eq!((one("scope"), one("code_challenge_method")), ("scopegate:view scopegate:manage", "S256"));
    assert_eq!((one("state").len(), one("code_challenge").len()), (43, 43));
    let begun = format!("scopegate-signing-in-{}", gateway.admin.port());
    assert!(ada.cookies.contains_key(&begun) && ada.cookies[&begun] != one("state"));

    let brought = issuer.let_in(&sent);
    let in_now = come_back(&mut ada, &brought);
    assert_eq!((in_now.status, in_now.header("location")), (303, Some("/console/policy")), "{}", text(&in_now));
    let session = set_cookies(&in_now)[0];
    assert!(
        session.starts_with("scopegate-session-") && session.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
        "{session}"
    );
    assert!(!ada.cookies.contains_key(&begun));
    assert!(ada.see("/console/policy").contains("ada"));
    let exchange = issuer.server.last();
    let asked = read(&String::from_utf8(exchange.body.clone()).unwrap());
    assert_eq!((asked["client_id"].as_str(), exchange.all("authorization").len()), ("console", 0));

    // Once is once, for the browser and for anybody else.
    let again = come_back(&mut ada, &brought);
    assert_eq!(again.status, 403, "{}", text(&again));
    assert_eq!(issuer.server.seen().iter().filter(|asked| asked.line.contains("/token")).count(), 1);

    // Who wants to look asks for no more.
    let mut viewer = Visitor::new(&gateway);
    let sent = begin(&mut viewer, &issuer, "as=view");
    assert_eq!(sent.0["scope"], "scopegate:view");
    assert_eq!(come_back(&mut viewer, &issuer.let_in(&sent)).header("location"), Some("/console"));
}

#[test]
fn what_is_brought_must_be_what_this_browser_was_sent_for() {
    let issuer = Issuer::start();
    let gateway = Gateway::start(&issuer.policy("client_id: console"));
    let mut ada = Visitor::new(&gateway);
    let check = |visitor: &mut Visitor<'_>, brought: &BTreeMap<&'static str, String>, words: &str| {
        let refused = come_back(visitor, brought);
        assert_eq!(refused.status, 403, "{words}: {}", text(&refused));
        assert!(text(&refused).contains(words), "{words}: {}", text(&refused));
        assert!(!visitor.cookies.keys().any(|name| name.contains("session")), "{words}");
        assert_eq!(visitor.get("/console/policy").status, 303);
    };
    let other = "not begun in this browser";

    // Another's state, none, and a browser that began nothing.
    let sent = begin(&mut ada, &issuer, "");
    let mut brought = issuer.let_in(&sent);
    brought.insert("state", "A".repeat(43));
    check(&mut ada, &brought, other);
    let sent = begin(&mut ada, &issuer, "");
    let mut brought = issuer.let_in(&sent);
    brought.remove("state");
    check(&mut ada, &brought, other);
    let sent = begin(&mut ada, &issuer, "");
    let mut eve = Visitor::new(&gateway);
    check(&mut eve, &issuer.let_in(&sent), other);

    // Eve's code in Ada's browser: her state is not Ada's, and what was begun is over.
    let (evil, _) = (begin(&mut eve, &issuer, ""), begin(&mut ada, &issuer, ""));
    check(&mut ada, &issuer.let_in(&evil), other);

    // A code that was given for another challenge is worth nothing here.
    let (mine, evil) = (begin(&mut ada, &issuer, ""), begin(&mut eve, &issuer, ""));
    let mut brought = issuer.let_in(&evil);
    brought.insert("state", mine.0["state"].clone());
    check(&mut ada, &brought, "does not accept the code");

    // Mix-up: the answer says that it is of another issuer, or does not say whose it is.
    for iss in [Some("https://evil.example"), Some(""), None] {
        let sent = begin(&mut ada, &issuer, "");
        let mut brought = issuer.let_in(&sent);
        match iss {
            Some(iss) => drop(brought.insert("iss", iss.to_owned())),
            None => drop(brought.remove("iss")),
        }
        check(&mut ada, &brought, "not of the issuer");
    }

    // The issuer lets nobody in, with words that are no markup.
    let sent = begin(&mut ada, &issuer, "");
    let mut brought = issuer.let_in(&sent);
    brought.insert("error", "access_denied".to_owned());
    brought.insert("error_description", "<script>alert(1)</script>".to_owned());
    let refused = come_back(&mut ada, &brought);
    assert!(text(&refused).contains("access_denied (&#60;script&#62;"), "{}", text(&refused));

    // No code.
    let sent = begin(&mut ada, &issuer, "");
    let mut brought = issuer.let_in(&sent);
    brought.remove("code");
    check(&mut ada, &brought, "sent no code");
}

#[test]
fn an_issuer_that_lies_lets_nobody_in() {
    for (answer, claims, words) in [
        (json!({ "token_type": "DPoP" }), json!({}), "no bearer token"),
        (json!({ "access_token": null }), json!({}), "access_token"),
        (json!({ "access_token": "not-a-token" }), json!({}), "not accepted"),
        (json!({}), json!({ "scope": "openid" }), "does not carry the scope"),
        (json!({}), json!({ "iss": "https://other.example" }), "not accepted"),
        (json!({}), json!({ "aud": "https://other.example" }), "not accepted"),
        (json!({}), json!({ "exp": 1 }), "not accepted"),
    ] {
        let issuer = Issuer::start();
        let gateway = Gateway::start(&issuer.policy("client_id: console"));
        issuer.known.lock().unwrap().answer = answer;
        issuer.known.lock().unwrap().claims = claims;
        let mut ada = Visitor::new(&gateway);
        let sent = begin(&mut ada, &issuer, "");
        let refused = come_back(&mut ada, &issuer.let_in(&sent));
        assert_eq!(refused.status, 403, "{words}: {}", text(&refused));
        assert!(text(&refused).contains(words), "{words}: {}", text(&refused));
    }
    for (metadata, words) in [
        (json!({ "issuer": "https://evil.example" }), "not exactly the configured one"),
        (json!({ "authorization_endpoint": null }), "authorization_endpoint"),
        (json!({ "authorization_endpoint": "javascript:alert(1)" }), "authorization_endpoint"),
        (json!({ "token_endpoint": "ftp://evil.example" }), "token_endpoint"),
        (json!({ "code_challenge_methods_supported": ["plain"] }), "S256"),
    ] {
        let issuer = Issuer::start();
        issuer.known.lock().unwrap().metadata = metadata;
        let gateway = Gateway::start(&issuer.policy("client_id: console"));
        let mut ada = Visitor::new(&gateway);
        let refused = ada.get("/console/sign-in/begin?next=/console/policy");
        assert_eq!(refused.status, 502, "{words}: {}", text(&refused));
        assert!(text(&refused).contains(words) && text(&refused).contains("name=\"token\""), "{}", text(&refused));
    }
}

#[test]
fn a_confidential_console_shows_its_secret_and_says_what_it_wants_a_token_for() {
    let issuer = Issuer::start();
    let more = "client_id: console, client_secret_file: secret, resource: https://api.example.com";
    let gateway = Gateway::start_in(&issuer.policy(more), |folder| {
        std::fs::write(folder.join("secret"), "s e/cret\n").unwrap();
    });
    let mut ada = Visitor::new(&gateway);
    let sent = begin(&mut ada, &issuer, "");
    assert_eq!(sent.0["resource"], "https://api.example.com");
    assert_eq!(come_back(&mut ada, &issuer.let_in(&sent)).status, 303);
    let exchange = issuer.server.last();
    let expected = format!("Basic {}", STANDARD.encode("console:s+e%2Fcret"));
    assert_eq!(exchange.all("authorization"), [&*expected]);
    let asked = read(&String::from_utf8(exchange.body.clone()).unwrap());
    assert_eq!((asked.get("client_id"), asked["resource"].as_str()), (None, "https://api.example.com"));
    assert!(!gateway.log().contains("cret\n") && !gateway.log().contains(&asked["code"]), "{}", gateway.log());
}

#[test]
fn a_link_from_elsewhere_begins_nothing() {
    let issuer = Issuer::start();
    let gateway = Gateway::start(&issuer.policy("client_id: console"));
    let mut ada = Visitor::new(&gateway);
    let led = ada.ask("GET", "/console/sign-in/begin?as=manage", &[("Sec-Fetch-Site", "cross-site")], "");
    assert_eq!((led.status, led.header("location")), (303, Some("/console/sign-in")));
    assert!(ada.cookies.is_empty());
    let statuses: Vec<_> = (0..40).map(|_| ada.get("/console/sign-in/begin").status).collect();
    assert!(statuses.contains(&303) && statuses.contains(&429), "{statuses:?}");
}
