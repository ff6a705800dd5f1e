//! The map as people read it in a terminal.

use super::View;
use super::written::is_token_endpoint;
use crate::policy::{AccountSource, AccountWhenAbsent, Api, Mode};
use crate::workbench::paint::{Paint, WIDTH, plain, wrapped};
use crate::workbench::{Access, ApiMap, Endpoint};

/// A name longer than this does not push what is said of the others to the right.
const WIDEST_NAME: usize = 40;

/// Of an api that only reports.
pub(super) const REPORTS: &str = "only reports: what it refuses is let through and recorded (mode: report_only)";

const PUBLIC: &str = "public, no token is asked for";

pub(super) fn text(view: &View<'_>, paint: Paint) -> String {
    let apis = view.map.apis.iter().map(|map| Section { view, map, paint, name_width: name_width(view, map) }.text());
    apis.collect::<Vec<_>>().join("\n")
}

fn name_width(view: &View<'_>, map: &ApiMap<'_>) -> usize {
    let names = map.endpoints.iter().flat_map(|endpoint| &endpoint.access).filter_map(|access| view.scope(access));
    names.map(str::len).filter(|length| *length <= WIDEST_NAME).max().unwrap_or_default()
}

/// One api as it is printed.
struct Section<'v> {
    view: &'v View<'v>,
    map: &'v ApiMap<'v>,
    paint: Paint,
    name_width: usize,
}

impl Section<'_> {
    fn text(&self) -> String {
        let api = self.map.api;
        let name = self.paint.bold(&api.name);
        let mut lines = vec![match &api.display_name {
            Some(display_name) => format!("{name}  {}", plain(display_name)),
            None => name.to_string(),
        }];
        lines.extend(self.facts(api).iter().map(|fact| self.paint.dim(wrapped(fact, 2, 4)).to_string()));
        lines.push(String::new());
        lines.extend(self.map.endpoints.iter().flat_map(|endpoint| self.endpoint(endpoint)));
        for scope in self.map.idle.iter().filter_map(|id| self.view.policy().scope(*id)) {
            let required = if scope.marks.required { ", required" } else { "" };
            lines.extend(["  (no service)".to_owned(), format!("    {}{required}", scope.name)]);
        }
        lines.join("\n") + "\n"
    }

    fn facts(&self, api: &Api) -> Vec<String> {
        let mut facts = vec![format!("under {}, served by {}", api.base_path, self.view.upstream(self.map))];
        if api.mode == Mode::ReportOnly {
            facts.push(REPORTS.to_owned());
        }
        if !api.hosts.is_empty() {
            facts.push(format!("for the hosts {}", api.hosts.join(", ")));
        }
        if !api.account.is_empty() {
            let places: Vec<_> = api.account.iter().map(place).collect();
            let absent = match api.account_when_absent {
                AccountWhenAbsent::Deny => "",
                AccountWhenAbsent::Inject => "; the caller's own where it is left out",
            };
            facts.push(format!("account: {}{absent}", places.join(", ")));
        }
        let required = self.view.required(self.map);
        if !required.is_empty() {
            facts.push(format!("every token needs {}", required.join(" ")));
        }
        facts
    }

    fn endpoint(&self, endpoint: &Endpoint<'_>) -> Vec<String> {
        let mut lines = vec![format!("  {} {}", endpoint.methods.listed(), endpoint.pattern)];
        for access in &endpoint.access {
            lines.push(self.access(access, access.methods != endpoint.methods));
            let except = access.except.iter();
            lines.extend(
                except.map(|except| format!("        but not {} {}", except.methods().listed(), except.pattern())),
            );
        }
        if endpoint.access.is_empty() {
            lines.push(format!("    {}", self.paint.bad("nothing: exceptions take it all away")));
        }
        lines
    }

    fn access(&self, access: &Access<'_>, methods_differ: bool) -> String {
        let remarks = self.view.remarks(self.map, access, methods_differ).join(", ");
        match self.view.scope(access) {
            None if is_token_endpoint(access) => format!("    requests for tokens, {remarks}"),
            None if remarks.is_empty() => format!("    {}", self.paint.good(PUBLIC)),
            None => format!("    {}, {remarks}", self.paint.good(PUBLIC)),
            Some(scope) if remarks.is_empty() => format!("    {scope}"),
            Some(scope) => {
                let line = format!("    {scope:width$}  {remarks}", width = self.name_width);
                let fits = line.chars().count() <= WIDTH;
                if fits { line } else { format!("    {scope}\n{}", wrapped(&remarks, 8, 8)) }
            }
        }
    }
}

fn place(source: &AccountSource) -> String {
    match source {
        AccountSource::Path(name) => format!("the segment {{{name}}}"),
        AccountSource::Query(name) => format!("the parameter {name}"),
        AccountSource::Header(name) => format!("the header {name}"),
    }
}
