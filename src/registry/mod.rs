//! The registry: the file as people see and change it, entry by entry, while the file stays the one
//! source of truth.
//!
//! A change is worked out on the file's text (`change`, `yaml`), judged as a whole by `config`, held to
//! the rules here, written (`file`) and put in force before the call returns. What is in force is shown
//! by `view` and `who`, and `access` says who may ask.

mod access;
mod advice;
mod change;
mod explained;
mod field;
mod file;
mod records;
mod refused;
mod view;
mod who;
mod yaml;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value as Json;
use serde_yaml::Value;
use similar::TextDiff;

use self::change::{NotPlanned, Planned};
use crate::config::{Configuration, Problems, SourceFile, compile};
use crate::gateway::{Gateway, Generation};
use crate::record::{RegistryChange, ReloadResult};

pub use access::{NotAdmitted, Role, Who, access, admit, now};
pub use change::{Change, Target};
pub use explained::{Explained, explain_recorded};
pub use field::FieldError;
pub use refused::Refused;
pub use view::{Search, api_view, client_view, scope_view, scopes_view};
pub use view::{apis_view, clients_view, denials_view, usage_view};
pub use who::who_view;

/// The registry of one gateway and the file that it was made from.
#[derive(Debug)]
pub struct Registry {
    gateway: Arc<Gateway>,
    file: PathBuf,
    /// Held while one changes the file.
    writing: Mutex<()>,
}

/// Who changes something.
#[derive(Debug, Clone, Copy)]
pub struct Editor<'a> {
    /// Who signed the token.
    pub issuer: &'a str,
    /// Its `sub`.
    pub subject: Option<&'a str>,
    /// Its client id.
    pub client: Option<&'a str>,
}

/// A change that was made, or would be.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// The generation in force.
    pub generation: u64,
    /// SHA-256 of the file's text afterwards.
    pub sha256: [u8; 32],
    /// The api, scope or client.
    pub target: Target,
    /// The entry as it was; `None` if it is new.
    pub before: Option<Json>,
    /// The entry as it is; `None` if it is gone.
    pub after: Option<Json>,
    /// What becomes of the file's lines, as `diff -u` shows it.
    pub diff: String,
    /// What would be better.
    pub advice: Vec<String>,
    /// The clients whose lists have the scope.
    pub listed_by: Vec<String>,
    /// Clients that can reach the scope's api and, as far as is known, do not have the scope, which
    /// every request must hold.
    pub lacked_by: Vec<String>,
}

/// What a change is made to.
struct Ground {
    generation: Arc<Generation>,
    source: SourceFile,
}

