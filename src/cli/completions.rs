//! `scopegate completions` and `scopegate man`: what shells and `man` know of the commands, made of the
//! commands' own definitions.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, Exit, file};

const NAME: &str = "scopegate";

/// What `completions` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  scopegate completions bash > /etc/bash_completion.d/scopegate
  scopegate completions zsh > ~/.zfunc/_scopegate
  scopegate completions fish > ~/.config/fish/completions/scopegate.fish")]
pub struct ShellArguments {
    /// The shell that is to complete commands.
    #[arg(value_enum)]
    shell: Shell,
}

/// What `man` takes.
#[derive(Debug, Args)]
pub struct ManArguments {
    /// The directory that the pages are written to; it is made if it is not there.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(arguments: &ShellArguments) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), NAME, &mut script);
    // Whoever closed the output has no use for the rest.
    let _ = io::stdout().lock().write_all(&script);
    Exit::Good
}

pub(super) fn man(arguments: &ManArguments) -> Exit {
    let directory = &arguments.directory;
    let written = pages().and_then(|pages| write(directory, &pages).map(|()| pages.len()));
    match written {
        Ok(count) => {
            // Whoever closed the output has no use for it.
            let _ = writeln!(io::stdout().lock(), "{count} pages are in {}", directory.display());
            Exit::Good
        }
        Err(error) => file::unusable(&format!("cannot write pages to {}: {error}", directory.display())),
    }
}

/// Each command's page and the name of its file.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    let mut pages = Vec::new();
    add(whole, &mut pages)?;
    Ok(pages)
}

fn add(command: Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let inner: Vec<_> = command.get_subcommands().cloned().collect();
    let (man, mut page) = (Man::new(command), Vec::new());
    man.render(&mut page)?;
    pages.push((man.get_filename(), page));
    inner.into_iter().try_for_each(|inner| add(inner, pages))
}

fn write(directory: &Path, pages: &[(String, Vec<u8>)]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    pages.iter().try_for_each(|(name, page)| fs::write(directory.join(name), page))
}
