//! Somebody who looks at the console: what their browser sends, keeps and shows.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{Connection, Gateway, Response, Signer};

/// A browser with its cookies. What it sends says where it comes from, as browsers do.
pub struct Visitor<'g> {
    /// Whose console.
    pub gateway: &'g Gateway,
    /// By their names.
    pub cookies: BTreeMap<String, String>,
}

impl<'g> Visitor<'g> {
    /// Who has not signed in.
    pub fn new(gateway: &'g Gateway) -> Self {
        Self { gateway, cookies: BTreeMap::new() }
    }

    /// Who has signed in with a token of this scope.
    #[track_caller]
    pub fn with(gateway: &'g Gateway, scope: &str) -> Self {
        let mut visitor = Self::new(gateway);
        let signed_in = visitor.sign_in(&token(scope));
        assert_eq!((signed_in.status, signed_in.header("location")), (303, Some("/console")), "{signed_in:?}");
        visitor
    }

    /// Who may change things.
    #[track_caller]
    pub fn manager(gateway: &'g Gateway) -> Self {
        Self::with(gateway, "scopegate:manage")
    }

    /// Who may look.
    #[track_caller]
    pub fn viewer(gateway: &'g Gateway) -> Self {
        Self::with(gateway, "scopegate:view")
    }

    /// Pastes a token.
    pub fn sign_in(&mut self, token: &str) -> Response {
        self.post("/console/sign-in/token", &[("token", token)])
    }

    /// The console's own origin.
    pub fn origin(&self) -> String {
        format!("http://{}", self.gateway.admin)
    }

    /// Opens a page, by a link of another.
    pub fn get(&mut self, path: &str) -> Response {
        self.ask("GET", path, &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "navigate")], "")
    }

    /// A page that is there, as text.
    #[track_caller]
    pub fn see(&mut self, path: &str) -> String {
        let seen = self.get(path);
        assert_eq!(seen.status, 200, "{path}: {}", text(&seen));
        text(&seen)
    }

    /// Sends a form of one of the console's pages.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let origin = self.origin();
        self.ask("POST", path, &[("Origin", &origin), ("Sec-Fetch-Site", "same-origin"), FORM], &form(fields))
    }

    /// A request with these headers beside `Host` and `Cookie`; what it sets is kept.
    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let host = self.gateway.admin.to_string();
        self.ask_as(&host, method, path, headers, body)
    }

    /// The same by another `Host`.
    pub fn ask_as(&mut self, host: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            text += &format!("Cookie: {}\r\n", pairs.join("; "));
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        let mut connection = Connection::open(self.gateway.admin);
        connection.try_write(format!("{text}\r\n{body}").as_bytes());
        let response = connection.read_response().expect("an answer");
        for cookie in set_cookies(&response) {
            let pair = cookie.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    /// What this session's forms say.
    #[track_caller]
    pub fn csrf(&mut self) -> String {
        let page = self.see("/console/policy");
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }
}

/// What a form's body is.
pub const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// A good token of the issuer that the registry's policy names.
pub fn token(scope: &str) -> String {
    Signer::shared().token(json!({ "scope": scope, "sub": "ops", "client_id": "console" }))
}

/// What an answer has browsers keep.
pub fn set_cookies(response: &Response) -> Vec<&str> {
    let named = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    named.map(|(_, value)| value.as_str()).collect()
}

/// The body as text.
pub fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

/// Fields as a body.
pub fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}
