//! `scopegate demo`, on the repository's own file with other ports.

use std::net::TcpListener;
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Connection, Process, Response, free_address, wait_for};

/// A folder with the repository's file, its addresses exchanged for free ones.
fn folder() -> TempDir {
    let mut text = include_str!("../../gateway.yaml").to_owned();
    for address in ["127.0.0.1:8080", "127.0.0.1:9901", "127.0.0.1:9000", "127.0.0.1:9400"] {
        assert!(text.contains(address), "{address}");
        text = text.replace(address, &free_address().to_string());
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.yaml"), text).unwrap();
    folder
}

/// What a line that starts with `curl` asks, asked without curl.
fn run(line: &str) -> Response {
    let mut words = shell_words(line).into_iter();
    let (mut method, mut headers, mut url) = ("GET".to_owned(), Vec::new(), String::new());
    while let Some(word) = words.next() {
        match &*word {
            "-X" => method = words.next().unwrap(),
            "-H" => headers.push(words.next().unwrap()),
            "-o" | "-w" => drop(words.next()),
            "curl" | "-s" => {}
            _ => url = word,
        }
    }
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = Connection::open(host.parse().unwrap());
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    connection.write(format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes());
    connection.read_response().unwrap()
}

/// Words, of which those in single quotes may have spaces.
fn shell_words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(place, part)| match place % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

/// A demo that has said all that it says at its start.
fn start(folder: &TempDir) -> (Process, String) {
    let demo = Process::start(folder.path(), &["demo"]);
    let said = wait_for("the demo", || {
        let log = demo.log.lock().unwrap().clone();
        log.contains("Ctrl-C ends the demo").then_some(log)
    });
    (demo, said)
}

#[test]
fn the_table_is_as_expected_and_each_line_to_paste_gives_its_status() {
    let folder = folder();
    let (_demo, said) = start(&folder);
    assert!(said.contains("answers are as expected."), "{said}");
    let lines: Vec<_> = said.lines().collect();
    let pasted = lines.windows(2).filter_map(|pair| Some((pair[0].strip_prefix("# ")?, pair[1])));
    let mut count = 0;
    for (told, line) in pasted {
        assert_eq!(run(line).status.to_string(), told.split(' ').next().unwrap(), "{line}");
        count += 1;
    }
    assert!(count >= 8, "{said}");
}

#[test]
fn one_click_signs_a_visitor_in_to_the_console_as_viewer_or_manager() {
    let folder = folder();
    let (_demo, said) = start(&folder);
    let console = said.lines().find_map(|line| line.trim().strip_prefix("console")).unwrap().trim();
    let console = console.split(',').next().unwrap().strip_suffix("/console").unwrap();
    for (role, name) in [("manage", "demo manager"), ("view", "demo viewer")] {
        let mut cookies = std::collections::BTreeMap::new();
        let mut open = |url: &str| {
            let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
            let pairs: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut connection = Connection::open(host.parse().unwrap());
            let cookie = format!("Cookie: {}", pairs.join("; "));
            connection.write(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n\r\n").as_bytes());
            let response = connection.read_response().unwrap();
            for (_, cookie) in response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
                let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            response
        };
        let page = String::from_utf8(open(&format!("{console}/console/sign-in?next=/console/policy")).body).unwrap();
        let link = page.split("href=\"").find(|link| link.contains(&format!("as={role}"))).unwrap();
        let mut url = format!("{console}{}", link.split('"').next().unwrap().replace("&amp;", "&"));
        // To the issuer, and back.
        for _ in 0..2 {
            let led = open(&url);
            assert_eq!(led.status, 303, "{url}: {led:?}");
            url = led.header("location").unwrap().to_owned();
        }
        assert!(url.starts_with(&format!("{console}/console/sign-in/back?code=")), "{url}");
        let page = String::from_utf8(open(&url).body).unwrap();
        let on = page.split("content=\"0;url=").nth(1).unwrap().split('"').next().unwrap();
        let in_now = open(&format!("{console}{}", on.replace("&#38;", "&").replace("&amp;", "&")));
        assert_eq!((in_now.status, in_now.header("location")), (303, Some("/console/policy")), "{in_now:?}");
        let page = String::from_utf8(open(&format!("{console}/console/policy")).body).unwrap();
        assert!(page.contains(name) && page.contains("generation"), "{page}");
        let form = open(&format!("{console}/console/apis/wirewheel"));
        let may_add = String::from_utf8(form.body).unwrap().contains("Add scope");
        assert_eq!(may_add, role == "manage");
    }
}

#[test]
fn a_token_can_be_had_through_the_gateway_with_the_scopes_that_the_file_allows() {
    let folder = folder();
    let demo = Process::start(folder.path(), &["demo"]);
    wait_for("the demo", || demo.log.lock().unwrap().contains("Ctrl-C ends the demo").then_some(()));
    let text = std::fs::read_to_string(folder.path().join("gateway.yaml")).unwrap();
    let gateway = text.split_once("- address: ").unwrap().1.split('\n').next().unwrap().parse().unwrap();
    let ask = |path: &str, client: &str, scope: &str| {
        let form = format!("grant_type=client_credentials&{client}&scope={scope}");
        let mut connection = Connection::open(gateway);
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded");
        connection.write(format!("{head}\r\nContent-Length: {}\r\n\r\n{form}", form.len()).as_bytes());
        connection.read_response().unwrap()
    };
    let portal = "client_id=registry-portal&client_secret=portal-secret";
    let granted = ask("/oauth/token", portal, "read_user_data");
    assert_eq!(
        (granted.status, &granted.json()["scope"]),
        (200, &"read_user_data use_directory".into()),
        "{granted:?}"
    );
    let token = granted.json()["access_token"].as_str().unwrap().to_owned();
    let mut connection = Connection::open(gateway);
    let request = format!("GET /directory/users/7 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    connection.write(request.as_bytes());
    assert_eq!(connection.read_response().unwrap().status, 200);
    assert_eq!(ask("/oauth/token", portal, "admin_access").json()["error"], "invalid_scope");
    let venafi = "client_id=venafi-automation&client_secret=venafi-secret";
    assert_eq!(ask("/venafi/oauth/token", venafi, "certificate:manage;ssh").json()["scope"], "certificate:manage;ssh");
    // Its provider would give it this one, and the file does not.
    let beyond = ask("/venafi/oauth/token", venafi, "certificate:delete");
    assert_eq!(beyond.json()["error_description"], "the client may not ask for certificate:delete");
}

#[test]
fn an_answer_that_is_not_as_expected_is_shown_and_ends_a_single_run_with_1() {
    let folder = folder();
    let run = || Command::new(env!("CARGO_BIN_EXE_scopegate")).args(["demo", "--once"]).current_dir(&folder).output();
    let output = run().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let file = folder.path().join("gateway.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("GET /wirewheel/consents/**", "GET /wirewheel/consents/*")).unwrap();
    let output = run().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("^ expected 200 granted"), "{said}");
    assert!(said.contains("1 of "), "{said}");
}

#[test]
fn a_taken_address_ends_it_with_2_and_is_named() {
    for place in ["- address: ", "servers: [\"", "- issuer: http://"] {
        let folder = folder();
        let text = std::fs::read_to_string(folder.path().join("gateway.yaml")).unwrap();
        let rest = text.split_once(place).unwrap().1;
        let address = rest.split(['\n', '"', ' ']).next().unwrap();
        let _taken = TcpListener::bind(address).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_scopegate")).arg("demo").current_dir(&folder).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains(address), "{address}");
    }
}
