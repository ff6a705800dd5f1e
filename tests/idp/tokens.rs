//! What clients ask the provider for: tokens of every kind, and the end of them.
//!
//! Its own tests show that the provider gives what the other tests rely on, without any gateway.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::PATIENCE;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use super::holder::Holder;
use super::provider::{Provider, SECRET};

/// A resource whose tokens are JWTs, signed with RS256.
pub(crate) const JWT: &str = "https://api.example.com";
/// A resource whose tokens are opaque.
pub(crate) const OPAQUE: &str = "https://api.example.com/opaque";

/// A token to ask for: by `acme`, for `data-read`, a JWT that is bound to nothing, unless said otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'w> {
    pub(crate) client: &'w str,
    pub(crate) scope: &'w str,
    pub(crate) resource: &'w str,
    /// Whose `DPoP` key it shall be bound to.
    pub(crate) holder: Option<&'w Holder>,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self { client: "acme", scope: "data-read", resource: JWT, holder: None }
    }
}

impl Provider {
    /// A token, as the provider gives it to a client that has shown who it is.
    #[track_caller]
    pub(crate) fn token(&self, wanted: Wanted<'_>) -> String {
        let form = format!("grant_type=client_credentials&scope={}&resource={}", wanted.scope, wanted.resource);
        let (status, answer) = self.post("/token", wanted.client, &form, wanted.holder);
        assert_eq!(status, 200, "no token for {}: {answer}", wanted.client);
        let kind = if wanted.holder.is_some() { "DPoP" } else { "Bearer" };
        assert_eq!(answer["token_type"], kind, "{answer}");
        answer["access_token"].as_str().expect("an access token").to_owned()
    }

    /// Ends a token that this client has (RFC 7009).
    #[track_caller]
    pub(crate) fn revoke(&self, client: &str, token: &str) {
        let (status, answer) = self.post("/token/revocation", client, &format!("token={token}"), None);
        assert_eq!(status, 200, "the token of {client} was not revoked: {answer}");
    }

    /// A form sent by a client, which shows who it is as it is registered.
    fn post(&self, path: &str, client: &str, form: &str, holder: Option<&Holder>) -> (u16, Value) {
        let tls = match client {
            "certified" => Some(&self.certified),
            "self-certified" => Some(&self.self_certified),
            _ => None,
        };
        let builder = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        let (origin, builder) = match tls {
            Some(own) => {
                let pem = own.pem() + &own.key_pem();
                let authority = reqwest::Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
                let identity = reqwest::Identity::from_pem(pem.as_bytes()).unwrap();
                (format!("https://{}", self.tls), builder.tls_certs_only([authority]).identity(identity))
            }
            None => (self.issuer(), builder),
        };
        let url = format!("{origin}{path}");
        let mut request = builder.build().unwrap().post(&url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        // Nothing that is sent needs any other escape.
        let mut form = form.replace(' ', "+");
        if tls.is_some() {
            form = form + "&client_id=" + client;
        } else if client == "assertive" {
            let assertion = self.holder.assertion(client, &self.issuer());
            form += "&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=";
            form += &assertion;
        } else {
            let secret = SECRET.replace('+', "%2B").replace(' ', "+");
            request = request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{client}:{secret}"))));
        }
        if let Some(holder) = holder {
            request = request.header("DPoP", holder.proof("POST", &url, None));
        }
        let request = request.body(form);
        let asked = || request.try_clone().expect("a body that is there").send();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut response = asked().await;
            if response.as_ref().is_err_and(reqwest::Error::is_timeout) {
                // The provider is not what is tested here.
                response = asked().await;
            }
            let response = response.unwrap_or_else(|error| panic!("{url}: {error:?}"));
            let status = response.status().as_u16();
            let body = response.bytes().await.unwrap();
            (status, serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))))
        })
    }
}

/// A JWT's header and claims.
pub(crate) fn parts(token: &str) -> (Value, Value) {
    let mut parts = token
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).unwrap_or(Value::Null));
    (parts.next().expect("a header"), parts.next().expect("claims"))
}

#[test]
fn the_provider_gives_jwts_of_rfc_9068_to_clients_of_every_kind() {
    let provider = Provider::start();
    for (client, account, binding) in [
        ("acme", json!("acme"), None),
        ("beta", json!("beta"), None),
        ("operator", Value::Null, None),
        ("assertive", json!("acme"), None),
        ("certified", json!("acme"), Some("x5t#S256")),
        ("self-certified", json!("acme"), Some("x5t#S256")),
    ] {
        let (header, claims) = parts(&provider.token(Wanted { client, ..Wanted::default() }));
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("RS256")), "{client}");
        assert_eq!((&claims["client_id"], &claims["sub"]), (&json!(client), &json!(client)));
        assert_eq!((&claims["account_id"], &claims["scope"]), (&account, &json!("data-read")), "{client}");
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(provider.issuer()), &json!(JWT)), "{client}");
        let bound: Option<Vec<_>> = claims["cnf"].as_object().map(|cnf| cnf.keys().map(String::as_str).collect());
        assert_eq!(bound, binding.map(|name| vec![name]), "{client}");
    }
    let holder = Holder::new();
    let (_, claims) = parts(&provider.token(Wanted { client: "prover", holder: Some(&holder), ..Wanted::default() }));
    assert!(claims["cnf"]["jkt"].is_string(), "{claims}");
}

#[test]
fn the_provider_tells_of_opaque_tokens_until_they_are_revoked() {
    let provider = Provider::start();
    let token = provider.token(Wanted { resource: OPAQUE, ..Wanted::default() });
    let tell = || provider.post("/token/introspection", "gateway", &format!("token={token}"), None);
    let (status, told) = tell();
    assert_eq!((status, &told["active"], &told["account_id"]), (200, &json!(true), &json!("acme")), "{told}");
    assert_eq!((&told["scope"], &told["aud"]), (&json!("data-read"), &json!(OPAQUE)));
    provider.revoke("acme", &token);
    assert_eq!(tell(), (200, json!({ "active": false })));
    assert_eq!(provider.requests("/token/introspection"), 2);
}

#[test]
fn the_provider_keeps_its_keys_when_it_is_killed_and_changes_them_when_told() {
    let provider = Provider::start();
    let kid = || parts(&provider.token(Wanted::default())).0["kid"].clone();
    assert_eq!(kid(), "RSA-1");
    provider.add_key("second");
    assert_eq!(kid(), "second");
    provider.drop_key("RSA-1");
    provider.kill();
    provider.start_again();
    assert_eq!(kid(), "second");
}
