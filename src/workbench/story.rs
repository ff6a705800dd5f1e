//! An explanation as people read it in a terminal.

use std::fmt;

use http::StatusCode;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::paint::{Paint, plain, wrapped};
use crate::workbench::{
    AnswerStory, Asked, CallerStory, CheckStory, Explanation, ForwardStory, LimitStory, ServiceStory, TokenKind,
    TokenStory,
};

/// The whole story: what was asked, what was found, how it ended.
pub fn story(explanation: &Explanation, paint: Paint) -> String {
    let mut sections = vec![request(&explanation.request, paint), services(explanation, paint)];
    sections.push(token(&explanation.token, paint));
    sections.extend(explanation.caller.as_ref().map(|told| caller(told, paint)));
    sections.push(decision(explanation, paint));
    sections.push(rate_limits(&explanation.rate_limits, paint));
    sections.extend(explanation.answer.as_ref().map(|told| answer(told, paint)));
    sections.extend(explanation.forwarded.as_ref().map(|told| forwarded(told, paint)));
    let sections = sections.into_iter().filter(|lines| !lines.is_empty());
    sections.map(|lines| lines.join("\n") + "\n").collect::<Vec<_>>().join("\n")
}

fn request(asked: &Asked, paint: Paint) -> Vec<String> {
    let mut lines = vec![paint.bold("Request").to_string(), format!("  {} {}", asked.method, plain(&asked.target))];
    if let Some(judged) = asked.judged.as_ref().filter(|judged| **judged != asked.target) {
        lines.push(format!("  judged and forwarded as {judged}"));
    }
    let host = asked.host.as_deref().map(|host| format!("to {}", plain(host)));
    let at = asked.at.as_ref().map(|at| format!("at {at}"));
    let facts: Vec<_> = host.into_iter().chain(at).collect();
    if !facts.is_empty() {
        lines.push(paint.dim(format!("  {}", facts.join(", "))).to_string());
    }
    lines
}

fn services(explanation: &Explanation, paint: Paint) -> Vec<String> {
    let mut lines = vec![paint.bold("Services that have this path").to_string()];
    let mut last: Option<&ServiceStory> = None;
    for service in &explanation.services {
        if last.is_none_or(|last| last.api != service.api || last.service != service.service) {
            lines.push(format!("  {}  {}", service.service, paint.dim(format!("({})", service.api))));
        }
        let accounts = match service.accounts {
            Some("own") => ", own account",
            Some("any") => ", any account",
            Some(_) | None => "",
        };
        let text = match &service.scope {
            Some(scope) => format!("{scope}{accounts}: {}", plain(&service.note)),
            None => plain(&service.note),
        };
        let text = wrapped(&text, 4, 8);
        lines.push(match service.outcome {
            "permits" => paint.good(text).to_string(),
            "other_method" | "not_asked" => paint.dim(text).to_string(),
            _ => text,
        });
        last = Some(service);
    }
    if explanation.services.is_empty() {
        let none = if explanation.request.judged.is_some() { "  none" } else { "  none was looked for" };
        lines.push(none.to_owned());
    }
    for required in &explanation.required_scopes {
        let held = match required.held {
            Some(true) => "held",
            Some(false) => "not held",
            None => "there is no token to hold it",
        };
        lines.push(format!("  {} asks {} of every token: {held}", required.api, required.scope));
    }
    lines
}

fn token(told: &TokenStory, paint: Paint) -> Vec<String> {
    let mut lines = vec![paint.bold("Token").to_string()];
    match told.kind {
        TokenKind::None => lines.push("  none was sent".to_owned()),
        TokenKind::NotAsked => lines.push("  not looked at".to_owned()),
        TokenKind::Claims => lines.push("  its checks are skipped: only what it says was given".to_owned()),
        TokenKind::Recorded if told.checks.is_empty() => lines.push("  it was good".to_owned()),
        TokenKind::Sent | TokenKind::Recorded => {}
    }
    let width = told.checks.iter().map(|check| check.check.len()).max().unwrap_or_default();
    lines.extend(told.checks.iter().map(|check| check_line(check, width, paint)));
    lines
}

