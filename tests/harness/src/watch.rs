//! Who looks on while clients and gateways speak: the integration tests explain each request that they send.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;

use crate::Response;

/// What is told of every gateway and of every connection that a test opens.
pub trait Watch: Sync {
    /// The gateway at `address`, whose file is in `folder`, is ready.
    fn ready(&self, address: SocketAddr, folder: &Path);

    /// It is not there any more.
    fn gone(&self, address: SocketAddr);

    /// A client has a connection to `address`; `None` where nobody looks on.
    fn connected(&self, address: SocketAddr) -> Option<Box<dyn Exchange>>;
}

/// A connection that is looked at.
pub trait Exchange: Send {
    /// The client has sent these bytes.
    fn sent(&mut self, bytes: &[u8]);

    /// The client has got this answer; `false` where what comes next cannot be told apart any more.
    ///
    /// # Errors
    ///
    /// What is wrong with the answer.
    fn answered(&mut self, response: &Response) -> Result<bool, String>;
}

static WATCH: OnceLock<&dyn Watch> = OnceLock::new();

/// From now on `watch` looks on, in this process; who was first stays.
pub fn by(watch: &'static dyn Watch) {
    WATCH.get_or_init(|| watch);
}

pub(crate) fn ready(address: SocketAddr, folder: &Path) {
    WATCH.get().inspect(|watch| watch.ready(address, folder));
}

pub(crate) fn gone(address: SocketAddr) {
    WATCH.get().inspect(|watch| watch.gone(address));
}

pub(crate) fn connected(address: SocketAddr) -> Option<Box<dyn Exchange>> {
    WATCH.get()?.connected(address)
}
