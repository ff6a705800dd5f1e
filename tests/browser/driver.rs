//! A browser and how it is driven: `chromedriver`, spoken to as W3C `WebDriver` says, in JSON over HTTP.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Connection, Process, free_address, wait_for};
use serde_json::{Value, json};

/// A Chromium of its own, with a profile of its own.
pub(crate) struct Browser {
    port: u16,
    session: String,
    profile: tempfile::TempDir,
    _driver: Process,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) name: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) scheme: &'static str,
}

/// A page on a busy machine takes its time.
const PAGE_PATIENCE: Duration = Duration::from_secs(180);

/// How `WebDriver` names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Browser {
    pub(crate) fn open() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromedriver");
        let port = free_address().port();
        command.arg(format!("--port={port}")).env("HOME", profile.path());
        let driver = Process::spawn(command, profile.path());
        wait_for("chromedriver", || driver.log.lock().unwrap().contains("started successfully").then_some(()));
        let mut browser = Self { port, session: String::new(), profile, _driver: driver };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", browser.profile.path().join("profile").display()),
        ]
        .map(str::to_owned);
        let options = json!({ "args": arguments });
        let capabilities = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let session = browser.ask("POST", "/session", &capabilities);
        session["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        browser
    }

    pub(crate) fn go(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url }));
    }

    /// The page's address, without its origin.
    pub(crate) fn place(&self) -> String {
        self.run("return location.pathname + location.search", &[]).as_str().unwrap().to_owned()
    }

    /// What a script returns.
    #[track_caller]
    pub(crate) fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// The elements that fit, in the order of the page.
    pub(crate) fn all(&self, css: &str) -> Vec<String> {
        let found = self.command("POST", "/elements", &json!({ "using": "css selector", "value": css }));
        found.as_array().unwrap().iter().map(|element| element[ELEMENT].as_str().unwrap().to_owned()).collect()
    }

    /// The first element that fits, once there is one.
    #[track_caller]
    pub(crate) fn find(&self, css: &str) -> String {
        wait_for(css, || self.all(css).into_iter().next())
    }

    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        let element = self.find(css);
        self.run("arguments[0].scrollIntoView({ block: 'center' })", &[json!({ ELEMENT: element })]);
        self.command("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Follows the link or presses the button of these words.
    #[track_caller]
    pub(crate) fn press(&self, words: &str) {
        let path = format!("//*[self::a or self::button][not(@aria-hidden)][normalize-space() = '{words}']");
        let element = wait_for(words, || {
            let found = self.command("POST", "/elements", &json!({ "using": "xpath", "value": path }));
            found.as_array()?.iter().find_map(|element| {
                let element = element[ELEMENT].as_str()?;
                let shown = self.command("GET", &format!("/element/{element}/displayed"), &Value::Null);
                (shown == true).then(|| element.to_owned())
            })
        });
        self.run("arguments[0].scrollIntoView({ block: 'center' })", &[json!({ ELEMENT: element })]);
        self.command("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Replaces what stands in a field by what somebody types.
    #[track_caller]
    pub(crate) fn fill(&self, css: &str, text: &str) {
        let element = self.find(css);
        self.command("POST", &format!("/element/{element}/clear"), &json!({}));
        self.command("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// The text of an element as people see it.
    #[track_caller]
    pub(crate) fn text(&self, css: &str) -> String {
        let element = self.find(css);
        self.command("GET", &format!("/element/{element}/text"), &Value::Null).as_str().unwrap().to_owned()
    }

    /// Waits until an element says something.
    #[track_caller]
    pub(crate) fn wait_for_text(&self, css: &str, part: &str) {
        let script =
            "return [...document.querySelectorAll(arguments[0])].some(e => e.textContent.includes(arguments[1]))";
        let says = || (self.run(script, &[css.into(), part.into()]) == true).then_some(());
        let deadline = std::time::Instant::now() + harness::PATIENCE;
        while says().is_none() {
            let page = || self.run("return document.body.innerText", &[]);
            assert!(std::time::Instant::now() < deadline, "`{css}` never said `{part}`; the page: {}", page());
        }
    }

    /// The name by which assistive technology knows an element.
    pub(crate) fn label(&self, element: &str) -> String {
        let label = self.command("GET", &format!("/element/{element}/computedlabel"), &Value::Null);
        label.as_str().unwrap_or_default().to_owned()
    }

    /// Presses a key.
    pub(crate) fn key(&self, key: &str) {
        let actions = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let keys = json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] });
        self.command("POST", "/actions", &keys);
    }

    pub(crate) fn look(&self, look: Look) {
        let metrics =
            json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        let feature = |name: &str, value: &str| json!({ "name": name, "value": value });
        // Colours on their way from one scheme to the other are none that anybody reads.
        let still = feature("prefers-reduced-motion", "reduce");
        let features = json!({ "features": [feature("prefers-color-scheme", look.scheme), still] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Whether scripts run.
    pub(crate) fn scripts(&self, run: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": !run }));
    }

    /// A picture of the whole page.
    pub(crate) fn shoot(&self, file: &Path, look: Look) {
        let height = self.run("return document.documentElement.scrollHeight", &[]).as_u64().unwrap_or_default();
        let height = u32::try_from(height).unwrap().max(look.height);
        self.look(Look { height, ..look });
        let shot = self.devtools("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        std::fs::write(file, STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    #[track_caller]
    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.ask(method, &format!("/session/{}{path}", self.session), body)
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PAGE_PATIENCE)).unwrap();
        let mut connection = Connection::over(stream);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            self.port,
            body.len()
        );
        connection.write((head + &body).as_bytes());
        let answer = connection.read_response().expect("an answer of chromedriver");
        assert_eq!(answer.status, 200, "{method} {path} {body}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its processes would outlive the driver.
        let mut connection = Connection::open(([127, 0, 0, 1], self.port).into());
        let head = format!("DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", self.session);
        connection.try_write(head.as_bytes());
        let _ = connection.read_response();
    }
}
