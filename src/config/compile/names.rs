//! The names of scopes and privileges, which are unique in the file whatever their case.

use hashbrown::HashMap;

use crate::config::finding::{At, Finding, Findings, Place, Quoted};
use crate::config::suggest;
use crate::policy::{ScopeName, ScopeNames};

/// The names that the apis define.
#[derive(Debug)]
pub(super) struct DefinedNames {
    /// By the name in lower case.
    names: HashMap<Box<str>, (ScopeName, Place)>,
    /// Whether every name could be read; where not, none is called undefined.
    pub(super) complete: bool,
}

/// A name is only suggested while there are few findings: to look for one is slow.
const MOST_SUGGESTIONS: usize = 100;

impl DefinedNames {
    pub(super) fn new() -> Self {
        Self { names: HashMap::new(), complete: true }
    }

    pub(super) fn define(&mut self, name: &ScopeName, place: Place, findings: &mut Findings) {
        let folded = name.as_str().to_ascii_lowercase().into_boxed_str();
        match self.names.entry(folded) {
            hashbrown::hash_map::Entry::Vacant(vacant) => {
                vacant.insert((name.clone(), place));
            }
            hashbrown::hash_map::Entry::Occupied(first) => {
                let (written, first) = first.get();
                let message = if written == name {
                    format!("the scope {} is defined twice", Quoted(name.as_str()))
                } else {
                    format!(
                        "the scope {} differs from {} in case only",
                        Quoted(name.as_str()),
                        Quoted(written.as_str())
                    )
                };
                let help = "rename one of them: names are unique in the file, whatever their case";
                findings.add(Finding::placed(place, message).first(first.clone()).help(help));
            }
        }
    }

    /// Reports a name that no api defines.
    pub(super) fn check(&self, name: &ScopeName, compared: ScopeNames, at: At<'_>, findings: &mut Findings) {
        let found = self.names.get(&*name.as_str().to_ascii_lowercase());
        let is_defined = found.is_some_and(|(written, _)| compared == ScopeNames::CaseInsensitive || written == name);
        if is_defined || !self.complete {
            return;
        }
        let near = match found {
            Some((written, _)) => Some(written.as_str()),
            None if findings.count() < MOST_SUGGESTIONS => {
                suggest::nearest(name.as_str(), self.names.values().map(|(written, _)| written.as_str()))
            }
            None => None,
        };
        let help = match near {
            Some(near) => suggest::perhaps(near),
            None => "define it in an api, or remove it here".to_owned(),
        };
        findings.add(Finding::new(at, format!("no api defines the scope {}", Quoted(name.as_str()))).help(help));
    }
}
