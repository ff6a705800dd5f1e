//! A change to one entry of the file, and the text that it makes of the file's. Pure.

use serde_json::{Map, Value as Json};
use serde_yaml::{Mapping, Value};

use super::field::{self, FieldError, Fields};
use super::yaml::{self, Step, Unchangeable};

/// What is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An api, by its name.
    Api(String),
    /// A scope, by its name.
    Scope(String),
    /// A client of the list, by its id.
    Client(String),
}

/// What is to become of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new api at the end of the list.
    CreateApi(Map<String, Json>),
    /// A new scope at the end of an api's.
    CreateScope {
        /// The api's name.
        api: String,
        /// Its fields.
        sent: Map<String, Json>,
    },
    /// A new client at the end of the list.
    CreateClient(Map<String, Json>),
    /// It gets these fields, and loses the others.
    Put(Target, Map<String, Json>),
    /// It gets these fields, loses those that are `null`, and keeps the others (RFC 7396).
    Patch(Target, Map<String, Json>),
    /// It goes.
    Delete(Target),
}

/// A change, worked out on a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Planned {
    pub(super) text: String,
    /// Where the entry is afterwards; where it was, if it is gone.
    pub(super) path: Vec<Step>,
    pub(super) target: Target,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// Why there is no such text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotPlanned {
    /// What is to be changed is not there.
    NotFound(String),
    /// The file has no `clients`, and a first one would shut out all others.
    NoClients,
    /// What was sent is no good.
    Fields(Vec<FieldError>),
    /// The text cannot be changed.
    Unchangeable(Unchangeable),
}

impl From<Unchangeable> for NotPlanned {
    fn from(fault: Unchangeable) -> Self {
        Self::Unchangeable(fault)
    }
}

impl Target {
    /// What it is, and its name.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Api(name) => ("api", name),
            Self::Scope(name) => ("scope", name),
            Self::Client(id) => ("client", id),
        }
    }

    fn fields(&self) -> (Fields, &'static str) {
        match self {
            Self::Api(_) => (field::API, "name"),
            Self::Scope(_) => (field::SCOPE, "name"),
            Self::Client(_) => (field::CLIENT, "id"),
        }
    }

    /// The same by the name that the file has for it, which may differ in case.
    fn as_written(&self, entry: Option<&Value>) -> Self {
        let (_, name) = self.fields();
        let own = entry.and_then(|entry| entry.get(name)?.as_str()).unwrap_or(self.parts().1).to_owned();
        match self {
            Self::Api(_) => Self::Api(own),
            Self::Scope(_) => Self::Scope(own),
            Self::Client(_) => Self::Client(own),
        }
    }

    /// The scopes that go with it, given its entry.
    pub(super) fn scopes(&self, entry: Option<&Value>) -> Vec<String> {
        let of_api = || entry.and_then(|entry| entry.get("scopes")?.as_sequence()).into_iter().flatten();
        match self {
            Self::Scope(name) => vec![name.clone()],
            Self::Api(_) => of_api().filter_map(|scope| scope.get("name")?.as_str().map(str::to_owned)).collect(),
            Self::Client(_) => Vec::new(),
        }
    }

    /// Where it is.
    pub(super) fn find(&self, file: &Value) -> Option<Vec<Step>> {
        match self {
            Self::Api(name) => Some(vec![key("apis"), Step::Nth(place_of(file.get("apis")?, "name", name)?)]),
            Self::Client(id) => Some(vec![key("clients"), Step::Nth(place_of(file.get("clients")?, "id", id)?)]),
            Self::Scope(name) => {
                let apis = file.get("apis")?.as_sequence()?.iter().enumerate();
                let mut found =
                    apis.filter_map(|(api, value)| Some((api, place_of(value.get("scopes")?, "name", name)?)));
                let (api, scope) = found.next()?;
                Some(vec![key("apis"), Step::Nth(api), key("scopes"), Step::Nth(scope)])
            }
        }
    }
}

impl Change {
    /// What it does, for records.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::CreateApi(_) | Self::CreateScope { .. } | Self::CreateClient(_) => "create",
            Self::Put(..) | Self::Patch(..) => "edit",
            Self::Delete(_) => "delete",
        }
    }

    pub(super) fn plan(&self, text: &str) -> Result<Planned, NotPlanned> {
        let file = yaml::value_of(text)?;
        match self {
            Self::CreateApi(sent) => create(text, &file, &[], "apis", Target::Api(named(sent, "name")), sent),
            Self::CreateScope { api, sent } => {
                let target = Target::Api(api.clone());
                let path = target.find(&file).ok_or_else(|| not_found(&target))?;
                create(text, &file, &path, "scopes", Target::Scope(named(sent, "name")), sent)
            }
            Self::CreateClient(_) if file.get("clients").is_none() => Err(NotPlanned::NoClients),
            Self::CreateClient(sent) => create(text, &file, &[], "clients", Target::Client(named(sent, "id")), sent),
            Self::Put(target, sent) => edit(text, &file, target, sent, false),
            Self::Patch(target, sent) => edit(text, &file, target, sent, true),
            Self::Delete(target) => delete(text, &file, target),
        }
    }
}