fn check_line(check: &CheckStory, width: usize, paint: Paint) -> String {
    let label = format!("{:width$}", check.check);
    let detail = plain(&check.detail);
    match check.outcome {
        "passed" => format!("  {}  {label}  {detail}", paint.good("yes")).trim_end().to_owned(),
        "failed" => format!("  {}   {}\n{}", paint.bad("NO"), check.check, wrapped(&detail, 7, 7)),
        _ => paint.dim(format!("  -    {label}  {detail}").trim_end()).to_string(),
    }
}

fn caller(told: &CallerStory, paint: Paint) -> Vec<String> {
    let kind = told.client_type.map_or(String::new(), |kind| format!(", {kind}"));
    let none = || "none".to_owned();
    let accounts: Vec<_> = told.accounts.iter().map(|account| plain(account)).collect();
    let mut lines = vec![
        paint.bold("Caller").to_string(),
        format!("  client   {}", told.client.as_deref().map_or_else(none, |id| plain(id) + &kind)),
        format!("  subject  {}", told.subject.as_deref().map_or_else(none, plain)),
        format!("  account  {}", if accounts.is_empty() { none() } else { accounts.join(", ") }),
    ];
    for (place, scope) in told.scopes.iter().enumerate() {
        let lead = if place == 0 { "scopes " } else { "       " };
        let held = if scope.held { paint.good("held").to_string() } else { paint.bad("not held").to_string() };
        let remark = scope.note.as_ref().map_or(String::new(), |note| format!(", {note}"));
        lines.push(format!("  {lead}  {}: {held}{remark}", plain(&scope.name)));
    }
    if told.scopes.is_empty() {
        lines.push("  scopes   none".to_owned());
    }
    lines
}

fn decision(explanation: &Explanation, paint: Paint) -> Vec<String> {
    let verdict = if let Some(reported) = explanation.reported {
        paint.bad(format!("let through, reported: {reported}")).to_string()
    } else if explanation.allowed {
        paint.good(format!("allowed, {}", explanation.reason)).to_string()
    } else {
        paint.bad(format!("denied, {}", explanation.reason)).to_string()
    };
    vec![format!("{} {verdict}", paint.bold("Decision:")), wrapped(&plain(&explanation.why), 2, 2)]
}

fn rate_limits(told: &[LimitStory], paint: Paint) -> Vec<String> {
    if told.is_empty() {
        return Vec::new();
    }
    let title = paint.bold("Rate limits that it falls under").to_string();
    let lines = told.iter().map(|limit| format!("  {}: {}", limit.name, limit.in_words()));
    std::iter::once(title).chain(lines).collect()
}

fn answer(told: &AnswerStory, paint: Paint) -> Vec<String> {
    let status = StatusCode::from_u16(told.status).map_or(told.status.to_string(), |status| status.to_string());
    let mut lines = vec![paint.bold("Answer").to_string(), format!("  HTTP/1.1 {status}")];
    lines.extend(headers(&told.headers));
    lines.push(String::new());
    match serde_json::from_str::<Members>(&told.sent) {
        Ok(Members(members)) => {
            let end = members.len();
            lines.push("  {".to_owned());
            lines.extend((1..).zip(members).map(|(place, (name, value))| {
                let comma = if place == end { "" } else { "," };
                format!("    {}: {value}{comma}", Value::String(name))
            }));
            lines.push("  }".to_owned());
        }
        Err(_) => lines.extend(told.sent.lines().map(|line| format!("  {}", plain(line)))),
    }
    lines
}

/// The members of an object in the order in which they are sent.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

fn forwarded(told: &ForwardStory, paint: Paint) -> Vec<String> {
    let title = format!("Forwarded to {}", told.upstream);
    let mut lines = vec![format!("{} ({})", paint.bold(title), told.servers.join(", "))];
    lines.push(format!("  {}", plain(&told.target)));
    lines.extend(headers(&told.headers));
    if let Some(form) = &told.form {
        lines.extend([String::new(), format!("  {}", plain(form))]);
    }
    lines
}

fn headers(headers: &[(String, String)]) -> impl Iterator<Item = String> {
    headers.iter().map(|(name, value)| format!("  {name}: {}", plain(value)))
}
