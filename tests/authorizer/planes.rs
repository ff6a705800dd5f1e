//! The data planes: each started with the files of `deploy/`, which have addresses of the test's written into them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::authority::Authority;
use harness::refusals::Request;
use harness::tls_client::TlsClient;
use harness::{Connection, Gateway, Response, connect, free_address, wait_for};
use tempfile::TempDir;

/// How many requests of its own the gateway gets while the planes start.
pub(crate) const ASKED_AT_START: usize = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    EnvoyHttp,
    EnvoyGrpc,
    Caddy,
    Traefik,
}

/// A gateway, and planes that ask it and forward to its upstream.
pub(crate) struct Stage {
    pub(crate) planes: Vec<Plane>,
    pub(crate) gateway: Gateway,
}

/// Whom clients trust, and who issues them their certificates.
pub(crate) struct Certificates {
    pub(crate) root: Authority,
    pub(crate) clients: Authority,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        Self { root: Authority::new("root"), clients: Authority::new("clients") }
    }

    fn write(&self, folder: &Path) {
        self.root.issue("server", &["api.example.com"]).write(folder);
        fs::write(folder.join("clients.pem"), &self.clients.pem).unwrap();
    }
}

/// A data plane at an address of its own.
pub(crate) struct Plane {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    child: Child,
    /// Kept, since its drop removes it.
    _folder: TempDir,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Nginx, Self::EnvoyHttp, Self::EnvoyGrpc, Self::Caddy, Self::Traefik];

    /// As `gateway.yaml` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::EnvoyHttp => "envoy_http",
            Self::EnvoyGrpc => "envoy_grpc",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
        }
    }

    /// What the files of `deploy/` say that the listener's keys are.
    fn applies(self) -> &'static str {
        match self {
            Self::Nginx => ", applies: [account, target]",
            Self::EnvoyHttp | Self::Caddy | Self::Traefik => ", applies: [account]",
            Self::EnvoyGrpc => "",
        }
    }

    /// The same, of those that end TLS.
    fn tells(self) -> &'static str {
        match self {
            Self::Nginx | Self::EnvoyHttp | Self::Caddy => ", tells: [certificate]",
            Self::EnvoyGrpc | Self::Traefik => "",
        }
    }

    /// Its files, the one to start with first.
    fn files(self) -> &'static [&'static str] {
        match self {
            Self::Nginx => &["nginx/nginx.conf", "nginx/scopegate_clean.conf"],
            Self::EnvoyHttp => &["envoy/http.yaml"],
            Self::EnvoyGrpc => &["envoy/grpc.yaml"],
            Self::Caddy => &["caddy/Caddyfile", "caddy/scopegate_clean"],
            Self::Traefik => &["traefik/traefik.yaml", "traefik/dynamic.yaml"],
        }
    }

    /// A file of `deploy/`, so that a test's user can start it.
    fn adapted(self, text: &str, secured: Option<&Certificates>) -> String {
        let text = &if secured.is_some() { text.replace("#TLS ", "") } else { text.to_owned() };
        if self != Self::Nginx {
            return text.clone();
        }
        // Debian may write elsewhere.
        let temporary = "proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;";
        text.replace("http {\n", &format!("http {{\naccess_log off; client_body_temp_path temp; {temporary}\n"))
    }

    fn command(self, folder: &Path, file: &Path) -> Command {
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let mut command = match self {
            Self::Nginx => {
                let mut command = Command::new("nginx");
                command.arg("-p").arg(folder).arg("-c").arg(file).args(["-e", "stderr", "-g"]);
                command.arg("daemon off; master_process off; pid nginx.pid;");
                command
            }
            Self::EnvoyHttp | Self::EnvoyGrpc => {
                let mut command = Command::new(installed.join("envoy/bin/envoy"));
                command.arg("-c").arg(file).args([
                    "--concurrency",
                    "1",
                    "--log-level",
                    "error",
                    "--disable-hot-restart",
                ]);
                command
            }
            Self::Caddy => {
                let mut command = Command::new("caddy");
                command.arg("run").arg("--config").arg(file).args(["--adapter", "caddyfile"]);
                command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
                command
            }
            Self::Traefik => {
                let mut command = Command::new(installed.join("traefik/bin/traefik"));
                command.arg("--configFile").arg(file);
                command
            }
        };
        // Debian has nginx in a folder that is on nobody's path but the system's.
        command.env("PATH", std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin").current_dir(folder);
        command
    }
}

impl Stage {
    /// The planes end TLS, as their files say how.
    pub(crate) fn start_secured(more: &str, start: impl Fn(&str, &str) -> Gateway, by: &Certificates) -> Self {
        Self::start_all(more, start, Some(by))
    }

