//! `scopegate scopes`: the scope map, for people, spreadsheets, pages and programs.

mod text;
mod written;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Exit, file};
use crate::config::Configuration;
use crate::policy::{Policy, Reach, Role, ScopeId};
use crate::workbench::paint::Paint;
use crate::workbench::{Access, ApiMap, ScopeMap};

/// What `scopes` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scopegate scopes gateway.yaml
  scopegate scopes --format csv > scopes.csv

Exit codes: 0 shown, 2 the file cannot be read.")]
pub struct Arguments {
    /// The policy file.
    #[arg(default_value = "gateway.yaml")]
    file: PathBuf,
    /// How to print the map.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How the map is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    #[value(alias = "human")]
    Text,
    /// For programs.
    Json,
    /// A line for each scope of each endpoint.
    Csv,
    /// A table for each api.
    Markdown,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let configuration = match file::configuration(&arguments.file) {
        Ok(configuration) => configuration,
        Err(exit) => return exit,
    };
    let out = io::stdout();
    let paint = Paint { styled: super::is_styled(out.is_terminal()) };
    // Whoever closed the output has no use for the rest.
    let _ = out.lock().write_all(printed(&configuration, arguments.format, paint).as_bytes());
    Exit::Good
}

fn printed(configuration: &Configuration, format: Format, paint: Paint) -> String {
    let map = ScopeMap::new(&configuration.policy);
    let view = View { configuration, map: &map };
    match format {
        Format::Text => text::text(&view, paint),
        Format::Json => written::json(&view),
        Format::Csv => written::csv(&view),
        Format::Markdown => written::markdown(&view),
    }
}

/// The map, and what it is of.
struct View<'c> {
    configuration: &'c Configuration,
    map: &'c ScopeMap<'c>,
}

impl<'c> View<'c> {
    fn policy(&self) -> &'c Policy {
        &self.configuration.policy
    }

    fn upstream(&self, map: &ApiMap<'_>) -> &'c str {
        let upstream = self.configuration.settings.upstreams.get(map.api.upstream.0 as usize);
        upstream.map_or("", |upstream| &upstream.name)
    }

    fn name(&self, scope: ScopeId) -> &'c str {
        self.policy().scope(scope).map_or("", |scope| scope.name.as_str())
    }

    fn required(&self, map: &ApiMap<'_>) -> Vec<&'c str> {
        map.api.required.iter().map(|scope| self.name(*scope)).collect()
    }

    /// The name of the scope by which there is access; `None` where no token is asked for.
    fn scope(&self, access: &Access<'_>) -> Option<&'c str> {
        match access.through.role {
            Role::Grant { scope, .. } => Some(self.name(scope)),
            Role::Public | Role::TokenEndpoint(_) => None,
        }
    }

    /// What is to be said of an access to this api beside its scope.
    fn remarks(&self, map: &ApiMap<'_>, access: &Access<'_>, methods_differ: bool) -> Vec<String> {
        let policy = self.policy();
        let mut remarks = Vec::new();
        if let Role::Grant { scope, reach, confidential_only } = access.through.role
            && let Some(scope) = policy.scope(scope)
        {
            if policy.api(scope.api).is_some_and(|api| !api.account.is_empty()) {
                remarks.push(reach_words(reach).to_owned());
            }
            let marks = [
                (scope.marks.required, "required"),
                (confidential_only, "confidential clients only"),
                (scope.marks.deprecated, "deprecated"),
            ];
            remarks.extend(marks.into_iter().filter(|(is, _)| *is).map(|(_, words)| words.to_owned()));
        }
        if let Role::TokenEndpoint(id) = access.through.role
            && let Some(endpoint) = policy.token_endpoint(id)
        {
            let upstream = self.configuration.settings.upstreams.get(endpoint.upstream.0 as usize);
            remarks.extend(upstream.map(|upstream| format!("served by {}", upstream.name)));
        }
        if methods_differ {
            remarks.push(format!("{} only", access.methods.listed()));
        }
        if access.through.api != map.id
            && let Some(api) = policy.api(access.through.api)
        {
            remarks.push(format!("by the api {}", api.name));
        }
        remarks
    }
}

fn reach_words(reach: Reach) -> &'static str {
    match reach {
        Reach::Own => "own account",
        Reach::Any => "any account",
    }
}
