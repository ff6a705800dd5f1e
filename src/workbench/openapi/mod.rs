//! An OpenAPI document (3.0 or 3.1) as a policy: its operations and what they ask of tokens become an
//! api with scopes and services.
//!
//! What a policy cannot say is left out and listed, never widened: an operation that cannot be carried
//! over is not granted. References to other files are not followed.

mod operations;
mod paths;
mod security;
#[cfg(test)]
mod tests;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use thiserror::Error;

use self::operations::{Operation, operations};
use self::security::{Ask, Schemes};

/// A policy made of a document.
#[derive(Debug)]
pub struct Imported {
    /// The text of a `gateway.yaml`.
    pub text: String,
    /// How many operations it lets through, with or without a token.
    pub operations: usize,
    /// What could not be carried over, or was made up, each with the operations that it is about.
    pub notes: Vec<Note>,
}

/// Something that was left out or made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What, and why.
    pub text: String,
    /// Of these operations or parts of the document.
    pub about: Vec<String>,
}

/// Why a document cannot become a policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotOpenApi {
    /// It has no `openapi`.
    #[error("this is no OpenAPI document: it has no `openapi` with a version")]
    Foreign,
    /// Swagger, as it was called before.
    #[error("this is Swagger {0}; convert it to OpenAPI 3.0 or 3.1 first")]
    Swagger(Box<str>),
    /// A version that is not known.
    #[error("this is OpenAPI {0}; 3.0 and 3.1 are known")]
    Version(Box<str>),
    /// Nothing of it could be carried over.
    #[error("no operation of this document could be carried over{0}")]
    Nothing(Box<str>),
}

/// Notes as they come up: for each text, what it is about.
#[derive(Debug, Default)]
struct Notes(BTreeMap<String, Vec<String>>);

impl Notes {
    fn add(&mut self, text: impl Into<String>, about: impl Into<String>) {
        self.0.entry(text.into()).or_default().push(about.into());
    }

    fn into_list(self) -> Vec<Note> {
        self.0.into_iter().map(|(text, about)| Note { text, about }).collect()
    }
}

/// What an api is made of: the methods of each path, by the scope that grants them.
#[derive(Debug, Default)]
struct Draft {
    title: String,
    name: String,
    base_path: String,
    servers: Vec<String>,
    issuer: Option<String>,
    required: Vec<String>,
    scopes: BTreeMap<String, Services>,
    descriptions: BTreeMap<String, String>,
    public: Services,
    operations: usize,
}

/// Methods by path.
type Services = BTreeMap<String, Vec<&'static str>>;

/// The policy that a document comes to; `name` is what its api is called, by its title if left out.
///
/// # Errors
/// If it is no OpenAPI document, or nothing of it can be carried over.
pub fn import_openapi(document: &Value, name: Option<&str>) -> Result<Imported, NotOpenApi> {
    check_version(document)?;
    let mut notes = Notes::default();
    let schemes = Schemes::of(document, &mut notes);
    let title = document.pointer("/info/title").and_then(Value::as_str).unwrap_or("Imported").trim().to_owned();
    let (base_path, servers) = paths::servers(document, &mut notes);
    let mut draft = Draft {
        name: name.map_or_else(|| paths::slug(&title), str::to_owned),
        title,
        base_path,
        servers,
        issuer: schemes.issuer(),
        ..Draft::default()
    };
    let found = operations(document, &draft.base_path, &mut notes);
    let asks: Vec<_> =
        found.iter().map(|operation| schemes.ask(operation.security, &operation.shown, &mut notes)).collect();
    draft.required = security::common(&asks);
    for (operation, ask) in found.iter().zip(asks) {
        draft.take(operation, ask, &mut notes);
    }
    draft.required.iter().for_each(|scope| _ = draft.scopes.entry(scope.clone()).or_default());
    security::drop_twins(&mut draft.scopes, &draft.required, &mut notes);
    draft.descriptions = schemes.descriptions();
    let granting = draft.scopes.values().chain([&draft.public]).any(|services| !services.is_empty());
    let notes = notes.into_list();
    if !granting {
        let first = notes.first().map_or(String::new(), |note| format!(": {}", note.text));
        return Err(NotOpenApi::Nothing(first.into()));
    }
    Ok(Imported { text: written::policy(&draft), operations: draft.operations, notes })
}

impl Draft {
    /// Grants an operation to whom it asks for, as far as a policy can say that.
    fn take(&mut self, operation: &Operation<'_>, ask: Ask, notes: &mut Notes) {
        let made_up = security::made_up(&self.name);
        let Operation { shown, method, path, .. } = operation;
        let scopes = match ask {
            Ask::Impossible => return,
            Ask::Nothing => {
                add(&mut self.public, path, method);
                self.operations += 1;
                return;
            }
            Ask::AnyToken => {
                notes.add(
                    format!("any good token would do, and a gateway grants by scope: `{made_up}` was made up"),
                    shown,
                );
                BTreeSet::from([made_up])
            }
            Ask::Unsaid => {
                let help = "write under `public` what asks for no token";
                notes
                    .add(format!("the document does not say what it asks for: `{made_up}` was made up; {help}"), shown);
                BTreeSet::from([made_up])
            }
            Ask::Scopes(alternatives) => {
                let Some(scopes) = security::single(&alternatives, &self.required) else {
                    let why = "left out: it asks for several scopes at once, where any of a policy's grants it; \
                               write it under the scope that should do";
                    notes.add(why.to_owned(), shown);
                    return;
                };
                scopes
            }
        };
        for scope in scopes {
            add(self.scopes.entry(scope).or_default(), path, method);
        }
        self.operations += 1;
    }
}

fn check_version(document: &Value) -> Result<(), NotOpenApi> {
    if let Some(version) = document["swagger"].as_str() {
        return Err(NotOpenApi::Swagger(version.into()));
    }
    match document["openapi"].as_str() {
        Some(version) if version.starts_with("3.0.") || version.starts_with("3.1.") => Ok(()),
        Some(version) => Err(NotOpenApi::Version(version.into())),
        None => Err(NotOpenApi::Foreign),
    }
}

fn add(services: &mut Services, path: &str, method: &'static str) {
    let methods = services.entry(path.to_owned()).or_default();
    if !methods.contains(&method) {
        methods.push(method);
    }
}
