//! `apis[].scopes`: names with services, and their privileges.

use super::names::DefinedNames;
use super::services::{Terms, services};
use super::take::{Wrong, items, optional, parsed, required};
use crate::config::document;
use crate::config::entry::{Entry, List, Named};
use crate::config::finding::{At, Finding, Findings, Place, Quoted};
use crate::policy::{AccountSource, BasePath, Marks, PrivilegeSpec, Reach, ScopeName, ScopeSpec};

/// What scopes must know of their api.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    /// `None` where it could not be read.
    pub(super) base_path: Option<&'a BasePath>,
    /// Where requests name their account; `None` where that could not be read.
    pub(super) account: Option<&'a [AccountSource]>,
    /// Whether some issuer's tokens write scopes with their privileges.
    pub(super) privilege_syntax: bool,
}

pub(super) fn scopes(
    list: List<document::Scope>,
    at: At<'_>,
    ground: Ground<'_>,
    names: &mut DefinedNames,
    findings: &mut Findings,
) -> Vec<ScopeSpec> {
    names.complete &= match &list {
        Entry::Given(entries) => entries.iter().all(|entry| matches!(entry, Entry::Given(_))),
        Entry::Absent | Entry::Empty => true,
        Entry::Faulty => false,
    };
    let scopes = items(list, at, findings).into_iter();
    scopes.filter_map(|(place, document)| scope(document, at.nth(place), ground, names, findings)).collect()
}

fn scope(
    document: document::Scope,
    at: At<'_>,
    ground: Ground<'_>,
    names: &mut DefinedNames,
    findings: &mut Findings,
) -> Option<ScopeSpec> {
    let here = at.key("name");
    let name = required(document.name, here, "write the scope as tokens carry it", findings);
    let name = parsed(name, here, findings, |text| scope_name(text, ground.privilege_syntax));
    match &name {
        Some(name) => names.define(name, Place::Value(here.path()), findings),
        None => names.complete = false,
    }
    let mut mark = |entry, key, default| optional(entry, at.key(key), findings).unwrap_or(default);
    let marks = Marks {
        required: mark(document.required, "required", false),
        emphasize: mark(document.emphasize, "emphasize", false),
        show_in_discovery: mark(document.show_in_discovery, "show_in_discovery", true),
        deprecated: mark(document.deprecated, "deprecated", false),
        confidential_only: mark(document.confidential_only, "confidential_only", false),
    };
    let display_name = optional(document.display_name, at.key("display_name"), findings).map(Into::into);
    let description = optional(document.description, at.key("description"), findings).map(Into::into);
    let reach = reach(document.accounts, ground, None, at.key("accounts"), findings);
    let granted = services(document.services, at.key("services"), ground.terms(reach), findings);
    let except = services(document.except, at.key("except"), ground.terms(Reach::Any), findings);
    let scope = Holder { name: name.as_ref(), reach };
    let privileges = privileges(document.privileges, at.key("privileges"), ground, scope, names, findings);
    Some(ScopeSpec { name: name?, display_name, description, reach, marks, services: granted, except, privileges })
}

/// The scope that privileges are of.
#[derive(Clone, Copy)]
struct Holder<'a> {
    name: Option<&'a ScopeName>,
    reach: Reach,
}

fn privileges(
    entry: Entry<Named<document::Privilege>>,
    at: At<'_>,
    ground: Ground<'_>,
    scope: Holder<'_>,
    names: &mut DefinedNames,
    findings: &mut Findings,
) -> Vec<PrivilegeSpec> {
    let entries = match entry {
        Entry::Given(Named(entries)) => entries,
        Entry::Absent | Entry::Empty => Vec::new(),
        Entry::Faulty => {
            names.complete = false;
            Vec::new()
        }
    };
    let mut privileges = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let here = at.key(&name);
        let whole = match whole_name(scope.name, &name) {
            Ok(whole) => whole,
            Err(Wrong { message, help }) => {
                findings.add(Finding::at_key(here, message).maybe_help(help));
                None
            }
        };
        match &whole {
            Some(whole) => names.define(whole, Place::Key(here.path()), findings),
            None => names.complete = false,
        }
        let document = required(entry, here, "write `services` for it", findings).unwrap_or_default();
        let reach = reach(document.accounts, ground, Some(scope.reach), here.key("accounts"), findings);
        let services = services(document.services, here.key("services"), ground.terms(reach), findings);
        privileges.extend(whole.map(|name| PrivilegeSpec { name, reach, services }));
    }
    privileges
}

impl<'a> Ground<'a> {
    fn terms(self, reach: Reach) -> Terms<'a> {
        let shown_account = match reach {
            Reach::Own => self.account,
            Reach::Any => None,
        };
        Terms { base_path: self.base_path, shown_account }
    }
}

/// The reach that the file gives, else the default's, else own where the api names an account.
fn reach(
    entry: Entry<document::Accounts>,
    ground: Ground<'_>,
    default: Option<Reach>,
    at: At<'_>,
    findings: &mut Findings,
) -> Reach {
    let names_account = ground.account.is_none_or(|sources| !sources.is_empty());
    match optional(entry, at, findings) {
        Some(document::Accounts::Any) => Reach::Any,
        Some(document::Accounts::Own) => {
            if !names_account {
                let finding =
                    Finding::new(at, "own accounts cannot be told: this api does not say where requests name theirs");
                findings.add(
                    finding.help("add `account` to the api, such as `account: { path: account }`, or write `any`"),
                );
            }
            Reach::Own
        }
        None => default.unwrap_or(if names_account { Reach::Own } else { Reach::Any }),
    }
}

fn scope_name(text: &str, privilege_syntax: bool) -> Result<ScopeName, Wrong> {
    if privilege_syntax && text.contains([';', ',']) {
        let message =
            format!("{} cannot be told apart in a token: an issuer has `scope_syntax: privileges`", Quoted(text));
        return Err(Wrong::new(message, "write a name without `;` and `,`"));
    }
    ScopeName::parse(text).map_err(|invalid| {
        let help = "a scope's name has visible ASCII characters, without spaces, `\"` and `\\`";
        Wrong::new(format!("{} is not a scope's name: {invalid}", Quoted(text)), help)
    })
}

/// `scope:privilege`; `None` where the scope's name could not be read.
fn whole_name(scope: Option<&ScopeName>, privilege: &str) -> Result<Option<ScopeName>, Wrong> {
    if privilege.is_empty() || privilege.contains([':', ',', ';']) {
        let help = "write its own name without `:`, `,` and `;`, such as `approve`";
        return Err(Wrong::new(format!("{} is not a privilege's name", Quoted(privilege)), help));
    }
    let whole = format!("{}:{privilege}", scope.map_or("scope", ScopeName::as_str));
    let whole = ScopeName::parse(&whole).map_err(|invalid| {
        let help = "a privilege's name has visible ASCII characters, without spaces, `\"` and `\\`";
        Wrong::new(format!("{} is not a privilege's name: {invalid}", Quoted(privilege)), help)
    })?;
    Ok(scope.is_some().then_some(whole))
}
