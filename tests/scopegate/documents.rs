//! What the documentation shows and names: its examples are good policies, its links lead somewhere, and the commands,
//! tests, files and metrics that it speaks of are there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scopegate::config::{Source, compile};
use serde_json::{Map, Value, json};

use crate::harness::{check_schema, scopegate};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page, by its path from the root.
fn pages() -> BTreeMap<PathBuf, String> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.map(|path| path.strip_prefix(root()).unwrap().to_owned());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let others = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md", "deploy/kubernetes/README.md"];
    let all = docs.chain(others.map(PathBuf::from));
    all.map(|path| (path.clone(), fs::read_to_string(root().join(&path)).unwrap())).collect()
}

/// The fenced blocks of that kind.
fn blocks<'t>(text: &'t str, kind: &str) -> Vec<&'t str> {
    text.split(&format!("```{kind}\n")).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// What stands between backticks outside of blocks, and each line of blocks of commands.
fn code(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (place, part) in text.split("```").enumerate() {
        if place % 2 == 0 {
            let indented = part.lines().filter_map(|line| line.strip_prefix("    "));
            all.extend(indented.map(str::to_owned));
            let paragraphs = part.replace('\n', " ");
            all.extend(paragraphs.split('`').skip(1).step_by(2).map(str::to_owned));
        } else if let Some(commands) = part.strip_prefix("sh\n") {
            all.extend(commands.replace("\\\n", " ").lines().map(str::to_owned));
        }
    }
    all
}

/// An example with what it leaves out, so that it is a whole policy.
fn whole(example: &str) -> String {
    let mut policy: Map<String, Value> = serde_yaml::from_str(example).unwrap();
    if policy.contains_key("token_endpoint") {
        // What an api says.
        policy = Map::from_iter([(
            "apis".to_owned(),
            json!([{ "name": "orders", "token_endpoint": policy["token_endpoint"] }]),
        )]);
    }
    let mut put = |key: &str, value: Value| {
        policy.entry(key).or_insert(value);
    };
    put("version", json!(1));
    put("listeners", json!([{ "address": "127.0.0.1:8080" }]));
    put("issuers", json!([{ "issuer": "https://login.example.com", "keys": { "file": "jwks.json" } }]));
    put("apis", json!([{ "name": "orders" }]));
    put("upstreams", json!({}));
    for issuer in policy["issuers"].as_array_mut().unwrap() {
        issuer.as_object_mut().unwrap().entry("audiences").or_insert(json!(["https://api.example.com"]));
    }
    let mut upstreams: BTreeSet<_> = policy["upstreams"].as_object().unwrap().keys().cloned().collect();
    let usual = upstreams.first().cloned().unwrap_or_else(|| "orders".to_owned());
    for api in policy["apis"].as_array_mut().unwrap() {
        let api = api.as_object_mut().unwrap();
        api.entry("upstream").or_insert(json!(usual));
        if !api.contains_key("scopes") {
            api.insert("scopes".to_owned(), json!([{ "name": "orders_read", "services": ["GET /orders/**"] }]));
        }
        for named in
            [&api["upstream"], api.get("token_endpoint").map_or(&Value::Null, |endpoint| &endpoint["upstream"])]
        {
            upstreams.extend(named.as_str().map(str::to_owned));
        }
    }
    let known = policy["upstreams"].as_object_mut().unwrap();
    for name in upstreams {
        known.entry(name).or_insert(json!({ "servers": ["127.0.0.1:9000"] }));
    }
    serde_yaml::to_string(&policy).unwrap()
}

#[test]
fn every_example_is_a_good_policy() {
    let mut count = 0;
    for (page, text) in pages() {
        for example in blocks(&text, "yaml") {
            let policy = whole(example);
            check_schema(&policy);
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("gateway.yaml"), &policy).unwrap();
            let output = scopegate(&["check"]).current_dir(folder.path()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}\n{policy}\n{said}", page.display());
            count += 1;
        }
        for example in blocks(&text, "json") {
            serde_json::from_str::<Value>(example).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        }
    }
    assert!(count >= 14, "{count}");
}

#[test]
fn the_bounds_that_are_shown_are_those_that_hold_where_the_file_says_nothing() {
    let limits = |policy: &str| {
        let source = Source { shown: "gateway.yaml", directory: Path::new("/"), text: policy };
        compile(&source).unwrap().settings.limits
    };
    let shown = whole(blocks(&pages()[Path::new("docs/limits.md")], "yaml")[0]);
    assert!(shown.contains("\nlimits:"), "{shown}");
    assert_eq!(limits(&shown), limits(&whole("version: 1")));
}

/// The name that a heading has in links.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|one| one.is_alphanumeric() || " -_".contains(*one));
    kept.map(|one| if one == ' ' { '-' } else { one.to_ascii_lowercase() }).collect()
}

