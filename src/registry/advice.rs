//! What would be better about an entry that is good: names that say what is permitted, texts that
//! people can read, scopes that permit one kind of thing. It refuses nothing.

use serde_yaml::Value;

use super::change::Target;
use crate::policy::{MethodSet, Service};

/// Names that say too little.
const VAGUE: [&str; 14] = [
    "access", "admin", "all", "api", "basic", "default", "full", "general", "manage", "read", "scope", "test", "user",
    "write",
];

pub(super) fn advice(target: &Target, entry: &Value) -> Vec<String> {
    let name = match target {
        Target::Scope(name) => name,
        Target::Api(_) if entry.get("mode").and_then(Value::as_str) == Some("report_only") => {
            return vec!["while it only reports, it lets through what it refuses, token or not".to_owned()];
        }
        Target::Api(_) | Target::Client(_) => return Vec::new(),
    };
    let mut advice = Vec::new();
    let mut say = |is_so: bool, text: &str| {
        if is_so {
            advice.push(text.to_owned());
        }
    };
    let is_on = |key: &str| entry.get(key).and_then(Value::as_bool).unwrap_or(false);
    let services = texts(entry, "services");
    say(name.chars().any(char::is_uppercase), "write names in lower case, with `_` or `-` between words");
    let is_vague = VAGUE.contains(&name.to_ascii_lowercase().as_str()) || name.len() < 4;
    say(is_vague, "be specific about what is permitted, as in `read_user_data` or `update_profile`");
    say(entry.get("display_name").is_none(), "give it a display name, which consent screens show");
    say(entry.get("description").is_none(), "describe what it permits and which data that concerns");
    let has_privileges = entry.get("privileges").is_some();
    say(services.is_empty() && !has_privileges && !is_on("required"), "it has no services, so it permits nothing");
    let (reading, changing) = kinds(&services);
    say(reading && changing, "it permits both reading and changing; a scope for each lets clients have less");
    let is_shown = entry.get("show_in_discovery").and_then(Value::as_bool).unwrap_or(true);
    say(
        is_on("deprecated") && is_shown,
        "leave a deprecated scope out of discovery, so that no new client asks for it",
    );
    advice
}

/// Whether some service reads, and some changes something.
fn kinds(services: &[&str]) -> (bool, bool) {
    let reads = MethodSet::of_request("GET").or(MethodSet::of_request("HEAD"));
    let methods = services.iter().filter_map(|text| Service::parse(text).ok()).map(|service| service.methods());
    methods.fold((false, false), |(reading, changing), methods| {
        (reading || !methods.and(reads).is_empty(), changing || !methods.without(reads).is_empty())
    })
}

fn texts<'v>(entry: &'v Value, key: &str) -> Vec<&'v str> {
    entry.get(key).and_then(Value::as_sequence).into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, entry: &str, expected: &[&str]) {
        let seen = advice(&Target::Scope(name.to_owned()), &serde_yaml::from_str(entry).unwrap());
        assert_eq!(seen.len(), expected.len(), "{seen:?}");
        for (text, part) in seen.iter().zip(expected) {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn advice_is_given_where_there_is_something_to_say() {
        let texts = "display_name: A, description: B";
        check("orders_read", &format!("{{{texts}, services: [GET /x]}}"), &[]);
        check("Read", &format!("{{{texts}, services: [GET /x]}}"), &["lower case", "specific"]);
        check("orders_read", "{}", &["display name", "describe", "no services"]);
        check("orders_all", &format!("{{{texts}, services: [GET /x, 'POST /x']}}"), &["both"]);
        check("orders_all", &format!("{{{texts}, services: [/x]}}"), &["both"]);
        check("orders_old", &format!("{{{texts}, services: [GET /x], deprecated: true}}"), &["discovery"]);
        check("use_orders", &format!("{{{texts}, required: true}}"), &[]);
    }
}
