//! The map as other programs take it: JSON, CSV, Markdown.

use std::fmt::Write as _;

use serde::Serialize;

use super::text::REPORTS;
use super::{View, reach_words};
use crate::policy::{MethodSet, Mode, Policy, Reach, Role};
use crate::workbench::{Access, ApiMap, Endpoint};

#[derive(Serialize)]
struct Map<'a> {
    apis: Vec<MappedApi<'a>>,
}

#[derive(Serialize)]
struct MappedApi<'a> {
    name: &'a str,
    display_name: Option<&'a str>,
    base_path: String,
    hosts: Vec<&'a str>,
    upstream: &'a str,
    mode: &'static str,
    required_scopes: Vec<&'a str>,
    endpoints: Vec<MappedEndpoint<'a>>,
    /// Scopes and privileges that have no services.
    without_services: Vec<&'a str>,
}

#[derive(Serialize)]
struct MappedEndpoint<'a> {
    methods: Vec<&'static str>,
    path: String,
    access: Vec<MappedAccess<'a>>,
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are the file's own keys, each independent of the others")]
struct MappedAccess<'a> {
    public: bool,
    /// Whether requests for tokens are judged here, and go to the provider.
    token_endpoint: bool,
    scope: Option<&'a str>,
    /// The scope that holding this privilege includes.
    includes: Option<&'a str>,
    api: &'a str,
    accounts: Option<&'static str>,
    methods: Vec<&'static str>,
    service: &'a str,
    except: Vec<&'a str>,
    required: bool,
    deprecated: bool,
    confidential_only: bool,
}

pub(super) fn json(view: &View<'_>) -> String {
    let map = Map { apis: view.map.apis.iter().map(|map| mapped_api(view, map)).collect() };
    // INVARIANT: texts and lists of texts can always be written as JSON.
    serde_json::to_string_pretty(&map).unwrap_or_default() + "\n"
}

fn mapped_api<'a>(view: &'a View<'a>, map: &'a ApiMap<'a>) -> MappedApi<'a> {
    let endpoints = map.endpoints.iter().map(|endpoint| MappedEndpoint {
        methods: methods(endpoint.methods),
        path: endpoint.pattern.to_string(),
        access: endpoint.access.iter().map(|access| mapped_access(view, access)).collect(),
    });
    MappedApi {
        name: map.api.name.as_str(),
        display_name: map.api.display_name.as_deref(),
        base_path: map.api.base_path.to_string(),
        hosts: map.api.hosts.iter().map(|host| &**host).collect(),
        upstream: view.upstream(map),
        mode: mode(map),
        required_scopes: view.required(map),
        endpoints: endpoints.collect(),
        without_services: map.idle.iter().map(|id| view.name(*id)).collect(),
    }
}

fn mapped_access<'a>(view: &'a View<'a>, access: &'a Access<'a>) -> MappedAccess<'a> {
    let policy = view.policy();
    let (scope, reach, confidential_only) = match access.through.role {
        Role::Grant { scope, reach, confidential_only } => (policy.scope(scope), Some(reach), confidential_only),
        Role::Public | Role::TokenEndpoint(_) => (None, None, false),
    };
    MappedAccess {
        public: access.through.role == Role::Public,
        token_endpoint: is_token_endpoint(access),
        scope: scope.map(|scope| scope.name.as_str()),
        includes: scope.and_then(|scope| scope.includes).map(|id| view.name(id)),
        api: policy.api(access.through.api).map_or("", |api| api.name.as_str()),
        accounts: reach.filter(|_| names_account(policy, access)).map(|reach| match reach {
            Reach::Own => "own",
            Reach::Any => "any",
        }),
        methods: methods(access.methods),
        service: access.through.service.as_str(),
        except: access.except.iter().map(|service| service.as_str()).collect(),
        required: scope.is_some_and(|scope| scope.marks.required),
        deprecated: scope.is_some_and(|scope| scope.marks.deprecated),
        confidential_only,
    }
}

