//! The real binary over real sockets: a gateway process, an upstream that records, an issuer that signs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use jsonschema::Validator;
use serde_json::Value;
use tempfile::TempDir;

use crate::agreeing::{self, Sent};
pub(crate) use crate::signer::{Signer, now};

/// Long enough for a busy machine; nothing waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A `scopegate serve` of its own, on a file of its own.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) upstream: Upstream,
    pub(crate) folder: TempDir,
    /// What the file says of its listener beside the address.
    listener: String,
    process: Process,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Gateway {
    /// Starts one on `policy`, which is `gateway.yaml` without listeners, admin, upstreams and the
    /// issuer `https://issuer.example`: those are put before it.
    pub(crate) fn start(policy: &str) -> Self {
        Self::start_in(policy, |_| {})
    }

    /// The same, once `prepare` has put what the policy needs into the file's folder.
    pub(crate) fn start_in(policy: &str, prepare: impl Fn(&Path)) -> Self {
        Self::start_with(policy, Upstream::start(), prepare)
    }

    pub(crate) fn start_with(policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        Self::start_listening("", policy, upstream, prepare)
    }

    /// The same, with these keys of the listener beside its address, such as `http2: true`.
    pub(crate) fn start_listening(listener: &str, policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        let mut gateway = Self::launch(listener, policy, upstream, prepare);
        gateway.wait_until_ready();
        gateway
    }

    /// The same, logging all that there is to log.
    pub(crate) fn start_saying_all(listener: &str, policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        let mut gateway = Self::launch_logging("trace", listener, policy, upstream, prepare);
        gateway.wait_until_ready();
        gateway
    }

    /// The same, which may not be ready yet.
    pub(crate) fn launch(listener: &str, policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        Self::launch_logging("info", listener, policy, upstream, prepare)
    }

    fn launch_logging(level: &str, listener: &str, policy: &str, upstream: Upstream, prepare: impl Fn(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        std::fs::write(folder.path().join("jwks.json"), Signer::shared().jwks().to_string()).unwrap();
        let (address, admin) = (free_address(), free_address());
        let text = document(address, listener, admin, &upstream.address.to_string(), policy);
        check_schema(&text);
        std::fs::write(folder.path().join("gateway.yaml"), text).unwrap();
        let process = Process::start_logging(level, folder.path(), &["serve", "--config", "gateway.yaml"]);
        Self { address, admin, upstream, folder, listener: listener.to_owned(), process }
    }

    /// Starts another process on the same file and addresses; the one before, which may still run.
    pub(crate) fn start_again(&mut self, command: Command) -> Process {
        std::mem::replace(&mut self.process, Process::spawn(command, self.folder.path()))
    }

    /// Puts another policy in place by renaming a new file over the old one.
    pub(crate) fn rewrite(&self, policy: &str) {
        let text = document(self.address, &self.listener, self.admin, &self.upstream.address.to_string(), policy);
        self.replace_file(&text);
    }

    pub(crate) fn replace_file(&self, text: &str) {
        let new = self.folder.path().join("gateway.yaml.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("gateway.yaml")
    }

    /// A request with these headers beside `Host`, on a connection of its own.
    pub(crate) fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: api.example.com\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        self.send(format!("{text}\r\n").as_bytes())
    }

    /// A `GET` with a bearer token.
    pub(crate) fn get(&self, target: &str, token: &str) -> Response {
        self.ask("GET", target, &[("Authorization", &format!("Bearer {token}"))])
    }

    /// Bytes as they are, on a connection of their own.
    pub(crate) fn send(&self, request: &[u8]) -> Response {
        let mut connection = Connection::open(self.address);
        connection.write(request);
        connection.read_response().expect("an answer")
    }

    /// A `GET` of the admin address.
    pub(crate) fn admin(&self, path: &str) -> Response {
        let mut connection = Connection::open(self.admin);
        connection.write(format!("GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n").as_bytes());
        connection.read_response().expect("an answer")
    }

    /// A request to the admin address, on a connection of its own.
    pub(crate) fn ask_admin(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.try_ask_admin(method, target, headers, body).expect("an answer")
    }

    /// The same; `None` if the gateway has gone.
    pub(crate) fn try_ask_admin(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response> {
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

    /// SIGKILL, from any thread.
    pub(crate) fn kill(&self) {
        let status = Command::new("kill").args(["-KILL", &self.process.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Another process in the place of one that was killed.
    pub(crate) fn restart(&mut self) {
        let _ = self.process.child.wait();
        self.process = Process::start(self.folder.path(), &["serve", "--config", "gateway.yaml"]);
        self.wait_until_ready();
    }

    /// `/policy` once it says what is awaited.
    pub(crate) fn wait_for_policy(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || Some(self.admin("/policy").json()).filter(&is))
    }

    /// The value of one line of `/metrics`, by all of it before the number.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let text = String::from_utf8(self.admin("/metrics").body).unwrap();
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    /// The audit lines written so far, once there are at least `count`.
    pub(crate) fn audit(&self, count: usize) -> Vec<Value> {
        wait_for("audit lines", || {
            let text = std::fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap_or_default();
            let lines: Vec<_> = text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
            (lines.len() >= count).then_some(lines)
        })
    }

    /// Sends the process a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// The memory that the process has in use, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.child.try_wait().unwrap().is_none()
    }

    /// What the process has logged so far.
    pub(crate) fn log(&self) -> String {
        self.process.log.lock().unwrap().clone()
    }

    pub(crate) fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready = TcpStream::connect(self.admin).is_ok() && self.admin("/readyz").status == 200;
            if ready && TcpStream::connect(self.address).is_ok() {
                agreeing::ready(self.address, self.folder.path());
                return;
            }
            let waiting = Instant::now() < deadline && self.is_running();
            assert!(waiting, "the gateway is not ready; it said:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        agreeing::gone(self.address);
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// Polls `check` until it gives something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A child process whose output is kept; it ends with the test.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) log: Arc<Mutex<String>>,
}

impl Process {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_logging("info", folder, arguments)
    }

    fn start_logging(level: &str, folder: &Path, arguments: &[&str]) -> Self {
        let mut command = scopegate(arguments);
        command.env("RUST_LOG", level);
        Self::spawn(command, folder)
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Its exit code, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        wait_for("the process to end", || self.child.try_wait().unwrap()).code()
    }

    pub(crate) fn spawn(mut command: Command, folder: &Path) -> Self {
        let mut child = command
            .current_dir(folder)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        keep(child.stdout.take().unwrap(), Arc::clone(&log));
        keep(child.stderr.take().unwrap(), Arc::clone(&log));
        Self { child, log }
    }
}

/// The binary, or the one that the environment names.
pub(crate) fn scopegate(arguments: &[&str]) -> Command {
    let binary = std::env::var_os("SCOPEGATE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_scopegate").into());
    let mut command = Command::new(binary);
    command.args(arguments);
    command
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(output: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            log.lock().unwrap().push_str(&(line + "\n"));
        }
    });
}

/// One connection of a plain HTTP/1.1 client.
pub(crate) struct Connection {
    stream: BufReader<Box<dyn ReadWrite>>,
    /// Where what is answered is held against its explanation.
    sent: Option<Sent>,
}

/// What a connection is over.
pub(crate) trait ReadWrite: Read + Write + Send {}

impl<T: Read + Write + Send> ReadWrite for T {}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self { sent: Sent::to(address), ..Self::over(connect(address)) }
    }

    pub(crate) fn over(stream: impl ReadWrite + 'static) -> Self {
        Self { stream: BufReader::new(Box::new(stream)), sent: None }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.sent.iter_mut().for_each(|sent| sent.write(bytes));
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Bytes that a peer may well refuse to read to their end.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) {
        self.sent.iter_mut().for_each(|sent| sent.write(bytes));
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// The status of an answer that is not the last one (RFC 9110 section 15.2).
    pub(crate) fn read_interim_response(&mut self) -> Option<u16> {
        let (line, _) = read_head(&mut self.stream)?;
        line.split(' ').nth(1)?.parse().ok()
    }

    /// The status line of the next answer, whose head alone is read.
    pub(crate) fn read_head(&mut self) -> Option<String> {
        read_head(&mut self.stream).map(|(line, _)| line)
    }

    /// The next so many bytes, whatever they are.
    pub(crate) fn read_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    /// The next answer; `None` if the peer closed instead.
    #[track_caller]
    pub(crate) fn read_response(&mut self) -> Option<Response> {
        let (line, headers) = read_head(&mut self.stream)?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let body = if matches!(status, 204 | 304) { vec![] } else { read_body(&mut self.stream, &headers, true)? };
        let response = Response { status, headers, body };
        if self.sent.as_mut().is_some_and(|sent| !sent.answered(&response)) {
            self.sent = None;
        }
        Some(response)
    }
}

