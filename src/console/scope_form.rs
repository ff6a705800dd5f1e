//! The form of a scope: what a browser sends, and the fields that the registry takes. Pure.

use serde_json::{Map, Value as Json, json};

use super::wrong::{Differing, Wrong};
use crate::policy::{ScopeName, Service};
use crate::registry::FieldError;

/// A scope as its form has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the form's boxes")]
pub(super) struct ScopeForm {
    /// SHA-256 of the text that the change rests on, in hexadecimal.
    pub(super) based_on: String,
    pub(super) name: String,
    pub(super) display_name: String,
    pub(super) description: String,
    /// `own` or `any`.
    pub(super) accounts: String,
    pub(super) required: bool,
    pub(super) emphasize: bool,
    pub(super) show_in_discovery: bool,
    pub(super) deprecated: bool,
    pub(super) confidential_only: bool,
    /// One a line.
    pub(super) services: String,
    /// One a line.
    pub(super) except: String,
    pub(super) privileges: Vec<PrivilegeForm>,
    /// What it sent besides.
    unknown: Vec<String>,
}

/// A privilege as the form has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct PrivilegeForm {
    pub(super) name: String,
    /// Empty: as the scope.
    pub(super) accounts: String,
    /// One a line.
    pub(super) services: String,
}

/// What a button of the form asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The form again, as it stands: to test it, or from its review.
    Edit,
    /// What it would do, for the panel beside it.
    Effects,
    /// One more privilege.
    Add,
    /// The privilege at this place goes.
    Remove(usize),
    /// What would change, before it does.
    Review,
    Save,
}

impl Step {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "edit" | "test" => Some(Self::Edit),
            "effects" => Some(Self::Effects),
            "add" => Some(Self::Add),
            "review" => Some(Self::Review),
            "save" => Some(Self::Save),
            _ => text.strip_prefix("remove-")?.parse().ok().map(Self::Remove),
        }
    }
}

impl ScopeForm {
    /// The form that was sent, and what is asked for; a form without a button is to be reviewed.
    pub(super) fn sent(pairs: Vec<(String, String)>) -> (Self, Step) {
        let (mut form, mut step) = (Self::default(), Some(Step::Review));
        let mut privileges: [Vec<String>; 3] = Default::default();
        let [names, accounts, services] = &mut privileges;
        for (name, value) in pairs {
            let is_on = value == "true";
            match &*name {
                "csrf" => {}
                "based_on" => form.based_on = value,
                "step" => step = Step::parse(&value),
                "name" => value.trim().clone_into(&mut form.name),
                "display_name" => value.trim().clone_into(&mut form.display_name),
                // A text of one line in the file.
                "description" => form.description = lines(&value).collect::<Vec<_>>().join(" "),
                "accounts" => form.accounts = value,
                "required" => form.required = is_on,
                "emphasize" => form.emphasize = is_on,
                "show_in_discovery" => form.show_in_discovery = is_on,
                "deprecated" => form.deprecated = is_on,
                "confidential_only" => form.confidential_only = is_on,
                "services" => form.services = value.replace("\r\n", "\n"),
                "except" => form.except = value.replace("\r\n", "\n"),
                "privilege_name" => names.push(value.trim().to_owned()),
                "privilege_accounts" => accounts.push(value),
                "privilege_services" => services.push(value.replace("\r\n", "\n")),
                _ => form.unknown.push(name),
            }
        }
        let [names, accounts, services] = privileges;
        let count = names.len().max(services.len());
        let (mut names, mut accounts, mut services) = (names.into_iter(), accounts.into_iter(), services.into_iter());
        let mut next = || PrivilegeForm {
            name: names.next().unwrap_or_default(),
            accounts: accounts.next().unwrap_or_default(),
            services: services.next().unwrap_or_default(),
        };
        form.privileges = (0..count).map(|_| next()).collect();
        let step = step.unwrap_or_else(|| {
            form.unknown.push("step".to_owned());
            Step::Review
        });
        (form, step)
    }

    /// An empty form.
    pub(super) fn fresh(based_on: String, names_account: bool) -> Self {
        let accounts = if names_account { "own" } else { "any" }.to_owned();
        Self { based_on, accounts, show_in_discovery: true, ..Self::default() }
    }