    /// `start` makes a gateway of the keys of its listener, after which others follow, and of what else its file says.
    pub(crate) fn start(more: &str, start: impl Fn(&str, &str) -> Gateway) -> Self {
        Self::start_all(more, start, None)
    }

    fn start_all(more: &str, start: impl Fn(&str, &str) -> Gateway, secured: Option<&Certificates>) -> Self {
        let authorizers = Kind::ALL.map(|kind| (kind, free_address()));
        let mut listener = String::new();
        for (kind, address) in authorizers {
            let (name, applies) = (kind.name(), kind.applies());
            let tells = if secured.is_some() { kind.tells() } else { "" };
            listener += &format!(
                "}}\n  - {{ address: \"{address}\", authorize: {{ as: {name}, peers: [127.0.0.1]{applies}{tells} }} "
            );
        }
        let gateway = start(&listener, more);
        let plane = |(kind, authorizer)| Plane::start(kind, authorizer, &gateway, secured);
        let planes = authorizers.into_iter().map(plane).collect();
        Self { planes, gateway }
    }
}

impl Plane {
    /// One that ends TLS in front of the gateway and forwards to it.
    pub(crate) fn in_front(kind: Kind, gateway: &Gateway, by: &Certificates) -> Self {
        let files: &[&str] = match kind {
            Kind::Nginx => &["in-front/nginx.conf", "nginx/scopegate_clean.conf"],
            Kind::EnvoyHttp => &["in-front/envoy.yaml"],
            Kind::Caddy => &["in-front/Caddyfile", "caddy/scopegate_clean"],
            Kind::EnvoyGrpc | Kind::Traefik => panic!("{} is not set up for it", kind.name()),
        };
        let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
        by.write(folder.path());
        write(kind, files, &folder, &[("8443", address), ("8081", gateway.address)], None);
        Self::run(kind, files, folder, address)
    }

    fn start(kind: Kind, authorizer: SocketAddr, gateway: &Gateway, secured: Option<&Certificates>) -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
        let mut ports = vec![("9191", authorizer), ("9000", gateway.upstream.address), ("8081", gateway.address)];
        // nginx has a port of its own for TLS.
        let plain = if kind == Kind::Nginx && secured.is_some() { free_address() } else { address };
        ports.extend([("8080", plain)].into_iter().chain((plain != address).then_some(("8443", address))));
        if let Some(by) = secured {
            by.write(folder.path());
        }
        write(kind, kind.files(), &folder, &ports, secured);
        let plane = Self::run(kind, kind.files(), folder, address);
        if kind == Kind::Traefik {
            // It listens before it has read what it forwards.
            let request = harness::refusals::plain("GET", "/.well-known/oauth-protected-resource");
            wait_for("Traefik's routes", || {
                let answer = match secured {
                    None => plane.send(&request),
                    Some(by) => TlsClient::new(&by.root, None).get(address, request.target, &[])?,
                };
                answer.header("x-request-id").map(drop)
            });
        }
        plane
    }

    /// Starts it on the first of its files, which are written.
    fn run(kind: Kind, files: &[&str], folder: TempDir, address: SocketAddr) -> Self {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let log = fs::File::create(folder.path().join("plane.log")).unwrap();
        let mut command = kind.command(folder.path(), &written(&folder, files[0]));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{} is missing: {error}", kind.name()));
        wait_for(kind.name(), || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(folder.path().join("plane.log")).unwrap());
            TcpStream::connect(address).ok()
        });
        Self { kind, address, child, _folder: folder }
    }

    /// A request on a connection of its own, of `api.example.com`.
    pub(crate) fn send(&self, request: &Request) -> Response {
        let mut connection = Connection::over(connect(self.address));
        connection.write(super::text(request).as_bytes());
        connection.read_response().unwrap_or_else(|| panic!("{} does not answer", self.kind.name()))
    }
}

/// Writes files of `deploy/` with a test's own addresses in the place of those ports.
fn write(kind: Kind, files: &[&str], folder: &TempDir, ports: &[(&str, SocketAddr)], secured: Option<&Certificates>) {
    let mut texts: Vec<_> = files.iter().map(|file| fs::read_to_string(deployed(file)).unwrap()).collect();
    for (port, address) in ports {
        assert!(texts.iter().any(|text| text.contains(port)), "{kind:?} has no {port}");
        for text in &mut texts {
            *text = text.replace(port, &format!("\0{}\0", address.port()));
        }
    }
    for (file, text) in files.iter().zip(&texts) {
        fs::write(written(folder, file), kind.adapted(&text.replace('\0', ""), secured)).unwrap();
    }
}

fn written(folder: &TempDir, file: &str) -> PathBuf {
    folder.path().join(Path::new(file).file_name().unwrap())
}

fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

impl Drop for Plane {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
