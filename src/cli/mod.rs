//! The commands: a file for each, and what they share. They print and return; `main` exits.

mod audit_log;
mod check;
mod completions;
mod demo;
mod descriptors;
mod diff;
mod explain;
mod file;
mod handover;
mod import;
mod replay;
mod review;
mod running;
mod schema;
mod scopes;
mod serve;
mod supervisor;
mod test;

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::version;

pub use explain::explained;

/// A reverse proxy that enforces OAuth scopes in front of APIs that stay unchanged.
#[derive(Debug, Parser)]
#[command(
    name = "scopegate",
    version = version::VERSION,
    long_version = version::WHOLE,
    about,
    term_width = 80,
    after_help = "\
`scopegate demo` shows a gateway at work. For a file of your own: `check` it,
`explain` a request, `serve` it; before a change goes out, `diff` and `replay`.
`scopegate COMMAND --help` has examples and exit codes."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve requests as a policy file says.
    Serve(serve::Arguments),
    /// Try the gateway out: with a development issuer and an echo upstream, all in one process.
    Demo(demo::Arguments),
    /// Report all that is wrong with a gateway.yaml.
    Check(check::Arguments),
    /// Tell why a request is let through or refused.
    Explain(Box<explain::Arguments>),
    /// Hold a policy against what a file of tests expects of it.
    Test(test::Arguments),
    /// Show what a change of the file newly allows and denies.
    Diff(diff::Arguments),
    /// Judge recorded requests again by another file.
    Replay(replay::Arguments),
    /// Show which rights recorded requests made no use of.
    Review(review::Arguments),
    /// Show which scopes and privileges grant each endpoint.
    Scopes(scopes::Arguments),
    /// Make a gateway.yaml of a document that describes an API.
    Import(import::Arguments),
    /// Print the JSON Schema of gateway.yaml, for editors that complete and check it.
    Schema(schema::Arguments),
    /// Print what a shell needs to complete commands.
    Completions(completions::ShellArguments),
    /// Write a manual page for each command.
    Man(completions::ManArguments),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well: 0.
    Good,
    /// The thing asked about is bad: 1.
    Bad,
    /// Wrong usage, or something that cannot be read: 2.
    Unusable,
}

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    #[value(alias = "human")]
    Text,
    /// For programs.
    Json,
}

/// How a report that others may want to read is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum ReportFormat {
    /// For people.
    #[default]
    #[value(alias = "human")]
    Text,
    /// For programs.
    Json,
    /// For pull requests.
    Markdown,
}

impl Command {
    /// Does it.
    pub fn run(self) -> Exit {
        match self {
            Self::Serve(arguments) => serve::run(&arguments),
            Self::Demo(arguments) => demo::run(&arguments),
            Self::Check(arguments) => check::run(&arguments),
            Self::Explain(arguments) => explain::run(&arguments),
            Self::Test(arguments) => test::run(&arguments),
            Self::Diff(arguments) => diff::run(&arguments),
            Self::Replay(arguments) => replay::run(&arguments),
            Self::Review(arguments) => review::run(&arguments),
            Self::Scopes(arguments) => scopes::run(&arguments),
            Self::Import(arguments) => import::run(&arguments),
            Self::Schema(arguments) => schema::run(&arguments),
            Self::Completions(arguments) => completions::run(&arguments),
            Self::Man(arguments) => completions::man(&arguments),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Good => 0,
            Exit::Bad => 1,
            Exit::Unusable => 2,
        })
    }
}

/// Whether what goes to a terminal, or not, is printed in colours (<https://no-color.org>).
fn is_styled(is_terminal: bool) -> bool {
    styles(is_terminal, std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
}

fn styles(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty) && term != Some(OsStr::new("dumb"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_is_at_most_80_columns_wide_and_breaks_where_it_was_broken() {
        fn check(mut command: clap::Command) {
            let name = command.get_name().to_owned();
            let said = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in said.lines().chain(command.render_long_help().to_string().lines()) {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
            command.get_subcommands().cloned().for_each(check);
        }
        let mut cli = Cli::command().term_width(80);
        cli.build();
        check(cli);
    }

    #[test]
    fn colours_are_for_terminals_that_take_them() {
        let text = |text| Some(OsStr::new(text));
        for (is_terminal, no_color, term, styled) in [
            (true, None, text("xterm"), true),
            (true, None, None, true),
            (true, text(""), None, true),
            (true, text("1"), None, false),
            (true, None, text("dumb"), false),
            (false, None, text("xterm"), false),
        ] {
            assert_eq!(styles(is_terminal, no_color, term), styled, "{is_terminal} {no_color:?} {term:?}");
        }
    }
}