    /// The form of an entry of the file.
    pub(super) fn of_entry(entry: &Json, based_on: String, names_account: bool) -> Self {
        let text = |of: &Json, key: &str| of.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let is = |key: &str, default: bool| entry.get(key).and_then(Json::as_bool).unwrap_or(default);
        let listed = |of: &Json, key: &str| {
            let items = of.get(key).and_then(Json::as_array).into_iter().flatten();
            items.filter_map(Json::as_str).collect::<Vec<_>>().join("\n")
        };
        let fresh = Self::fresh(based_on, names_account);
        let accounts = text(entry, "accounts");
        let privileges = entry.get("privileges").and_then(Json::as_object).into_iter().flatten();
        let privileges = privileges.map(|(name, own)| PrivilegeForm {
            name: name.clone(),
            accounts: text(own, "accounts"),
            services: listed(own, "services"),
        });
        Self {
            name: text(entry, "name"),
            display_name: text(entry, "display_name"),
            description: text(entry, "description"),
            accounts: if accounts.is_empty() { fresh.accounts.clone() } else { accounts },
            required: is("required", false),
            emphasize: is("emphasize", false),
            show_in_discovery: is("show_in_discovery", true),
            deprecated: is("deprecated", false),
            confidential_only: is("confidential_only", false),
            services: listed(entry, "services"),
            except: listed(entry, "except"),
            privileges: privileges.collect(),
            ..fresh
        }
    }

    /// What the registry takes; an empty field is as if it were left out.
    pub(super) fn entry(&self) -> Map<String, Json> {
        let text = |text: &str| if text.is_empty() { Json::Null } else { text.into() };
        let listed = |text: &str| Json::from(lines(text).collect::<Vec<_>>());
        let privileges = self.privileges.iter().filter(|own| !own.is_empty()).map(|own| {
            let privilege = json!({ "services": listed(&own.services), "accounts": text(&own.accounts) });
            (own.name.clone(), privilege)
        });
        let entry = json!({
            "name": self.name,
            "display_name": text(&self.display_name),
            "description": text(&self.description),
            "accounts": text(&self.accounts),
            "required": self.required,
            "emphasize": self.emphasize,
            "show_in_discovery": self.show_in_discovery,
            "deprecated": self.deprecated,
            "confidential_only": self.confidential_only,
            "services": listed(&self.services),
            "except": listed(&self.except),
            "privileges": privileges.collect::<Map<_, _>>(),
        });
        match entry {
            Json::Object(entry) => entry,
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => Map::new(),
        }
    }