/// A TCP connection that does not wait for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A start line and headers; `None` at the end of the stream.
fn read_head(stream: &mut impl BufRead) -> Option<(String, Vec<(String, String)>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut lines = lines.into_iter();
    let start = lines.next()?;
    let headers =
        lines.filter_map(|line| line.split_once(':').map(|(n, v)| (n.to_owned(), v.trim().to_owned()))).collect();
    Some((start, headers))
}

fn read_body(stream: &mut impl BufRead, headers: &[(String, String)], until_close: bool) -> Option<Vec<u8>> {
    let header =
        |name: &str| headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    let mut body = Vec::new();
    if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).ok()?;
            if size == 0 {
                return Some(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    match header("content-length") {
        Some(length) => {
            body.resize(length.parse().ok()?, 0);
            stream.read_exact(&mut body).ok()?;
        }
        None if until_close => {
            stream.read_to_end(&mut body).ok()?;
        }
        None => {}
    }
    Some(body)
}

/// A request as it reached the upstream.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Recorded {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }
}

/// An upstream that answers 200 to everything and remembers what it got.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Recorded>>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        Self::answering(|_| {
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"upstream\":true}"
                .to_vec()
        })
    }

    /// One that answers as `answer` says; an empty answer closes the connection.
    pub(crate) fn answering(answer: impl Fn(&Recorded) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Self { address, seen }
    }

    /// Everything that reached it so far.
    pub(crate) fn seen(&self) -> Vec<Recorded> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    #[track_caller]
    pub(crate) fn last(&self) -> Recorded {
        self.seen().pop().expect("nothing reached the upstream")
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Recorded>>, answer: &dyn Fn(&Recorded) -> Vec<u8>) {
    stream.set_nodelay(true).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some((line, headers)) = read_head(&mut reader) {
        let Some(body) = read_body(&mut reader, &headers, false) else { return };
        let recorded = Recorded { line, headers, body };
        seen.lock().unwrap().push(recorded.clone());
        let bytes = answer(&recorded);
        if bytes.is_empty() || writer.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// `gateway.yaml` with everything that a test's policy leaves out.
fn document(address: SocketAddr, listener: &str, admin: SocketAddr, upstream: &str, policy: &str) -> String {
    let issuers = if policy.contains("\nissuers:") {
        String::new()
    } else {
        "issuers:\n  - issuer: https://issuer.example\n    audiences: [https://api.example.com]\n    \
         keys: { file: jwks.json }\n    claims: { scope: scope, account: account_id, client: client_id }\n"
            .to_owned()
    };
    let upstreams = if policy.contains("\nupstreams:") {
        String::new()
    } else {
        format!("upstreams:\n  backend:\n    servers: [\"{upstream}\"]\n")
    };
    let audit = if policy.contains("\naudit:") { "" } else { "audit: { file: audit.jsonl }\n" };
    // A policy may say more of the admin address than where it is.
    let policy = policy.replace("$ADMIN", &admin.to_string());
    let admin = if policy.contains("\nadmin:") { String::new() } else { format!("admin:\n  address: {admin}\n") };
    format!(
        "version: 1\nthreads: 2\nlisteners:\n  - {{ address: \"{address}\", {listener} }}\n{admin}\
         {audit}{upstreams}{issuers}{}\n",
        policy.trim_start_matches('\n')
    )
}

/// Asserts that `gateway.schema.json` takes a policy that a gateway is started with.
pub(crate) fn check_schema(policy: &str) {
    static POLICY: LazyLock<Validator> = LazyLock::new(|| {
        jsonschema::validator_for(&serde_json::from_str(include_str!("../../gateway.schema.json")).unwrap()).unwrap()
    });
    let policy_read = serde_yaml::from_str(policy).unwrap();
    let wrong: Vec<_> = POLICY.iter_errors(&policy_read).map(|error| error.to_string()).collect();
    assert_eq!(wrong, Vec::<String>::new(), "{policy}");
}

/// An address that nothing listens on; each is given out once a process. Its port is below those that
/// systems give to outgoing connections, so that none of another test takes it meanwhile.
pub(crate) fn free_address() -> SocketAddr {
    static GIVEN: LazyLock<Mutex<Vec<SocketAddr>>> = LazyLock::new(Mutex::default);
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..32_000)));
        let mut given = GIVEN.lock().unwrap();
        if !given.contains(&address) && TcpListener::bind(address).is_ok() {
            given.push(address);
            return address;
        }
    }
}
