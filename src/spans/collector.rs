//! The collector of traces, over HTTP: bounded in time and size, whatever it answers.
//!
//! No redirect is followed and no proxy or variable of the environment is used: what is sent, and where to,
//! is what the file says. Nothing of its headers, which are secrets, is in any message.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use thiserror::Error;

use crate::config::Tracing;
use crate::record::with_causes;

/// What is read of an answer, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;
/// What is read of a file, in bytes.
const LONGEST_FILE: usize = 1024 * 1024;

pub(super) struct Collector {
    url: Box<str>,
    headers_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    timeout: Duration,
    /// Made of the authorities that the file had then.
    client: Mutex<Option<(Option<Vec<u8>>, Client)>>,
    fault: Mutex<Option<String>>,
    rejected: AtomicU64,
}

/// Why the collector was not asked, or did not answer.
#[derive(Debug, Error)]
enum Unasked {
    #[error("`{}` cannot be read: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("`{}` is longer than 1 MiB", .0.display())]
    TooLong(PathBuf),
    #[error("`headers_file` is not a `Name: value` a line: see line {0}")]
    Headers(usize),
    #[error("`ca_file` has no certificate in PEM")]
    NoAuthority,
    #[error("no answer: {0}")]
    Unreachable(String),
    #[error("no answer in time")]
    Late,
}

impl Collector {
    pub(super) fn new(settings: &Tracing) -> Self {
        Self {
            url: settings.otlp.clone(),
            headers_file: settings.headers_file.clone(),
            ca_file: settings.ca_file.clone(),
            timeout: settings.timeout,
            client: Mutex::default(),
            fault: Mutex::default(),
            rejected: AtomicU64::new(0),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// How many spans of the last batch it said that it refused.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected.swap(0, Ordering::Relaxed)
    }

    /// What was wrong last, in words.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn ask(&self, body: Bytes) -> Result<Response<Bytes>, Unasked> {
        let (client, mut headers) = (self.client()?, self.headers()?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let exchange = async {
            let mut answer = client.post(&*self.url).headers(headers).body(body).send().await?;
            let (status, mut read) = (answer.status(), Vec::new());
            // What is longer than any answer should be is not read to its end; its status counts.
            while let Some(chunk) = answer.chunk().await? {
                if read.len().saturating_add(chunk.len()) > LONGEST_ANSWER {
                    read.clear();
                    break;
                }
                read.extend_from_slice(&chunk);
            }
            if status.is_success() {
                self.rejected.store(rejected(&read), Ordering::Relaxed);
            }
            let mut response = Response::new(Bytes::from(read));
            *response.status_mut() = status;
            if let Some(after) = answer.headers().get(http::header::RETRY_AFTER) {
                response.headers_mut().insert(http::header::RETRY_AFTER, after.clone());
            }
            Ok(response)
        };
        let unreachable = |error: reqwest::Error| Unasked::Unreachable(with_causes(&error.without_url()));
        tokio::time::timeout(self.timeout, exchange).await.map_err(|_| Unasked::Late)?.map_err(unreachable)
    }

    /// What connects, made again when the authorities have changed.
    fn client(&self) -> Result<Client, Unasked> {
        let authorities = self.ca_file.as_deref().map(read).transpose()?;
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((made_of, client)) if *made_of == authorities => return Ok(client.clone()),
            Some(_) | None => {}
        }
        let unusable = |error: reqwest::Error| Unasked::Unreachable(with_causes(&error));
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("scopegate/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &authorities {
            let authorities = Certificate::from_pem_bundle(pem).map_err(unusable)?;
            if authorities.is_empty() {
                return Err(Unasked::NoAuthority);
            }
            builder = builder.tls_certs_only(authorities).https_only(true);
        } else if self.url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:")) {
            // It trusts nobody, and so needs no authorities of the machine.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(unusable)?;
        *kept = Some((authorities, client.clone()));
        Ok(client)
    }

    fn headers(&self) -> Result<HeaderMap, Unasked> {
        let Some(path) = &self.headers_file else { return Ok(HeaderMap::new()) };
        parse_headers(&read(path)?).map_err(Unasked::Headers)
    }
}

#[async_trait]
impl HttpClient for Collector {
    /// Sends the body of a request; all else is the file's.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let asked = self.ask(request.into_body()).await;
        let fault = match &asked {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the answer's status is {}", response.status().as_u16())),
            Err(error) => Some(error.to_string()),
        };
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        Ok(asked?)
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

/// Of a good answer, which may be nonsense: then none.
fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).ok();
    let partial = answer.and_then(|answer| answer.partial_success);
    partial.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or(0)
}

/// A `Name: value` a line; empty lines and those that begin with `#` say nothing. The number of the first
/// line that is neither.
fn parse_headers(text: &[u8]) -> Result<HeaderMap, usize> {
    let mut headers = HeaderMap::new();
    for (number, line) in (1_usize..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (name, value) =
            line.iter().position(|byte| *byte == b':').and_then(|at| line.split_at_checked(at)).ok_or(number)?;
        let name = HeaderName::from_bytes(name.trim_ascii()).map_err(|_| number)?;
        let mut value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default().trim_ascii()).map_err(|_| number)?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn read(path: &Path) -> Result<Vec<u8>, Unasked> {
    use std::io::Read as _;
    let unreadable = |error| Unasked::File { path: path.to_owned(), error };
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(LONGEST_FILE as u64 + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() > LONGEST_FILE { Err(Unasked::TooLong(path.to_owned())) } else { Ok(content) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_lines_and_a_bad_one_is_named() {
        let headers =
            parse_headers(b"# of the collector\r\nAuthorization: Bearer a:b\r\n\n X-Tenant :acme \n").unwrap();
        assert_eq!(headers.get("authorization").unwrap(), "Bearer a:b");
        assert_eq!(headers.get("x-tenant").unwrap(), "acme");
        assert_eq!(headers.len(), 2);
        for (text, line) in [("secret", 1), ("a: b\nno name: x", 2), (": x", 1), ("a: b\x01", 1)] {
            assert_eq!(parse_headers(text.as_bytes()), Err(line), "{text:?}");
        }
    }

    #[test]
    fn what_a_collector_says_that_it_refused_is_a_number_or_nothing() {
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
        let said = |rejected_spans| {
            let partial = ExportTracePartialSuccess { rejected_spans, error_message: String::new() };
            ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec()
        };
        assert_eq!(rejected(&said(3)), 3);
        assert_eq!(rejected(&said(-1)), 0);
        assert_eq!(rejected(b""), 0);
        assert_eq!(rejected(b"<html>"), 0);
    }
}