    /// All that is wrong with it before anybody is asked, by its own fields.
    pub(super) fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut say = |field: &str, message: String| faults.push(FieldError { field: field.to_owned(), message });
        for name in &self.unknown {
            let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
            say("", format!("the form has no field `{shown}`"));
        }
        if self.name.is_empty() {
            say("name", "it is empty; write what tokens are to carry, such as `read_user_data`".to_owned());
        } else if let Err(fault) = ScopeName::parse(&self.name) {
            say("name", format!("{fault}; write visible ASCII without spaces, as in `read_user_data`"));
        }
        for (field, texts) in [("services", &self.services), ("except", &self.except)] {
            for (place, service) in lines(texts).enumerate() {
                if let Err(fault) = Service::parse(service) {
                    say(&format!("{field}[{place}]"), fault.to_string());
                }
            }
        }
        for (place, privilege) in self.privileges.iter().enumerate().filter(|(_, own)| !own.is_empty()) {
            let field = format!("privileges.{}", privilege.name);
            if privilege.name.is_empty() {
                say(&field, "a privilege needs a name, such as `approve`".to_owned());
            }
            if self.privileges.iter().take(place).any(|other| other.name == privilege.name) {
                say(&field, format!("there are two privileges `{}`; keep one", privilege.name));
            }
            for (place, service) in lines(&privilege.services).enumerate() {
                if let Err(fault) = Service::parse(service) {
                    say(&format!("{field}.services[{place}]"), fault.to_string());
                }
            }
        }
        faults
    }

    /// What is wrong, as the form shows it: at which of its controls, and in which line.
    pub(super) fn place(&self, error: &FieldError) -> Wrong {
        let (field, line) = match error.field.rsplit_once('[') {
            Some((field, rest)) => (field, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (&*error.field, None),
        };
        let (anchor, label) = match field {
            "name" => ("name".to_owned(), "Name".to_owned()),
            "display_name" => ("display_name".to_owned(), "Display Name".to_owned()),
            "description" => ("description".to_owned(), "Description".to_owned()),
            "accounts" => ("accounts".to_owned(), "Reach".to_owned()),
            "required" => ("required".to_owned(), "Required".to_owned()),
            "emphasize" => ("emphasize".to_owned(), "Emphasize".to_owned()),
            "show_in_discovery" => ("show_in_discovery".to_owned(), "Show in discovery document".to_owned()),
            "deprecated" => ("deprecated".to_owned(), "Deprecated".to_owned()),
            "confidential_only" => ("confidential_only".to_owned(), "Confidential clients only".to_owned()),
            "services" => ("services".to_owned(), "Services".to_owned()),
            "except" => ("except".to_owned(), "Except".to_owned()),
            _ => self.place_of_privilege(field, line).unwrap_or_default(),
        };
        let line = line.map(|line| format!("line {}: ", line + 1)).unwrap_or_default();
        Wrong { anchor, label, message: format!("{line}{}", error.message) }
    }

    /// Of two privileges of one name, the one that has the line, or the second: it is one too many.
    fn place_of_privilege(&self, field: &str, line: Option<usize>) -> Option<(String, String)> {
        let field = field.strip_prefix("privileges.")?;
        let is_own = |own: &PrivilegeForm| {
            field.strip_prefix(&*own.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let has_line = |own: &PrivilegeForm| line.is_none_or(|line| lines(&own.services).count() > line);
        let mut own = self.privileges.iter().enumerate().rev().filter(|(_, own)| is_own(own) && !own.is_empty());
        let (place, own) = own.find(|(_, own)| has_line(own))?;
        let label = if own.name.is_empty() { "New privilege".to_owned() } else { format!("Privilege {}", own.name) };
        let control = if field.ends_with(".services") { "-services" } else { "" };
        Some((format!("privilege-{place}{control}"), label))
    }

    /// All its fields but the button, to be sent again.
    pub(super) fn pairs(&self) -> Vec<(&'static str, &str)> {
        let mut pairs = vec![
            ("based_on", &*self.based_on),
            ("name", &self.name),
            ("display_name", &self.display_name),
            ("description", &self.description),
            ("accounts", &self.accounts),
            ("services", &self.services),
            ("except", &self.except),
        ];
        let boxes = [
            ("required", self.required),
            ("emphasize", self.emphasize),
            ("show_in_discovery", self.show_in_discovery),
            ("deprecated", self.deprecated),
            ("confidential_only", self.confidential_only),
        ];
        pairs.extend(boxes.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| (name, "true")));
        for own in &self.privileges {
            pairs.push(("privilege_name", &own.name));
            pairs.push(("privilege_accounts", &own.accounts));
            pairs.push(("privilege_services", &own.services));
        }
        pairs
    }

    /// The fields that say another thing in `here` than in this one.
    pub(super) fn differing(&self, here: &Self) -> Vec<Differing> {
        let yes_no = |is: bool| if is { "Yes" } else { "No" }.to_owned();
        let shown = |form: &Self| {
            let privilege = |own: &PrivilegeForm| format!("{} {}\n{}", own.name, own.accounts, listed(&own.services));
            [
                ("Display Name", form.display_name.clone()),
                ("Description", form.description.clone()),
                ("Services", listed(&form.services)),
                ("Except", listed(&form.except)),
                ("Reach", form.accounts.clone()),
                ("Required", yes_no(form.required)),
                ("Emphasize", yes_no(form.emphasize)),
                ("Show in discovery document", yes_no(form.show_in_discovery)),
                ("Confidential clients only", yes_no(form.confidential_only)),
                ("Deprecated", yes_no(form.deprecated)),
                ("Privileges", form.privileges.iter().map(privilege).collect::<Vec<_>>().join("\n")),
            ]
        };
        let both = shown(self).into_iter().zip(shown(here));
        let differing = both.filter(|((_, there), (_, here))| there != here);
        differing.map(|((label, there), (_, here))| Differing { label, there, here }).collect()
    }

    /// Its patterns that can be read: services, exceptions, and each privilege's services.
    pub(super) fn patterns(&self) -> Patterns<'_> {
        let read = |text: &str| lines(text).filter_map(|line| Service::parse(line).ok()).collect();
        let privileges = self.privileges.iter().map(|own| (&*own.name, read(&own.services)));
        Patterns { services: read(&self.services), except: read(&self.except), privileges: privileges.collect() }
    }
}

/// What a form's patterns take in and leave out.
#[derive(Debug)]
pub(super) struct Patterns<'f> {
    pub(super) services: Vec<Service>,
    pub(super) except: Vec<Service>,
    /// By name.
    pub(super) privileges: Vec<(&'f str, Vec<Service>)>,
}

impl PrivilegeForm {
    fn is_empty(&self) -> bool {
        self.name.is_empty() && self.services.trim().is_empty()
    }
}

/// Where a control stands in the form, for what is wrong with it to be listed in that order.
pub(super) fn order(wrong: &Wrong) -> usize {
    let controls = ["name", "display_name", "description", "services", "except", "accounts"];
    let own = controls.iter().position(|control| *control == wrong.anchor);
    let of_privilege = || {
        let rest = wrong.anchor.strip_prefix("privilege-")?;
        rest.split('-').next()?.parse::<usize>().ok().map(|place| 2 * controls.len() + place)
    };
    own.or_else(of_privilege).unwrap_or(if wrong.anchor.is_empty() { usize::MAX } else { controls.len() })
}

fn listed(text: &str) -> String {
    lines(text).collect::<Vec<_>>().join("\n")
}

/// What stands in a field of many lines, but for those that are empty.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests;