#[test]
fn links_lead_to_what_is_there() {
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap().replace('\n', "");
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if file.is_empty() { root().join(&page) } else { root().join(&page).with_file_name("").join(file) };
            let is_there = target.exists()
                && (heading.is_empty()
                    || fs::read_to_string(&target)
                        .unwrap()
                        .lines()
                        .any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading));
            if !is_there {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Whether a command has these options, as its own help has it.
fn has_options(command: &str, helps: &mut BTreeMap<String, String>) -> Result<(), String> {
    let words: Vec<_> = command.split_whitespace().collect();
    let is_name = |word: &&&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    let mut names: Vec<_> = words.iter().skip(1).take_while(is_name).take(2).copied().collect();
    if names.len() == 2 && names[0] != "import" {
        names.pop();
    }
    let key = names.join(" ");
    if !helps.contains_key(&key) {
        let output = scopegate(&[&*names, &["--help"]].concat()).output().unwrap();
        if !output.status.success() {
            return Err(format!("there is no `{command}`"));
        }
        helps.insert(key.clone(), String::from_utf8(output.stdout).unwrap());
    }
    let options = words.iter().map(|word| word.trim_start_matches('[').trim_end_matches(']'));
    for option in options.filter(|word| word.starts_with("--")) {
        let known = |word: &str| word.trim_end_matches([',', ']']) == option;
        if !helps[&key].split_whitespace().any(known) {
            return Err(format!("`scopegate {key}` has no `{option}`"));
        }
    }
    Ok(())
}

#[test]
fn every_command_that_is_named_is_there_with_its_options() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut helps = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (page, text) in pages() {
        for line in code(&text) {
            let line = line.split(" #").next().unwrap().trim();
            let words: Vec<_> = line.split_whitespace().collect();
            // What is set for a command stands before it.
            let start = words.iter().position(|word| !word.contains('=')).unwrap_or(0);
            let why = match &words[start..] {
                ["scopegate", ..] => has_options(&words[start..].join(" "), &mut helps),
                ["make", target, ..] if !makefile.contains(&format!("\n{target}:")) => {
                    Err(format!("there is no `make {target}`"))
                }
                ["make", ..] => Ok(()),
                _ => continue,
            };
            count += 1;
            wrong.extend(why.err().map(|why| format!("{}: {why}", page.display())));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count > 60, "{count}");
}

/// The names of this binary's tests.
fn tests() -> String {
    let output = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Every file of code in that folder, as one text with its path before it.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *all += &format!("{}\n{}", path.display(), fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let here = tests();
    let mut library = String::new();
    sources(&root().join("src"), &mut library);
    let mut wrong = Vec::new();
    let mut count = 0;
    for (page, text) in pages() {
        for line in code(&text) {
            let words: Vec<_> = line.split_whitespace().skip_while(|word| word.contains('=')).collect();
            let (filters, is_there): (_, &dyn Fn(&str) -> bool) = match &*words {
                ["cargo", "test", "--test", "scopegate", filters @ ..] => (filters, &|filter| here.contains(filter)),
                ["cargo", "test", "--lib", filters @ ..] => (filters, &|filter| {
                    filter.split("::").filter(|part| !part.is_empty()).all(|part| library.contains(part))
                }),
                ["cargo", "test", "--test", "e2e", filters @ ..] => {
                    (filters, &|filter| root().join("tests").join(filter.trim_end_matches("::")).exists())
                }
                _ => continue,
            };
            // Cargo itself takes one; what stands behind `--` is the tests' own.
            let before = filters.iter().take_while(|word| **word != "--").count();
            if before > 1 {
                wrong.push(format!("{}: `{line}` has several filters before `--`", page.display()));
            }
            for filter in filters.iter().filter(|filter| !filter.starts_with("--") && **filter != "…") {
                count += 1;
                if !is_there(filter) {
                    wrong.push(format!("{}: no test is `{filter}`", page.display()));
                }
            }
        }
    }
    let faults = fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let named = faults.lines().filter_map(|line| line.strip_suffix("` |")?.rsplit('`').next());
    for filter in named.filter(|named| !named.contains(' ')) {
        count += 1;
        if !here.contains(filter) {
            wrong.push(format!("docs/faults.md: no test is `{filter}`"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count > 30, "{count}");
}

#[test]
fn every_file_of_the_repository_that_is_named_is_there() {
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        for named in code(&text).iter().flat_map(|code| code.split_whitespace()) {
            let (folder, name) = named.rsplit_once('/').unwrap_or(("", named));
            let known =
                ["src", "tests", "benches", "docs", "deploy", "fuzz", "gateway", "policy", "record", "cli", "registry"];
            let is_ours =
                known.contains(&folder.split('/').next().unwrap()) && !name.is_empty() && !named.contains('$');
            if is_ours && !["", "src"].iter().any(|base| root().join(base).join(named).exists()) {
                wrong.push(format!("{}: {named}", page.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_metric_that_is_named_is_listed() {
    let pages = pages();
    let list = &pages[Path::new("docs/metrics.md")];
    let mut wrong = Vec::new();
    for (page, text) in &pages {
        for code in code(text).iter().filter(|code| code.starts_with("scopegate_")) {
            let name: String = code.chars().take_while(|one| one.is_ascii_lowercase() || *one == '_').collect();
            // A member of the resource's metadata.
            if name != "scopegate_scopes" && !list.contains(&format!("\n| `{name}")) {
                wrong.push(format!("{}: {name}", page.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
