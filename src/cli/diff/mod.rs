//! `scopegate diff OLD NEW`: what a change of the file newly allows and denies.

mod markdown;
mod text;
mod words;
mod written;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, ReportFormat, file};
use crate::config::{Configuration, Source, SourceFile, compile};
use crate::workbench::diff::{Difference, Direction, SettingChange, settings};
use crate::workbench::paint::Paint;

/// What `diff` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
What allows more comes first, the riskiest at the top, each with a request that
the two files answer differently.

Examples:
  scopegate diff gateway.yaml candidate.yaml
  git show main:gateway.yaml > old.yaml &&
      scopegate diff old.yaml gateway.yaml --format markdown

Exit codes: 0 compared (1 with --exit-code, if anything differs), 2 a file
cannot be read.")]
pub struct Arguments {
    /// The policy file in force.
    old: PathBuf,
    /// The one that is to take its place.
    new: PathBuf,
    /// How to print what differs.
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Exit with 1 if anything differs in who may do what or in a setting.
    #[arg(long)]
    exit_code: bool,
}

/// What differs, and how it is to be shown.
struct View {
    difference: Difference,
    settings: Vec<SettingChange>,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let (old, new) = match (configuration(&arguments.old), configuration(&arguments.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(exit), _) | (_, Err(exit)) => return exit,
    };
    let view = match view(&old, &new) {
        Ok(view) => view,
        Err(exit) => return exit,
    };
    let out = io::stdout();
    let paint = Paint { styled: super::is_styled(out.is_terminal()) };
    // Whoever closed the output has no use for the rest.
    let _ = out.lock().write_all(view.printed(arguments.format, paint).as_bytes());
    if arguments.exit_code && !view.is_empty() { Exit::Bad } else { Exit::Good }
}

/// The file as if it lay beside the other: a path in it means what it says, wherever a copy of it is.
fn configuration(path: &Path) -> Result<Configuration, Exit> {
    let file = SourceFile::read(path).map_err(|error| file::unusable(&error))?;
    let beside = Source { directory: Path::new("."), ..file.source() };
    compile(&beside).map_err(|problems| file::bad(&problems))
}

fn view(old: &Configuration, new: &Configuration) -> Result<View, Exit> {
    let difference = Difference::new(&old.policy, &new.policy).map_err(|error| file::unusable(&error))?;
    Ok(View { difference, settings: settings(old, new) })
}

impl View {
    fn is_empty(&self) -> bool {
        self.difference.is_empty() && self.difference.without_effect.is_empty() && self.settings.is_empty()
    }

    fn printed(&self, format: ReportFormat, paint: Paint) -> String {
        match format {
            ReportFormat::Text => text::text(self, paint),
            ReportFormat::Json => written::json(self),
            ReportFormat::Markdown => markdown::markdown(self),
        }
    }

    /// How many lines say that something is newly allowed, and no longer.
    fn counts(&self) -> (usize, usize) {
        let Difference { access, clients, tokens, .. } = &self.difference;
        let all = access.iter().map(|line| line.direction);
        let all = all.chain(clients.iter().map(|line| line.direction)).chain(tokens.iter().map(|line| line.direction));
        let (allowed, denied): (Vec<_>, Vec<_>) = all.partition(|direction| *direction == Direction::Allowed);
        (allowed.len(), denied.len())
    }

    /// One line that says it all.
    fn summary(&self) -> String {
        let (allowed, denied) = self.counts();
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        if self.is_empty() {
            return "No difference: whoever may do something may do it under both.".to_owned();
        }
        format!(
            "{} that allow{} more, {} that den{} more, {}.",
            count(allowed, "change"),
            if allowed == 1 { "s" } else { "" },
            count(denied, "change"),
            if denied == 1 { "ies" } else { "y" },
            count(self.settings.len(), "other setting"),
        )
    }
}
