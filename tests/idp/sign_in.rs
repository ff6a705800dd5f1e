//! Signing in to the console at the provider: a code with PKCE, for a token of the registry's scopes.

use std::collections::BTreeMap;

use harness::visitor::{Visitor, set_cookies, text};
use harness::{Connection, Gateway, Response};

use super::provider::{Provider, SECRET};
use super::tokens::JWT;

#[test]
fn a_person_signs_in_with_what_they_agreed_to_and_stays_out_where_they_did_not() {
    let provider = Provider::start();
    let gateway = start(&provider);
    for (person, wanted, opens, changes) in [
        ("ada", "manage", true, true),
        ("ada", "view", true, false),
        ("vera", "view", true, false),
        ("vera", "manage", true, false),
        ("nobody", "manage", false, false),
    ] {
        provider.expect_person(person, &format!("http://{}/console/sign-in/back", gateway.admin));
        let mut visitor = Visitor::new(&gateway);
        let led = visitor.get(&format!("/console/sign-in/begin?as={wanted}&next=/console/policy"));
        let back = sign_in(&provider, led.header("location").expect("the provider's page"));
        let landed = text(&visitor.get(&back));
        let come = visitor.get(&next(&landed));
        let words = text(&come);
        let what = format!("{person} as {wanted}: {words}");
        if !opens {
            assert_eq!(come.status, 403, "{what}");
            assert!(words.contains("access_denied (the person said no)"), "{what}");
            continue;
        }
        assert_eq!((come.status, come.header("location")), (303, Some("/console/policy")), "{what}");
        assert!(visitor.see("/console/policy").contains(person), "{what}");
        let form = visitor.get("/console/apis/data/new");
        assert_eq!(form.status == 200, changes, "{what}: {}", text(&form));
    }
}

/// A gateway whose console signs in there, as a client with a secret.
fn start(provider: &Provider) -> Gateway {
    let issuer = provider.issuer();
    let policy = format!(
        "\nadmin: {{ address: $ADMIN, access: {{ issuer: \"{issuer}\", client_id: console, client_secret_file: secret, \
         resource: {JWT} }} }}\n\
         issuers: [{{ issuer: \"{issuer}\", audiences: [{JWT}], token_type: require, keys: {{ url: \"{issuer}/jwks\" }} }}]\n\
         apis: [{{ name: data, base_path: /data, upstream: backend, public: [GET /data] }}]\n"
    );
    Gateway::start_in(&policy, |folder| std::fs::write(folder.join("secret"), SECRET).unwrap())
}

/// What a browser does at the provider, from page to page with its cookies, until it is led away: where to.
fn sign_in(provider: &Provider, url: &str) -> String {
    let mut cookies = BTreeMap::new();
    let mut url = url.to_owned();
    let origin = provider.issuer();
    for _ in 0..10 {
        let Some(target) = url.strip_prefix(&origin).or(url.strip_prefix('/').map(|_| url.as_str())) else {
            let (_, path) = url.split_once("/console/").unwrap_or_else(|| panic!("led to {url}"));
            return format!("/console/{path}");
        };
        let led = open(provider, target, &mut cookies);
        assert!(matches!(led.status, 302 | 303), "{target}: {} {}\n{}", led.status, text(&led), provider.log());
        led.header("location").expect("where to go").clone_into(&mut url);
    }
    panic!("the provider leads in circles, now to {url}\n{}", provider.log());
}

fn open(provider: &Provider, target: &str, cookies: &mut BTreeMap<String, String>) -> Response {
    let own: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut connection = Connection::open(provider.address);
    let head = format!("GET {target} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n", provider.address, own.join("; "));
    connection.write(head.as_bytes());
    let response = connection.read_response().expect("an answer of the provider");
    for cookie in set_cookies(&response) {
        let (name, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
        cookies.insert(name.to_owned(), value.to_owned());
    }
    response
}

/// Where the page on which one lands goes on.
fn next(page: &str) -> String {
    let (_, rest) = page.split_once("http-equiv=\"refresh\" content=\"0;url=").expect("a page that goes on");
    rest.split('"').next().unwrap_or_default().replace("&#38;", "&").replace("&amp;", "&")
}
