//! What a gateway is asked, and what it tells of itself.

use std::net::TcpStream;

use serde_json::Value;

use crate::{Connection, Gateway, PATIENCE, Response, wait_for};

impl Gateway {
    /// A request with these headers beside `Host`, on a connection of its own.
    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: api.example.com\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        self.send(format!("{text}\r\n").as_bytes())
    }

    /// A `GET` with a bearer token.
    pub fn get(&self, target: &str, token: &str) -> Response {
        self.ask("GET", target, &[("Authorization", &format!("Bearer {token}"))])
    }

    /// Bytes as they are, on a connection of their own.
    pub fn send(&self, request: &[u8]) -> Response {
        let mut connection = Connection::open(self.address);
        connection.write(request);
        connection.read_response().expect("an answer")
    }

    /// A `GET` of the admin address.
    pub fn admin(&self, path: &str) -> Response {
        let mut connection = Connection::open(self.admin);
        connection.write(format!("GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n").as_bytes());
        connection.read_response().expect("an answer")
    }

    /// A request to the admin address, on a connection of its own.
    pub fn ask_admin(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.try_ask_admin(method, target, headers, body).expect("an answer")
    }

    /// The same; `None` if the gateway has gone.
    pub fn try_ask_admin(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Response> {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: admin\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        let stream = TcpStream::connect(self.admin).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut connection = Connection::over(stream);
        connection.try_write(&[format!("{text}\r\n").as_bytes(), body].concat());
        connection.read_response()
    }

    /// `/policy` once it says what is awaited.
    pub fn wait_for_policy(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || Some(self.admin("/policy").json()).filter(&is))
    }

    /// The value of one line of `/metrics`, by all of it before the number.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = String::from_utf8(self.admin("/metrics").body).unwrap();
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    /// The audit lines written so far, once there are at least `count`.
    pub fn audit(&self, count: usize) -> Vec<Value> {
        wait_for("audit lines", || {
            let text = std::fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap_or_default();
            let lines: Vec<_> = text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
            (lines.len() >= count).then_some(lines)
        })
    }

    /// The memory that the process has in use, in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Returns once the process has logged that.
    #[track_caller]
    pub fn wait_for_log(&self, said: &str) {
        wait_for(&format!("`{said}` in the log"), || self.log().contains(said).then_some(()));
    }

    /// What the process has logged so far.
    pub fn log(&self) -> String {
        self.process.log.lock().unwrap().clone()
    }
}