fn mode(map: &ApiMap<'_>) -> &'static str {
    match map.api.mode {
        Mode::Enforce => "enforce",
        Mode::ReportOnly => "report_only",
    }
}

pub(super) fn is_token_endpoint(access: &Access<'_>) -> bool {
    match access.through.role {
        Role::TokenEndpoint(_) => true,
        Role::Public | Role::Grant { .. } => false,
    }
}

fn names_account(policy: &Policy, access: &Access<'_>) -> bool {
    policy.api(access.through.api).is_some_and(|api| !api.account.is_empty())
}

/// By name; `*` alone for every method. Methods that have no name are of none but every.
fn methods(set: MethodSet) -> Vec<&'static str> {
    if set == MethodSet::ALL { vec!["*"] } else { set.names().collect() }
}

/// A line for each scope of each endpoint (RFC 4180).
pub(super) fn csv(view: &View<'_>) -> String {
    let mut text = String::from(
        "api,methods,path,access,scope,accounts,required,deprecated,confidential_only,through_api,service,except,mode\r\n",
    );
    for map in &view.map.apis {
        for endpoint in &map.endpoints {
            for access in &endpoint.access {
                let mapped = mapped_access(view, access);
                let yes = |is: bool| if is { "yes" } else { "no" };
                let fields = [
                    map.api.name.as_str(),
                    &access.methods.listed(),
                    &endpoint.pattern.to_string(),
                    if mapped.public {
                        "public"
                    } else if mapped.token_endpoint {
                        "token_endpoint"
                    } else {
                        "scope"
                    },
                    mapped.scope.unwrap_or_default(),
                    mapped.accounts.unwrap_or_default(),
                    yes(mapped.required),
                    yes(mapped.deprecated),
                    yes(mapped.confidential_only),
                    mapped.api,
                    mapped.service,
                    &mapped.except.join("; "),
                    mode(map),
                ];
                text += &(fields.map(field).join(",") + "\r\n");
            }
        }
    }
    text
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// A heading and a table for each api.
pub(super) fn markdown(view: &View<'_>) -> String {
    let mut text = String::new();
    for map in &view.map.apis {
        if !text.is_empty() {
            text.push('\n');
        }
        let name = map.api.display_name.as_deref().map_or(String::new(), |name| format!(" — {}", cell(name)));
        // Writing to a text cannot fail.
        let _ = writeln!(text, "## `{}`{name}\n", map.api.name);
        if map.api.mode == Mode::ReportOnly {
            let _ = writeln!(text, "It {REPORTS}.\n");
        }
        let required = view.required(map);
        if !required.is_empty() {
            let names: Vec<_> = required.iter().map(|name| code(name)).collect();
            let _ = writeln!(text, "Every token needs {}.\n", names.join(", "));
        }
        text += "| Endpoint | Access | Accounts | Remarks |\n|---|---|---|---|\n";
        for endpoint in &map.endpoints {
            rows(view, map, endpoint, &mut text);
        }
        for id in &map.idle {
            let _ = writeln!(text, "| (no service) | {} | | |", code(view.name(*id)));
        }
    }
    text
}

fn rows(view: &View<'_>, map: &ApiMap<'_>, endpoint: &Endpoint<'_>, text: &mut String) {
    let shown = code(&format!("{} {}", endpoint.methods.listed(), endpoint.pattern));
    for (place, access) in endpoint.access.iter().enumerate() {
        let mut remarks = view.remarks(map, access, access.methods != endpoint.methods);
        let reach = match access.through.role {
            Role::Grant { reach, .. } => Some(reach_words(reach)).filter(|words| remarks.iter().any(|it| it == words)),
            Role::Public | Role::TokenEndpoint(_) => None,
        };
        remarks.retain(|remark| Some(&**remark) != reach);
        remarks.extend(access.except.iter().map(|except| format!("not {}", code(except.as_str()))));
        let scope = match access.through.role {
            Role::Public => "public".to_owned(),
            Role::TokenEndpoint(_) => "token endpoint".to_owned(),
            Role::Grant { .. } => view.scope(access).map_or(String::new(), code),
        };
        let endpoint = if place == 0 { &*shown } else { "" };
        let _ = writeln!(text, "| {endpoint} | {scope} | {} | {} |", reach.unwrap_or_default(), remarks.join(", "));
    }
}

/// Markdown's code; a bar would end the cell even there.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}

fn cell(text: &str) -> String {
    let escaped = |character: char| match character {
        '|' | '<' | '>' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' => format!("\\{character}"),
        control if control.is_control() => " ".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(escaped).collect()
}
