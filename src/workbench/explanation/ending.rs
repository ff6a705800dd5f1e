//! What came of a request: an answer of the gateway's own, or what its upstream gets.

use http::header::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use crate::config::Settings;
use crate::workbench::{Said, Sent};

/// An answer of the gateway's own.
#[derive(Debug, Clone, Serialize)]
pub struct AnswerStory {
    /// The status.
    pub status: u16,
    /// Names and values, in the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// The body: a problem, or a document.
    pub body: Value,
    /// The same as it is sent.
    #[serde(skip)]
    pub sent: String,
}

/// A request as an upstream gets it.
#[derive(Debug, Clone, Serialize)]
pub struct ForwardStory {
    /// The upstream's name.
    pub upstream: String,
    /// Its servers.
    pub servers: Vec<String>,
    /// The target.
    pub target: String,
    /// Names and values, by name.
    pub headers: Vec<(String, String)>,
    /// Of a request for a token: its form, without values that are no business of others.
    pub form: Option<String>,
}

pub(super) fn answer_story(said: &Said) -> AnswerStory {
    let body = serde_json::from_slice(&said.body).unwrap_or(Value::Null);
    let sent = String::from_utf8_lossy(&said.body).into_owned();
    AnswerStory { status: said.status, headers: said.headers.iter().map(header).collect(), body, sent }
}

pub(super) fn forward_story(settings: &Settings, sent: &Sent) -> ForwardStory {
    let upstream = settings.upstreams.get(sent.upstream.0 as usize);
    let servers = upstream.map(|upstream| &*upstream.servers).unwrap_or_default().iter();
    ForwardStory {
        upstream: upstream.map_or(String::new(), |upstream| upstream.name.to_string()),
        servers: servers.map(|server| server.address.to_string()).collect(),
        target: sent.target.clone(),
        headers: sent.headers.iter().map(header).collect(),
        form: sent.form.clone(),
    }
}

fn header((name, value): &(HeaderName, HeaderValue)) -> (String, String) {
    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
}
