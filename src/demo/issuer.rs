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

use super::clients::DemoClient;
use super::key::{KeyFault, SigningKey};
use super::scope;
use super::token_endpoint::{Granted, Refusal, TokenRequest, judge};
use crate::token::{IssuerRules, ScopeSyntax};

/// The required scopes of every api that defines one of these.
pub type RequiredScopes = Arc<dyn Fn(&[String]) -> Vec<String> + Send + Sync>;

/// One issuer of the file, played by the demo.
pub(super) struct DemoIssuer {
    /// Exactly the tokens' `iss`.
    url: String,
    audience: String,
    pub(super) syntax: ScopeSyntax,
    keys: Vec<SigningKey>,
    required: RequiredScopes,
}

/// What is unusual about a token; nothing, by default.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Oddity {
    /// It expired an hour ago.
    pub(super) expired: bool,
    /// It was issued before the apis had required scopes.
    pub(super) without_required: bool,
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
        Ok(Self { url: rules.issuer.to_string(), audience, syntax: rules.scope_syntax, keys, required })
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
            sub: client.id,
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
        let algorithms: Vec<_> = self.keys.iter().map(SigningKey::algorithm).collect();
        json!({
            "issuer": self.url,
            "token_endpoint": self.token_endpoint(),
            "jwks_uri": format!("{}/jwks", self.url),
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "id_token_signing_alg_values_supported": algorithms,
        })
    }
}

/// The endpoints of one issuer whose URL has this path (empty, or `/venafi`).
pub(super) fn router(issuer: Arc<DemoIssuer>, path: &str) -> Router {
    Router::new()
        // A path that begins with `:` or `*` is taken for what it is.
        .without_v07_checks()
        .route(&format!("{path}/jwks"), get(jwks))
        .route(&format!("{path}/oauth/token"), post(token))
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
    match judge(&TokenRequest { authorization, form: &form }, issuer.syntax) {
        Ok(granted) => answered(&issuer, granted),
        Err(refusal) => refused(&refusal),
    }
}

/// RFC 6749 section 5.1.
fn answered(issuer: &DemoIssuer, granted: Granted) -> Response {
    match issuer.issue(granted.client, granted.scopes, Oddity::default()) {
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

fn token_id() -> Result<String, KeyFault> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
