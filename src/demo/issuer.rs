//! A development issuer: keys made at start, a token endpoint, a key set, metadata (RFC 6749, 7517,
//! 8414, 9068). It knows its clients' secrets from the source, so it listens on loopback only.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use jsonwebtoken::Algorithm;
use serde::Serialize;
use serde_json::{Value, json};

use super::authorization::{self, CONSOLE, Codes};
use super::clients::DemoClient;
use super::key::{KeyFault, SigningKey};
use super::scope;
use super::token_endpoint::{Granted, Refusal, TokenRequest, judge};
use crate::token::{IssuerRules, ScopeSyntax};

/// What [`required_scopes`](super::required_scopes) gives for these scopes, by the policy that is in force.
pub type RequiredScopes = Arc<dyn Fn(&[String]) -> Vec<String> + Send + Sync>;

/// One issuer of the file, played by the demo.
pub(super) struct DemoIssuer {
    /// Exactly the tokens' `iss`.
    url: String,
    audience: String,
    pub(super) syntax: ScopeSyntax,
    keys: Vec<SigningKey>,
    required: RequiredScopes,
    pub(super) codes: Codes,
}

/// What is unusual about a token; nothing, by default.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Oddity {
    /// It expired an hour ago.
    pub(super) expired: bool,
    /// It was issued before the apis had required scopes.
    pub(super) without_required: bool,
    /// Who it is about, if that is not the client itself.
    pub(super) subject: Option<&'static str>,
}

const LIFETIME: Duration = Duration::from_secs(3600);

/// RFC 9068 section 2.2.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    scope: String,
    iat: u64,
    exp: u64,
    jti: String,
}

