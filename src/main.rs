//! The binary: arguments become a command. The only place that exits.

use std::process::ExitCode;

use clap::Parser;
use scopegate::cli::{Cli, Exit};

/// The process-wide allocator: a proxy allocates small and short-lived.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => cli.command.run().into(),
        Err(error) => {
            // Help and the version come this way too, and are what was asked for.
            let exit = if error.use_stderr() { Exit::Unusable } else { Exit::Good };
            // Nobody is left to be told that this could not be printed.
            let _ = error.print();
            exit.into()
        }
    }
}
