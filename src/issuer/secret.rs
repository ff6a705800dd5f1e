//! The gateway's own credentials at an introspection endpoint, read again when their file changes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use thiserror::Error;
use tokio::time::sleep;

use super::environment::{Background, Environment};
use super::file::{FileFault, WatchedFile};
use crate::config::Introspection;

/// The longest secret, in bytes.
const LONGEST: u64 = 64 * 1024;

/// The value of `Authorization` that tells who asks, kept up with the secret's file as long as this
/// lives.
pub(super) struct Credentials {
    held: Arc<ArcSwapOption<HeaderValue>>,
    _watch: Background,
}

/// Why a file holds no secret.
#[derive(Debug, Error)]
enum Unreadable {
    #[error("{0}")]
    File(#[from] FileFault),
    #[error("it is empty")]
    Empty,
}

struct Watch {
    file: WatchedFile,
    client_id: Box<str>,
    broken: bool,
    held: Arc<ArcSwapOption<HeaderValue>>,
}

impl Credentials {
    /// Reads the secret, which blocks as long as that takes, and begins to watch it.
    pub(super) fn start(introspection: &Introspection, around: &Environment) -> Self {
        let held = Arc::new(ArcSwapOption::empty());
        let mut watch = Watch {
            file: WatchedFile::new(&introspection.client_secret_file, LONGEST),
            client_id: introspection.client_id.clone(),
            broken: false,
            held: Arc::clone(&held),
        };
        watch.look();
        Self { held, _watch: around.spawn(watch.keep_up(around.pace.look)) }
    }

    /// The value of `Authorization`; `None` while there was no secret to read.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        self.held.load().as_deref().cloned()
    }
}

impl Watch {
    async fn keep_up(mut self, every: Duration) {
        loop {
            sleep(every).await;
            self.look();
        }
    }

    fn look(&mut self) {
        match self.read() {
            Ok(Some(value)) => {
                self.held.store(Some(Arc::new(value)));
                self.broken = false;
            }
            Ok(None) => {}
            Err(fault) => {
                if !self.broken {
                    let path: &Path = self.file.path();
                    tracing::error!(file = %path.display(), %fault, "the client secret cannot be read; the last good one stays");
                }
                self.broken = true;
            }
        }
    }

    fn read(&mut self) -> Result<Option<HeaderValue>, Unreadable> {
        let Some(content) = self.file.look()? else { return Ok(None) };
        let secret = content.strip_suffix(b"\n").unwrap_or(&content);
        let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
        basic(&self.client_id, secret).map(Some).ok_or(Unreadable::Empty)
    }
}

/// RFC 6749 section 2.3.1: id and secret are form-encoded before they are joined and put in base64.
fn basic(client_id: &str, secret: &[u8]) -> Option<HeaderValue> {
    if secret.is_empty() {
        return None;
    }
    let pair = format!("{}:{}", form_encoded(client_id.as_bytes()), form_encoded(secret));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// `application/x-www-form-urlencoded` (RFC 6749 appendix B).
pub(super) fn form_encoded(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => text.push(char::from(*byte)),
            b' ' => text.push('+'),
            _ => {
                text.push('%');
                for half in [byte >> 4, byte & 15] {
                    text.extend(HEX.get(usize::from(half)).map(|digit| char::from(*digit)));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_and_secret_are_form_encoded_first() {
        // The example of RFC 6749 appendix B: a space, `%`, `&`, `+`, the pound and euro signs.
        assert_eq!(form_encoded(" %&+\u{a3}\u{20ac}".as_bytes()), "+%25%26%2B%C2%A3%E2%82%AC");
        let value = basic("s6BhdRkqt3", b"g:X1 f").unwrap();
        let pair = STANDARD.decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(pair).unwrap(), "s6BhdRkqt3:g%3AX1+f");
        assert!(value.is_sensitive());
        assert_eq!(basic("a", b""), None);
    }

    #[test]
    fn one_final_newline_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        for (content, secret) in [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), (" s ", " s ")] {
            std::fs::write(&path, content).unwrap();
            let mut watch = Watch {
                file: WatchedFile::new(&path, LONGEST),
                client_id: "me".into(),
                broken: false,
                held: Arc::default(),
            };
            assert_eq!(watch.read().unwrap(), basic("me", secret.as_bytes()), "{content:?}");
        }
    }
}