impl DemoIssuer {
    pub(super) fn new(rules: &IssuerRules, required: RequiredScopes) -> Result<Self, KeyFault> {
        let audience = rules.audiences.first().map(ToString::to_string).unwrap_or_default();
        let mut keys = vec![SigningKey::es256()?];
        if rules.scope_syntax == ScopeSyntax::Words {
            keys.push(SigningKey::rs256()?);
        }
        Ok(Self {
            url: rules.issuer.to_string(),
            audience,
            syntax: rules.scope_syntax,
            keys,
            required,
            codes: Codes::default(),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Where clients ask for tokens.
    pub(super) fn token_endpoint(&self) -> String {
        format!("{}/oauth/token", self.url)
    }

    /// A token for the client with these scopes and, as is the habit of the products, the required
    /// ones of their apis. Gives the scopes that it has, too.
    pub(super) fn issue(
        &self,
        client: &DemoClient,
        mut scopes: Vec<String>,
        oddity: Oddity,
    ) -> Result<(String, String), KeyFault> {
        if !oddity.without_required {
            for required in (self.required)(&scopes) {
                if !scopes.contains(&required) {
                    scopes.push(required);
                }
            }
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let issued_at = if oddity.expired { now.saturating_sub(2 * LIFETIME) } else { now }.as_secs();
        let scope = scope::write(&scopes, self.syntax);
        let claims = Claims {
            iss: &self.url,
            sub: oddity.subject.unwrap_or(client.id),
            aud: &self.audience,
            client_id: client.id,
            account_id: client.account,
            scope: scope.clone(),
            iat: issued_at,
            exp: issued_at + LIFETIME.as_secs(),
            jti: token_id()?,
        };
        Ok((self.key(client.algorithm)?.sign(&claims)?, scope))
    }

    fn key(&self, algorithm: Algorithm) -> Result<&SigningKey, KeyFault> {
        let key = self.keys.iter().find(|key| key.algorithm() == algorithm);
        key.or_else(|| self.keys.first()).ok_or(KeyFault::Generator(aws_lc_rs::error::Unspecified))
    }

    fn metadata(&self) -> Value {
        let (mut grants, mut responses) = (vec!["client_credentials"], vec![]);
        if self.signs_people_in() {
            grants.push("authorization_code");
            responses.push("code");
        }
        let algorithms: Vec<_> = self.keys.iter().map(SigningKey::algorithm).collect();
        let mut metadata = json!({
            "issuer": self.url,
            "token_endpoint": self.token_endpoint(),
            "jwks_uri": format!("{}/jwks", self.url),
            "grant_types_supported": grants,
            "response_types_supported": responses,
            "subject_types_supported": ["public"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "id_token_signing_alg_values_supported": algorithms,
        });
        if self.signs_people_in() {
            authorization::tell(&self.url, &mut metadata);
        }
        metadata
    }

    /// The console's scopes are words.
    pub(super) fn signs_people_in(&self) -> bool {
        self.syntax == ScopeSyntax::Words
    }
}

/// The endpoints of one issuer whose URL has this path (empty, or `/venafi`).
pub(super) fn router(issuer: Arc<DemoIssuer>, path: &str) -> Router {
    Router::new()
        // A path that begins with `:` or `*` is taken for what it is.
        .without_v07_checks()
        .route(&format!("{path}/jwks"), get(jwks))
        .route(&format!("{path}/oauth/token"), post(token))
        .route(&format!("{path}/authorize"), get(authorization::authorize))
        .route(&format!("{path}/.well-known/openid-configuration"), get(metadata))
        // RFC 8414 section 3.1 puts the well-known part before the issuer's path.
        .route(&format!("/.well-known/oauth-authorization-server{path}"), get(metadata))
        .with_state(issuer)
}

async fn jwks(State(issuer): State<Arc<DemoIssuer>>) -> Response {
    let keys: Vec<_> = issuer.keys.iter().map(SigningKey::public).collect();
    ([(header::CACHE_CONTROL, "max-age=300")], Json(json!({ "keys": keys }))).into_response()
}

async fn metadata(State(issuer): State<Arc<DemoIssuer>>) -> Json<Value> {
    Json(issuer.metadata())
}

async fn token(
    State(issuer): State<Arc<DemoIssuer>>,
    headers: HeaderMap,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else {
        return refused(&Refusal::InvalidRequest("the body is no application/x-www-form-urlencoded form"));
    };
    let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
    let authorization = match (authorizations.next().map(|value| value.to_str()), authorizations.next()) {
        (None, _) => None,
        (Some(Ok(text)), None) => Some(text),
        (Some(_), _) => return refused(&Refusal::InvalidRequest("the Authorization header is unreadable")),
    };
    if form.iter().any(|(name, value)| name == "grant_type" && value == "authorization_code")
        && issuer.signs_people_in()
    {
        return match issuer.codes.redeem(&form) {
            Ok(signed_in) => {
                let oddity = Oddity { subject: Some(signed_in.subject), ..Oddity::default() };
                answered(&issuer, Granted { client: &CONSOLE, scopes: signed_in.scopes }, oddity)
            }
            Err(refusal) => refused(&refusal),
        };
    }
    match judge(&TokenRequest { authorization, form: &form }, issuer.syntax) {
        Ok(granted) => answered(&issuer, granted, Oddity::default()),
        Err(refusal) => refused(&refusal),
    }
}

/// RFC 6749 section 5.1.
fn answered(issuer: &DemoIssuer, granted: Granted, oddity: Oddity) -> Response {
    match issuer.issue(granted.client, granted.scopes, oddity) {
        Ok((token, scope)) => uncached(
            StatusCode::OK,
            &json!({
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": LIFETIME.as_secs(),
                "scope": scope,
            }),
        ),
        Err(error) => {
            tracing::error!(%error, "the development issuer cannot sign");
            uncached(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": "server_error"}))
        }
    }
}

/// RFC 6749 section 5.2.
fn refused(refusal: &Refusal) -> Response {
    let (status, code) = refusal.code();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = uncached(status, &json!({"error": code, "error_description": refusal.description()}));
    if status == StatusCode::UNAUTHORIZED {
        let challenge = header::HeaderValue::from_static("Basic realm=\"scopegate demo\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn uncached(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], Json(body)).into_response()
}

pub(super) fn token_id() -> Result<String, KeyFault> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use reqwest::Client;
    use tokio::net::TcpListener;

    use super::*;
    use crate::policy::{TokenFault, UnixTime};
    use crate::token::{ClaimPath, ClaimPaths, Jwt, KeySet, TokenBounds, TokenType};

    const FORM: &str = "application/x-www-form-urlencoded";

    fn rules(url: &str, scope_syntax: ScopeSyntax) -> IssuerRules {
        let path = |name: &str| [ClaimPath([name.into()].into())].into();
        IssuerRules {
            issuer: url.into(),
            audiences: ["https://api.example.com".into()].into(),
            algorithms: [Algorithm::RS256, Algorithm::ES256].into(),
            token_type: TokenType::Require,
            leeway: 0,
            claims: ClaimPaths { scope: path("scope"), account: path("account_id"), client: path("client_id") },
            scope_syntax,
            bounds: TokenBounds::default(),
            dpop: None,
        }
    }

    /// An issuer that serves under `path`, and its rules.
    async fn start(path: &str, syntax: ScopeSyntax) -> (String, IssuerRules) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{path}", listener.local_addr().unwrap());
        let rules = rules(&url, syntax);
        let required: RequiredScopes = Arc::new(|scopes: &[String]| {
            let concerned = scopes.iter().any(|scope| scope == "read_user_data");
            concerned.then(|| "use_directory".to_owned()).into_iter().collect()
        });
        let issuer = Arc::new(DemoIssuer::new(&rules, required).unwrap());
        let router = router(issuer, path);
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, rules)
    }

    async fn ask(url: &str, client: &str, kind: &str, form: &str) -> (u16, HeaderMap, Value) {
        let answer = Client::new()
            .post(format!("{url}/oauth/token"))
            .header("Authorization", format!("Basic {}", STANDARD.encode(client)))
            .header("Content-Type", kind)
            .body(form.to_owned())
            .send()
            .await
            .unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    async fn get_json(url: String) -> Value {
        serde_json::from_str(&reqwest::get(url).await.unwrap().text().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_token_is_answered_as_the_products_do_and_verifies_by_the_published_keys() {
        for (path, syntax, client, form, scope, scopes) in [
            (
                "",
                ScopeSyntax::Words,
                "acme-integration:acme-secret",
                "grant_type=client_credentials&scope=wk-ezcfg-def-data-read+wk-dgs-core-read",
                "wk-ezcfg-def-data-read wk-dgs-core-read",
                &["wk-ezcfg-def-data-read", "wk-dgs-core-read"][..],
            ),
            (
                "/venafi",
                ScopeSyntax::Privileges,
                "venafi-automation:venafi-secret",
                "grant_type=client_credentials&scope=ssh%3Bcertificate%3Adiscover%2Cmanage",
                "ssh;certificate:discover,manage",
                &["ssh", "certificate:discover", "certificate:manage"],
            ),
            (
                "",
                ScopeSyntax::Words,
                "registry-portal:portal-secret",
                "grant_type=client_credentials&scope=read_user_data",
                "read_user_data use_directory",
                &["read_user_data", "use_directory"],
            ),
        ] {
            let (url, rules) = start(path, syntax).await;
            let (status, headers, answer) = ask(&url, client, FORM, form).await;
            assert_eq!((status, &headers["cache-control"]), (200, &header::HeaderValue::from_static("no-store")));
            assert_eq!(answer["token_type"], "Bearer");
            assert_eq!(answer["expires_in"], 3600);
            assert_eq!(answer["scope"], scope);
            let keys = get_json(format!("{url}/jwks")).await.to_string();
            let keys = KeySet::parse(keys.as_bytes()).unwrap();
            assert_eq!(keys.refused.len(), 0);
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            let token = Jwt::parse(answer["access_token"].as_str().unwrap()).unwrap();
            let caller = token.verify(&rules, &keys.keys, UnixTime(now)).unwrap().caller;
            assert_eq!(caller.client.as_deref(), client.split(':').next());
            assert_eq!(caller.subject, caller.client);
            assert_eq!(caller.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), scopes);
            assert_eq!(caller.accounts.iter().any(|account| account.as_str() == "acme"), client.starts_with("acme"));
            let late = token.verify(&rules, &keys.keys, UnixTime(now + 3700));
            assert_eq!(late.map(|_| ()), Err(TokenFault::Expired));
        }
    }

    #[tokio::test]
    async fn refusals_are_answered_as_rfc_6749_says() {
        let (url, _) = start("", ScopeSyntax::Words).await;
        let (status, headers, answer) =
            ask(&url, "acme-integration:no", FORM, "grant_type=client_credentials&scope=wk-dgs-core-read").await;
        assert_eq!((status, &answer["error"]), (401, &json!("invalid_client")));
        assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
        let beyond = "grant_type=client_credentials&scope=wk-dgs-core-read+wk-ezcfg-def-data-su";
        let (status, _, answer) = ask(&url, "acme-integration:acme-secret", FORM, beyond).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_scope")));
        assert_eq!(answer["error_description"], "the client may not have wk-ezcfg-def-data-su");
        let (status, _, answer) = ask(&url, "acme-integration:acme-secret", "application/json", "{}").await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")));
    }

    #[tokio::test]
    async fn its_metadata_stands_where_discovery_and_rfc_8414_look_for_it() {
        for path in ["", "/venafi"] {
            let (url, _) = start(path, ScopeSyntax::Words).await;
            let origin = url.strip_suffix(path).unwrap();
            let metadata = get_json(format!("{url}/.well-known/openid-configuration")).await;
            assert_eq!(metadata["issuer"], json!(url));
            assert_eq!(metadata["jwks_uri"], json!(format!("{url}/jwks")));
            assert_eq!(metadata["token_endpoint"], json!(format!("{url}/oauth/token")));
            assert_eq!(get_json(format!("{origin}/.well-known/oauth-authorization-server{path}")).await, metadata);
        }
    }
}
