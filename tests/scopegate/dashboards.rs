//! The dashboard and the alerts of `deploy/` name nothing that a running gateway's `/metrics` has not, and
//! the page that lists the metrics names all that it has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Gateway, Signer, Upstream, wait_for};
use crate::promql::named;

/// What Prometheus adds to each series.
const ADDED: [&str; 2] = ["job", "instance"];

/// The series of a gateway: by metric, the values of each label.
type Series = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

const POLICY: &str = r#"
issuers:
  - issuer: https://issuer.example
    audiences: [https://api.example.com]
    keys: { url: "http://$PROVIDER/jwks" }
    introspection: { url: "http://$PROVIDER/introspect", client_id: gateway, client_secret_file: secret }
shadow: { file: candidate.yaml }
apis:
  - name: tried
    base_path: /tried
    mode: report_only
    upstream: backend
    scopes: [{ name: tried-read, services: [/tried/**] }]
  - name: data
    base_path: /data
    upstream: backend
    rate_limits: [{ by: client, requests: 100, per: 1m }]
    scopes:
      - { name: data-read, deprecated: true, services: [/data/**] }
"#;

/// What a gateway tells that was asked for all that it has series for.
fn series() -> (Series, BTreeSet<String>) {
    let provider = Upstream::answering(|asked| {
        let is_for_keys = asked.line.contains("/jwks");
        let body = if is_for_keys { Signer::shared().jwks() } else { json!({ "active": false }) };
        let body = body.to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let policy = POLICY.replace("$PROVIDER", &provider.address.to_string());
    let gateway = Gateway::start_in(&policy, |folder| {
        std::fs::write(folder.join("secret"), "s").unwrap();
        let candidate = "version: 1\nlisteners: [{ address: \"127.0.0.1:1\" }]\nupstreams: { backend: { servers: [\"127.0.0.1:1\"] } }\n\
            apis: [{ name: data, upstream: backend, public: [/data/**] }]\n";
        std::fs::write(folder.join("candidate.yaml"), candidate).unwrap();
    });
    wait_for("the candidate", || (gateway.metric("scopegate_shadow_generation ")? > 0.0).then_some(()));
    let token = Signer::shared().token(json!({ "scope": "data-read" }));
    assert_eq!(gateway.get("/data/x", &token).status, 200);
    assert_eq!(gateway.get("/tried/x", &token).status, 200);
    assert_eq!(gateway.get("/data/x", "opaque").status, 401);
    assert_eq!(gateway.ask("GET", "/data/x", &[]).status, 401);
    wait_for("a difference", || {
        let text = String::from_utf8(gateway.admin("/metrics").body).unwrap();
        text.contains("scopegate_shadow_differences_total{").then_some(())
    });
    let text = String::from_utf8(gateway.admin("/metrics").body).unwrap();
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    (read(&text), families.map(str::to_owned).collect())
}

fn read(text: &str) -> Series {
    let mut series = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let sample = line.rsplit_once(' ').unwrap().0;
        let found = named(sample).selectors.remove(0);
        let labels = series.entry(found.metric).or_default();
        for (label, _, value) in found.matchers {
            labels.entry(label).or_default().insert(value);
        }
    }
    series
}

/// What is wrong with an expression, and the labels of what it gives.
fn check(expression: &str, series: &Series, wrong: &mut Vec<String>) -> BTreeSet<String> {
    let found = named(expression);
    let mut known: BTreeSet<String> = ADDED.map(str::to_owned).into();
    if found.selectors.is_empty() {
        wrong.push(format!("no metric in {expression}"));
    }
    for selector in &found.selectors {
        let Some(labels) = series.get(&selector.metric) else {
            wrong.push(format!("there is no metric {} ({expression})", selector.metric));
            continue;
        };
        known.extend(labels.keys().cloned());
        for (label, operator, value) in selector.matchers.iter().filter(|(label, ..)| !ADDED.contains(&label.as_str()))
        {
            let Some(values) = labels.get(label) else {
                wrong.push(format!("{} has no label {label} ({expression})", selector.metric));
                continue;
            };
            let is_regex = operator.ends_with('~');
            let alternatives: Vec<_> = if is_regex { value.split('|').collect() } else { vec![value.as_str()] };
            for value in alternatives.into_iter().filter(|value| !value.contains('$') && !values.contains(*value)) {
                wrong.push(format!("no {} has {label}=\"{value}\" ({expression})", selector.metric));
            }
        }
    }
    for label in &found.labels {
        if !known.contains(label) {
            wrong.push(format!("there is no label {label} ({expression})"));
        }
    }
    if found.labels.is_empty() { known } else { found.labels.into_iter().collect() }
}

/// Labels in texts: `{{reason}}` of Grafana's, `{{ $labels.reason }}` of Prometheus'.
fn labels_in<'t>(text: &'t str, mark: &'t str) -> impl Iterator<Item = &'t str> {
    text.split("{{").skip(1).filter_map(move |after| after.split("}}").next()?.trim().strip_prefix(mark))
}

fn read_deploy(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)).unwrap()
}

/// Every object under a value that has this member.
fn having<'v>(value: &'v Value, member: &str, found: &mut Vec<&'v Value>) {
    if value.get(member).is_some() {
        found.push(value);
    }
    match value {
        Value::Object(members) => members.values().for_each(|value| having(value, member, found)),
        Value::Array(items) => items.iter().for_each(|value| having(value, member, found)),
        _ => {}
    }
}

#[test]
fn dashboards_and_alerts_name_what_a_gateway_has_and_the_page_of_metrics_names_all_of_it() {
    let (series, families) = series();
    let mut wrong = Vec::new();

    let dashboard: Value = serde_json::from_str(&read_deploy("grafana/scopegate.json")).unwrap();
    let mut shown = BTreeSet::new();
    let mut queries = Vec::new();
    having(&dashboard, "expr", &mut queries);
    assert!(queries.len() > 20);
    for query in queries {
        let expression = query["expr"].as_str().unwrap();
        let labels = check(expression, &series, &mut wrong);
        shown.extend(named(expression).selectors.into_iter().map(|selector| selector.metric));
        for label in labels_in(query["legendFormat"].as_str().unwrap_or_default(), "") {
            if !labels.contains(label) {
                wrong.push(format!("a legend has {label}, which {expression} has not"));
            }
        }
    }
    let mut variables = Vec::new();
    having(&dashboard, "definition", &mut variables);
    for variable in variables {
        let definition = variable["definition"].as_str().unwrap();
        let inside = definition.strip_prefix("label_values(").and_then(|text| text.strip_suffix(')')).unwrap();
        let (expression, label) = inside.rsplit_once(", ").unwrap();
        if !check(expression, &series, &mut wrong).contains(label) {
            wrong.push(format!("there is no label {label} ({definition})"));
        }
    }

    let rules: Value = serde_yaml::from_str(&read_deploy("prometheus/rules.yaml")).unwrap();
    let mut alerts = Vec::new();
    having(&rules, "alert", &mut alerts);
    assert!(alerts.len() >= 10);
    for alert in alerts {
        let expression = alert["expr"].as_str().unwrap();
        let labels = check(expression, &series, &mut wrong);
        for text in ["summary", "runbook"].map(|name| alert["annotations"][name].as_str().expect(name)) {
            for label in labels_in(text, "$labels.").filter(|label| !labels.contains(*label)) {
                wrong.push(format!("a text has {label}, which {expression} has not"));
            }
            // What a runbook quotes exists too.
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            for metric in words.filter(|word| word.starts_with("scopegate_")) {
                if !series.keys().any(|own| own == metric || own.strip_suffix("_bucket") == Some(metric)) {
                    wrong.push(format!("there is no metric {metric} ({text})"));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());

    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let listed: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `scopegate_"))
        .map(|line| format!("scopegate_{}", line.split(['`', '{']).next().unwrap()))
        .collect();
    assert_eq!(listed, families, "docs/metrics.md and /metrics");
    let unseen: Vec<_> = families
        .iter()
        .filter(|family| {
            !shown.iter().any(|metric| metric == *family || metric.strip_suffix("_bucket") == Some(family))
        })
        .map(String::as_str)
        .collect();
    assert_eq!(
        unseen,
        ["scopegate_shadow_dropped_total", "scopegate_shadow_generation", "scopegate_shadow_reloads_total"]
    );
}

#[test]
fn what_is_not_there_is_found() {
    let series = read("a_total{x=\"1\",y=\"2\"} 3\nb 1\n");
    for (expression, count) in [
        ("sum by (x) (rate(a_total{y=\"2\", job=~\"$job\"}[5m])) / on (instance) b", 0),
        ("c_total", 1),
        ("a_total{z=\"1\"}", 1),
        ("a_total{x=\"2\"}", 1),
        ("a_total{x=~\"1|2\"}", 1),
        ("sum by (z) (a_total)", 1),
        ("1", 1),
    ] {
        let mut wrong = Vec::new();
        check(expression, &series, &mut wrong);
        assert_eq!(wrong.len(), count, "{expression}: {wrong:?}");
    }
    assert_eq!(labels_in("{{a}} and {{ b }}", "").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(labels_in("{{ $labels.a }} {{ $value }}", "$labels.").collect::<Vec<_>>(), ["a"]);
}
