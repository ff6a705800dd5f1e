//! The upstreams: nginx and Apache as Debian has them, and a server of Node.js's `http` that reads as carelessly as it can.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::{free_address, wait_for};
use tempfile::TempDir;

/// What stands in every file that is denied, again and again, and nowhere else.
pub(crate) const MARK: &[u8] = b"~^~^";

/// A server with the files, on an address of its own.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Kept, since its drop removes it.
    _folder: TempDir,
    child: Child,
}

impl Server {
    pub(crate) fn nginx() -> Self {
        Self::start("nginx", include_str!("servers/nginx.conf"), |folder| {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder).args(["-c", "server.conf", "-e", "stderr"]);
            command
        })
    }

    pub(crate) fn apache() -> Self {
        Self::start("apache", include_str!("servers/apache.conf"), |folder| {
            let mut command = Command::new("apache2");
            command.arg("-d").arg(folder).args(["-f", "server.conf", "-D", "FOREGROUND"]);
            command
        })
    }

    pub(crate) fn node() -> Self {
        Self::start("node", include_str!("servers/careless.mjs"), |folder| {
            let mut command = Command::new("node");
            command.arg(folder.join("server.mjs"));
            command
        })
    }

    /// Debian has both in folders that are on nobody's path but the system's.
    fn start(name: &'static str, configuration: &str, command: impl Fn(&Path) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let text = configuration
            .replace("@FOLDER@", folder.path().to_str().unwrap())
            .replace("@PORT@", &address.port().to_string());
        fs::write(folder.path().join(if name == "node" { "server.mjs" } else { "server.conf" }), text).unwrap();
        write_files(&folder.path().join("root"));
        // Apache gives its rights away where it is started by root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let log = fs::File::create(folder.path().join("server.log")).unwrap();
        let mut command = command(folder.path());
        command.env("PATH", path).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} is missing: {error}"));
        wait_for(name, || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{name}: {}", fs::read_to_string(folder.path().join("server.log")).unwrap());
            TcpStream::connect(address).ok()
        });
        Self { name, address, _folder: folder, child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A signal that ends the workers too.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn write_files(root: &Path) {
    let secret = String::from_utf8(MARK.repeat(100)).unwrap();
    let write = |path: &str, text: &str| {
        let path: PathBuf = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for path in ["data/acme/secret/key.txt", "data/acme/locked/key.txt", "data/beta/key.txt", "admin/key.txt"] {
        write(path, &secret);
    }
    for path in ["data/acme/public.txt", "data/acme/a/x.txt", "data/acme/inbox/x", "data/health"] {
        write(path, "This is for everybody.\n");
    }
}
