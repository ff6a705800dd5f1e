//! The account in a query or a header, named in every way that some server reads as another.

use serde_json::json;

use super::decoders::decoded;
use crate::harness::{Gateway, Recorded, Signer};

/// The caller's account is `acme`; where a request names none, it is written in.
const POLICY: &str = r#"
apis:
  - name: reports
    base_path: /reports
    upstream: backend
    account: { query: accountId }
    account_when_absent: inject
    scopes:
      - name: reports-read
        services: ["GET,POST /reports/**"]
  - name: orders
    base_path: /orders
    upstream: backend
    account: { header: X-Account-Id }
    account_when_absent: inject
    scopes:
      - name: orders-read
        services: ["GET /orders/**"]
"#;

/// How servers spell the parameter, or read as it.
const NAMES: [&str; 24] = [
    "accountId",
    "accountid",
    "ACCOUNTID",
    "AccountId",
    "%61ccountId",
    "account%49d",
    "accountId%00",
    "accountId%20",
    "+accountId",
    "%20accountId",
    "accountId[]",
    "accountId[0]",
    "accountId%5B%5D",
    "accountId.",
    "account_id",
    "account.Id",
    "account-id",
    "accountId[",
    "accountId%5b0",
    "accountId%09",
    "%00accountId",
    "accountId[a][b]",
    "account%5FId",
    "accountId%2e",
];

/// What it is given, for which some server reads another's account.
const VALUES: [&str; 14] = [
    "beta",
    "BETA",
    "acme,beta",
    "acme%2Cbeta",
    "acme%00beta",
    "acme+beta",
    "acme%20beta",
    "%62eta",
    "acme%26accountId=beta",
    "acme%23beta",
    "",
    "%2562eta",
    "b%C3%A9ta",
    "acme%0d%0abeta",
];

#[test]
fn every_reading_of_a_query_has_the_callers_own_account() {
    let gateway = Gateway::start(POLICY);
    let token = token();
    let mut asked = 0;
    let mut send = |query: String| {
        asked += 1;
        let response = gateway.get(&format!("/reports/x?{query}"), &token);
        assert!(matches!(response.status, 200 | 400 | 403), "{query}: {response:?}");
    };
    for name in NAMES {
        for value in VALUES {
            send(format!("{name}={value}"));
            send(format!("accountId=acme&{name}={value}"));
            send(format!("{name}={value}&accountId=acme"));
            send(format!("accountId=acme;{name}={value}"));
            send(format!("x=1;{name}={value}&accountId=acme"));
            send(format!("x?{name}={value}&accountId=acme"));
        }
        for odd in ["", "=", "&", "==beta", "=acme=beta"] {
            send(format!("{name}{odd}"));
            send(format!("accountId=acme&{name}{odd}"));
        }
    }
    assert!(asked >= 2_000, "{asked}");
    let seen = gateway.upstream.seen();
    assert!(seen.len() >= 20, "{}", seen.len());
    for request in seen {
        let query = request.line.split(' ').nth(1).unwrap().split_once('?').unwrap().1.to_owned();
        for separators in [&['&'][..], &['&', ';']] {
            let accounts: Vec<_> = query.split(separators).filter_map(account).collect();
            assert_eq!(accounts, ["acme"], "{query}");
        }
    }
}

/// The value of a parameter that some server reads as the account's.
fn account(parameter: &str) -> Option<String> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let text = |part: &str| String::from_utf8_lossy(&decoded(part.replace('+', " ").as_bytes())).into_owned();
    let name = text(name);
    let bare = name.split('[').next().unwrap_or_default().trim_matches([' ', '\0', '\t', '.']).to_ascii_lowercase();
    ["accountid", "account_id", "account.id", "account-id"].contains(&&*bare).then(|| text(value))
}

#[test]
fn every_reading_of_a_header_has_the_callers_own_account() {
    let gateway = Gateway::start(POLICY);
    let token = format!("Bearer {}", token());
    let mut lists: Vec<Vec<(String, String)>> = vec![vec![]];
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for value in
        ["beta", "acme,beta", "acme, beta", "beta,acme", "", "acme\tbeta", "b\u{e9}ta", "acme;beta", "\"acme\""]
    {
        for name in ["X-Account-Id", "x-account-id", "X-ACCOUNT-ID"] {
            lists.push(vec![header(name, value)]);
            lists.push(vec![header("X-Account-Id", "acme"), header(name, value)]);
            lists.push(vec![header(name, value), header("X-Account-Id", "acme")]);
        }
    }
    for other in "_.!#$%&'*+^`|~".chars() {
        let name = format!("X{other}Account-Id");
        lists.push(vec![header(&name, "beta")]);
        lists.push(vec![header("X-Account-Id", "acme"), header(&name.replace('-', &other.to_string()), "beta")]);
    }
    for list in &lists {
        let mut headers = vec![("Authorization", &*token)];
        headers.extend(list.iter().map(|(name, value)| (&**name, &**value)));
        let status = gateway.ask("GET", "/orders/x", &headers).status;
        assert!(matches!(status, 200 | 400 | 403), "{list:?}: {status}");
    }
    let seen = gateway.upstream.seen();
    assert!(seen.len() >= 20, "{}", seen.len());
    for request in seen {
        assert_eq!(alike(&request, "x-account-id"), ["acme"], "{request:?}");
    }
}

/// The values of all headers that some server takes for the one of this name.
pub(super) fn alike(request: &Recorded, name: &str) -> Vec<String> {
    let written = |own: &str| own.to_ascii_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let is_alike = |(own, _): &&(String, String)| written(own) == written(name);
    request.headers.iter().filter(is_alike).map(|(_, value)| value.clone()).collect()
}

fn token() -> String {
    Signer::shared().token(json!({ "scope": "reports-read orders-read", "account_id": "acme" }))
}