fn create(
    text: &str,
    file: &Value,
    above: &[Step],
    list: &str,
    target: Target,
    sent: &Map<String, Json>,
) -> Result<Planned, NotPlanned> {
    let (fields, name) = target.fields();
    let mut entry = fields.entry(sent).map_err(NotPlanned::Fields)?;
    if let Some(there) = target.find(file).and_then(|path| Some(yaml::at(file, &path)?.get(name)?.as_str()?.to_owned()))
    {
        let (what, _) = target.parts();
        let same = if there == target.parts().1 { "" } else { ", whatever the letter case" };
        let message = format!("there is a {what} `{there}` already, and names are unique{same}; write another");
        return Err(NotPlanned::Fields(vec![FieldError { field: name.to_owned(), message }]));
    }
    leave_out_defaults(&mut entry, &Mapping::new());
    leave_out_accounts(&mut entry, &Mapping::new(), &target, yaml::at(file, above));
    let holder = yaml::at(file, above).ok_or(Unchangeable::Layout)?;
    let old = holder.get(list).filter(|list| !list.is_null());
    let mut items = old.map_or(Some(Vec::new()), |list| list.as_sequence().cloned()).ok_or(Unchangeable::Layout)?;
    let place = items.len();
    items.push(entry.clone().into());
    let path = [above, &[key(list)]].concat();
    let changed = if holder.get(list).is_some() {
        yaml::set(text, &path, &items.into())?
    } else {
        let mut holder = holder.as_mapping().cloned().ok_or(Unchangeable::Layout)?;
        holder.insert(list.into(), items.into());
        yaml::set(text, above, &holder.into())?
    };
    let path = [path, vec![Step::Nth(place)]].concat();
    Ok(Planned { text: changed, path, target, before: None, after: Some(entry.into()) })
}

fn edit(
    text: &str,
    file: &Value,
    target: &Target,
    sent: &Map<String, Json>,
    merge: bool,
) -> Result<Planned, NotPlanned> {
    let path = target.find(file).ok_or_else(|| not_found(target))?;
    let before = yaml::at(file, &path).and_then(Value::as_mapping).ok_or(Unchangeable::Layout)?;
    let (fields, name) = target.fields();
    // What is no field here stays as the file has it: its bounds and limits, for one, are nobody's to lose by the way.
    let is_field = |key: &Value| key.as_str().is_some_and(|key| fields.has(key));
    let (shown, kept): (Mapping, Mapping) = before.clone().into_iter().partition(|(key, _)| is_field(key));
    let mut sent = if merge { merged(&shown, sent)? } else { sent.clone() };
    let own = before.get(name).cloned().unwrap_or_default();
    let own_text = own.as_str().unwrap_or_default();
    let given = sent.entry(name).or_insert_with(|| own_text.into());
    let mut errors = Vec::new();
    if given.as_str() != Some(own_text) {
        let message = format!("a name is set once, and this is `{own_text}`; create another, and deprecate this one");
        errors.push(FieldError { field: name.to_owned(), message });
        *given = own_text.into();
    }
    // An api's scopes have requests of their own.
    if let Target::Api(_) = target {
        if !merge && sent.contains_key("scopes") || merge && is_changed(before, &sent, "scopes") {
            let message = "scopes are changed one by one, and not with their api";
            errors.push(FieldError { field: "scopes".to_owned(), message: message.to_owned() });
        }
        sent.remove("scopes");
    }
    let entry = fields.entry(&sent).map_err(|more| NotPlanned::Fields([errors.clone(), more].concat()))?;
    if !errors.is_empty() {
        return Err(NotPlanned::Fields(errors));
    }
    let mut entry = entry;
    if let (Target::Api(_), Some(scopes)) = (target, before.get("scopes")) {
        entry.insert("scopes".into(), scopes.clone());
    }
    entry.extend(kept);
    leave_out_defaults(&mut entry, before);
    leave_out_accounts(&mut entry, before, target, path.get(..2).and_then(|api| yaml::at(file, api)));
    let after = Value::from(entry);
    let changed = yaml::set(text, &path, &after)?;
    let target = target.as_written(Some(&after));
    Ok(Planned { text: changed, path, target, before: Some(before.clone().into()), after: Some(after) })
}

