//! Pages of other origins: what a browser lets them do is what the api's `cors` says.

use harness::{Gateway, Signer, Upstream};
use serde_json::{Value, json};

use super::driver::Browser;

const POLICY: &str = r#"
apis:
  - name: notes
    base_path: /notes
    upstream: backend
    cors: { origins: ["http://localhost:PORT"], headers: [X-Trace], expose: [X-Total] }
    scopes:
      - { name: notes-write, services: ["GET,PUT /notes/**"] }
      - { name: notes-server, confidential_only: true, services: ["DELETE /notes/**"] }
"#;

/// What a page gets of a call: the status, some headers and the body, or why there is none.
const CALL: &str = r#"
const [url, method, token] = arguments;
const headers = { Authorization: `Bearer ${token}`, "X-Trace": "1", "Content-Type": "application/json" };
return fetch(url, { method, headers, body: method === "PUT" ? "{}" : undefined }).then(
  async (answer) => [answer.status, answer.headers.get("www-authenticate"), answer.headers.get("x-total"),
    answer.headers.get("x-hidden"), answer.headers.has("x-request-id"), await answer.text()],
  (error) => error.name);
"#;

#[test]
fn a_page_reads_answers_and_denials_where_its_origin_is_listed_and_nothing_where_it_is_not() {
    let pages = Upstream::answering(|_| {
        let page = "<!doctype html><title>A page</title>";
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}", page.len()).into()
    });
    let upstream = Upstream::answering(|_| {
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nX-Total: 7\r\nX-Hidden: 1\r\nContent-Length: 4\r\n\r\nnote"
            .to_vec()
    });
    let port = pages.address.port();
    let gateway = Gateway::start_with(&POLICY.replace("PORT", &port.to_string()), upstream, |_| {});
    let token = Signer::shared().token(json!({ "scope": "notes-write notes-server" }));
    let url = format!("http://{}/notes/1", gateway.address);
    let browser = Browser::open();
    let call = |method: &str, token: &str| browser.run(CALL, &[url.clone().into(), method.into(), token.into()]);
    browser.go(&format!("http://localhost:{port}/"));
    for method in ["GET", "PUT"] {
        assert_eq!(call(method, &token), json!([200, null, "7", null, true, "note"]), "{method}");
    }
    let refused = call("PUT", "x");
    assert_eq!(refused[0], 401);
    assert!(refused[1].as_str().unwrap().starts_with("Bearer error=\"invalid_token\""), "{refused}");
    let problem: Value = serde_json::from_str(refused[5].as_str().unwrap()).unwrap();
    assert_eq!(problem["reason"], "token_malformed");
    // What is for confidential clients is not for pages, and they are told so.
    let refused = call("DELETE", &token);
    assert!(refused[0] == 403 && refused[5].as_str().unwrap().contains("client_type_rejected"), "{refused}");
    let reached = gateway.upstream.count();
    browser.go(&format!("http://127.0.0.1:{port}/"));
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(call(method, &token), "TypeError", "{method}");
    }
    assert_eq!(gateway.upstream.count(), reached, "a request whose preflight was refused has come");
    let simple = "return fetch(arguments[0]).then((answer) => answer.status, (error) => error.name)";
    assert_eq!(browser.run(simple, &[url.into()]), "TypeError");
}
