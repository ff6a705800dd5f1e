//! The request that is asked about, read from the arguments.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Arguments;
use super::evidence::read;
use crate::config::Settings;
use crate::policy::{Caller, Certificate, Denial, UnixTime};
use crate::token::{IssuerRules, certificate_from_pem, introspected};
use crate::workbench::{Check, CheckOutcome, TokenChecks, TokenStep};

/// The request that is asked about.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) certificate: Option<Certificate>,
    /// What a good token would say, if there is one.
    pub(super) claims: Option<Claims>,
    pub(super) now: UnixTime,
}

/// What a good token of an issuer would say.
pub(super) struct Claims {
    said: Map<String, Value>,
    rules: std::sync::Arc<IssuerRules>,
    now: UnixTime,
}

/// A token may be this long; more is no token.
const LONGEST_TOKEN: u64 = 1 << 20;
/// Of a client certificate with those above it, in bytes.
const LONGEST_CERTIFICATE: u64 = 1 << 20;

/// What claims say of the token itself, and not of its caller: that is not asked here.
const OF_THE_TOKEN: [&str; 8] = ["iss", "aud", "exp", "nbf", "iat", "cnf", "active", "token_type"];

impl Asked {
    pub(super) fn read(arguments: &Arguments, settings: &Settings) -> Result<Self, String> {
        let method = Method::from_bytes(arguments.method.as_bytes())
            .map_err(|_| format!("`{}` is not a method", arguments.method.escape_debug()))?;
        let mut headers = HeaderMap::new();
        for text in &arguments.headers {
            let (name, value) = header(text)?;
            headers.append(name, value);
        }
        let token = match (&arguments.token, &arguments.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(file)) => Some(token_of(file)?),
            (None, None) => None,
        };
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
            headers.append(AUTHORIZATION, value.map_err(|_| "the token has a character that no header can have")?);
        }
        if !headers.contains_key(HOST) {
            headers.insert(HOST, HeaderValue::from_static("localhost"));
        }
        if arguments.form.is_some() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        let now = arguments.at.as_deref().map_or_else(|| Ok(clock()), time)?;
        let claims = match &arguments.claims {
            Some(_) if headers.contains_key(AUTHORIZATION) => {
                return Err("`--claims` stands for a token, so there can be no `Authorization` header beside it".into());
            }
            Some(claims) => Some(Claims::read(claims, settings, now)?),
            None => None,
        };
        let certificate = arguments.client_cert.as_deref().map(certificate).transpose()?;
        Ok(Self { method, headers, certificate, claims, now })
    }
}

impl Claims {
    fn read(text: &str, settings: &Settings, now: UnixTime) -> Result<Self, String> {
        let claims: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| format!("`--claims` is not a JSON object: {error}"))?;
        let issuers = || settings.issuers.iter().map(|issuer| &issuer.rules);
        let rules = match claims.get("iss") {
            None => issuers().next().ok_or("the file has no issuer, so no token could be good")?,
            Some(wanted) => issuers()
                .find(|rules| *wanted == *rules.issuer)
                .ok_or_else(|| format!("the file has no issuer {wanted}, so no token of it could be good"))?,
        };
        Ok(Self { said: claims, rules: rules.clone(), now })
    }

    /// The caller, read as it would be from an answer about an opaque token.
    pub(super) fn identify(&self, checks: &mut TokenChecks) -> Result<Option<Caller>, Denial> {
        checks.claims = Some(Value::Object(self.said.clone()));
        let mut said = self.said.clone();
        said.retain(|name, _| !OF_THE_TOKEN.contains(&&**name));
        said.insert("active".to_owned(), true.into());
        said.insert("exp".to_owned(), self.now.0.saturating_add(3600).into());
        let caller = introspected(Value::Object(said).to_string().as_bytes(), &self.rules, self.now);
        caller.map(Some).map_err(|fault| {
            let (step, outcome) = (TokenStep::WellFormed, CheckOutcome::Failed);
            checks.checks.push(Check { step, outcome, detail: fault.to_string() });
            fault.into()
        })
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = |what| format!("`{}` is {what}; write `--header 'Name: value'`", text.escape_debug());
    let (name, value) = text.split_once(':').ok_or_else(|| wrong("no header"))?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong("a header without a good name"))?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong("a header without a good value"))?;
    Ok((name, value))
}

fn token_of(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().take(LONGEST_TOKEN).read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|opened| opened.take(LONGEST_TOKEN).read_to_string(&mut text))
    };
    match read {
        Ok(_) if text.trim().is_empty() => Err(format!("there is no token in {}", file.display())),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(format!("cannot read the token from {}: it is no text", file.display()))
        }
        Err(error) => Err(format!("cannot read the token from {}: {error}", file.display())),
    }
}

fn certificate(file: &Path) -> Result<Certificate, String> {
    let bytes = read(file, LONGEST_CERTIFICATE).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    certificate_from_pem(&String::from_utf8_lossy(&bytes)).map_err(|invalid| format!("{}: {invalid}", file.display()))
}

fn time(text: &str) -> Result<UnixTime, String> {
    let seconds = text.parse::<u64>().ok().or_else(|| {
        let timestamp: Timestamp = text.parse().ok()?;
        u64::try_from(timestamp.as_second()).ok()
    });
    let help = "write RFC 3339 such as `2027-01-15T08:00:00Z`, or seconds since 1970";
    seconds.map(UnixTime).ok_or_else(|| format!("`{}` is not a time; {help}", text.escape_debug()))
}

fn clock() -> UnixTime {
    // As the gateway has it: a clock before 1970 makes every token expired rather than good.
    UnixTime(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(u64::MAX, |since| since.as_secs()))
}