impl Registry {
    /// The registry of `gateway`, which was made from `file`.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, file: PathBuf) -> Self {
        Self { gateway, file, writing: Mutex::default() }
    }

    /// The gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Why nothing can be changed: the file is not for writing.
    pub fn read_only(&self) -> Option<String> {
        file::check_writable(&self.file).err()
    }

    /// An entry as the file has it, without an api's scopes: what can be sent back. `None` if it is not
    /// there, or the file's text is not the one in force.
    pub fn entry(&self, target: &Target) -> Option<Json> {
        let source = SourceFile::read(&self.file).ok()?;
        if source.sha256() != self.gateway.current().sha256 {
            return None;
        }
        let file = yaml::value_of(source.source().text).ok()?;
        let mut entry = yaml::at(&file, &target.find(&file)?)?.clone();
        if let (Target::Api(_), Some(api)) = (target, entry.as_mapping_mut()) {
            api.remove("scopes");
        }
        serde_json::to_value(entry).ok()
    }

    /// Makes a change that rests on the text with this SHA-256, or, if `dry_run`, says what it would do.
    /// It is in force when this returns, and blocks as long as that takes.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub fn change(
        &self,
        change: &Change,
        based_on: [u8; 32],
        editor: Editor<'_>,
        dry_run: bool,
    ) -> Result<Changed, Refused> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let ground = self.ground(based_on)?;
        let old = ground.source.source();
        let planned = change.plan(old.text).map_err(Refused::from)?;
        let file = yaml::value_of(old.text)?;
        let referring = records::listing_clients(&file, &planned.target);
        if let Change::Delete(_) = change {
            check_unlisted(&file, &planned)?;
        }
        let new = crate::config::Source { text: &planned.text, ..old };
        let next = compile(&new).map_err(|problems| invalid(&problems, &planned))?;
        self.gateway.check_removed(&next.policy)?;
        self.gateway.could_replace(&next)?;
        let diff = TextDiff::from_lines(old.text, &planned.text);
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let diff = diff.unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string();
        let mut changed = self.changed(&ground, &planned, &next, diff, referring)?;
        if dry_run {
            return Ok(changed);
        }
        file::replace(&self.file, old.text, &planned.text).map_err(|fault| Refused::unwritten(fault, &changed.diff))?;
        if let Err(refused) = self.gateway.replace(next) {
            // A token came between: the file says again what is in force.
            file::replace(&self.file, &planned.text, old.text).map_err(|fault| Refused::unwritten(fault, ""))?;
            return Err(refused.into());
        }
        changed.generation = self.gateway.current().number;
        self.gateway.metrics().policy_reload(ReloadResult::Accepted);
        self.record(change, &changed, &ground, editor);
        Ok(changed)
    }

    /// The text in force, if it is the one that the change rests on and the file has.
    fn ground(&self, based_on: [u8; 32]) -> Result<Ground, Refused> {
        let generation = self.gateway.current();
        if generation.sha256 != based_on {
            return Err(Refused::Outdated);
        }
        let source = SourceFile::read(&self.file).map_err(|error| Refused::FileChanged(error.to_string()))?;
        if source.sha256() != generation.sha256 {
            let why = match compile(&source.source()) {
                Err(problems) => problems.to_string(),
                Ok(next) => match self.gateway.could_replace(&next) {
                    Err(refused) => refused.to_string(),
                    Ok(()) => "it will be in force in a moment".to_owned(),
                },
            };
            return Err(Refused::FileChanged(why));
        }
        Ok(Ground { generation, source })
    }

    fn changed(
        &self,
        ground: &Ground,
        planned: &Planned,
        next: &Configuration,
        diff: String,
        listed_by: Vec<String>,
    ) -> Result<Changed, Refused> {
        let json = |value: &Option<Value>| {
            let json = value.as_ref().map(serde_json::to_value).transpose();
            json.map_err(|_| Refused::from(yaml::Unchangeable::Layout))
        };
        let lacked_by = match &planned.target {
            Target::Scope(name) if planned.after.is_some() => {
                records::lacking_clients(&next.policy, name, self.gateway.metrics())
            }
            Target::Scope(_) | Target::Api(_) | Target::Client(_) => Vec::new(),
        };
        let mut advice = planned.after.as_ref().map(|after| advice::advice(&planned.target, after)).unwrap_or_default();
        if !lacked_by.is_empty() {
            advice.push(format!("every request must hold it, and these clients may lack it: {}", lacked_by.join(", ")));
        }
        Ok(Changed {
            generation: ground.generation.number,
            sha256: next.sha256,
            target: planned.target.clone(),
            before: json(&planned.before)?,
            after: json(&planned.after)?,
            diff,
            advice,
            listed_by,
            lacked_by,
        })
    }

    fn record(&self, change: &Change, changed: &Changed, ground: &Ground, editor: Editor<'_>) {
        let (kind, name) = changed.target.parts();
        let verb = change.verb();
        tracing::info!(generation = changed.generation, kind, name, verb, subject = editor.subject, "registry changed");
        self.gateway.audit().write_change(&RegistryChange {
            generation: changed.generation,
            issuer: editor.issuer,
            subject: editor.subject,
            client: editor.client,
            verb,
            kind,
            name,
            before: changed.before.as_ref(),
            after: changed.after.as_ref(),
            sha256_before: ground.generation.sha256,
            sha256_after: changed.sha256,
        });
    }
}

/// Refuses to delete a scope that clients list, or an api with one.
fn check_unlisted(file: &Value, planned: &Planned) -> Result<(), Refused> {
    for scope in planned.target.scopes(planned.before.as_ref()) {
        let clients = records::listing_clients(file, &Target::Scope(scope.clone()));
        if !clients.is_empty() {
            return Err(Refused::Listed { scope, clients });
        }
    }
    Ok(())
}

/// What `config` has against the new text, by the fields of the entry.
fn invalid(problems: &Problems, planned: &Planned) -> Refused {
    let entry = yaml::shown(&planned.path);
    let errors = problems.list().iter().map(|problem| {
        let help = problem.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        let message = format!("{}{help}", problem.message);
        let field = problem.path.strip_prefix(&entry).filter(|_| planned.after.is_some());
        match field.filter(|field| field.is_empty() || field.starts_with(['.', '['])) {
            Some(field) => FieldError { field: field.trim_start_matches('.').to_owned(), message },
            None => FieldError { field: String::new(), message: format!("line {}: {message}", problem.line) },
        }
    });
    Refused::Fields(errors.collect())
}

impl From<NotPlanned> for Refused {
    fn from(fault: NotPlanned) -> Self {
        match fault {
            NotPlanned::NotFound(what) => Self::NotFound(what),
            NotPlanned::NoClients => Self::NoClients,
            NotPlanned::Fields(errors) => Self::Fields(errors),
            NotPlanned::Unchangeable(fault) => fault.into(),
        }
    }
}