fn delete(text: &str, file: &Value, target: &Target) -> Result<Planned, NotPlanned> {
    let path = target.find(file).ok_or_else(|| not_found(target))?;
    let before = yaml::at(file, &path).cloned();
    let (Some(Step::Nth(place)), list) = (path.last(), path.get(..path.len() - 1).unwrap_or_default()) else {
        return Err(Unchangeable::Layout.into());
    };
    let items = yaml::at(file, list).and_then(Value::as_sequence).ok_or(Unchangeable::Layout)?;
    let kept = items.iter().enumerate().filter(|(own, _)| own != place).map(|(_, item)| item.clone());
    let changed = yaml::set(text, list, &kept.collect::<Vec<_>>().into())?;
    let target = target.as_written(before.as_ref());
    Ok(Planned { text: changed, path, target, before, after: None })
}

/// RFC 7396, one level deep but for privileges.
fn merged(before: &Mapping, sent: &Map<String, Json>) -> Result<Map<String, Json>, NotPlanned> {
    let before = serde_json::to_value(before).map_err(|_| Unchangeable::Layout)?;
    let mut all = before.as_object().cloned().unwrap_or_default();
    merge(&mut all, sent);
    Ok(all)
}

fn merge(all: &mut Map<String, Json>, sent: &Map<String, Json>) {
    for (name, value) in sent {
        match (all.get_mut(name), value) {
            (_, Json::Null) => drop(all.remove(name)),
            (Some(Json::Object(own)), Json::Object(sent)) => merge(own, sent),
            (_, value) => drop(all.insert(name.clone(), value.clone())),
        }
    }
}

fn is_changed(before: &Mapping, sent: &Map<String, Json>, name: &str) -> bool {
    serde_json::to_value(before.get(name)).ok().as_ref() != Some(sent.get(name).unwrap_or(&Json::Null))
}

/// What says no more than its absence is not written where it was not.
fn leave_out_defaults(entry: &mut Mapping, before: &Mapping) {
    let is_default = |key: &str, value: &Value| match value {
        Value::Bool(value) => *value == (key == "show_in_discovery"),
        Value::Sequence(items) => items.is_empty() && matches!(key, "services" | "except" | "hosts" | "public"),
        Value::Mapping(entries) => entries.is_empty() && key == "privileges",
        Value::String(text) => text.is_empty() && matches!(key, "display_name" | "description"),
        Value::Null | Value::Number(_) | Value::Tagged(_) => false,
    };
    entry.retain(|key, value| before.contains_key(key) || !is_default(key.as_str().unwrap_or_default(), value));
}

/// The reach that a scope has without saying so, and a privilege by its scope, likewise.
fn leave_out_accounts(entry: &mut Mapping, before: &Mapping, target: &Target, api: Option<&Value>) {
    if !matches!(target, Target::Scope(_)) {
        return;
    }
    let names_account = api.is_some_and(|api| api.get("account").is_some());
    let default = Value::from(if names_account { "own" } else { "any" });
    let reach = entry.get("accounts").cloned().unwrap_or_else(|| default.clone());
    if reach == default && !before.contains_key("accounts") {
        entry.remove("accounts");
    }
    let old = before.get("privileges").and_then(Value::as_mapping);
    for (name, privilege) in entry.get_mut("privileges").and_then(Value::as_mapping_mut).into_iter().flatten() {
        let was_said = old.and_then(|old| old.get(name)?.get("accounts")).is_some();
        if let Some(privilege) = privilege.as_mapping_mut()
            && !was_said
            && privilege.get("accounts") == Some(&reach)
        {
            privilege.remove("accounts");
        }
    }
}

/// Names of apis and scopes are unique whatever the case; ids of clients are not.
fn place_of(list: &Value, name: &str, wanted: &str) -> Option<usize> {
    let names: Vec<_> = list.as_sequence()?.iter().map(|item| item.get(name).and_then(Value::as_str)).collect();
    let is_folded = |own: &str| name == "name" && own.eq_ignore_ascii_case(wanted);
    let folded = || names.iter().position(|own| own.is_some_and(is_folded));
    names.iter().position(|own| *own == Some(wanted)).or_else(folded)
}

fn named(sent: &Map<String, Json>, name: &str) -> String {
    sent.get(name).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn not_found(target: &Target) -> NotPlanned {
    let (what, name) = target.parts();
    NotPlanned::NotFound(format!("there is no {what} `{}`", name.chars().take(256).collect::<String>()))
}

fn key(key: &str) -> Step {
    Step::Key(key.to_owned())
}

#[cfg(test)]
mod tests;
