//! `scopegate explain`: one request's decision as a story that a person can follow.

mod evidence;
mod request;

use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use http::header::{AUTHORIZATION, HOST};

use self::evidence::Files;
use self::request::Asked;
use super::{Exit, Format, file};
use crate::config::Configuration;
use crate::gateway::{Head, Rehearsal};
use crate::policy::{Caller, Denial, UnixTime};
use crate::workbench::paint::Paint;
use crate::workbench::{Evidence, Explanation, Question, Showing, TokenChecks, TokenKind, check_token, story};

/// What `explain` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scopegate explain --method GET --path /orders/acme --token-file token.txt
  scopegate explain --method GET --path /orders/acme \\
      --claims '{\"scope\": \"orders_read\", \"account_id\": \"acme\"}'

Exit codes: 0 it is let through, 1 it is refused, 2 it could not be asked.")]
pub struct Arguments {
    /// The request's method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// The request's target, path and query, as it would be sent.
    #[arg(long)]
    path: String,
    /// A token that the request would bring along under `Authorization: Bearer`.
    #[arg(long, group = "credential")]
    token: Option<String>,
    /// A file with the token; `-` for standard input, which keeps it out of the shell's history.
    #[arg(long, value_name = "FILE", group = "credential")]
    token_file: Option<PathBuf>,
    /// What a good token would say, as JSON; the token's own checks are then skipped.
    #[arg(long, value_name = "JSON", group = "credential")]
    claims: Option<String>,
    /// A header, as often as needed. `Host` is `localhost` where none is given.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The form that it would post, for a token endpoint, such as `grant_type=…&client_id=…&scope=…`.
    #[arg(long)]
    form: Option<String>,
    /// The TLS client certificate that the request would come with.
    #[arg(long, value_name = "PEM")]
    client_cert: Option<PathBuf>,
    /// The address that it would come from, which may be a trusted proxy's.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// The keys of the token's issuer, JWKS or PEM, in place of those that the file names.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// When it would come: RFC 3339, or seconds since 1970. Now, if left out.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The policy file.
    #[arg(long, value_name = "FILE", default_value = "gateway.yaml")]
    config: PathBuf,
    /// How to print the story.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let configuration = match file::configuration(&arguments.config) {
        Ok(configuration) => configuration,
        Err(exit) => return exit,
    };
    let explanation = match explain(arguments, &configuration) {
        Ok(explanation) => explanation,
        Err(unusable) => return file::unusable(&unusable),
    };
    let out = io::stdout();
    let paint = Paint { styled: super::is_styled(out.is_terminal()) };
    let printed = match arguments.format {
        Format::Text => story(&explanation, paint),
        // INVARIANT: texts and numbers can always be written as JSON.
        Format::Json => serde_json::to_string_pretty(&explanation).unwrap_or_default() + "\n",
    };
    // Whoever closed the output has no use for the rest.
    let _ = out.lock().write_all(printed.as_bytes());
    if explanation.allowed { Exit::Good } else { Exit::Bad }
}

fn explain(arguments: &Arguments, configuration: &Configuration) -> Result<Explanation, String> {
    let asked = Asked::read(arguments, &configuration.settings)?;
    let head = Head {
        method: &asked.method,
        target: &arguments.path,
        headers: &asked.headers,
        peer: arguments.from,
        certificate: asked.certificate.as_ref(),
        form: arguments.form.as_deref().unwrap_or_default().as_bytes(),
    };
    match &asked.claims {
        None => explained(configuration, &head, arguments.jwks.as_deref(), asked.now),
        Some(claims) => {
            let identify = |_: &Showing<'_>, checks: &mut TokenChecks| claims.identify(checks);
            Ok(told(configuration, &head, asked.now, TokenKind::Claims, identify))
        }
    }
}

/// What the gateway of a file would do with a request now, and why. Tokens are checked with the keys and
/// the list of revoked tokens that the file names, or with the keys of `jwks`: nobody is asked.
///
/// # Errors
/// If `jwks` cannot be read.
pub fn explained(
    configuration: &Configuration,
    head: &Head<'_>,
    jwks: Option<&Path>,
    now: UnixTime,
) -> Result<Explanation, String> {
    let files = Files::new(&configuration.settings, jwks, now)?;
    let kind = if head.headers.contains_key(AUTHORIZATION) { TokenKind::Sent } else { TokenKind::None };
    let identify = |showing: &Showing<'_>, checks: &mut TokenChecks| {
        let evidence = Evidence {
            issuers: &configuration.settings.issuers,
            keys: &|issuer| files.keys(issuer),
            revocations: &|| files.revocations(),
            now,
        };
        let (made, caller) = check_token(showing, &evidence);
        *checks = made;
        caller
    };
    Ok(told(configuration, head, now, kind, identify))
}

fn told(
    configuration: &Configuration,
    head: &Head<'_>,
    now: UnixTime,
    kind: TokenKind,
    identify: impl FnOnce(&Showing<'_>, &mut TokenChecks) -> Result<Option<Caller>, Denial>,
) -> Explanation {
    let Configuration { policy, settings, .. } = configuration;
    let mut checks = TokenChecks::default();
    let rehearsed = Rehearsal::new(policy, settings).judge(head, |showing| identify(showing, &mut checks));
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let method = head.method.as_str();
    let question = Question { policy, settings, method, target: head.target, host, now: Some(now), kind, checks };
    Explanation::new(question, &rehearsed)
}
