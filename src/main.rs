//! The binary: arguments become a command. The only place that exits.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use scopegate::cli::{Demo, Serve};

/// The process-wide allocator: a proxy allocates small and short-lived.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A reverse proxy that enforces OAuth scopes in front of APIs that stay unchanged.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Serve),
    Demo(Demo),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Demo(demo) => demo.run(),
    }
}
