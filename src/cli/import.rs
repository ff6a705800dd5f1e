//! `scopegate import`: a description of an API as a policy to start from, and what it could not carry over.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Exit, file};
use crate::config::{Source, SourceFile, compile};
use crate::policy::ApiName;
use crate::workbench::paint::{Paint, plain, wrapped};
use crate::workbench::{Imported, Note, import_openapi};

/// What `import` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    from: From,
}

/// What is imported.
#[derive(Debug, Subcommand)]
enum From {
    /// An OpenAPI document (3.0 or 3.1), JSON or YAML.
    ///
    /// Its operations and their security requirements become an api with scopes
    /// and services. What a policy cannot say is left out, never widened without
    /// a word, and listed on standard error.
    Openapi(OpenApi),
}

/// What `import openapi` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  scopegate import openapi petstore.yaml --output gateway.yaml

Exit codes: 0 the policy was written, 2 the document cannot be read or used.")]
struct OpenApi {
    /// The document.
    file: PathBuf,
    /// What the api is called; by the document's title if left out.
    #[arg(long)]
    name: Option<String>,
    /// Where the policy goes; standard output if left out.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// So many of the things that a note is about are shown.
const MOST: usize = 8;

pub(super) fn run(arguments: &Arguments) -> Exit {
    let From::Openapi(arguments) = &arguments.from;
    match import(arguments) {
        Ok(imported) => {
            let stderr = io::stderr();
            let paint = Paint { styled: super::is_styled(stderr.is_terminal()) };
            // Without standard error there is nobody to tell.
            let _ = stderr.lock().write_all(told(&imported, paint).as_bytes());
            Exit::Good
        }
        Err(unusable) => file::unusable(&unusable),
    }
}

fn import(arguments: &OpenApi) -> Result<Imported, String> {
    if let Some(name) = &arguments.name {
        ApiName::parse(name).map_err(|invalid| format!("`{}` is not an api's name: {invalid}", plain(name)))?;
    }
    let file = SourceFile::read(&arguments.file).map_err(|unreadable| unreadable.to_string())?;
    let source = file.source();
    let document = parse(&source)?;
    let imported = import_openapi(&document, arguments.name.as_deref())
        .map_err(|refused| format!("{}: {}", source.shown, plain(&refused.to_string())))?;
    // What is written is good, or it is not written.
    let written = Source { shown: "the imported policy", directory: Path::new("."), text: &imported.text };
    compile(&written).map_err(|problems| format!("{}: this cannot become a policy:\n{problems}", source.shown))?;
    match &arguments.output {
        // Whoever closed the output has no use for the rest.
        None => _ = io::stdout().lock().write_all(imported.text.as_bytes()),
        Some(path) => {
            write(path, &imported.text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
    }
    Ok(imported)
}

/// JSON or YAML, which JSON is too; what begins like JSON is read as such, as that is faster.
fn parse(source: &Source<'_>) -> Result<Value, String> {
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(source.text);
    let wrong = |line: usize, column: usize, what: &str, error: String| {
        let error = error.split(" at line ").next().unwrap_or_default().to_owned();
        // What ends too early does so after the last column of the line before.
        format!("{}:{line}:{}: this is not {what}: {}", source.shown, column.max(1), plain(&error))
    };
    if text.trim_start().starts_with('{') {
        match serde_json::from_str(text) {
            Ok(document) => return Ok(document),
            // Flow style may look like JSON; JSON that was cut off is not YAML either.
            Err(error) => {
                return serde_yaml::from_str(text)
                    .map_err(|_| wrong(error.line(), error.column(), "JSON", error.to_string()));
            }
        }
    }
    serde_yaml::from_str(text).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        wrong(line, column, "YAML", error.to_string())
    })
}

/// Whole or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // It may not be there at all.
        let _ = fs::remove_file(&new);
    }
    written
}

fn told(imported: &Imported, paint: Paint) -> String {
    let mut lines = Vec::new();
    for Note { text, about } in &imported.notes {
        lines.push(paint.bold(wrapped(&plain(text), 0, 2)).to_string());
        lines.extend(about.iter().take(MOST).map(|about| format!("  {}", plain(about))));
        if about.len() > MOST {
            lines.push(paint.dim(format!("  and {} more", about.len() - MOST)).to_string());
        }
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    let plural = if imported.operations == 1 { "" } else { "s" };
    lines.push(format!("{} operation{plural} carried over", imported.operations));
    lines.join("\n") + "\n"
}
