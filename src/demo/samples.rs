//! The repository's own `gateway.yaml`, for tests.

use std::path::Path;

use crate::config::{Configuration, Source, compile};

/// What it means; a mistake in it is shown.
#[track_caller]
pub(crate) fn repository_file() -> Configuration {
    let text = include_str!("../../gateway.yaml");
    let source = Source { shown: "gateway.yaml", directory: Path::new(env!("CARGO_MANIFEST_DIR")), text };
    compile(&source).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}
