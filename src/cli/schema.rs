//! `scopegate schema`: the JSON Schema of the files that people write, for their editors.

use std::io::{self, Write};

use clap::{Args, ValueEnum};

use super::Exit;
use crate::config::{policy_schema, tests_schema};

/// What `schema` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Editors that speak the YAML language server's protocol find it by the file's
first line:
  # yaml-language-server: $schema=./gateway.schema.json")]
pub struct Arguments {
    /// The file that the schema is of.
    #[arg(value_enum, default_value_t)]
    of: Of,
}

/// Whose schema is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Of {
    /// `gateway.yaml`.
    #[default]
    Policy,
    /// `gateway.tests.yaml`, which `scopegate test` reads.
    Tests,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let schema = match arguments.of {
        Of::Policy => policy_schema(),
        Of::Tests => tests_schema(),
    };
    // Whoever closed the output has no use for the rest.
    let _ = writeln!(io::stdout().lock(), "{schema:#}");
    Exit::Good
}
